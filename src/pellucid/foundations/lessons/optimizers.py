"""Optimisers: ten ways down the same landscape, from one start."""

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from markupsafe import Markup
from torch import Tensor

from pellucid import report
from pellucid.checks import check_choice, check_count, check_range
from pellucid.foundations import optimizers as room
from pellucid.foundations.formula import formula
from pellucid.foundations.lesson import Lesson
from pellucid.methods import methods, summary
from pellucid.report import Fact, Field, Section

from ._cells import broad, kept

Function: TypeAlias = Callable[[Tensor], Tensor]

FAMILIES = {
    "Slopes and velocity": ("sgd", "momentum", "momentum_average", "nesterov"),
    "Each weight its own step": ("adagrad", "rmsprop", "adam", "adamw"),
    "Curvature": ("sgd", "newton", "lbfgs"),
}

TWINS = {
    "Slopes and velocity": " momentum and momentum_average take one path: their step lengths differ by 1 - beta.",
    "Each weight its own step": " adamw also shrinks the weights a little at each step.",
    "Curvature": "",
}
"""What is to be seen, family by family."""

RATES: dict[str, dict[str, float]] = {
    "bowl": {"slopes": 0.04, "signs": 0.1, "newton": 1.0, "lbfgs": 1.0},
    "valley": {"slopes": 0.002, "signs": 0.05, "newton": 1.0, "lbfgs": 1.0},
    "saddle": {"slopes": 0.05, "signs": 0.1, "newton": 1.0, "lbfgs": 1.0},
}
"""Step lengths that suit a landscape: per unit of slope, and in units of weight."""

SIGNS = ("adagrad", "rmsprop", "adam", "adamw")


def optimizers(*, landscape: str = "valley", steps: int = 100, pace: float = 1.0) -> Lesson:
    """Ten optimisers from one start: their paths over a landscape, how fast they fall, and their formulas.

    Args:
        landscape: bowl (long and narrow), valley (Rosenbrock's, curved) or saddle (two lowest places).
        steps: updates of each, 1 to 2000.
        pace: factor on the step length of all but Newton's method and L-BFGS, 0.01 to 3.
    """
    check_choice("landscape", landscape, RATES)
    check_count("steps", steps, 1, 2000)
    check_range("pace", pace, 0.01, 3)
    function, start, lowest, box = _landscapes()[landscape]
    told = {name: _told(name, landscape, pace) for name in methods(room)}
    try:
        paths = {name: method(function, start, steps=steps, **told[name]) for name, method in methods(room).items()}
    except ValueError as error:  # it names a step length, which is no option here
        raise ValueError(f"pace {pace:g} is too fast for {steps} steps over the {landscape} ({error})") from error
    heights = {name: torch.stack([function(weights) for weights in path]) for name, path in paths.items()}
    bottom = min(float(function(torch.tensor(place, dtype=torch.float64))) for place in lowest)
    above = {name: (values - bottom).clamp(min=1e-16) for name, values in heights.items()}
    ends = sorted(above, key=lambda name: float(above[name][-1]))
    first_order = [name for name in ends if name not in {"newton", "lbfgs"}]
    facts = (
        Fact("Lowest after all steps", first_order[0], f"Of those that ask for slopes only, after {steps} steps."),
        Fact("Newton", _reached(above["newton"]), "Steps until the height above the lowest place is below 1e-8."),
        Fact("L-BFGS", _reached(above["lbfgs"]), "The same for L-BFGS, whose line search asks a few times a step."),
    )
    drawn = [
        (_from_above(function, box, lowest, {name: paths[name] for name in family}), f"{head}.{TWINS[head]}")
        for head, family in FAMILIES.items()
    ]
    map_ = Section("paths", "Paths", _about(landscape), report.drawings(drawn))
    sections = (map_, _falling(above, steps), _table(told, above))
    lead = "All ask for the slope under their feet. They differ in what they remember of the slopes before."
    return Lesson("Optimisers", lead, _steps(function, start, told), facts, sections)


