"""Compare failure predictors: one evaluation set, one table, with what makes it less sure than it looks.

C. Corbière, N. Thome, A. Bar-Hen, M. Cord, P. Pérez, "Addressing Failure Prediction by Learning Model Confidence",
NeurIPS 2019, section 4. https://arxiv.org/abs/1910.04851
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn

from pellucid.checks import check_count, check_eval, near
from pellucid.metrics.ranking import FailureTable, failure_table
from pellucid.models import are_probabilities, evaluate, unvaried
from pellucid.uncertainty._logits import as_logits, checked
from pellucid.uncertainty._pictures import Pictures, check_classes, keys_of, labels_of, parts_of, shared

from . import _by_name

Predictor = Callable[[Tensor], Tensor]
"""Images (N, C, H, W) to scores (N,), higher = less to be trusted: a fitted ConfidNet or TrustScore, say."""


@dataclass(frozen=True)
class Comparison:
    """Failure predictors on the same images, and how well each ranks the errors."""

    scores: Mapping[str, Tensor]  # name -> (N,), float64, CPU; higher = less to be trusted
    table: FailureTable  # one row for each score, with 95 % intervals, and the error rate, which AUPR starts from
    predicted: Tensor  # (N,), int64
    correct: Tensor  # (N,), bool
    missed: Mapping[str, Tensor]  # name -> (W,), int64: the errors that it trusts most, the worst first
    warnings: tuple[str, ...]  # what the numbers must be read with


def compare(
    model: nn.Module,
    images: Pictures,
    targets: Tensor | None = None,
    fitted: Mapping[str, Predictor] = MappingProxyType({}),
    *,
    predictors: str = "max_probability,entropy,margin,energy,doctor_alpha",
    samples: int = 100,
    worst: int = 10,
    draws: int = 1000,
    generator: torch.Generator | None = None,
) -> Comparison:
    """Rank a classifier's errors by several scores, and say how well each does it.

    Besides the default ones there are doctor_beta (the order of max_probability), mc_dropout (the entropy of its
    mean), mc_dropout_mutual_information, mc_dropout_variation_ratio, mc_dropout_max_probability, and tcp_oracle, which
    is told the true class.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1], that nothing was fitted on; or a labelled set in memory.
        targets: (N,), int64, in [0, K): the true classes; none with a set in memory.
        fitted: name -> what was fitted on this model, such as ConfidNet or TrustScore.
        predictors: names of scores that need no fitting, joined by commas; "" takes the fitted ones alone.
        samples: thinned networks of MC dropout, at least 1.
        worst: errors told of each score, those it trusts most, at least 1.
        draws: bootstrap draws of the images for the 95 % intervals, at least 1.
        generator: of the masks and the draws; none takes one of seed 0.

    Returns:
        Comparison, its rows in the order of the names, the fitted ones last.

    Raises:
        ValueError: an unknown name, no score at all, images or targets that are none, or an option out of range.
    """
    names = _names(predictors, fitted)
    check_count("samples", samples, 1)
    check_count("worst", worst, 1)
    check_count("draws", draws, 1)
    check_eval(model)
    _check_fitted(fitted, model)
    labels = labels_of(images, targets)
    outputs = _outputs(model, images)
    check_classes(labels, outputs.shape[1])
    told = []
    if are_probabilities(outputs) and "energy" in names:
        names.remove("energy")
        told.append("energy was left out: the network ends in a softmax, which takes the logits' scale away")
    logits = as_logits(outputs)
    source = torch.Generator().manual_seed(0) if generator is None else generator
    found = _by_name.of_logits(names, logits, labels.to(logits.device))
    found |= _by_name.of_samples(names, model, images, samples, source)
    for name, predictor in fitted.items():
        found[name] = torch.cat([predictor(part) for part in parts_of(images, model)])
    scores = {name: found[name].detach().double().cpu() for name in [*names, *fitted]}
    predicted = logits.argmax(dim=1).cpu()
    correct = predicted == labels
    table = failure_table(scores, correct, draws=draws, generator=source)
    missed = {name: _missed(score, correct, worst) for name, score in scores.items()}
    told += [*_said(fitted, images), *([table.undefined] if table.undefined else [])]
    return Comparison(scores, table, predicted, correct, missed, tuple(told))


def _names(predictors: str, fitted: Mapping[str, Predictor]) -> list[str]:
    names = list(dict.fromkeys(name for name in (part.strip() for part in predictors.split(",")) if name))
    for name in names:
        if name not in _by_name.NAMES:
            known = ", ".join(_by_name.NAMES)
            raise ValueError(f"predictors must be among {known}, got {name!r}{near(name, _by_name.NAMES)}")
        if name in fitted:
            raise ValueError(f"fitted must have names of its own, got {name!r}, which is also among predictors")
    if not names and not fitted:
        raise ValueError("predictors must name a score, or fitted hold one, got neither")
    return names


def _check_fitted(fitted: Mapping[str, Predictor], model: nn.Module) -> None:
    """Refuse what was fitted on another classifier: its scores are not of this one's errors."""
    for name, predictor in fitted.items():
        if getattr(predictor, "model", model) is not model:
            raise ValueError(f"fitted[{name!r}] must be fitted on this model, got one fitted on another")


def _outputs(model: nn.Module, images: Pictures) -> Tensor:
    """(N, K), as the network gives them."""
    parts = parts_of(images, model)
    return torch.cat(
        [evaluate(model, unvaried(part), lambda found, _: checked(found), label="predicting")[0] for part in parts]
    )


def _missed(score: Tensor, correct: Tensor, worst: int) -> Tensor:
    """Places of the errors with the lowest scores."""
    errors = (~correct).nonzero()[:, 0]
    return errors[score[errors].argsort(stable=True)[:worst]]


def _said(fitted: Mapping[str, Predictor], images: Pictures) -> list[str]:
    """What the fitted ones warn of, and images that they have seen."""
    lines = [f"{name}: {line}" for name, predictor in fitted.items() for line in getattr(predictor, "told_", ())]
    keys: Tensor | None = None
    for name, predictor in fitted.items():
        seen = getattr(predictor, "seen_", None)
        if isinstance(seen, Tensor):
            keys = keys_of(images) if keys is None else keys
            count = shared(keys, seen)
            if count:
                lines.append(f"{name}: {count} of the {len(keys)} images were fitted on as well: its row is too good")
    return lines
