"""How small a change breaks the model: a seeded sample of the images, and those that are shown, attacked."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.attack import mi_fgsm, outcome, pgd
from pellucid.attack.robustness import Robustness, robustness
from pellucid.data import ImageSet, batches
from pellucid.metrics import Interval, proportion
from pellucid.models import Model
from pellucid.progress import steps

from .predictions import Predictions

EPSILONS = (0.0, 0.5 / 255, 1 / 255, 2 / 255, 4 / 255, 8 / 255, 16 / 255, 32 / 255)
"""Tried in this order; what is broken is not tried again, so that the larger ones cost little where needless."""

TRANSFERRED = 8 / 255
"""Size of the changes shown to a second model."""

AT_ONCE = 32
"""Images attacked together; bounds the memory."""

STEPS = 10
"""Of PGD at each size: enough for a network that was not trained against attacks."""

ATTACK = partial(pgd, loss="margin", steps=STEPS)
"""On the difference of logits, whose slope does not fade where the model is sure, as the cross-entropy's does."""

FEWEST = 5
"""Images below which nothing is said: their interval would mean little."""

DRAWN = 6
"""Images kept with what the attack made of them."""


@dataclass(frozen=True)
class Broken:
    """One image, and the least change found that the model calls something else."""

    row: int  # place in the predictions
    epsilon: float  # in image units
    after: int  # the class it is called now
    image: Tensor  # (C, H, W), in [0, 1]
    adversarial: Tensor  # (C, H, W), in [0, 1]


@dataclass(frozen=True)
class Transfer:
    """What the images that were made to break this model do to a second one."""

    name: str
    epsilon: float  # of those images
    images: int  # that the second model called right, of those this one did
    rate: Interval  # share of them that it calls something else now; NaN where there are none


@dataclass(frozen=True)
class Attacked:
    """Accuracy under attack; n images in the sample, E sizes of change."""

    epsilons: tuple[float, ...]  # E, ascending, in image units; the first is 0
    rows: tuple[int, ...]  # n, of the sample in the predictions
    smallest: Tensor  # (n,), float64, least epsilon that broke each; 0 wrong already, inf none did
    shown: dict[int, float]  # the same for every image of the sample or shown right, by its row
    broken: tuple[Broken, ...]  # some of the sample, those that took least first
    vanished: int  # images of the sample whose gradient was zero everywhere
    transfer: Transfer | None  # None without a second model

    @property
    def accuracy(self) -> tuple[Interval, ...]:
        """E, share of the sample still right at each size, with its Wilson interval."""
        return tuple(proportion(int((self.smallest > epsilon).sum()), len(self.rows)) for epsilon in self.epsilons)

    @property
    def half(self) -> float:
        """The least size that leaves no more than half of what was right at first; inf where none does."""
        left = [int((self.smallest > epsilon).sum()) for epsilon in self.epsilons]
        return next((e for e, n in zip(self.epsilons, left, strict=True) if e > 0 and 2 * n <= left[0]), math.inf)


