"""TensorBoard's event files, on request."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pellucid.training.runs import Run


@contextmanager
def board(run: Run, *, on: bool, epoch: int = 0) -> Iterator[Any]:
    """A writer of event files in the run's folder; None unless asked for.

    Args:
        run: whose folder it writes to.
        on: whether it does.
        epoch: whole epochs done; what an earlier process wrote of later ones does not count.

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
    with SummaryWriter(run.folder / "tensorboard", purge_step=epoch + 1 if epoch else None) as writer:
        yield writer
