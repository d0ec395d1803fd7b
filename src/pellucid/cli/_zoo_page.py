"""The zoo as a page and a figure: what each network costs, and what it brought where we measured it."""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markupsafe import Markup

    from pellucid.models import Survey, Surveyed
    from pellucid.report import NamedPoint

UNITS = "k: thousand, M: million, G: thousand million"
COST = f"multiply-adds for one image ({UNITS}; log scale)"


def save(found: "Survey", folder: str, *, options: Mapping[str, Any], timed: str, force: bool) -> None:
    """Write index.html, zoo.png and record.json into a folder; all or nothing."""
    from pellucid import report
    from pellucid.files import new_folder, write_json
    from pellucid.records import record

    made = record("zoo", options=options, model={})
    points, up, lead = _figure(found)
    axes = {"x": COST, "y": up, "log": "xy" if up.endswith("log scale)") else "x"}
    title = f"{len(points)} networks: {up.partition(' (')[0]} against multiply-adds"
    drawn = report.named_points(points, f"{title}; the table below has the numbers", **axes)
    sections = [
        report.Section("figure", "Cost and what it brings", lead, report.drawings([(drawn, _CAPTION)])),
        report.Section("networks", "The networks", _TABLE_LEAD, _table(found, timed)),
    ]
    if found.left_out:
        lines = [f"{name}: {reason}" for name, reason in found.left_out]
        lead = "These networks do not take the images that were asked for."
        sections.append(report.Section("left-out", "Left out", lead, report.plain_list(lines)))
    with new_folder(folder, force=force, command="zoo") as place:
        page = report.page("The zoo", _subtitle(found, timed), [], sections, made)
        (place / "index.html").write_text(page, encoding="utf-8")
        report.save_named_points(points, place / "zoo.png", title, **axes)
        write_json(place / "record.json", made.json())


_CAPTION = (
    "One point a network; a line joins those that differ in depth and width only. Names that share a place are written "
    "together, and those that found no room are in the table only."
)

_TABLE_LEAD = (
    "Weights are those that are trained, auxiliary heads included; one multiply-add counts once, for one image, "
    "auxiliary heads not included. Accuracy is on test images, and stands only where a training run of our own "
    "measured it; a dash says that none did."
)

_WEIGHTS_LEAD = (
    "No accuracies have been measured for these networks yet, so weights are drawn against multiply-adds: a network "
    "far to the right computes much, one far up has much to store. Fully connected layers store much and compute "
    "little, convolutions the other way round."
)


def _figure(found: "Survey") -> "tuple[list[NamedPoint], str, str]":
    """Points, what runs upwards, what to see: accuracy on the data that most were trained on, else weights."""
    from pellucid.models import accuracies
    from pellucid.report import NamedPoint

    data = Counter(name for row in found.rows for name in {one.data for one in accuracies(row)})
    name, count = max(data.items(), key=lambda item: item[1], default=("", 0))
    if count < 2:
        points = [NamedPoint(row.name, row.series, row.macs, row.weights) for row in found.rows]
        return points, "weights (log scale)", _WEIGHTS_LEAD
    best = {row.name: [one.mean for one in accuracies(row) if one.data == name] for row in found.rows}
    points = [
        NamedPoint(row.name, row.series, row.macs, 100 * max(best[row.name])) for row in found.rows if best[row.name]
    ]
    lead = f"Accuracy on the test images of {name} against cost: further up is better, further left is cheaper."
    return points, f"accuracy on {name} (%)", lead


def _table(found: "Survey", timed: str) -> "Markup":
    from pellucid import report

    head = ["network", "image", "classes", "weights", "multiply-adds", *(["ms"] if timed else []), "accuracy"]
    caption = f"{len(found.rows)} networks" + (f"; ms: {timed}" if timed else "")
    return report.table(head, [_cells(row) for row in found.rows], caption, numbers=range(1, 6 if timed else 5))


def _cells(row: "Surveyed") -> list[str]:
    from pellucid.models import accuracies

    return [
        row.name,
        f"{row.channels} x {row.size} x {row.size}",
        f"{row.classes:,}",
        f"{row.weights:,}",
        f"{row.macs:,}",
        *([] if row.milliseconds is None else [f"{row.milliseconds:,.1f}"]),
        "; ".join(f"{100 * one.mean:.2f} % of {one.told}" for one in accuracies(row)) or "–",
    ]


def _subtitle(found: "Survey", timed: str) -> str:
    sizes = sorted({row.size for row in found.rows})
    told = f"{len(found.rows)} networks for images of {', '.join(map(str, sizes))} pixels a side"
    return f"{told}, timed here" if timed else told
