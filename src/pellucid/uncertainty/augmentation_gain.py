"""Augmentation gain: accuracy with the views of an image and without, and how sure the difference is."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.metrics import Interval, bootstrap, proportion

from ._labelled import check_classes
from .aggregate import aggregate


@dataclass(frozen=True)
class Gain:
    """Shares of right answers of the same images, each with its 95 % interval."""

    plain: Interval  # of the images as they are
    augmented: Interval  # of all views together
    difference: Interval  # augmented - plain, image by image: a bootstrap of the images
    mended: int  # images wrong as they are, right by all views
    spoilt: int  # the other way round


def augmentation_gain(
    samples: Tensor,
    targets: Tensor,
    weights: Tensor | None = None,
    *,
    how: str = "arithmetic",
    draws: int = 1000,
    generator: torch.Generator | None = None,
) -> Gain:
    """What test-time augmentation adds to the accuracy, on images that its policy was not chosen on.

    Args:
        samples: (V, N, K), float, rows sum to 1, of `test_time_augmentation`: the first is of the images as they are.
        targets: (N,), int64, in [0, K), the true classes.
        weights: (V,), at least 0, not all 0, of each view; none weighs all alike.
        how: arithmetic, geometric or vote; see `aggregate`.
        draws: bootstrap draws of the images for the difference, at least 1.
        generator: of the draws; none takes one of seed 0.

    Raises:
        ValueError: samples, targets or weights are none, or an option is out of range.
    """
    together = aggregate(samples, weights, how=how).cpu()
    labels = check_classes(targets, *together.shape)
    before, after = (rows.argmax(dim=1) == labels for rows in (samples[0].cpu(), together))
    change = after.double() - before.double()
    return Gain(
        plain=proportion(int(before.sum()), len(labels)),
        augmented=proportion(int(after.sum()), len(labels)),
        difference=bootstrap(change, draws=draws, generator=generator),
        mended=int((change > 0).sum()),
        spoilt=int((change < 0).sum()),
    )
