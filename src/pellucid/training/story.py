"""What happened in a training, in a sentence or two, for people who answer for the model."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import Any

ROSE, JITTER = 0.05, 2
"""The val loss is called risen when it ends above its lowest value by this share, and by so many times as much as it
usually changes from one epoch to the next: what is less may be chance."""

FELL = 0.02
"""Share by which the val loss must have fallen over the last fifth of the epochs to be called falling still."""

GAP = 0.05
"""Difference of the accuracies on train and val that is told."""

CHANCE = 1.5
"""Times chance below which a val accuracy says that nothing was learned."""


def story(records: Sequence[Mapping[str, Any]], *, wanted: int | None = None, classes: int = 0) -> str:
    """What the losses and accuracies of a training say, in sentences.

    Args:
        records: lines of metrics.jsonl, in order; those of epoch 0 are left out.
        wanted: epochs that were asked for.
        classes: how many the model tells apart; 0 when that is not known.
    """
    told = [line for line in records if line.get("epoch") and "loss" in line]
    if not told:
        return "No epoch is done yet."
    idle = _idle(told, classes)
    parts = [idle, _ended(told, wanted)] if idle else [_losses(told), _gap(told), _ended(told, wanted)]
    return " ".join(part for part in parts if part)


def _idle(told: Sequence[Mapping[str, Any]], classes: int) -> str:
    """That it did not learn, where it did not."""
    best = _best(told)
    val = best.get("val_accuracy")
    if val is None or not classes or val >= CHANCE / classes:
        return ""
    share = f"val accuracy {val:.1%} at its best is near chance, {1 / classes:.1%}"
    highest = max(line["lr"] for line in told)
    return f"It did not learn: {share}. Another lr may help (it was {highest:.2g} at its highest)."


def _best(told: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The epoch that is kept."""
    return next((line for line in reversed(told) if line.get("best")), told[-1])


def _losses(told: Sequence[Mapping[str, Any]]) -> str:
    """Where the val loss was lowest, and what it did from there."""
    if "val_loss" not in told[0]:
        first, last = told[0]["loss"], told[-1]["loss"]
        return (
            f"Train loss went from {first:.3g} to {last:.3g}; nothing was held out, so overfitting would not be seen."
        )
    losses = [line["val_loss"] for line in told]
    if len(told) == 1:
        return f"One epoch is done: val loss {losses[0]:.3g}."
    low = min(range(len(losses)), key=losses.__getitem__)
    first, last = told[low]["epoch"], told[-1]["epoch"]
    lowest = f"Val loss was lowest at epoch {first} ({losses[low]:.3g})"
    usual = median(abs(later - earlier) for earlier, later in pairwise(losses))
    if losses[-1] - losses[low] > max(ROSE * losses[low], JITTER * usual):
        rose = f"{lowest} and rose to {losses[-1]:.3g} by epoch {last}"
        if told[-1]["loss"] < told[low]["loss"]:
            return f"{rose} while train loss went on falling: overfitting from epoch {first} on."
        return f"{rose}, and train loss did not fall either: unsteady, so a lower lr may help."
    before = losses[-1 - max(1, len(losses) // 5)]
    if low == len(losses) - 1 and losses[low] < before * (1 - FELL):
        return f"{lowest}, the last, and was still falling: more epochs may help."
    return f"{lowest} and hardly changed at the end: it has settled."


def _gap(told: Sequence[Mapping[str, Any]]) -> str:
    """How much better it is on what it was trained on."""
    best = _best(told)
    val, train = best.get("val_accuracy"), best.get("train_accuracy", best.get("accuracy"))
    if val is None or train is None or train - val <= GAP:
        return ""
    return f"At its best epoch it was right on {train:.1%} of the train part, but on {val:.1%} of the val part."


def _ended(told: Sequence[Mapping[str, Any]], wanted: int | None) -> str:
    """Whether it stopped before its time."""
    last = told[-1]["epoch"]
    return f"It stopped at epoch {last} of {wanted}." if wanted is not None and last < wanted else ""
