"""The model one `pellucid transfer` leaves: the network up to a probed layer, and the best probe that fits there."""

import warnings
from argparse import Namespace
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from pellucid.audit.words import percent
from pellucid.features.probes import LinearSVM, held_out, with_probe
from pellucid.features.probes.with_probe import Layered
from pellucid.uncertainty import TemperatureScaling

from ._transfer_sets import Rows
from ._transfer_trials import NAMES, Trial, Trials, folds_of

if TYPE_CHECKING:
    from pellucid.models import Model


@dataclass(frozen=True)
class Kept:
    """OUT/model, or why there is none."""

    model: "Model | None"
    trial: Trial | None  # whose probe it answers with
    temperature: float | None  # what an SVM's margins are divided by; None where none is needed, or found
    is_best: bool  # whether the trial is the best of all
    weights: int  # of the model
    of: int  # weights of the whole network
    why: str  # there is none; "" where there is

    @property
    def name(self) -> str:
        """Layer and probe."""
        assert self.trial is not None
        return f"the {NAMES[self.trial.kind]} on {self.trial.layer}"

    @property
    def is_margins(self) -> bool:
        """Whether it answers with margins that no temperature made logits."""
        return self.temperature is None and self.trial is not None and isinstance(self.trial.fit.probe, LinearSVM)


def kept(model: "Model", rows: Rows, trials: Trials, args: Namespace) -> Kept:
    """The model of the best probe that layers of a network can be; test pictures have no say in it."""
    able = [trial for trial in trials.deep if isinstance(trial.fit.probe, Layered)]
    if model.build is None:
        return _none("the network is built by code of its own, which no file can name", "only OUT/probe is kept")
    if not able:
        name = NAMES[trials.best.kind]
        return _none(f"{name} cannot be written as layers of a network", "name svm, logistic or mlp among --probe")
    best = max(able, key=lambda trial: trial.fit.score)
    features = rows.features(best.layer, args.pool)[rows.train]
    temperature = _temperature(best, features, rows, args)
    classes = rows.classes
    try:
        probe = best.fit.probe
        made = with_probe(model, best.layer, probe, pool=args.pool, classes=classes, temperature=temperature or 1.0)
    except ValueError as error:
        return _none(str(error), "only OUT/probe is kept")
    counts = [sum(parameter.numel() for parameter in one.parameters()) for one in (made, model)]
    return Kept(made, best, temperature, best is trials.best, counts[0], counts[1], "")


def told_of(found: Kept) -> str:
    """It in two sentences at most."""
    if found.trial is None:
        return f"There is no OUT/model: {found.why}."
    share = f"{found.weights:,} of {found.of:,} weights" if found.weights < found.of else f"{found.weights:,} weights"
    told = f"OUT/model answers with {found.name} ({share}): pellucid predict OUT/model PICTURES asks it."
    if not found.is_best:
        told = (
            f"OUT/model answers with {found.name} ({share}), the best that layers of a network can be: it tells "
            f"{percent(found.trial.accuracy.value)} right."
        )
    if found.temperature is not None:
        told += (
            f" Its margins are divided by {found.temperature:.3g}, fitted in cross-validation, to give probabilities."
        )
    if found.is_margins:
        told += (
            " Its probabilities are softmax of bare margins and say little: in cross-validation too few pictures were "
            "told wrong to fit a temperature."
        )
    return told


def summed(found: Kept) -> dict[str, Any] | None:
    """The same as `summary.json` holds it."""
    if found.trial is None:
        return None
    told = {"layer": found.trial.layer, "probe": found.trial.kind, "temperature": found.temperature}
    return {**told, "is_best": found.is_best, "weights": found.weights, "network_weights": found.of}


def _none(why: str, remedy: str) -> Kept:
    return Kept(None, None, None, is_best=False, weights=0, of=0, why=f"{why}; {remedy}")


def _temperature(best: Trial, features: Tensor, rows: Rows, args: Namespace) -> float | None:
    """What makes an SVM's margins logits, by its scores of training pictures while each was held out."""
    probe = best.fit.probe
    if not isinstance(probe, LinearSVM):
        return None
    targets = rows.targets[rows.train]
    contents = [rows.contents[row] for row in rows.train.tolist()]
    try:
        found = held_out(probe, features, targets, splits=folds_of(targets, contents, rows.classes, args))
    except ValueError:  # twins that stay together take a class along in every fold
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        try:
            return TemperatureScaling().fit(found.scores, found.targets).temperature_
        except UserWarning:  # none is best: every picture is told rightly
            return None
