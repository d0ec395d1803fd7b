"""Cross-entropy: four ways to write it, where it is lowest, and what each loss believes of the noise."""

import torch
from torch import Tensor

from pellucid import report
from pellucid.checks import check_count, check_range
from pellucid.foundations import likelihoods
from pellucid.foundations.cross_entropy import (
    Way,
    compare,
    cross_entropy_dense,
    cross_entropy_expression,
    cross_entropy_index,
    cross_entropy_logits,
)
from pellucid.foundations.formula import formula
from pellucid.foundations.lesson import Lesson
from pellucid.foundations.minima import PENALTIES, minimum_on_simplex, minimum_unconstrained, penalised_loss
from pellucid.methods import Method, summary
from pellucid.report import Fact, Section

from ._cells import apart, broad, kept

WRITTEN: tuple[Method, ...] = (cross_entropy_dense, cross_entropy_expression, cross_entropy_index, cross_entropy_logits)
NAMES = {"none": "no penalty", "l1": "L1", "l2": "L2"}
SMALL = torch.tensor([[2.0, 1.0, 0.0], [0.0, 0.0, 0.0], [-1.0, 0.5, 3.0]], dtype=torch.float64)
TRUE = torch.tensor([0, 2, 1])
"""The batch of three that is worked through."""


def cross_entropy(
    *, samples: int = 1000, classes: int = 100, weight: float = 1.0, generator: torch.Generator | None = None
) -> Lesson:
    """One number written four ways with its cost, its minima under penalties, and losses as likelihoods.

    Args:
        samples: rows of the batch that is timed, at least 1.
        classes: of that batch, at least 2.
        weight: of the penalty on the outputs, at least 0.01.
        generator: of the batch; None: seed 0.
    """
    check_count("samples", samples, 1)
    check_count("classes", classes, 2)
    check_range("weight", weight, 0.01)
    drawn = generator or torch.Generator().manual_seed(0)
    logits = torch.randn(samples, classes, generator=drawn, dtype=torch.float64)
    ways = compare(logits, torch.randint(0, classes, (samples,), generator=drawn), repeats=9)
    most = max(abs(way.loss - ways[0].loss) for way in ways)
    sure = minimum_on_simplex(penalty="l2", weight=weight)
    facts = (
        Fact("Four ways", apart(most), f"One loss of {samples} rows of {classes} classes, in nats."),
        Fact(
            "Looking up",
            f"{ways[0].seconds / ways[2].seconds:.1f}× as fast",
            f"The true class alone takes {ways[2].logarithms} logarithms, the whole table {ways[0].logarithms}.",
        ),
        Fact(
            f"L2, weight {weight:g}",
            f"z0 = {sure.outputs[0]:.4f}",
            "The share of the true class where loss and penalty are lowest; without a penalty, or with L1, it is 1.",
        ),
    )
    sections = (_ways(ways, samples, classes), _minima(weight), _losses())
    lead = "How surprised a network is by the truth, on average: -ln of the share it gave to the true class."
    return Lesson("Cross-entropy", lead, (*_way_steps(), *_minimum_steps(weight)), facts, sections)


def _ways(ways: tuple[Way, ...], samples: int, classes: int) -> Section:
    body = [
        (
            kept(way.name),
            broad(formula(written).splitlines()[0].partition(" = ")[2]),
            f"{way.loss:.12f}",
            f"{1e6 * way.seconds:.0f}",
            *(f"{count:,}" for count in (way.logarithms, way.exponentials, way.products, way.sums)),
        )
        for way, written in zip(ways, WRITTEN, strict=True)
    ]
    head = ("way", "L", "loss, nats", "µs", "logarithms", "exponentials", "products", "sums")
    caption = f"{samples} rows, {classes} classes; the best of nine runs, softmax not counted where z is given"
    lead = "The same number each time. Multiplying by zeros is what the first two pay for; the last needs no softmax."
    return Section("ways", "Four ways to write it", lead, report.table(head, body, caption, numbers=range(2, 8)))