def attack_rows(
    model: Model,
    images: ImageSet,
    predictions: Predictions,
    shown: Sequence[int],
    *,
    count: int,
    seed: int,
    second: Model | None = None,
) -> Attacked | None:
    """Attack `count` images drawn with the seed, and those of the shown rows that are right; None for too few.

    Args:
        model: in eval mode.
        images: the set.
        predictions: a row for each of its images.
        shown: rows that the page shows.
        count: images of the sample.
        seed: of the sample and of the starts.
        second: a model to be asked about the same images; its class names must be the first one's.
    """
    if count < FEWEST or len(predictions) < FEWEST:
        return None
    generator = torch.Generator().manual_seed(seed)
    sample = torch.randperm(len(predictions), generator=generator)[:count].tolist()
    extra = [row for row in dict.fromkeys(shown) if row not in set(sample) and bool(predictions.correct[row])]
    found: dict[int, float] = {}
    broken: list[Broken] = []
    vanished = 0
    crossed: list[Tensor] = []
    with steps("attacking", len(sample) + len(extra)) as done:
        for group in (sample, extra):
            for start in range(0, len(group), AT_ONCE):
                some = group[start : start + AT_ONCE]
                rows, pixels = _read(model, images, predictions, some)
                if rows:
                    source = torch.Generator().manual_seed(seed)
                    targets = predictions.targets[rows].to(pixels.device)
                    with warnings.catch_warnings():
                        warnings.filterwarnings(
                            "ignore", message="the gradient of"
                        )  # those that vanish are counted and told
                        one = robustness(model, pixels, targets, method=ATTACK, epsilons=EPSILONS, generator=source)
                    found |= dict(zip(rows, one.smallest.tolist(), strict=True))
                    if group is sample:
                        vanished += int(one.vanished.sum())
                        broken = _least(broken, rows, pixels.cpu(), one)
                        if second is not None:
                            crossed.append(_cross(model, second, pixels, targets))
                done(len(some))
    there = [row for row in sample if row in found]
    if len(there) < FEWEST:  # the others are gone since they were predicted
        return None
    smallest = torch.tensor([found[row] for row in there], dtype=torch.float64)
    transfer = _transfer(second, torch.cat(crossed)) if second is not None else None
    return Attacked(EPSILONS, tuple(there), smallest, found, tuple(broken), vanished, transfer)


def check_second(model: Model, second: Model) -> None:
    """Refuse a second model that calls its classes otherwise, before any work."""
    if second.classes != model.classes:
        raise ValueError(
            f"second must have the model's classes, in the same order: it has {len(second.classes)} "
            f"({', '.join(second.classes[:3])}, ...) and the model {len(model.classes)} "
            f"({', '.join(model.classes[:3])}, ...)"
        )
    if second.geometry.channels != model.geometry.channels:
        raise ValueError(
            f"second must take {model.geometry.channels} channels as the model does, got {second.geometry.channels}"
        )


def _read(model: Model, images: ImageSet, predictions: Predictions, rows: list[int]) -> tuple[list[int], Tensor]:
    """The rows that can still be read, and their images (n, C, H, W)."""
    chosen = images.subset([int(predictions.positions[row]) for row in rows])
    (batch,) = batches(chosen, model.geometry, batch_size=len(rows), workers=0)
    return [rows[place] for place in batch.indices.tolist()], batch.images(model.mean.device)


def _least(before: list[Broken], rows: list[int], images: Tensor, found: Robustness) -> list[Broken]:
    """The few images broken by the least change, of those before and these."""
    least = found.smallest.tolist()
    fresh = [
        Broken(row, least[place], int(found.after[place]), images[place].clone(), found.adversarial[place].clone())
        for place, row in enumerate(rows)
        if 0 < least[place] < math.inf
    ]
    return sorted([*before, *fresh], key=lambda one: one.epsilon)[:DRAWN]


def _cross(model: Model, second: Model, images: Tensor, targets: Tensor) -> Tensor:
    """For each image (n,), int64: -1 a model was wrong before, 0 the second one still stands, 1 it fell too."""
    made = mi_fgsm(model, images, targets, epsilon=TRANSFERRED, steps=STEPS, keep_best=False)
    size = second.geometry.size
    clean, now = (
        x if x.shape[2:] == size else F.interpolate(x, size, mode="bilinear", antialias=True).clamp(0, 1)
        for x in (images, made)
    )
    device = second.mean.device
    told = outcome(second, clean.to(device), now.to(device), targets.to(device))
    mine = outcome(model, images, images, targets)
    return torch.where(told.is_done | mine.is_done, -1, told.success.long())


def _transfer(second: Model, crossed: Tensor) -> Transfer:
    counted = crossed[crossed >= 0]
    nothing = Interval(math.nan, math.nan, math.nan)
    rate = proportion(int(counted.sum()), len(counted)) if len(counted) else nothing
    name = str(second.source.get("spec") or second.source.get("architecture") or "second model")
    return Transfer(name, TRANSFERRED, len(counted), rate)
