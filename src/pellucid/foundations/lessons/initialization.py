"""Initialisation: how wide to draw the first weights so that a signal survives many layers."""

import math

import torch

from pellucid import report
from pellucid.checks import check_count
from pellucid.foundations.formula import formula
from pellucid.foundations.four_ways import Weights, gradients_by_hand
from pellucid.foundations.initializers import (
    Initializer,
    fans,
    he_normal,
    lecun_normal,
    second_moments,
    small_normal,
    xavier_normal,
    xavier_uniform,
    zeros,
)
from pellucid.foundations.lesson import Lesson
from pellucid.methods import Method, summary
from pellucid.report import Fact, Section

from ._cells import broad, kept

SHOWN: dict[str, Initializer] = {
    "N(0, 0.01²)": small_normal,
    "LeCun": lecun_normal,
    "Xavier": xavier_normal,
    "Xavier, uniform": xavier_uniform,
    "He": he_normal,
}
LAYERS = {
    "linear 512 to 256": (256, 512),
    "convolution 3x3, 64 to 128": (128, 64, 3, 3),
    "depthwise 3x3": (64, 1, 3, 3),
}


def initialization(
    *, layers: int = 20, width: int = 256, repeats: int = 5, generator: torch.Generator | None = None
) -> Lesson:
    """What is left of a signal after many freshly drawn layers, by the rule that drew them.

    Args:
        layers: of the stack, 1 to 100.
        width: units of each, 8 to 1024.
        repeats: stacks that each curve is the geometric mean of, 1 to 20.
        generator: of the weights and the inputs; None: seed 0.
    """
    check_count("layers", layers, 1, 100)
    check_count("width", width, 8, 1024)
    check_count("repeats", repeats, 1, 20)
    drawn = generator or torch.Generator().manual_seed(0)
    found = {
        rectified: {
            name: torch.stack(
                [
                    second_moments(rule, layers=layers, width=width, rectified=rectified, generator=drawn)
                    for _ in range(repeats)
                ]
            )
            for name, rule in SHOWN.items()
        }
        for rectified in (True, False)
    }  # (repeats, layers + 1) each
    relu = {name: _geometric(one)[-1].item() for name, one in found[True].items()}
    facts = (
        Fact("He, ReLU", f"{relu['He']:.2f} of 1", f"Mean square after {layers} layers: the signal is kept."),
        Fact("Xavier, ReLU", f"{relu['Xavier']:.0e}", f"Each ReLU halves it: 0.5^{layers} = {0.5**layers:.0e}."),
        Fact("N(0, 0.01²)", f"{relu['N(0, 0.01²)']:.0e}", "One size for all is too small for a deep net."),
    )
    sections = (_depth(found, layers, repeats), _rules(), _zeros(drawn))
    lead = "A layer multiplies the mean square of what enters it by fan-in times the variance of its weights."
    return Lesson("Initialisation", lead, _steps(relu, layers, width), facts, sections)


def _geometric(moments: torch.Tensor) -> torch.Tensor:
    return moments.clamp(min=1e-40).log().mean(dim=0).exp()


def _depth(found: dict[bool, dict[str, torch.Tensor]], layers: int, repeats: int) -> Section:
    drawn = []
    for rectified, curves in found.items():
        kind = "ReLU" if rectified else "Linear"
        figure = report.lines(
            {name: (torch.arange(layers + 1), _geometric(one)) for name, one in curves.items()},
            f"Mean square of the signal after each of {layers} {kind} layers, by initialiser",
            x=f"{kind} layer",
            y="mean square",
            log="y",
            height=3.4,
        )
        told = "one stack" if repeats == 1 else f"geometric mean of {repeats} stacks"
        drawn.append((figure, f"{kind} layers, {told}. All layers are square, so LeCun and Xavier agree."))
    lead = "ReLU throws half of the mean square away, so that its layers want twice the variance of linear ones."
    return Section("depth", "Through many layers", lead, report.drawings(drawn))


def _rules() -> Section:
    rules: tuple[Method, ...] = (zeros, *SHOWN.values())
    shapes = {name: torch.empty(shape) for name, shape in LAYERS.items()}
    body = []
    for rule in rules:
        spreads = [f"{_spread(rule, weight):.4f}" for weight in shapes.values()]
        body.append((kept(rule.__name__), broad(formula(rule)), *spreads, broad(summary(rule))))
    head = ("rule", "draws", *shapes, "in words")
    caption = "Standard deviation of the weights by each rule, for three layers"
    table = report.table(head, body, caption, numbers=range(2, 2 + len(shapes)))
    counted = report.table(
        ("layer", "fan-in", "fan-out"),
        [(name, fans(weight).fan_in, fans(weight).fan_out) for name, weight in shapes.items()],
        "Numbers that enter a unit and leave it; of a convolution k² C / groups enter",
        numbers=(1, 2),
    )
    lead = "N(0, v) names the variance v. Fan-in keeps the signal, fan-out the gradient; Xavier is the compromise."
    return Section("rules", "The rules", lead, table + counted)


def _spread(rule: Method, weight: torch.Tensor) -> float:
    found = fans(weight)
    variances = {
        "zeros": 0.0,
        "small_normal": 0.01**2,
        "lecun_normal": 1 / found.fan_in,
        "xavier_normal": 2 / (found.fan_in + found.fan_out),
        "xavier_uniform": 2 / (found.fan_in + found.fan_out),
        "he_normal": 2 / found.fan_in,
    }
    return math.sqrt(variances[rule.__name__])


def _zeros(generator: torch.Generator) -> Section:
    """Sizes of the gradients of a small net that starts at zero, and of one that does not."""
    inputs = torch.randn(32, 8, generator=generator)
    targets = torch.randint(0, 2, (32,), generator=generator) + (torch.arange(32) % 5 == 0)
    body = []
    for name, rule in (("zeros", zeros), ("Xavier", xavier_normal)):
        drawn = (rule(torch.empty(16, 8)), torch.zeros(16), rule(torch.empty(3, 16)), torch.zeros(3))
        _, gradient = gradients_by_hand(Weights(*drawn), inputs, targets)
        body.append((name, *(f"{float(one.norm()):.4f}" for one in gradient.all())))
    head = ("rule", "hidden weights", "hidden biases", "output weights", "output biases")
    table = report.table(head, body, "Length of the first gradient of each part of a net 8-16-3", numbers=range(1, 5))
    lead = "From zeros all hidden units are alike and pass nothing on: only the output's bias has a slope."
    return Section("zeros", "Why not zeros", lead, table)


def _steps(ends: dict[str, float], layers: int, width: int) -> tuple[str, ...]:
    lines = []
    for name, rule in SHOWN.items():
        spread = _spread(rule, torch.empty(width, width))
        gain = width * spread**2
        lines.append(
            f"{name:16} variance {spread**2:.2e}, gain {gain:.3f} linear, {gain / 2:.3f} ReLU; "
            f"({gain / 2:.3f})^{layers} = {(gain / 2) ** layers:.1e}, measured {ends[name]:.1e}"
        )
    return (
        f"A layer of {width} units: E[y^2] = fan_in Var[w] E[x^2]; ReLU halves it\n" + "\n".join(lines),
        "Variances\n" + "\n".join(f"{name:16} {formula(rule)}" for name, rule in SHOWN.items()),
    )