def _minima(weight: float) -> Section:
    shares = torch.linspace(0.12, 1, 300, dtype=torch.float64)
    curves = {name: penalised_loss(shares, penalty=name, weight=weight) for name in PENALTIES}
    found = {name: minimum_on_simplex(penalty=name, weight=weight) for name in PENALTIES}
    value = report.lines(
        {NAMES[name]: (shares, curve.value) for name, curve in curves.items()},
        f"Loss over the share of the true class, with no penalty, L1 and L2, weight {weight:g}",
        x="z0, share of the true class",
        y="loss, nats",
        dots={f"{one.outputs[0]:.3g}" + " " * n: (one.outputs[0], one.value) for n, one in enumerate(found.values())},
        height=3.8,
    )
    slope = report.lines(
        {NAMES[name]: _steep(shares, curve.slope) for name, curve in curves.items() if name != "l1"},
        f"Slope of the loss over the share of the true class, weight {weight:g}",
        x="z0, share of the true class",
        y="slope (L1: as no penalty)",
        height=3.8,
        dots={"0": (found["l2"].outputs[0], _slope_of(found["l2"].outputs[0], weight))},
    )
    weights = torch.logspace(-1, 2, 200, dtype=torch.float64)
    sure = torch.tensor([minimum_on_simplex(weight=float(one)).outputs[0] for one in weights])
    over = report.lines(
        {"L2": (weights, sure)},
        "Share of the true class at the minimum over the weight of an L2 penalty",
        x="weight of the penalty",
        y="z0 at the minimum",
        log="x",
        dots={f"{one:g}": (one, minimum_on_simplex(weight=one).outputs[0]) for one in (0.5, 1.0, 2.0, 10.0)},
    )
    drawn = [
        (value, "Dots mark the minima. L1 lifts the curve and moves nothing, for on the simplex |z|₁ = 1."),
        (slope, "The slope: with L2 it crosses zero inside; otherwise the end at 1 holds the minimum."),
        (over, "More weight, less certainty: from 1 (up to weight ½) towards ½."),
    ]
    body = [
        (kept(NAMES[name]), _pair(found[name].outputs), f"{found[name].value + 0.0:.4f}", _free(name, weight))
        for name in PENALTIES
    ]
    head = ("penalty", "lowest, z0 + z1 = 1", "loss there", "lowest, any z0 > 0, z1 ≥ 0")
    table = report.table(head, body, f"Minima for true class 0, weight {weight:g}", numbers=(2,))
    lead = "Cross-entropy alone wants certainty; on outputs that sum to 1 only a penalty on squares tempers it."
    return Section("minima", "Where it is lowest", lead, report.drawings(drawn) + table)


def _steep(shares: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
    """A curve from where it is less steep than -6."""
    is_shown = slope >= -6
    return shares[is_shown], slope[is_shown]


def _slope_of(share: float, weight: float) -> float:
    """The slope of the loss with L2 at one place."""
    return penalised_loss(torch.tensor(share, dtype=torch.float64), penalty="l2", weight=weight).slope.item()


def _pair(outputs: tuple[float, float]) -> str:
    return f"({outputs[0]:.4f}, {outputs[1]:.4f})"


def _free(penalty: str, weight: float) -> str:
    if penalty == "none":
        return "none: −ln z0 falls for ever"
    return _pair(minimum_unconstrained(penalty=penalty, weight=weight).outputs)


def _losses() -> Section:
    body = []
    for loss in likelihoods.EACH:
        lines = formula(loss).splitlines()
        body.append((loss.__name__.replace("_", " "), broad(summary(loss)), broad("; ".join(lines))))
    table = report.table(("loss", "what it believes of the noise", "value and derivatives"), body, "Sums over samples")
    lead = "To minimise a loss is to make the targets as likely as can be, under the noise that the loss believes in."
    decay = report.notice(
        "A Gaussian prior on the weights adds weight decay: least squares plus γ |w|², γ = σ² / σ_w², has its minimum "
        "at the most probable weights."
    )
    return Section("losses", "Losses as likelihoods", lead, table + decay)


def _way_steps() -> tuple[str, ...]:
    shares = SMALL.softmax(dim=1)
    hot = torch.nn.functional.one_hot(TRUE, 3).double()
    taken = shares[torch.arange(3), TRUE]
    told = " + ".join(f"{-value:.4f}" for value in taken.log().tolist())
    chosen = ", ".join(f"z[{n}, {y}] = {value:.4f}" for n, (y, value) in enumerate(zip(TRUE, taken, strict=True)))
    loss = cross_entropy_logits(SMALL, TRUE).item()
    return (
        f"Three rows of logits, and the shares softmax makes of them\n{_table(SMALL)}\nto\n{_table(shares)}",
        f"dense: one-hot rows times logarithms, true classes {TRUE.tolist()}\n{_table(hot * shares.log())}\n"
        f"-sum / 3 = {cross_entropy_dense(shares, hot):.6f}",
        f"index: only the true ones\n{chosen}\n({told}) / 3 = {cross_entropy_index(shares, TRUE):.6f}",
        "logits: ln sum exp a - a[y], row by row\n"
        + "\n".join(
            f"{row.logsumexp(dim=0):.4f} - {row[y]:+.4f} = {row.logsumexp(dim=0) - row[y]:.4f}"
            for row, y in zip(SMALL, TRUE, strict=True)
        )
        + f"\nmean {loss:.6f}",
    )


def _minimum_steps(weight: float) -> tuple[str, ...]:
    found = minimum_on_simplex(penalty="l2", weight=weight)
    worked = f"(1 + sqrt(1 + 4 / {weight:g})) / 4"
    return (
        "With an L2 penalty the slope -1 / z0 + weight (4 z0 - 2) vanishes at\n"
        f"z0 = min(1, {worked}) = {found.outputs[0]:.4f}, where the loss is {found.value:.4f}",
    )


def _table(rows: Tensor) -> str:
    return "\n".join(" ".join(f"{value:+8.4f}" for value in row) for row in rows.tolist())
