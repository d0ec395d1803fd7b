"""The page of one `pellucid attack`."""

import math
from collections.abc import Sequence

import torch

from pellucid import report
from pellucid.attack import shown_epsilon
from pellucid.methods import summary as told_of
from pellucid.methods import title
from pellucid.records import Record
from pellucid.report import Section

from ._attack_facts import band, cost_fact, facts, percent, state
from ._attacked import Attacked
from ._shared import counted

FIRST = 8
"""Classes named that fall first."""


def shown_rows(found: Attacked, count: int) -> list[int]:
    """The images that are drawn: the first that needed an attack, in order; where none did, the first."""
    needed = (~found.outcome.is_done).nonzero()[:, 0].tolist() or list(range(len(found.files)))
    return [int(row) for row in needed[:count]]


def caption(found: Attacked, row: int, when: str) -> str:
    """What the model calls an image before or after."""
    one = found.outcome
    index = int(getattr(one, when)[row])
    chance = 100 * float(getattr(one, f"probability_{when}")[row])
    return f"{when}: {found.classes[index].partition(',')[0]}, {chance:.3g}\u00a0%"


def attack_page(found: Attacked, rows: Sequence[int], made: Record) -> str:
    """The whole page."""
    name = title(found.asked.method)
    when = made.made.replace("T", " ").removesuffix("+00:00")
    split = f", split {found.data['split']}" if found.data["split"] else ""
    subtitle = f"{counted(len(found.files), 'image')} of {found.data['path']}{split}, attacked on {when} UTC"
    sections = [_pictures(found, rows)] if rows else []
    sections += [_curve(found)] if found.curve is not None else []
    sections += [_alarms(found)] if found.alarms else []
    sections += [_numbers(found), _images(found)]
    if found.errors:
        lines = report.plain_list([f"{error.file}: {error.reason}" for error in found.errors])
        sections.append(Section("left-out", "Left out", "Pictures that could not be read, or have no label.", lines))
    return report.page(f"{found.name} under attack: {name}", subtitle, facts(found), sections, made)


def _pictures(found: Attacked, rows: Sequence[int]) -> Section:
    entries = []
    for row in rows:
        told = (caption(found, row, "before"), caption(found, row, "after"))
        pictures = report.before_after(found.images[row], found.adversarial[row], told)
        entries.append((_heading(found, row), found.files[row], [pictures]))
    lead = (
        f"The first {len(rows)} images that needed an attack, whether it succeeded or not. The difference is magnified "
        "by the factor below it around grey: lighter is more, darker is less."
    )
    return Section("pictures", "Before, after, difference", lead, report.gallery(entries))


def _heading(found: Attacked, row: int) -> str:
    one = found.outcome
    after = found.classes[int(one.after[row])].partition(",")[0]
    if bool(one.is_done[row]):
        return "needed no attack"
    lost = "" if bool(one.success_8bit[row]) else ", but not after rounding to 8 bits"
    if bool(one.success[row]):
        return f"now called “{after}”{lost}"
    is_other = bool(one.after[row] != one.before[row])
    return f"misses the target: called “{after}”" if is_other else f"stands: still “{after}”"


def _curve(found: Attacked) -> Section:
    curve = found.curve
    assert curve is not None
    is_linf = found.asked.norm == "linf"
    places = [255 * epsilon if is_linf else epsilon for epsilon in curve.epsilons]
    what = "not called the target" if found.outcome.targeted else "still right"
    label = f"Share of {counted(len(found.files), 'image')} {what} against the size of the change allowed"
    x = f"epsilon, {'in 255ths' if is_linf else 'in image units'} ({found.asked.norm})"
    drawn = report.bands({found.name: (places, curve.accuracy)}, label, x=x, y=what)
    columns = ("epsilon", what, "95 % band (bootstrap)", "95 % interval (Wilson)", "broken first here")
    rows = []
    for epsilon, share, wilson in zip(curve.epsilons, curve.accuracy, curve.wilson, strict=True):
        broken = int((curve.smallest == epsilon).sum())
        rows.append((shown_epsilon(epsilon, found.asked.norm), percent(share.value), band(share),
                     band(wilson), broken))  # fmt: skip
    below = "Line: the share measured; shade: its 95 % bootstrap band."
    body = report.drawings([(drawn, below)]) + report.table(columns, rows, label, numbers=(1, 2, 3, 4))
    falls = _falls(found)
    if falls:
        head = ("class", "images", "right at first", "median epsilon that breaks")
        body += report.table(head, falls, "Classes that fall first", numbers=(1, 2, 3))
    lead = (
        "An image that a smaller change broke counts as broken at every larger one. A stronger attack can only break "
        "more: the curve is an upper bound."
    )
    return Section("curve", "Accuracy against the size of the change", lead, body)


