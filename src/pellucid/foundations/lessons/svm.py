"""Support vector machines: one boundary for each kernel, and what the price of a mistake does to it."""

from statistics import mean

import torch
from torch import Tensor

from pellucid import report
from pellucid.checks import check_choice, check_count
from pellucid.foundations.formula import formula
from pellucid.foundations.kernels import (
    Parted,
    linear,
    lowest_eigenvalue,
    part,
    polynomial,
    rbf,
    scaled_gamma,
    sigmoid,
)
from pellucid.foundations.lesson import Lesson
from pellucid.foundations.rows import Rows, rows
from pellucid.methods import summary
from pellucid.report import Fact, Section

from ._cells import broad, kept, share
from ._plane import plane

PRICES = tuple(10.0**power for power in range(-3, 4))
"""The prices that are compared."""

STORED = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.5, 1.0]], dtype=torch.float64)
"""Three rows whose sigmoid matrix is none of scalar products."""

Pair = tuple[Tensor, Tensor]


def svm(
    *,
    data: str = "circles",
    c: float = 1.0,
    degree: int = 2,
    offset: float = 0.0,
    repeats: int = 5,
    generator: torch.Generator | None = None,
) -> Lesson:
    """Four kernels on the same points: their boundaries, what a mistake may cost, and which fail and why.

    Args:
        data: circles or moons.
        c: price of a point on the wrong side, above 0: small forgives and smooths.
        degree: of the polynomial kernel, at least 1.
        offset: of the polynomial and the sigmoid kernel, at least 0.
        repeats: draws of the points that each number of the tables is the mean of, 1 to 20.
        generator: of the points; None: seed 0.
    """
    check_choice("data", data, ("circles", "moons"))
    check_count("repeats", repeats, 1, 20)
    seed = 0 if generator is None else generator.initial_seed()
    drawn = [rows(data, seed=seed + number) for number in range(repeats)]
    told = {"linear": {}, "rbf": {}, "polynomial": {"degree": degree, "offset": offset}, "sigmoid": {"offset": offset}}
    parted = {name: part(*_pairs(drawn[0]), kernel=name, c=c, **own) for name, own in told.items()}  # type: ignore[arg-type]
    prices = {
        name: [_mean(drawn, kernel=name, c=price, **own) for price in PRICES]  # type: ignore[arg-type]
        for name, own in told.items()
    }
    best = max(prices, key=lambda name: max(prices[name]))
    worst = min(prices, key=lambda name: max(prices[name]))
    lowest = lowest_eigenvalue(sigmoid(STORED, STORED))
    facts = (
        Fact("Best kernel", f"{best}, {share(max(prices[best]))}", f"Test accuracy at its best price, {_of(repeats)}."),
        Fact("Worst kernel", f"{worst}, {share(max(prices[worst]))}", f"At its best price, {_of(repeats)}."),
        Fact("Sigmoid", f"{lowest:.3f}", "An eigenvalue of its matrix of three rows: below 0, so no scalar product."),
    )
    sections = (
        _boundaries(drawn[0], parted, c),
        _prices(prices, repeats),
        _degrees(drawn, c),
        _formulas(),
    )
    lead = f"A machine that parts {data} by a straight line in another space; the kernel is the scalar product there."
    return Lesson("Kernels and the support vector machine", lead, _steps(drawn[0], parted), facts, sections)


def _of(repeats: int) -> str:
    return "of one draw" if repeats == 1 else f"the mean of {repeats} draws"


def _pairs(found: Rows) -> tuple[Pair, Pair]:
    return (found.train.values, found.train.targets), (found.test.values, found.test.targets)


def _mean(drawn: list[Rows], *, kernel: str, c: float, degree: int = 2, offset: float = 0.0) -> float:
    """Test accuracy, averaged over the draws."""
    return mean(part(*_pairs(one), kernel=kernel, c=c, degree=degree, offset=offset).test_accuracy for one in drawn)


