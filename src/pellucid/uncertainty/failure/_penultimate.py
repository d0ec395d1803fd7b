"""What a classifier makes of images before its last linear layer: found by running it, not by its name."""

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pellucid.models import evaluate, unvaried
from pellucid.models.probes import activations, calls, find_layer, inputs_of
from pellucid.uncertainty._logits import as_logits, checked

from ._pictures import Pictures, parts_of

WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class Place:
    """Where features are taken: a layer's output, or what it is given."""

    name: str
    is_input: bool


def place_of(model: nn.Module, image: Tensor, layer: str | None) -> Place:
    """The place a layer's name means; none is what the last linear layer that is called is given.

    Args:
        model: in eval mode.
        image: (1, C, H, W).
        layer: dotted name or none.

    Raises:
        ValueError: no such layer, no linear layer, or nothing with weights before it.
    """
    if layer is not None:
        return Place(find_layer(model, layer)[0], is_input=False)
    called: list[tuple[str, nn.Module]] = []

    def after(name: str, module: nn.Module, _output: object) -> None:
        if isinstance(module, WEIGHTED):
            called.append((name, module))

    with torch.no_grad(), calls(model, lambda *_: None, after):
        model(image)
    linear = [place for place, (_, module) in enumerate(called) if isinstance(module, nn.Linear)]
    if not linear:
        raise ValueError("the network calls no linear layer: name the layer whose output are its features (layer=...)")
    if len(called) < 2:
        raise ValueError(
            f"the network has a single layer with weights, {called[0][0]!r}: before it there are only pixels, and no "
            "features to learn from; take a score that needs none (max_probability, entropy), or name a layer"
        )
    return Place(called[linear[-1]][0], is_input=True)


def features_at(model: nn.Module, images: Tensor, place: Place) -> Tensor:
    """Features (N, D), float32, with the graph that leads to them where gradients are on; all N in one pass."""
    with _recorded(model, place) as found:
        model(images)
    return _vectors(found, place, len(images)).float()


def read(model: nn.Module, images: Pictures, place: Place) -> tuple[Tensor, Tensor]:
    """Features (N, D), float32, and logits (N, K), float64, of any number of images.

    Raises:
        ValueError: the place is never reached, or features or logits are no finite matrix.
    """
    widths: list[int] = []
    with _recorded(model, place) as found:

        def both(outputs: object, rows: Tensor) -> Tensor:
            logits = checked(outputs)
            features = _vectors(found, place, len(rows))
            widths[:] = [features.shape[1], logits.shape[1]]
            return torch.cat([features.to(logits), logits], dim=1)

        parts = parts_of(images, model)
        joined = torch.cat([evaluate(model, unvaried(one), both, label="reading features")[0] for one in parts])
    if not torch.isfinite(joined).all():
        raise ValueError(f"the features of {place.name!r} are not finite: the weights hold NaN, or it overflows")
    features, logits = torch.split(joined, widths, dim=1)
    return features.float(), as_logits(logits)


def _recorded(model: nn.Module, place: Place) -> AbstractContextManager[dict[str, Tensor]]:
    """What the passes made inside the block give at the place."""
    return inputs_of(model, place.name) if place.is_input else activations(model, [place.name])


def _vectors(found: dict[str, Tensor], place: Place, rows: int) -> Tensor:
    """(R, D): vectors as they are, tokens (R, T, D) and maps (R, D, h, w) averaged."""
    if place.name not in found:
        raise ValueError(f"layer {place.name!r} is never reached in the forward pass")
    x = found[place.name]
    if len(x) != rows or x.ndim not in {2, 3, 4}:
        raise ValueError(f"layer {place.name!r} must give (N, D), (N, T, D) or (N, D, h, w), got {tuple(x.shape)}")
    return x if x.ndim == 2 else x.mean(dim=1) if x.ndim == 3 else x.mean(dim=(2, 3))
