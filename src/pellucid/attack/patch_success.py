"""How far an adversarial patch reaches: successes on images it was not trained on, by how much of them it covers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.checks import check_images
from pellucid.metrics import Interval, proportion

from ._paste import Patch, fitted, laid
from ._places import Places, Spread
from ._question import check_attack, is_adversarial
from ._slopes import logits_of


@dataclass(frozen=True)
class PatchSuccess:
    """Shares of the images that needed an attack, each with its Wilson interval; NaN where there were none."""

    areas: tuple[float, ...]  # A shares of the image, covered
    patch: tuple[Interval, ...]  # A shares of successes under the patch
    control: tuple[Interval, ...]  # A shares of successes under the control, in the same places
    attacked: int  # images that needed an attack
    images: int  # images in all; the others were called the target (untargeted: not their label) before


def patch_success(
    model: nn.Module | Callable[[Tensor], Any],
    made: Patch,
    images: Tensor,
    targets: Tensor,
    *,
    areas: Sequence[float] = (0.02, 0.05, 0.1, 0.2),
    control: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> PatchSuccess:
    """Lay a patch on held-out images at several sizes, each at a random place and turn, and count its successes.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits or probabilities (N, K).
        made: the patch, resized to each area.
        images: (N, C, H, W), in [0, 1], none of which it was trained on.
        targets: (N,), int64, the true classes; of a targeted patch its class.
        areas: shares of the image to be covered, each in (0, 1).
        control: (M, C, h, w), in [0, 1], laid in its stead, in turn: photographs of the target class; None takes grey.
        generator: of places and turns; None takes one of seed 0.

    Raises:
        ValueError: targets are not the patch's class, or the patch does not fit on the images.
    """
    images, targets = check_attack(model, images, targets)
    if made.target is not None and bool((targets != made.target).any()):
        raise ValueError(
            f"targets must all be {made.target}, the patch's class, got {sorted(set(targets.tolist()))[:5]}"
        )
    if not len(areas):
        raise ValueError("areas must be at least one share of the image")
    if control is None:
        control = images.new_full((1, images.shape[1], 1, 1), 0.5)
    check_images(control)
    spreads = [replace(made.spread, area=area, scale_low=1.0, scale_high=1.0) for area in areas]
    for spread in spreads:
        spread.check()
        spread.check_fits(images.shape[-2:])
    source = torch.Generator().manual_seed(0) if generator is None else generator
    attacked = ~_hits(model, made, images, targets)
    shares: list[tuple[Interval, Interval]] = []
    for spread in spreads:
        places = spread.draw(len(images), images.shape[-2:], source)
        patched = replace(made, spread=spread).paste(images, places=places)
        controlled = _controlled(images, control, places, spread, made.epsilon)
        first, second = (_share(_hits(model, made, some, targets), attacked) for some in (patched, controlled))
        shares.append((first, second))
    patch, controls = zip(*shares, strict=True)
    return PatchSuccess(tuple(areas), patch, controls, int(attacked.sum()), len(images))


def _hits(model: nn.Module | Callable[[Tensor], Any], made: Patch, images: Tensor, targets: Tensor) -> Tensor:
    return is_adversarial(logits_of(model, images, targets), targets, targeted=made.target is not None)


def _controlled(images: Tensor, control: Tensor, places: Places, spread: Spread, epsilon: float | None) -> Tensor:
    """The control's pictures in turn, laid on the images."""
    side = max(1, round(spread.width(images.shape[-2:])))
    every = torch.stack([fitted(picture, side, images.shape[1]) for picture in control.detach().to(images)])
    turns = torch.arange(len(images), device=images.device) % len(every)
    return laid(images, every[turns], places, spread, epsilon)


def _share(hits: Tensor, attacked: Tensor) -> Interval:
    if not bool(attacked.any()):
        return Interval(float("nan"), float("nan"), float("nan"))
    return proportion(int((hits & attacked).sum()), int(attacked.sum()))
