"""Bayesian linear regression: what each point says of the weights, and where a curve can be trusted."""

import torch
from torch import Tensor

from pellucid import report
from pellucid.checks import check_range
from pellucid.foundations.bases import Basis, Gaussian, Linear, Polynomial
from pellucid.foundations.bayesian_linear import BayesianLinearRegression
from pellucid.foundations.evidence import Evident, most_evident
from pellucid.foundations.lesson import Lesson
from pellucid.foundations.regression_sets import Known, regression_set
from pellucid.report import Fact, Field, Predicted, Section

TRUTH = (-0.3, 0.5)
"""Weights of the line that made the set."""

SHOWN = (0, 1, 2, 10)
"""Points after which the weights are shown, besides all."""

Case = tuple[str, str, Basis, str]  # set, name of the basis, basis, what is to be seen


def bayesian_linear(
    *,
    columns: int = 10,
    bumps: int = 9,
    bias: bool = False,
    scale: float = 1.0,
    generator: torch.Generator | None = None,
) -> Lesson:
    """All lines that some points allow: weights, bands, a hole in the data, and the prior that the data choose.

    Args:
        columns: of the polynomial, powers from 0 on, 1 to 20.
        bumps: of the Gaussian basis, 1 to 50.
        bias: give the Gaussian basis a column of ones, which changes what it says far away.
        scale: factor on the prior precision of each set, 0.001 to 1000.
        generator: of the points; None: seed 0.
    """
    check_range("columns", columns, 1, 20)
    check_range("bumps", bumps, 1, 50)
    check_range("scale", scale, 1e-3, 1e3)
    seed = 0 if generator is None else generator.initial_seed()
    known = {name: regression_set(name, generator=_again(seed)) for name in ("line", "line-gap", "rising-sine")}
    cases = _cases(columns, bumps, bias)
    learned = [_learned(known[name], basis, scale) for name, _, basis, _ in cases]
    found = [most_evident(basis, known[name].inputs, known[name].targets) for name, _, basis, _ in cases]
    line, gap, waves = known["line"], known["line-gap"], learned[3]
    middle = line.inputs.mean()
    far = torch.tensor([known["rising-sine"].high + 20.0], dtype=torch.float64)
    in_gap = learned[1].predict(gap.inputs.mean()[None])
    facts = (
        Fact(
            "Least unsure",
            f"x = {float(middle):.2f}",
            f"A line is surest at the barycentre of its points: variance {_at(learned[0], middle):.4f}.",
        ),
        Fact(
            "In the hole",
            f"{float(in_gap.epistemic):.4f}",
            "Epistemic variance where no point is: the smallest of all, for a line cannot bend there. A warning.",
        ),
        Fact(
            "Far from all bumps",
            f"{float(waves.predict(far).total):.2f}",
            "Variance far away with the Gaussian basis"
            + (
                ": that of its bias, besides the noise." if bias else ": the noise alone, 0.04. It knows nothing there."
            ),
        ),
    )
    sections = (_weights(line, scale), _curves(known, cases, learned), _evidence(known, cases, learned, found))
    lead = (
        "Not one curve but all that the points allow, each as likely as they make it; noise is told apart from doubt."
    )
    return Lesson("Bayesian linear regression", lead, _steps(line, learned[0], found[0]), facts, sections)