def _boundaries(found: Rows, parted: dict[str, Parted], c: float) -> Section:
    drawn = []
    for name, one in parted.items():
        is_support = torch.zeros(len(found.train.targets), dtype=torch.bool)
        is_support[one.support] = True
        picture = report.scatter(
            found.train.values,
            found.train.targets,
            f"The boundary of the {name} kernel; support vectors are ringed",
            names=found.classes,
            axes=(found.columns[0], found.columns[1]),
            field=plane(found.train.values, one.landscape),
            circled=is_support if len(one.support) < 0.6 * len(is_support) else None,
            side=4.2,
        )
        rung = "" if len(one.support) < 0.6 * len(is_support) else ", too many to ring"
        told = f"{name}: {share(one.test_accuracy)} of the test points; {len(one.support)} support vectors{rung}."
        drawn.append((picture, told))
    lead = f"Price c = {c:g}. Rings mark the points that the boundary rests on; all others could be left out."
    return Section("boundaries", "Four kernels, four boundaries", lead, report.drawings(drawn))


def _prices(prices: dict[str, list[float]], repeats: int) -> Section:
    across = torch.tensor(PRICES)
    curves = {name: (across, 100 * torch.tensor(scores)) for name, scores in prices.items()}
    label = "Test accuracy of each kernel over the price of a mistake"
    figure = report.lines(curves, label, x="price c", y="test accuracy, %", log="x", width=6.4, height=3.4)
    head = ("kernel", *(f"c = {price:g}" for price in PRICES))
    body = [(name, *map(share, scores)) for name, scores in prices.items()]
    table = report.table(head, body, f"Test accuracy, {_of(repeats)}", numbers=range(1, len(head)))
    lead = "c is the inverse of regularisation: a low price forgives outliers, a high one bends the boundary for each."
    return Section("prices", "What a mistake costs", lead, report.drawings([(figure, label + ".")]) + table)


def _degrees(drawn: list[Rows], c: float) -> Section:
    body = []
    for degree in (1, 2, 3, 4):
        scores = [_mean(drawn, kernel="polynomial", c=c, degree=degree, offset=offset) for offset in (0.0, 1.0)]
        body.append((str(degree), *map(share, scores)))
    table = report.table(
        ("degree", "offset 0", "offset 1"), body, f"Polynomial kernel, c = {c:g}: test accuracy", numbers=(1, 2)
    )
    lead = "An odd degree without offset is an odd function: it has no squares, and a ring needs them."
    return Section("degrees", "Odd and even degrees", lead, table)


def _formulas() -> Section:
    body = [
        (kept(kernel.__name__), broad(formula(kernel).partition(" = ")[2]), broad(summary(kernel)))
        for kernel in (linear, rbf, polynomial, sigmoid)
    ]
    table = report.table(("kernel", "k(x, z)", "what it is"), body, "How alike two rows are")
    lead = "The first three are scalar products of the rows in some other space; the sigmoid in general is of none."
    return Section("formulas", "The kernels", lead, table)


def _steps(found: Rows, parted: dict[str, Parted]) -> tuple[str, ...]:
    values = found.train.values
    gamma = scaled_gamma(values)
    one, other = values[:1], values[1:2]
    product = float(linear(one, other))
    lines = [
        f"x = ({one[0, 0]:+.3f}, {one[0, 1]:+.3f})  z = ({other[0, 0]:+.3f}, {other[0, 1]:+.3f})",
        f"linear      <x, z> = {product:+.4f}",
        f"rbf         exp(-gamma |x - z|^2) = {float(rbf(one, other, gamma=gamma)):+.4f}",
        f"polynomial  (gamma <x, z>)^2 = {float(polynomial(one, other, gamma=gamma)):+.4f}",
        f"sigmoid     tanh(gamma <x, z>) = {float(sigmoid(one, other, gamma=gamma)):+.4f}",
    ]
    scores = [
        f"{name:10}  train {share(p.train_accuracy):>7}  test {share(p.test_accuracy):>7}  {len(p.support)} vectors"
        for name, p in parted.items()
    ]
    matrix = [" ".join(f"{value:+.4f}" for value in row) for row in sigmoid(STORED, STORED).tolist()]
    return (
        f"gamma = 1 / (columns * variance)\n1 / ({values.shape[1]} * {values.var(unbiased=False):.4f}) = {gamma:.4f}",
        "\n".join(["How alike the first two training rows are", *lines]),
        "\n".join(["The machine with each kernel", *scores]),
        "\n".join(
            [
                "The sigmoid matrix of (1, 0), (2, 0) and (0.5, 1), gamma = 1",
                *matrix,
                f"lowest eigenvalue {lowest_eigenvalue(sigmoid(STORED, STORED)):.4f}: below 0",
            ]
        ),
    )
