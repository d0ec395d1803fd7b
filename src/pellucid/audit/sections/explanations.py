"""Which explanation to believe: the drawn maps, tested on a sample of the images."""

from typing import Any

from pellucid import explain, report
from pellucid.audit.findings import Findings
from pellucid.audit.trust import CHANCE, INSENSITIVE, Judged, Trust
from pellucid.methods import methods, title
from pellucid.metrics import bootstrap
from pellucid.report import Fact, Section

BESIDE = {"random": "random pixels", "blobs": "random patches", "centre": "the middle of the picture"}


def sections(found: Findings) -> list[Section]:
    """The ranking, or nothing where no map was tested."""
    trust = found.trust
    if trust is None:
        return []
    rows = [(*_row(one), ", ".join(_flags(one, trust)) or "none") for one in trust.judged]
    rows += [(BESIDE[name], "", "", _span(values), "", "", "") for name, values in trust.beside.items()]
    head = (
        "map",
        "insertion",
        "deletion",
        "difference (95 % interval)",
        "change under noise",
        "random weights",
        "flags",
    )
    body = report.notice(_sentence(trust)) + report.table(
        head, rows, f"The maps of the predicted class, tested on {trust.images} images", numbers=range(1, 6)
    )
    for note in trust.notes:
        body += report.notice(note)
    body += report.definitions(
        {
            "Insertion": "Mean probability of the predicted class while pixels are given back to a blurred picture, "
            "the hottest of the map first; higher is better.",
            "Deletion": "The same while pixels are replaced by the model's mean colour, the hottest first; lower is "
            "better. The difference of the two ranks the maps, and must beat that of random pixels and patches.",
            "Change under noise": "Largest relative change of the map when every pixel moves by at most 0.02; lower is "
            "steadier.",
            "Random weights": "The lowest rank correlation of the map with those the network gives while its weights "
            f"are made random from the output back; near 0 is best. Above {INSENSITIVE} the map shows the picture, "
            "not what the network has learned.",
        }
    )
    lead = "A map is worth believing when the pixels it marks are those the prediction hangs on."
    return [Section("explanations", "Which map to believe", lead, body)]


def facts(found: Findings) -> tuple[Fact, ...]:
    """The map to trust, in one sentence."""
    if found.trust is None or not found.trust.judged:
        return ()
    best = found.trust.best
    return (Fact("Map to believe", _title(best) if best else "none", _sentence(found.trust)),)


def numbers(found: Findings) -> dict[str, Any]:
    """Each map's tests."""
    trust = found.trust
    if trust is None:
        return {"explanations": None}
    told = {
        one.method: {
            "insertion": float(one.insertion.mean()),
            "deletion": float(one.deletion.mean()),
            "difference": {"value": one.interval.value, "low": one.interval.low, "high": one.interval.high},
            "sensitivity": one.sensitivity,
            "randomised": one.randomised,
            "flags": _flags(one, trust),
        }
        for one in trust.judged
    }
    beside = {name: float(values.mean()) for name, values in trust.beside.items()}
    best = trust.best.method if trust.best else None
    return {"explanations": {"images": trust.images, "maps": told, "beside": beside, "believe": best}}


def _row(one: Judged) -> tuple[str, ...]:
    return (
        _title(one),
        f"{float(one.insertion.mean()):.3f}",
        f"{float(one.deletion.mean()):.3f}",
        _span(one.faithfulness),
        f"{one.sensitivity:.2f}",
        f"{one.randomised:.2f}",
    )


def _span(values: Any) -> str:
    share = bootstrap(values)
    return f"{share.value:.3f} ({share.low:.3f} to {share.high:.3f})"


def _flags(one: Judged, trust: Trust) -> list[str]:
    flags = []
    if one.flat:
        flags.append(f"{one.flat} of {trust.images} maps are constant or hold NaN")
    if one.is_insensitive:
        flags.append("hardly depends on the weights")
    return flags


def _title(one: Judged) -> str:
    return title(methods(explain)[one.method])


def _sentence(trust: Trust) -> str:
    """Which map to believe, and how much better than chance it is."""
    best, chance = trust.best, max(float(trust.beside[name].mean()) for name in CHANCE)
    if not trust.judged:
        return "None of the maps asked for suits this model."
    if best is None:
        return (
            f"None of the maps drawn is clearly better than random pixels and random patches on {trust.images} images: "
            "believe none of them for this model."
        )
    share = best.interval
    near = [_title(one) for one in trust.equals(best)]
    others = f"; {' and '.join(near)} {'are' if len(near) > 1 else 'is'} not clearly worse" if near else ""
    return (
        f"Believe {_title(best)} first: what it marks moves the prediction most (insertion minus deletion "
        f"{share.value:.2f}, 95 % interval {share.low:.2f} to {share.high:.2f}, chance {chance:.2f}){others}."
    )
