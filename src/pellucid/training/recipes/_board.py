"""TensorBoard's event files, on request."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pellucid.training.runs import Run


@contextmanager
def board(run: Run, *, on: bool) -> Iterator[Any]:
    """A writer of event files in the run's folder; None unless asked for.

    Raises:
        ValueError: the package tensorboard is not installed.
    """
    if not on:
        yield None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ValueError("tensorboard is not installed; pip install 'pellucid[tensorboard]'") from error
    with SummaryWriter(run.folder / "tensorboard") as writer:
        yield writer
