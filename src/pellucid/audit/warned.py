"""Which score warns best of this model's mistakes: all on the same images, each held against what the model states."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.data import ImageSet, batches
from pellucid.metrics import Interval
from pellucid.metrics.ranking import failure_differences, failure_table
from pellucid.models import Model
from pellucid.models.dropouts import random_sites
from pellucid.progress import steps
from pellucid.uncertainty import energy, entropy, margin, mc_dropout
from pellucid.uncertainty.failure.doctor import odds

from .halves import Halves
from .predictions import Predictions

STATED = "max_probability"

DROPPED, SAMPLES = 96, 30
"""Images asked again with dropout on, at most, and how often each."""

AT_ONCE = 16
"""Of these in memory together."""

MOST_DRAWN = 10**6
"""Images times bootstrap draws, about."""

FEWEST = 5
"""Mistakes, and right answers, below which no score is called better: a bootstrap of a single one has no spread."""


@dataclass(frozen=True)
class Warner:
    """How well one score ranks the mistakes above the right answers."""

    name: str
    images: int  # it was tried on
    aupr: Interval  # average precision, mistakes as positives; their share if the score tells nothing
    auroc: Interval  # how often a mistake scores above a right answer
    aurc: Interval  # mean share that is wrong, over how much is answered; lower is better
    ahead: Interval | None  # AUPR beyond that of the stated probability on the same images; None for this itself
    rarer: int  # mistakes among these images, or right answers where these are fewer


@dataclass(frozen=True)
class Warned:
    """The scores, the stated probability first."""

    warners: tuple[Warner, ...]
    images: int
    errors: int
    notes: tuple[str, ...]  # what could not be asked, with the reason

    @property
    def best(self) -> Warner:
        """The score that is furthest ahead of the stated probability; this itself where none is."""
        return max(self.warners, key=lambda one: one.ahead.value if one.ahead else 0.0)

    @property
    def is_told_apart(self) -> bool:
        """Whether the best is clearly better than the stated probability."""
        return self.best.ahead is not None and self.best.ahead.low > 0 and self.best.rarer >= FEWEST


def find_warners(
    model: Model, images: ImageSet, predictions: Predictions, halves: Halves, seed: int
) -> tuple[Warned | None, str]:
    """The scores compared, or why they cannot be: nothing is fitted, so that both halves count."""
    rows = torch.cat([halves.fitted.rows, halves.judged.rows])
    logits = torch.cat([halves.fitted.logits, halves.judged.logits])
    correct = torch.cat([halves.fitted.correct, halves.judged.correct])
    errors = int((~correct).sum())
    if errors in {0, len(correct)}:
        return None, f"{errors} of {len(correct)} images are wrong: without wrong and right ones nothing can be ranked"
    warners = _compared(_scores(logits), correct, seed)
    notes: list[str] = []
    try:
        found, dropped = _dropped(model, images, predictions, rows, seed)
    except ValueError as error:  # a dropout that cannot be drawn anew for each sample; the page repeats it
        notes.append(f"MC dropout is not asked: {error}")
        found, dropped = torch.zeros(0, dtype=torch.int64), torch.zeros(0)
    if len(found):
        right = correct[found]
        if 0 < int(right.sum()) < len(right):
            both = {STATED: _scores(logits[found])[STATED], "mc_dropout": dropped}
            warners += [one for one in _compared(both, right, seed) if one.ahead is not None]
    return Warned(tuple(warners), len(correct), errors, tuple(notes)), ""


def _scores(logits: Tensor) -> dict[str, Tensor]:
    """(N,) each, float64, higher = less to be trusted."""
    samples = logits.softmax(dim=1)[None]
    return {
        STATED: odds(logits, "beta"),  # ranks as 1 - max p does, to the last digit
        "entropy": entropy(samples),
        "margin": margin(samples),
        "energy": energy(logits),
        "doctor": odds(logits, "alpha"),
    }


def _compared(scores: Mapping[str, Tensor], correct: Tensor, seed: int) -> list[Warner]:
    draws = min(1000, max(100, MOST_DRAWN // len(correct)))
    table = failure_table(scores, correct, draws=draws, generator=torch.Generator().manual_seed(seed))
    again = torch.Generator().manual_seed(seed)
    apart = failure_differences(scores, correct, against=STATED, draws=draws, generator=again)
    ahead = {row.name: row.aupr_error for row in apart}
    rarer = min(table.errors, table.images - table.errors)
    return [
        Warner(row.name, len(correct), row.aupr_error, row.auroc, row.aurc, ahead.get(row.name), rarer)
        for row in table.rows
    ]


def _dropped(
    model: Model, images: ImageSet, predictions: Predictions, rows: Tensor, seed: int
) -> tuple[Tensor, Tensor]:
    """Places in the rows that were asked again with dropout on, and the entropy of their mean answers; or nothing."""
    nothing = torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.float64)
    height, width = model.geometry.size
    blank = torch.full((1, model.geometry.channels, height, width), 0.5, device=model.mean.device)
    if not any(rate for _, rate in random_sites(model, blank)[0]):
        return nothing
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:DROPPED].sort().values
    chosen = images.subset([int(predictions.positions[row]) for row in rows[order]])
    places: list[Tensor] = []
    scores: list[Tensor] = []
    with steps("asking with dropout", len(order)) as done:
        for batch in batches(chosen, model.geometry, batch_size=AT_ONCE, workers=0):
            if len(batch.indices):
                pixels = batch.images(model.mean.device)
                again = torch.Generator().manual_seed(seed)  # the same thinned networks for all
                drawn = mc_dropout(model, pixels, samples=SAMPLES, generator=again)
                places.append(order[batch.indices])
                scores.append(entropy(drawn).double().cpu())
            done(len(batch.indices) + len(batch.errors))
    return (torch.cat(places), torch.cat(scores)) if places else nothing