def _landscapes() -> dict[str, tuple[Function, Tensor, list[tuple[float, float]], tuple[float, float, float, float]]]:
    """Height, start, lowest places, and the part that is drawn (left, right, low, high)."""

    def bowl(weights: Tensor) -> Tensor:
        return 0.5 * (weights[..., 0] ** 2 + 20 * weights[..., 1] ** 2)

    def valley(weights: Tensor) -> Tensor:
        return (1 - weights[..., 0]) ** 2 + 20 * (weights[..., 1] - weights[..., 0] ** 2) ** 2

    def saddle(weights: Tensor) -> Tensor:
        return weights[..., 0] ** 2 - weights[..., 1] ** 2 + weights[..., 1] ** 4 / 2

    starts = torch.tensor([[-2.0, 0.6], [-1.2, 1.2], [-1.5, 0.1]], dtype=torch.float64)
    return {
        "bowl": (bowl, starts[0], [(0.0, 0.0)], (-2.4, 1.2, -1.8, 1.8)),
        "valley": (valley, starts[1], [(1.0, 1.0)], (-1.7, 1.7, -1.2, 2.2)),
        "saddle": (saddle, starts[2], [(0.0, 1.0), (0.0, -1.0)], (-1.9, 1.1, -1.5, 1.5)),
    }


def _about(landscape: str) -> str:
    told = {
        "bowl": "A long narrow bowl: what is a short step along it is a long one across.",
        "valley": "A curved valley: down its wall is easy, along its floor is where the time goes.",
        "saddle": "A saddle between two lowest places: the slope is zero at its middle, where Newton's method ends.",
    }
    return f"{told[landscape]} All start at the square; the dots are where they end."


def _told(name: str, landscape: str, pace: float) -> dict[str, Any]:
    """The step length of a method on this landscape."""
    rates = RATES[landscape]
    if name in {"newton", "lbfgs"}:
        return {"lr": rates[name]}
    lr = pace * rates["signs" if name in SIGNS else "slopes"]
    if name == "adagrad":
        lr *= 5  # its steps only ever get shorter
    return {"lr": lr * (10 if name == "momentum_average" else 1)}


def _reached(above: Tensor) -> str:
    there = (above < 1e-8).nonzero()
    if not len(there):
        return "not there yet"
    return "1 step" if int(there[0]) == 1 else f"{int(there[0])} steps"


def _from_above(
    function: Function,
    box: tuple[float, float, float, float],
    lowest: list[tuple[float, float]],
    paths: dict[str, Tensor],
) -> Markup:
    x, y = torch.linspace(box[0], box[1], 121), torch.linspace(box[2], box[3], 121)
    spots = torch.stack([x.expand(121, 121), y[:, None].expand(121, 121)], dim=-1).double()
    field = Field(x, y, function(spots))
    marks = {"lowest" if len(lowest) == 1 else f"lowest {n + 1}": place for n, place in enumerate(lowest)}
    return report.contours(field, paths, f"Paths of {', '.join(paths)} from above", lowest=marks, side=3.1)


def _falling(above: dict[str, Tensor], steps: int) -> Section:
    drawn = []
    for head, family in FAMILIES.items():
        curves = {name: (torch.arange(steps + 1), above[name]) for name in family}
        figure = report.lines(
            curves,
            f"Height above the lowest place, {', '.join(family)}",
            x="step",
            y="height above the lowest",
            log="y",
        )
        drawn.append((figure, f"{head}."))
    lead = "How far above the lowest place each still is, after each step."
    return Section("falling", "How fast they fall", lead, report.drawings(drawn))


def _table(told: dict[str, dict[str, Any]], above: dict[str, Tensor]) -> Section:
    body = [
        (
            kept(name),
            broad("; ".join(formula(method).splitlines())),
            f"{told[name]['lr']:g}",
            f"{float(above[name][-1]):.1e}",
            broad(summary(method)),
        )
        for name, method in methods(room).items()
    ]
    head = ("name", "each step", "lr here", "height at the end", "in words")
    table = report.table(head, body, "g is the slope at w, t counts the steps", numbers=(2, 3))
    return Section("formulas", "Formulas", "What each computes at every step.", table)


def _steps(function: Function, start: Tensor, told: dict[str, dict[str, Any]]) -> tuple[str, ...]:
    worked = []
    for name, method in methods(room).items():
        path = method(function, start, steps=3, **told[name])
        lines = [
            f"w{step} = ({place[0]:+.5f}, {place[1]:+.5f})  height {function(place):.5f}"
            for step, place in enumerate(path)
        ]
        worked.append("\n".join([f"{name}, lr {told[name]['lr']:g}", formula(method), *lines]))
    return tuple(worked)
