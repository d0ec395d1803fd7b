"""What one `pellucid transfer` found, in words and numbers."""

from typing import Any

import torch

from pellucid.audit.words import ends, percent, spanned, within
from pellucid.features.probes import OriginScore
from pellucid.report import Fact

from ._shared import counted
from ._transfer_classic import classic_facts, classic_numbers
from ._transfer_found import Found
from ._transfer_model import summed, told_of
from ._transfer_origins import NAMES as ORIGINS
from ._transfer_origins import Origins
from ._transfer_trials import NAMES, Trial, repeated

HEAD = ("layer", "probe", "cross-validated", "test accuracy", "chosen", "values", "normalised", "seconds")
RIGHT = (2, 3, 5, 7)
"""Columns of numbers."""


def table_rows(found: Found) -> list[list[str]]:
    """A row a trial; the best is marked. With drawn splits their mean and deviation besides."""
    best = found.best
    rows = []
    for trial in found.trials.rows:
        row = [
            trial.layer + (" ←" if trial is best else ""),
            NAMES[trial.kind],
            percent(trial.fit.score),
            spanned(trial.accuracy) + (f"; {repeated(trial)}" if trial.repeats else ""),
            trial.fit.chosen,
            f"{trial.dimension:,}",
            trial.normalise,
            f"{trial.seconds:.1f}",
        ]
        rows.append(row)
    return rows


def facts(found: Found) -> list[Fact]:
    """The things worth knowing, each a sentence that stands alone."""
    best = found.best
    told = [Fact("Best", percent(best.accuracy.value), _best(found))]
    if best.repeats:
        text = (
            f"Over {counted(len(best.repeats), 'drawn split')} of all {counted(len(found.rows), 'picture')}, as many "
            f"to learn from, the {NAMES[best.kind]} on {best.layer} is right in {repeated(best)} (mean and standard "
            "deviation); its options were chosen anew in each, layer and probe on the split given."
        )
        told.append(Fact("Drawn splits", repeated(best), text))
    kept = Fact("As a model", "OUT/model" if found.kept.model else "none", told_of(found.kept))
    return [*told, kept, _layers(found), *classic_facts(found), *_origins(found), _twins(found), *_kept(found)]


def summary(found: Found) -> dict[str, Any]:
    """The numbers, as `summary.json` holds them; shares in [0, 1]."""
    twins = found.twins
    return {
        "format": 1,
        "train": found.trials.train,
        "test": found.trials.test,
        "classes": list(found.rows.classes),
        "computed": found.rows.computed,
        "unreadable": len(found.rows.errors),
        "best": _numbers(found.best),
        "model": summed(found.kept),
        "trials": [_numbers(trial) for trial in found.trials.rows],
        "twins": {
            "layer": twins.layer,
            "threshold": twins.threshold,
            "pairs": len(twins.train),
            "same_files": int(twins.same.sum()),
            "accuracy_without": ends(twins.accuracy),
            "listed": [
                {
                    "train": found.rows.files[int(one)],
                    "test": found.rows.files[int(other)],
                    "distance": float(distance),
                    "same_file": bool(same),
                }
                for one, other, distance, same in zip(twins.train, twins.test, twins.distances, twins.same, strict=True)
            ],
        },
        "classic": classic_numbers(found),
        "origins": None if found.origins is None else _origin_numbers(found.origins),
        "facts": [fact.text for fact in facts(found)],
    }


def _origin_numbers(origins: Origins) -> dict[str, Any]:
    scores = {
        score.origin: {"dimension": score.dimension, "draws": [ends(one) for one in score.draws]}
        for score in origins.scores
    }
    return {"layer": origins.layer, "train": origins.train, "test": origins.test, "scores": scores}


