"""What happens to accuracy and stated confidence as the pictures get worse: built-in corruptions in five severities."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.data import SEVERITIES, ImageSet, batches, corrupt
from pellucid.metrics import Interval, bootstrap, proportion
from pellucid.models import Model, class_logits
from pellucid.progress import steps

from .predictions import Predictions

KINDS = ("gaussian_noise", "defocus_blur", "contrast", "jpeg")
"""One of each sort: noise, blur, light, compression."""

FEWEST = 5
"""Images below which nothing is said, and not the bootstrap's interval: it would mean little."""

AT_ONCE = 16
"""Images changed and asked together; bounds the memory."""


@dataclass(frozen=True)
class Shifted:
    """n images, each asked as it is (severity 0) and in every kind at five severities: Q kinds, columns 0 to 5."""

    kinds: tuple[str, ...]  # Q
    rows: tuple[int, ...]  # n, of the sample in the predictions
    correct: Tensor  # (Q, 6, n), bool; column 0 is the same for every kind
    confidence: Tensor  # (Q, 6, n), float64, probability of the predicted class
    example: int  # row of the image that is shown
    sheet: Tensor  # (Q, 6, C, H, W), in [0, 1], of that image
    notes: tuple[str, ...]  # kinds that could not be tried, with the reason

    def accuracy(self, kind: int, severity: int) -> Interval:
        """Share that is right, with Wilson's interval."""
        return proportion(int(self.correct[kind, severity].sum()), len(self.rows))

    def mean_accuracy(self, severity: int) -> Interval:
        """Share that is right over all kinds, with the bootstrap interval over images.

        Where under five images are not all right, or not all wrong, there is hardly a spread to draw from, and the
        interval is no narrower than Wilson's of as many images.
        """
        shares = self.correct[:, severity].double().mean(dim=0)  # (n,)
        found = bootstrap(shares)
        if min(int((shares < 1).sum()), int((shares > 0).sum())) >= FEWEST:
            return found
        wide = proportion(round(float(shares.sum())), len(shares))
        return Interval(found.value, min(found.low, wide.low), max(found.high, wide.high))

    def mean_confidence(self, severity: int) -> Interval:
        """Mean stated confidence over all kinds, with the bootstrap interval over images."""
        return bootstrap(self.confidence[:, severity].mean(dim=0))

    def overstated(self, severity: int) -> Interval:
        """Mean confidence minus accuracy over all kinds, with the bootstrap interval over images."""
        right = self.mean_accuracy(severity)
        gap = bootstrap((self.confidence[:, severity] - self.correct[:, severity].double()).mean(dim=0))
        low, high = (gap.value + right.value - bound for bound in (right.high, right.low))
        return Interval(gap.value, min(gap.low, low), max(gap.high, high))

    def lost(self, severity: int) -> Interval:
        """Accuracy of the images as they are minus that over all kinds, with the bootstrap interval over images."""
        return bootstrap(self.correct[0, 0].double() - self.correct[:, severity].double().mean(dim=0))

    def worst(self, severity: int) -> int:
        """The kind with the lowest accuracy at a severity, of equal ones the less sure one."""
        return min(
            range(len(self.kinds)),
            key=lambda kind: (int(self.correct[kind, severity].sum()), float(self.confidence[kind, severity].mean())),
        )


def shift_rows(model: Model, images: ImageSet, predictions: Predictions, *, count: int, seed: int) -> Shifted | None:
    """Corrupt `count` images drawn with the seed, and ask the model; None for too few.

    Args:
        model: in eval mode.
        images: the set.
        predictions: a row for each of its images.
        count: images of the sample.
        seed: of the sample and of what is drawn for each image.
    """
    if min(count, len(predictions)) < FEWEST:
        return None
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(predictions), generator=generator)[:count].tolist()
    chosen = images.subset([int(predictions.positions[row]) for row in rows])
    kinds, notes = _possible(model)
    there: list[int] = []
    parts: list[tuple[Tensor, Tensor]] = []
    sheet: Tensor | None = None
    with steps("corrupting", len(rows)) as done:
        for batch in batches(chosen, model.geometry, batch_size=AT_ONCE, workers=0):
            if len(batch.indices):
                some = [rows[place] for place in batch.indices.tolist()]
                clean = batch.images(model.mean.device)
                parts.append(_asked(model, clean, kinds, predictions.targets[some], seed))
                if sheet is None:
                    worse = [torch.cat([*_variants(clean[:1], kind, seed)]) for kind in kinds]  # (5, C, H, W) each
                    sheet = torch.stack([torch.cat([clean[:1], one]).cpu() for one in worse])
                there += some
            done(len(batch.indices) + len(batch.errors))
    if len(there) < FEWEST or sheet is None:  # the others are gone since they were predicted
        return None
    correct, confidence = (torch.cat(columns, dim=2) for columns in zip(*parts, strict=True))
    return Shifted(tuple(kinds), tuple(there), correct, confidence, there[0], sheet, tuple(notes))


def _possible(model: Model) -> tuple[list[str], list[str]]:
    """The kinds that this model's pictures allow, and why not the others."""
    if model.geometry.channels in {1, 3}:
        return list(KINDS), []
    return [kind for kind in KINDS if kind != "jpeg"], [
        f"jpeg is not tried: it takes 1 or 3 channels, and the model {model.geometry.channels}"
    ]


def _variants(images: Tensor, kind: str, seed: int) -> Iterator[Tensor]:
    """The images at severities 1 to 5, one after the other; what is drawn for an image is the same in each."""
    for severity in range(1, SEVERITIES + 1):
        yield corrupt(images, kind, severity=severity, generator=torch.Generator().manual_seed(seed))


@torch.inference_mode()
def _asked(model: Model, images: Tensor, kinds: Sequence[str], targets: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Whether it is right, and how sure, (Q, 6, n) each."""

    def one(some: Tensor) -> tuple[Tensor, Tensor]:
        logits = class_logits(model, some).cpu().double()
        return logits.argmax(dim=1) == targets, logits.softmax(dim=1).amax(dim=1)

    clean = one(images)
    told = [[clean, *(one(some) for some in _variants(images, kind, seed))] for kind in kinds]
    correct, confidence = (torch.stack([torch.stack([each[n] for each in kind]) for kind in told]) for n in (0, 1))
    return correct, confidence
