"""How good it is: accuracy, loss, F1, with intervals."""

from typing import Any

from markupsafe import Markup

from pellucid import report
from pellucid.audit.findings import Findings
from pellucid.audit.words import percent
from pellucid.metrics import Interval, proportion
from pellucid.report import Fact, Section


def sections(found: Findings) -> list[Section]:
    """How often the true class comes first."""

    def interval(share: Interval) -> str:
        return f"{100 * share.low:.1f} to {percent(share.high)} (95 % interval)"

    k = found.predictions.ranked.shape[1]
    body = report.cards(
        [
            ("Accuracy (top 1)", percent(found.top1.value), interval(found.top1)),
            *(
                [(f"Accuracy (top {k})", percent(found.top5.value), interval(found.top5))]
                if k < len(found.classes)
                else []
            ),
            ("Loss", f"{found.loss:.3f}", "mean negative log probability of the true class, nats"),
            ("F1, macro", f"{found.per_class.macro_f1:.3f}", "mean over the classes that have images"),
            ("F1, weighted", f"{found.per_class.weighted_f1:.3f}", "mean weighted by images"),
        ]
    )
    body += _restricted(found)
    if found.predictions.are_probabilities:
        body += report.notice(
            "The network's outputs already sum to 1: it ends in a softmax, and the probabilities here are softmax "
            "of softmax. Give the network without its last softmax."
        )
    if found.record.data.get("split") in {"train", "all"}:
        body += report.notice("These pictures include the training split: a model that was trained on it looks better.")
    one = Section(
        "accuracy",
        "How good it is",
        "How often the true class comes first, or among the first few. The intervals (Wilson) say how far the numbers "
        "could move with other images of the same kind.",
        body,
    )
    return [one]


def facts(found: Findings) -> tuple[Fact, ...]:
    """How often it is right."""
    share, count = found.top1, len(found.predictions)
    one = Fact(
        "Right first time",
        percent(share.value),
        f"The model is right on {percent(share.value)} of {count:,} images "
        f"(95 % interval {percent(share.low)} to {percent(share.high)}).",
    )
    return (one,)


def numbers(found: Findings) -> dict[str, Any]:
    """Accuracy, loss, F1."""
    return {
        "accuracy": {
            name: {"value": share.value, "low": share.low, "high": share.high}
            for name, share in (("top1", found.top1), ("top5", found.top5))
        },
        "loss": found.loss,
        "f1": {"macro": found.per_class.macro_f1, "weighted": found.per_class.weighted_f1},
        "restricted": _restricted_numbers(found),
    }


def _restricted_numbers(found: Findings) -> dict[str, Any] | None:
    some = found.predictions.restricted
    if some is None:
        return None
    share = proportion(int(some.is_correct.sum()), len(found.predictions))
    top1 = {"value": share.value, "low": share.low, "high": share.high}
    return {"classes": some.classes, "top1": top1, "loss": float(some.loss.double().mean())}


def _restricted(found: Findings) -> Markup:
    """Beside the full outputs, what happens when only the set's own classes compete."""
    told = _restricted_numbers(found)
    if told is None:
        return Markup("")
    shares = [(f"all {len(found.classes):,}", found.top1.value, found.loss)]
    shares += [(f"only the {told['classes']:,} of these pictures", told["top1"]["value"], told["loss"])]
    return report.table(
        ("classes that compete", "accuracy (top 1)", "loss"),
        [(name, percent(share), f"{loss:.3f}") for name, share, loss in shares],
        "The model knows more classes than these pictures have; left out, the others cannot be taken for the answer",
        numbers=(1, 2),
    )