def _again(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _cases(columns: int, bumps: int, bias: bool) -> list[Case]:
    flat = "bias" if bias else "constant 0"
    return [
        ("line", "straight line", Linear(), "Surest at the barycentre of the points, less sure the farther from it."),
        (
            "line-gap",
            "straight line",
            Linear(),
            "Surest in the middle of the hole, where nothing was seen: a property of straight lines, no evidence.",
        ),
        (
            "rising-sine",
            f"polynomial, {columns} columns",
            Polynomial(columns),
            "Beside the points the variance explodes; the period was not learned, and the truth may leave the band.",
        ),
        (
            "rising-sine",
            f"Gaussian, {bumps} bumps",
            Gaussian(bumps, bias=bias),
            f"Beside the points the mean falls to its {flat} and the variance is flat: a low one, and no evidence.",
        ),
    ]


def _learned(known: Known, basis: Basis, scale: float) -> BayesianLinearRegression:
    model = BayesianLinearRegression(basis, alpha=scale * known.alpha, sigma=known.sigma)
    return model.fit(known.inputs, known.targets)


def _at(learned: BayesianLinearRegression, place: Tensor) -> float:
    return float(learned.predict(place[None]).epistemic)


def _weights(known: Known, scale: float) -> Section:
    """The density over both weights of a line, after some of the points."""
    grid = torch.linspace(-1.6, 1.6, 121, dtype=torch.float64)
    spots = torch.stack([grid.repeat(121), grid.repeat_interleave(121)], dim=1)
    drawn = []
    for count in (*SHOWN, len(known.inputs)):
        model = BayesianLinearRegression(alpha=scale * known.alpha, sigma=known.sigma)
        model.fit(known.inputs[:count], known.targets[:count])
        normal = torch.distributions.MultivariateNormal(model.mean_, model.covariance_)
        density = normal.log_prob(spots).exp().reshape(121, 121)  # type: ignore[no-untyped-call]
        figure = report.surface(
            Field(grid, grid, density / density.max()),
            f"Density over the weights of a line after {count} points; a cross marks the truth",
            unit="density / its highest",
            marked=TRUTH,
            axes=("w0", "w1, slope"),
            side=2.2,
        )
        told = f"{count} point{'' if count == 1 else 's'}" if count else "No point: the prior"
        drawn.append((figure, f"{told}. Standard deviations {_pair(model.covariance_.diagonal().sqrt())}."))
    lead = "Each point rules out the lines that miss it; the cross is the line that made them."
    return Section("weights", "What each point says of the weights", lead, report.drawings(drawn))


def _curves(known: dict[str, Known], cases: list[Case], learned: list[BayesianLinearRegression]) -> Section:
    drawn = []
    for (name, called, _, told), model in zip(cases, learned, strict=True):
        one = known[name]
        x = torch.linspace(one.low, one.high, 301, dtype=torch.float64)
        said = model.predict(x)
        points = torch.stack([one.inputs, one.targets], dim=1)
        shown = Predicted(x, said.mean, said.epistemic, said.aleatoric, points, one.truth(x))
        figure = report.predictions(
            shown,
            f"Mean, bands of 1, 2 and 3 standard deviations and the variance: {called}, on {name}",
            log=float(said.total.max()) > 30 * float(said.aleatoric.max()),
        )
        drawn.append((figure, f"{name}, {called}: {told}"))
    lead = "The range of the points is shaded, their barycentre dashed. Bands hold a new value, noise included."
    return Section("curves", "Where a curve can be trusted", lead, report.drawings(drawn))


def _evidence(
    known: dict[str, Known], cases: list[Case], learned: list[BayesianLinearRegression], found: list[Evident]
) -> Section:
    body = [
        (
            f"{name}, {called}",
            f"{model.alpha:.3g}",
            f"{model.log_evidence_:.1f}",
            f"{one.alpha:.3g}",
            f"{one.beta**-0.5:.3f}",
            f"{one.effective:.1f} of {len(model.mean_)}",
            f"{float(one.log_evidences[-1]):.1f}",
        )
        for (name, called, _, _), model, one in zip(cases, learned, found, strict=True)
    ]
    head = ("set and basis", "α given", "ln evidence", "α found", "σ found", "settled by data", "ln evidence")
    caption = "Given α and σ = 0.2, and those of the highest evidence"
    table = report.table(head, body, caption, numbers=range(1, len(head)))
    both = {called: (basis, one) for (_, called, basis, _), one in zip(cases[2:], found[2:], strict=True)}
    across = torch.logspace(-3.5, 2, 111, dtype=torch.float64)
    curves, dots = {}, {}
    for called, (basis, one) in both.items():
        tried = [_evidence_at(known["rising-sine"], basis, float(value), one.beta) for value in across]
        evidences = torch.tensor(tried, dtype=torch.float64)
        near = evidences > one.log_evidences[-1] - 30
        curves[called] = (across[near], evidences[near])
        dots[f"{one.alpha:.3g}"] = (one.alpha, float(one.log_evidences[-1]))
    hill = report.lines(
        curves,
        "Log evidence of the rising sine over alpha, its highest places marked",
        x="α, prior precision",
        y="ln evidence, nats",
        dots=dots,
        log="x",
        width=4.8,
    )
    rounds = report.lines(
        {called: (torch.arange(1, len(one.log_evidences)), one.log_evidences[1:]) for called, (_, one) in both.items()},
        "Log evidence of the rising sine after each round of the fixed point",
        x="round",
        y="ln evidence, nats",
        width=4.8,
    )
    drawn = [
        (hill, "The rising sine over α, with the σ found: the fixed point stands on each hilltop."),
        (rounds, "After each round, from α = β = 1 on."),
    ]
    lead = "The density of the targets with all weights averaged over: it asks no test set, and pays for every weight."
    return Section("evidence", "The prior that the data choose", lead, table + report.drawings(drawn))


def _evidence_at(known: Known, basis: Basis, alpha: float, beta: float) -> float:
    return BayesianLinearRegression(basis, alpha=alpha, beta=beta).fit(known.inputs, known.targets).log_evidence_ or 0.0


def _steps(known: Known, learned: BayesianLinearRegression, found: Evident) -> tuple[str, ...]:
    two = BayesianLinearRegression(alpha=learned.alpha, sigma=known.sigma).fit(known.inputs[:2], known.targets[:2])
    precision = two.alpha * torch.eye(2, dtype=torch.float64) + two.precision_ * two.gram_
    pairs = ", ".join(
        f"({x:.3f}, {y:.3f})" for x, y in zip(known.inputs[:2].tolist(), known.targets[:2].tolist(), strict=True)
    )
    place = known.inputs.mean() + 1
    far = learned.predict(place[None])
    return (
        f"Two points of the line, alpha = {two.alpha:g}, beta = 1 / {known.sigma:g}^2 = {two.precision_:g}\n{pairs}",
        f"A = alpha I + beta Phi^T Phi, rows of Phi are (1, x)\n{_matrix(precision)}",
        f"Sigma = A^-1, mu = beta Sigma Phi^T y\n{_matrix(two.covariance_)}\nmu = {_pair(two.mean_)}",
        f"All {learned.count_} points\n{_matrix(learned.covariance_)}\nmu = {_pair(learned.mean_)}, "
        f"the truth is {_pair(torch.tensor(TRUTH))}",
        f"At x = {float(place):.3f}, one from the barycentre: noise + phi^T Sigma phi\n"
        f"{float(far.aleatoric):.4f} + {float(far.epistemic):.4f} = {float(far.total):.4f}",
        f"The evidence finds alpha = {found.alpha:.3f} and sigma = {found.beta**-0.5:.4f} in "
        f"{len(found.log_evidences) - 1} rounds\n"
        + " ".join(f"{value:.3f}" for value in found.log_evidences[:6].tolist())
        + " ...",
    )


def _matrix(values: Tensor) -> str:
    return "\n".join(" ".join(f"{value:+10.4f}" for value in row) for row in values.tolist())


def _pair(values: Tensor) -> str:
    return f"({', '.join(f'{value:.3f}' for value in values.tolist())})"
