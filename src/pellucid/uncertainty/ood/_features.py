"""What a network has made of images before its last layer, or at layers named."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.models import evaluate, unvaried
from pellucid.models.probes import activations, calls, find_layer, inputs_of


def head_of(model: nn.Module, images: Tensor) -> str:
    """The last linear layer or convolution that is called: what it is given are the penultimate features.

    Args:
        model: in eval mode.
        images: (N, C, H, W); the first is passed.

    Raises:
        ValueError: the network has none.
    """
    last: list[str] = []

    def after(name: str, module: nn.Module, _output: Any) -> None:
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            last[:] = [name]

    with torch.no_grad(), calls(model, lambda *_: None, after):
        model(images[:1].detach())
    if not last:
        raise ValueError("the network calls no linear layer and no convolution: name the layer whose features to take")
    return last[0]


def linear_head_of(model: nn.Module, images: Tensor, method: str) -> tuple[str, nn.Linear]:
    """The linear layer that gives the logits, and its name.

    Raises:
        ValueError: the logits are not what the last linear layer makes of vectors (N, D).
    """
    name = head_of(model, images)
    module = find_layer(model, name)[1]
    if isinstance(module, nn.Linear):
        with torch.no_grad(), inputs_of(model, name) as found:
            logits = model(images[:1].detach())
        x = found[name]
        if x.ndim == 2 and isinstance(logits, Tensor):
            made = F.linear(x, module.weight, module.bias)
            if made.shape == logits.shape and torch.allclose(made, logits, rtol=1e-3, atol=1e-4):
                return name, module
    raise ValueError(
        f"{method} needs a network whose logits come from a linear layer on vectors (N, D); its last is {name!r} "
        f"({type(module).__name__}): take mahalanobis or knn, which need none"
    )


def features_of(model: nn.Module, images: Tensor, *, head: str, layers: Sequence[str] = ()) -> list[Tensor]:
    """Features of images: of each layer named, or, where none is, what the head is given.

    Args:
        model: in eval mode.
        images: (N, C, H, W), float.
        head: dotted name of the last layer.
        layers: dotted names.

    Returns:
        For each layer (N, D), float64: vectors as they are, maps (N, D, h, w) and tokens (N, T, D) averaged.

    Raises:
        ValueError: a layer is never reached, or puts out no features of that shape, or some that are not finite.
    """
    names = list(layers) or [head]
    widths: list[int] = []
    with activations(model, layers) if layers else inputs_of(model, head) as found:

        def read(_outputs: object, rows: Tensor) -> Tensor:
            missing = next((name for name in names if name not in found), None)
            if missing is not None:
                raise ValueError(f"layer {missing!r} is never reached in the forward pass")
            parts = [_vectors(found[name], name, len(rows)) for name in names]
            widths[:] = [part.shape[1] for part in parts]
            return torch.cat(parts, dim=1)

        every = evaluate(model, unvaried(images.detach()), read, label="reading features")[0].double()
    if not torch.isfinite(every).all():
        raise ValueError(f"the features of {', '.join(names)} are not finite: the weights hold NaN, or it overflows")
    return list(torch.split(every, widths, dim=1))


def _vectors(found: Tensor, name: str, rows: int) -> Tensor:
    """(R, D), float32 at least."""
    if len(found) != rows or found.ndim not in {2, 3, 4}:
        raise ValueError(f"layer {name!r} must give (N, D), (N, T, D) or (N, D, h, w), got {tuple(found.shape)}")
    found = found.float() if found.dtype in {torch.float16, torch.bfloat16} else found
    return found if found.ndim == 2 else found.mean(dim=1) if found.ndim == 3 else found.mean(dim=(2, 3))
