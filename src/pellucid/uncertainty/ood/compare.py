"""The same known and unknown images shown to every detector: one table, and the images each gets wrong."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from pellucid.checks import check_images
from pellucid.metrics.ranking import DetectionTable, detection_table

from ._sets import check_apart, check_same_shape

Detector: TypeAlias = Callable[[Tensor], Tensor]
"""Images (N, C, H, W) -> scores (N,), higher = less known."""


@dataclass(frozen=True)
class Appearance:
    """What tells two sets apart before any network looks: if these differ, so may the ways they were read."""

    mean: tuple[float, ...]  # of each channel
    std: tuple[float, ...]  # of each channel, over all pixels of all images
    low: float  # smallest value
    high: float  # largest value
    gray: float  # share of images whose channels are all equal, in [0, 1]


@dataclass(frozen=True)
class Comparison:
    """How detectors tell known images from those from elsewhere, all on the same n and m images."""

    table: DetectionTable  # a row for each detector
    ratio: float  # known images for each from elsewhere, as they were given; both AUPR depend on that of those taken
    rows_in: Tensor  # (n,), int64, the known images taken, rising
    rows_out: Tensor  # (m,), int64, the images from elsewhere taken, rising
    scores_in: dict[str, Tensor]  # name -> (n,), higher = less known
    scores_out: dict[str, Tensor]  # name -> (m,)
    thresholds: dict[str, float]  # name -> the score up to which at least 95 % of the known images pass
    passed: dict[str, Tensor]  # name -> numbers of images from elsewhere that pass, the most trusted first
    rejected: dict[str, Tensor]  # name -> numbers of known images that do not, the least trusted first
    appearance_in: Appearance
    appearance_out: Appearance


def compare(
    detectors: Mapping[str, Detector],
    images: Tensor,
    out_images: Tensor,
    *,
    balance: bool = True,
    draws: int = 1000,
    generator: torch.Generator | None = None,
) -> Comparison:
    """Ask every detector of the same images, known and from elsewhere.

    Args:
        detectors: name -> function of images; see `detectors`.
        images: (N, C, H, W), float, in [0, 1], known; none that a detector was fitted or tuned on.
        out_images: (M, C, H, W), from elsewhere, read through the same pipeline.
        balance: take as many of both, drawn from the larger set.
        draws: bootstrap draws for the 95 % intervals, at least 1.
        generator: of the choice and the draws; none takes one of seed 0.

    Raises:
        ValueError: the sets share an image, differ in shape or hold none, or scores are not finite.
    """
    if not detectors:
        raise ValueError("detectors must name at least one, got none")
    for some in (images, out_images):
        check_images(some)
    check_same_shape(images, out_images)
    check_apart("out_images", out_images, "images", images)
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    least = min(len(images), len(out_images)) if balance else None
    rows_in, rows_out = (_chosen(len(some), least, generator) for some in (images, out_images))
    known, others = images[rows_in.to(images.device)], out_images[rows_out.to(out_images.device)]
    scores_in = {name: score(known).detach().cpu() for name, score in detectors.items()}
    scores_out = {name: score(others).detach().cpu() for name, score in detectors.items()}
    thresholds = {name: _threshold(scores) for name, scores in scores_in.items()}
    return Comparison(
        table=detection_table(scores_in, scores_out, draws=draws, generator=generator),
        ratio=len(images) / len(out_images),
        rows_in=rows_in,
        rows_out=rows_out,
        scores_in=scores_in,
        scores_out=scores_out,
        thresholds=thresholds,
        passed={name: rows_out[_lowest(scores, thresholds[name])] for name, scores in scores_out.items()},
        rejected={name: rows_in[_lowest(-scores, -thresholds[name], True)] for name, scores in scores_in.items()},
        appearance_in=_appearance(known),
        appearance_out=_appearance(others),
    )


def _chosen(count: int, least: int | None, generator: torch.Generator) -> Tensor:
    """Numbers of the images taken, rising; all of them, without a draw, where there are no more than wanted."""
    if least is None or count <= least:
        return torch.arange(count)
    return torch.randperm(count, generator=generator, device=generator.device)[:least].cpu().sort().values


def _threshold(known: Tensor) -> float:
    """The smallest score up to which at least 95 % pass."""
    return float(known.sort().values[math.ceil(0.95 * len(known) - 1e-9) - 1])


def _lowest(scores: Tensor, bound: float, strict: bool = False) -> Tensor:
    """Places of the scores up to a bound (or below it), the lowest first."""
    order = scores.argsort(stable=True)
    return order[scores[order] < bound if strict else scores[order] <= bound]


def _appearance(images: Tensor) -> Appearance:
    stds, means = torch.std_mean(images.detach(), dim=(0, 2, 3), correction=0)
    gray = (images == images[:, :1]).flatten(1).all(dim=1).double().mean()
    low, high = torch.aminmax(images.detach())
    return Appearance(tuple(means.tolist()), tuple(stds.tolist()), float(low), float(high), float(gray))