def _falls(found: Attacked) -> list[tuple[object, ...]]:
    """Classes of which at least two images were right, those that fall to the least change first."""
    assert found.curve is not None
    told = []
    for index in sorted({*found.labels.tolist()}):
        smallest = found.curve.smallest[found.labels == index]
        right = smallest[smallest > 0].sort().values
        if len(right) > 1:
            told.append((float(right[(len(right) - 1) // 2]), index, len(smallest), len(right)))
    last = shown_epsilon(found.curve.epsilons[-1], found.asked.norm)
    return [
        (
            found.classes[index],
            images,
            right,
            shown_epsilon(middle, found.asked.norm) if middle < math.inf else f"over {last}",
        )
        for middle, index, images, right in sorted(told)[:FIRST]
    ]


def _alarms(found: Attacked) -> Section:
    rings = [alarm for alarm in found.alarms if alarm.rings]
    verb = "rings" if len(rings) == 1 else "ring"
    body = report.notice(f"{counted(len(rings), 'alarm')} {verb}: the numbers above are not to be believed yet.")
    rows = [(alarm.name, state(alarm), alarm.told.removeprefix("Not tested: ")) for alarm in found.alarms]
    listed = report.table(("alarm", "state", "what was measured"), rows, "Tests of the attack itself", whole=(0, 1))
    lead = "Signs that an attack failed for another reason than a network that withstands it."
    return Section("alarms", "Whether to believe it", lead, body + listed if rings else listed)


def _numbers(found: Attacked) -> Section:
    one = found.outcome
    hits = one.success & ~one.is_done
    rows: list[tuple[object, ...]] = []
    units = {"l0": "pixels", "l1": "image units", "l2": "image units", "linf": "image units"}
    for name, unit in units.items():
        values = getattr(one, name)[hits].double()
        if len(values):
            low, middle, high = torch.quantile(values, values.new_tensor([0.0, 0.5, 1.0])).tolist()
            rows.append((name, unit, *(f"{v:,.0f}" if v >= 1000 else f"{v:.4g}" for v in (low, middle, high))))
    for name, values in (("passes forward", found.trace.forward), ("gradients", found.trace.backward)):
        some = values[~one.is_done].double()
        if len(some):
            rows.append((name, "each image", *(f"{float(v):,.0f}" for v in (some.min(), some.median(), some.max()))))
    caption_ = "Changes of the successes; what the attack asked of the model for each image that needed it"
    body = report.table(("", "unit", "least", "median", "most"), rows, caption_, numbers=(2, 3, 4))
    method = f"{title(found.asked.method)}: {told_of(found.asked.method)}"
    lead = f"{method} {cost_fact(found).text} The options stand at the end of this page."
    return Section("numbers", "How much was changed, and what it took", lead, body)


def _images(found: Attacked) -> Section:
    one, names = found.outcome, found.classes
    head = ("image", "label" if found.is_labelled else "called", "before", "after", "L2", "linf", "result")
    rows = []
    for row, file in enumerate(found.files[:500]):
        result = "no attack needed" if bool(one.is_done[row]) else "broken" if bool(one.success[row]) else "stands"
        sides = [f"{names[int(getattr(one, w)[row])]}, {100 * float(getattr(one, f'probability_{w}')[row]):.3g} %"
                 for w in ("before", "after")]  # fmt: skip
        sizes = (f"{float(one.l2[row]):.3g}", f"{255 * float(one.linf[row]):.3g}/255")
        rows.append((file, names[int(found.labels[row])], *sides, *sizes, result))
    table = report.table(head, rows, "Every image; outcome.parquet has more", numbers=(4, 5))
    lead = "" if len(rows) == len(found.files) else f"The first {len(rows)}; outcome.parquet has all."
    return Section("images", "Image by image", lead, report.details(f"{counted(len(rows), 'image')}", table))
