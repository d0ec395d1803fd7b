"""What a network has made of images before its last layer, or at layers named: found by running it, not by its name."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.models import evaluate, unvaried
from pellucid.models.probes import activations, calls, find_layer, inputs_of

from ._logits import as_logits, checked
from ._pictures import Pictures, parts_of


@dataclass(frozen=True)
class Place:
    """Where features are taken: a layer's output, or what it is given."""

    name: str
    is_input: bool


def head_of(model: nn.Module, images: Tensor) -> str:
    """The last linear layer or convolution that is called: what it is given are the penultimate features.

    Args:
        model: in eval mode.
        images: (N, C, H, W); the first is passed.

    Raises:
        ValueError: the network has none.
    """
    called = _called(model, images)
    if not called:
        raise ValueError("the network calls no linear layer and no convolution: name the layer whose features to take")
    return called[-1][0]


def linear_head_of(
    model: nn.Module, images: Tensor, method: str, *, instead: str = "mahalanobis or knn"
) -> tuple[str, nn.Linear]:
    """The linear layer that gives the logits, and its name; `instead` is what else to take where there is none.

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
        f"({type(module).__name__}): take {instead}, which need none"
    )


def place_of(model: nn.Module, images: Tensor, layer: str | None) -> Place:
    """The place a layer's name means; none is what the last linear layer that is called is given.

    Args:
        model: in eval mode.
        images: (N, C, H, W); the first is passed.
        layer: dotted name or none.

    Raises:
        ValueError: no such layer, no linear layer, or nothing with weights before it.
    """
    if layer is not None:
        return Place(find_layer(model, layer)[0], is_input=False)
    called = _called(model, images)
    linear = [name for name, module in called if isinstance(module, nn.Linear)]
    if not linear:
        raise ValueError("the network calls no linear layer: name the layer whose output are its features (layer=...)")
    if len(called) < 2:
        raise ValueError(
            f"the network has a single layer with weights, {linear[0]!r}: before it there are only pixels, and no "
            "features to learn from; take a score that needs none (max_probability, entropy), or name a layer"
        )
    return Place(linear[-1], is_input=True)


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
    places = [Place(name, is_input=False) for name in layers] or [Place(head, is_input=True)]
    return [part.double() for part in _read(model, [images.detach()], places)]


def features_and_logits(model: nn.Module, images: Pictures, place: Place) -> tuple[Tensor, Tensor]:
    """Features (N, D), float32, and logits (N, K), float64, of any number of images.

    Raises:
        ValueError: the place is never reached, or features or logits are no finite matrix.
    """
    features, logits = _read(model, parts_of(images, model), [place], has_logits=True)
    return features.float(), as_logits(logits)


def features_at(model: nn.Module, images: Tensor, place: Place) -> Tensor:
    """Features (N, D), float32, with the graph that leads to them where gradients are on; all N in one pass."""
    with _recorded(model, [place]) as found:
        model(images)
    return _vectors(found, place.name, len(images)).float()


def _called(model: nn.Module, images: Tensor) -> list[tuple[str, nn.Module]]:
    """The linear layers and convolutions a pass of the first image calls, in order."""
    called: list[tuple[str, nn.Module]] = []

    def after(name: str, module: nn.Module, _output: Any) -> None:
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            called.append((name, module))

    with torch.no_grad(), calls(model, lambda *_: None, after):
        model(images[:1].detach())
    return called


def _read(
    model: nn.Module, parts: Iterable[Tensor], places: Sequence[Place], *, has_logits: bool = False
) -> list[Tensor]:
    """Features (N, D) at each place, float32 at least; with logits these (N, K) as well, as the network gives them."""
    widths: list[int] = []
    with _recorded(model, places) as found:

        def read(outputs: object, rows: Tensor) -> Tensor:
            logits = [checked(outputs)] if has_logits else []
            columns = [_vectors(found, place.name, len(rows)) for place in places] + logits
            widths[:] = [column.shape[1] for column in columns]
            return torch.cat(columns, dim=1)

        joined = torch.cat([evaluate(model, unvaried(part), read, label="reading features")[0] for part in parts])
    if not torch.isfinite(joined).all():
        names = ", ".join(repr(place.name) for place in places)
        raise ValueError(f"the features of {names} are not finite: the weights hold NaN, or it overflows")
    return list(torch.split(joined, widths, dim=1))


@contextmanager
def _recorded(model: nn.Module, places: Sequence[Place]) -> Iterator[dict[str, Tensor]]:
    """What the passes made inside the block give at the places: outputs, or what one layer is given."""
    names = [place.name for place in places]
    with inputs_of(model, names[0]) if places[0].is_input else activations(model, names) as found:
        yield found


def _vectors(found: dict[str, Tensor], name: str, rows: int) -> Tensor:
    """(R, D), float32 at least: vectors as they are, tokens (R, T, D) and maps (R, D, h, w) averaged."""
    if name not in found:
        raise ValueError(f"layer {name!r} is never reached in the forward pass")
    x = found[name]
    if len(x) != rows or x.ndim not in {2, 3, 4}:
        raise ValueError(f"layer {name!r} must give (N, D), (N, T, D) or (N, D, h, w), got {tuple(x.shape)}")
    x = x.float() if x.dtype in {torch.float16, torch.bfloat16} else x
    return x if x.ndim == 2 else x.mean(dim=1) if x.ndim == 3 else x.mean(dim=(2, 3))