def _numbers(trial: Trial) -> dict[str, Any]:
    return {
        "layer": trial.layer,
        "is_classic": trial.is_classic,
        "dimension": trial.dimension,
        "probe": trial.kind,
        "normalise": trial.normalise,
        "chosen": trial.fit.chosen,
        "cross_validated": trial.fit.score,
        "test_accuracy": ends(trial.accuracy),
        "seconds": trial.seconds,
        "drawn_splits": list(trial.repeats),
    }


def _best(found: Found) -> str:
    best = found.best
    chosen = f", {best.fit.chosen}" if best.fit.chosen else ""
    name = NAMES[best.kind]
    return (
        f"{name[0].upper()}{name[1:]} on {best.layer} ({best.dimension:,} values{chosen}) tells "
        f"{percent(best.accuracy.value)} ({within(best.accuracy)}) of {counted(found.trials.test, 'test picture')} "
        f"right, learned from {found.trials.train:,}; it was chosen by {percent(best.fit.score)} in cross-validation."
    )


def _layers(found: Found) -> Fact:
    """How much the layer matters, by the best of each."""
    by_layer: dict[str, Trial] = {}
    for trial in found.trials.deep:
        known = by_layer.get(trial.layer)
        by_layer[trial.layer] = trial if known is None or trial.fit.score > known.fit.score else known
    order = sorted(by_layer.values(), key=lambda trial: -trial.fit.score)
    if len(order) == 1:
        return Fact("Layers", "one tried", f"Only {order[0].layer} was tried: --layers names others.")
    first, last = order[0], order[-1]
    if first.fit.score == last.fit.score:
        text = f"All {len(order)} layers do equally well in cross-validation ({percent(first.fit.score)})."
        return Fact("Layers", "no difference", text)
    text = (
        f"Of {len(order)} layers {first.layer} does best in cross-validation ({percent(first.fit.score)}) and "
        f"{last.layer} worst ({percent(last.fit.score)})."
    )
    return Fact("Layers", first.layer, text)


def _twins(found: Found) -> Fact:
    twins = found.twins
    if not twins.is_listed:
        count = counted(int(twins.same.sum()), "test picture")
        verb = "is" if int(twins.same.sum()) == 1 else "are"
        text = f"{count} {verb} the same file as a training picture; {twins.note}."
        return Fact("On both sides", f"{count}, at least", text)
    if not len(twins.train):
        text = "No test picture is one that was learned from, nor one of these resized, cropped or compressed."
        return Fact("On both sides", "none", text)
    pictures, same = len(torch.unique(twins.test)), int(twins.same.sum())
    verb = "is" if len(twins.train) == 1 else "are"
    text = (
        f"{counted(len(twins.train), 'pair')} of a training and a test picture {verb} the same but for size, "
        f"crop or compression, {same} of them the same file; without the {counted(pictures, 'test picture')} "
        f"it is right in {percent(twins.accuracy.value)}."
    )
    return Fact("On both sides", counted(len(twins.train), "pair"), text)


def _origins(found: Found) -> list[Fact]:
    """Whether training the network mattered."""
    if found.origins is None:
        return []
    told = ", ".join(f"{origin_share(score)} with {ORIGINS[score.origin]}" for score in found.origins.scores)
    text = (
        f"The nearest neighbour alone tells {found.origins.test:,} pictures by {found.origins.train:,} others: {told} "
        f"({found.origins.layer})."
    )
    return [Fact("Origins", " / ".join(percent(score.accuracy) for score in found.origins.scores), text)]


def origin_share(score: OriginScore) -> str:
    """Accuracy, with the deviation over several draws."""
    if score.deviation is None:
        return percent(score.accuracy)
    return f"{100 * score.accuracy:.1f} ± {100 * score.deviation:.1f} %"


def _kept(found: Found) -> list[Fact]:
    """What the store saved."""
    every = len(found.rows)
    if found.rows.computed >= every:
        return []
    text = f"Features of {every - found.rows.computed:,} of {counted(every, 'picture')} were there already."
    return [Fact("Features kept", f"{every - found.rows.computed:,}", text)]
