"""The layer whose output a network's last linear layer is given: found by running the network, not by its name."""

from typing import Any

import torch
from torch import Tensor, nn

from pellucid.checks import check_eval
from pellucid.models import Model
from pellucid.models.probes import calls, first_tensor


def last_features(model: Model) -> str:
    """The layer that a network's last linear layer, or convolution, reads: what is known of an image at the end.

    Where functions stand between the two (a pooling that is no module), it is the layer before them.

    Args:
        model: in eval mode.

    Returns:
        Its dotted name, for `extract` or a `Store`.

    Raises:
        ValueError: the network calls no linear layer and no convolution, or nothing before it.
    """
    check_eval(model)
    frame = model.geometry
    ended: list[tuple[str, Tensor | None]] = []
    before: tuple[Tensor | None, int] | None = None

    def begin(_name: str, module: nn.Module, inputs: Any) -> None:
        nonlocal before
        if isinstance(module, nn.Linear | nn.Conv2d):
            before = first_tensor(inputs), len(ended)

    def end(name: str, _module: nn.Module, output: Any) -> None:
        ended.append((name, first_tensor(output)))  # kept, so that no later output takes its place in memory

    with torch.no_grad(), calls(model, begin, end):
        model(torch.zeros(1, frame.channels, *frame.size, device=model.mean.device))
    if before is None or not before[1]:
        raise ValueError("the network has no layer before a last linear one: name the layer whose features to take")
    given, count = before
    names = [name for name, output in ended[:count] if name and _is_same(given, output)]
    return names[-1] if names else next(name for name, _ in reversed(ended[:count]) if name)


def _is_same(given: Tensor | None, output: Tensor | None) -> bool:
    """Whether what is given lies in the memory of an output: flattened, or a token of it."""
    if given is None or output is None:
        return False
    return given.untyped_storage().data_ptr() == output.untyped_storage().data_ptr()
