"""Activations: each with its derivative, and what a stack of them does to a gradient."""

import math
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from pellucid import report
from pellucid.checks import check_count, check_range
from pellucid.foundations.activations import EACH, Activated, softmax
from pellucid.foundations.formula import formula
from pellucid.foundations.lesson import Lesson
from pellucid.methods import Method, summary
from pellucid.report import Fact, Matrix, Section

from ._cells import broad, kept

Ask: TypeAlias = Callable[[Method, Tensor], Activated]
"""An activation and points to what it gives there, with the options of the lesson."""

BENT = ("identity", "sigmoid", "tanh")
SHOWN = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0], dtype=torch.float64)
RAISED = torch.tensor([2.0, 1.0, 0.0, -1.0], dtype=torch.float64)


def activations(*, leak: float = 0.01, alpha: float = 1.0, layers: int = 20) -> Lesson:
    """The non-linear functions of networks, each with its derivative, and how gradients fade through them.

    Args:
        leak: slope of the leaky ReLU on the left, 0 to 1.
        alpha: how far below zero the ELU goes, 0 to 5.
        layers: of the stack a gradient passes through, 1 to 100.
    """
    check_range("leak", leak, 0, 1)
    check_range("alpha", alpha, 0, 5)
    check_count("layers", layers, 1, 100)
    told = {"leaky_relu": {"leak": leak}, "elu": {"alpha": alpha}}

    def asked(method: Method, points: Tensor) -> Activated:
        found: Activated = method(points, **told.get(method.__name__, {}))
        return found

    points = torch.linspace(-4, 4, 401, dtype=torch.float64)
    found = {_name(method): asked(method, points) for method in EACH}
    facts = (
        Fact("Sigmoid", f"≤ 1/4, so ≤ {0.25**layers:.0e}", f"Its slope, and the product of {layers} of them."),
        Fact("ReLU", "1 or 0", "It passes a gradient whole or not at all, and never bounds what comes out."),
        Fact("Softmax", "rows sum to 0", "Its Jacobian: what one share gains, the others lose."),
    )
    sections = (
        _drawn(points, found),
        _stack(asked, layers),
        _table(asked),
        _jacobian(),
    )
    lead = "Without one of these between them, layers of weights are a single layer."
    return Lesson("Activations", lead, _steps(asked), facts, sections)


def _name(method: Method) -> str:
    known = {"relu": "ReLU", "leaky_relu": "leaky ReLU", "elu": "ELU", "silu": "SiLU"}
    return known.get(method.__name__, method.__name__)


def _drawn(points: Tensor, found: dict[str, Activated]) -> Section:
    families = {
        "of bounded range, and the identity": {name: one for name, one in found.items() if name in BENT},
        "that leave the right side alone": {name: one for name, one in found.items() if name not in BENT},
    }
    drawn = []
    for told, family in families.items():
        height = 3.4 if len(family) > 3 else 3.0
        values = {name: (points, one.value.clamp(-4, 4)) for name, one in family.items()}
        slopes = {name: (points, one.slope) for name, one in family.items()}
        drawn += [
            (report.lines(values, f"Activations {told}", x="a", y="g(a)", height=height), f"Activations {told}."),
            (
                report.lines(slopes, f"Derivatives of activations {told}", x="a", y="g'(a)", height=height),
                "Their slopes.",
            ),
        ]
    lead = "Left the function, right its derivative, which every gradient is multiplied by on its way back."
    return Section("functions", "Functions and slopes", lead, report.drawings(drawn))


def _stack(ask: Ask, layers: int) -> Section:
    """The product of slopes along one path, all points at their best and at 1."""
    depth = torch.arange(1, layers + 1)
    curves = {}
    for method in EACH:
        if method.__name__ in {"sigmoid", "tanh", "relu", "silu", "softplus"}:
            slope = float(ask(method, torch.ones(1, dtype=torch.float64)).slope)
            curves[_name(method)] = (depth, slope ** depth.double())
    figure = report.lines(
        curves,
        f"Product of the slopes at a = 1 through 1 to {layers} layers",
        x="layers",
        y="product of slopes",
        log="y",
        width=6.0,
    )
    lead = "A gradient is multiplied by one slope a layer (and by weights, here 1): this is what is left of it."
    return Section("stack", "Through many layers", lead, report.drawings([(figure, "All points at a = 1.")]))


def _table(ask: Ask) -> Section:
    body = []
    for method in (*EACH, softmax):
        lines = [line.partition(" = ")[2] for line in formula(method).splitlines()]
        at_zero = f"{float(ask(method, SHOWN[2:3]).slope):g}" if method is not softmax else "—"
        body.append((kept(_name(method)), broad(lines[0]), broad(lines[1]), at_zero, broad(summary(method))))
    head = ("name", "value g", "slope g'", "slope at 0", "what it is")
    lead = "Each slope is told by the value where that is shorter."
    return Section("formulas", "Formulas", lead, report.table(head, body, "Activations", numbers=(3,)))


def _jacobian() -> Section:
    found = softmax(RAISED)
    figure = report.matrices(
        [
            Matrix("a", RAISED[:, None]),
            Matrix("100 g", (100 * found.value[:, None]).round(), sign="→"),
            Matrix("100 J", (100 * found.slope).round() + 0.0, sign="→"),
        ],
        "Four numbers, the shares softmax makes of them, and the Jacobian of the shares",
    )
    told = "In hundredths. Each row and each column sums to 0. The diagonal is g (1 − g), the slope of a sigmoid."
    lead = "Softmax answers with all shares at once, so its derivative is a matrix."
    return Section("softmax", "Softmax", lead, report.drawings([(figure, told)]))


def _steps(ask: Ask) -> tuple[str, ...]:
    heads = " ".join(f"{value:8g}" for value in SHOWN.tolist())
    values, slopes = [f"{'a':11}{heads}"], [f"{'a':11}{heads}"]
    for method in EACH:
        found = ask(method, SHOWN)
        values.append(f"{_name(method):11}" + " ".join(f"{value:8.4f}" for value in found.value.tolist()))
        slopes.append(f"{_name(method):11}" + " ".join(f"{value:8.4f}" for value in found.slope.tolist()))
    found = softmax(RAISED)
    shares = ", ".join(f"{value:.4f}" for value in found.value.tolist())
    raised = [math.exp(value) for value in RAISED.tolist()]
    whole = " + ".join(f"{value:.4f}" for value in raised)
    rows = [" ".join(f"{value:+.4f}" for value in row) for row in found.slope.tolist()]
    return (
        "\n".join(["Values g(a)", *values]),
        "\n".join(["Slopes g'(a)", *slopes]),
        f"softmax of (2, 1, 0, -1)\nexp: {whole} = {sum(raised):.4f}\nshares: {shares}",
        "\n".join(["Its Jacobian diag(g) - g g^T", *rows]),
    )
