"""The numbers of one `pellucid attack`, and the sentences that tell them."""

import math
from dataclasses import asdict
from typing import Any

from torch import Tensor

from pellucid.attack import Alarm, shown_epsilon
from pellucid.methods import title
from pellucid.metrics import Interval
from pellucid.report import Fact

from ._attacked import Attacked
from ._shared import counted


def summary(found: Attacked) -> dict[str, Any]:
    """The numbers, as `summary.json` holds them; shares in [0, 1], sizes in image units."""
    one, trace, asked = found.outcome, found.trace, found.asked
    hits = one.success & ~one.is_done
    sizes = {name: _median(getattr(one, name)[hits]) for name in ("l0", "l1", "l2", "linf")}
    told: dict[str, Any] = {
        "format": 1,
        "method": asked.method.__name__,
        "options": asked.own,
        "epsilon": asked.epsilon,
        "norm": asked.norm,
        "target": asked.target or None,
        "images": len(one),
        "labels": "of the set" if found.is_labelled else "called by the model",
        "needed_no_attack": int(one.is_done.sum()),
        "attacked": one.attacked,
        "succeeded": int(hits.sum()),
        "success": _interval(one.rate),
        "success_8bit": _interval(one.rate_8bit),
        "median_of_successes": sizes,
        "forward": {"total": int(trace.forward.sum()), "median": _median(trace.forward[~one.is_done])},
        "backward": {"total": int(trace.backward.sum()), "median": _median(trace.backward[~one.is_done])},
        "seconds": round(found.seconds, 3),
        "curve": _curve_numbers(found),
        "transfer": None,
        "alarms": [asdict(alarm) for alarm in found.alarms],
        "unreadable": [{"file": error.file, "reason": error.reason} for error in found.errors],
    }
    if found.transfer is not None:
        other = found.transfer.outcome
        told["transfer"] = {
            "model": found.transfer.name,
            "attacked": other.attacked,
            "success": _interval(other.rate),
            "success_8bit": _interval(other.rate_8bit),
        }
    return told


def facts(found: Attacked) -> list[Fact]:
    """The things worth knowing, each a sentence that stands alone."""
    one, hits = found.outcome, found.outcome.success & ~found.outcome.is_done
    method = title(found.asked.method)
    goal = f"are called “{found.asked.target}”" if found.asked.target else "are called another class"
    told = []
    if one.attacked:
        text = f"{method}: {_share(int(hits.sum()), one.attacked, one.rate)} {goal}{_ball(found)}"
        bits = f"; {percent(one.rate_8bit.value)} after rounding to 8 bits, as the files here are."
        told.append(Fact("Success", percent(one.rate.value), f"{text}{bits}"))
    else:
        told.append(Fact("Success", "none to tell", f"None of {counted(len(one), 'image')} needs an attack."))
    done = int(one.is_done.sum())
    before = "are called the target before" if one.targeted else "are called wrong before"
    labels = "" if found.is_labelled else "; the images have no labels, so that the model's own calls count as right"
    told.append(Fact("Before", f"{done} of {len(one)}", f"{done} of {len(one)} images {before} any attack{labels}."))
    if bool(hits.any()):
        linf, l2, l0 = (float(getattr(one, name)[hits].double().quantile(0.5)) for name in ("linf", "l2", "l0"))
        count = found.images[0, 0].numel()
        most = f"by at most {255 * linf:.3g}/255 each"
        text = f"The median success changes {100 * l0 / count:.3g} % of {count:,} pixels, {most}"
        told.append(Fact("Change", f"{255 * linf:.3g}/255", f"{text}; its L2 norm is {l2:.3g}."))
    told.append(cost_fact(found))
    if found.curve is not None:
        last = found.curve.wilson[-1]  # the bootstrap's band is a point where none or all are left
        size = shown_epsilon(found.curve.epsilons[-1], found.asked.norm)
        held = "escape the target" if one.targeted else "are still right"
        told.append(
            Fact(
                "Robust", percent(last.value), f"At {size}, {percent(last.value)} {held} (95 % interval {band(last)})."
            )
        )
    if found.transfer is not None:
        told.append(_carried(found))
    if found.alarms:
        rings = [alarm.name for alarm in found.alarms if alarm.rings]
        tested = sum(alarm.is_tested for alarm in found.alarms)
        left = "" if tested == len(found.alarms) else f"; {len(found.alarms) - tested} cannot be tested here"
        verb = "rings" if len(rings) == 1 else "ring"
        text = f"{len(rings)} of {counted(tested, 'alarm')} {verb}: {', '.join(rings)}; see below what to do."
        quiet = f"No alarm rings of the {tested} that were tested{left}."
        told.append(Fact("Alarms", str(len(rings)), text if rings else quiet))
    return told


def state(alarm: Alarm) -> str:
    """An alarm's state in a word or two."""
    return "rings" if alarm.rings else "quiet" if alarm.is_tested else "not tested"


def _ball(found: Attacked) -> str:
    if found.asked.epsilon is None:
        return ""
    return f", by changes of at most {shown_epsilon(found.asked.epsilon, found.asked.norm)} in {found.asked.norm}"


def cost_fact(found: Attacked) -> Fact:
    """What the attack took."""
    forward, backward = int(found.trace.forward.sum()), int(found.trace.backward.sum())
    text = f"The attack took {found.seconds:.3g} seconds, {counted(forward, 'image')} forward"
    return Fact("Cost", f"{found.seconds:.3g} s", f"{text} and {counted(backward, 'gradient')}.")


def _carried(found: Attacked) -> Fact:
    assert found.transfer is not None
    one = found.transfer.outcome
    if not one.attacked:
        return Fact("Transfer", "none to tell", f"{found.transfer.name} calls none of the images right at first.")
    hits = int((one.success & ~one.is_done).sum())
    right = "does not call the target" if one.targeted else "calls right"
    share = _share(hits, one.attacked, one.rate)
    text = f"{found.transfer.name} is broken by the same images: {share} of those that it {right} at first."
    return Fact("Transfer", percent(one.rate.value), text)


def _curve_numbers(found: Attacked) -> list[dict[str, Any]] | None:
    if found.curve is None:
        return None
    every = zip(found.curve.epsilons, found.curve.accuracy, found.curve.wilson, strict=True)
    return [{"epsilon": size, "accuracy": _interval(share), "wilson": _interval(w)} for size, share, w in every]


def _median(values: Tensor) -> float | None:
    return float(values.double().quantile(0.5)) if len(values) else None


def _interval(share: Interval) -> dict[str, float] | None:
    return None if math.isnan(share.value) else {"value": share.value, "low": share.low, "high": share.high}


def _share(hits: int, count: int, rate: Interval) -> str:
    """A rate, how many of how many it is, and its interval."""
    return f"{percent(rate.value)} ({hits} of {counted(count, 'image')}; 95 % interval {band(rate)})"


def band(share: Interval) -> str:
    """An interval in percent."""
    return f"{percent(share.low)} to {percent(share.high)}"


def percent(share: float) -> str:
    """A share in percent."""
    return f"{100 * share:.1f} %"
