"""Bayesian logistic regression: one boundary or all of them, and where certainty ends."""

import torch
from torch import Tensor

from pellucid import report
from pellucid.checks import check_count, check_range
from pellucid.foundations.bayesian_logistic import BayesianLogisticRegression
from pellucid.foundations.lesson import Lesson
from pellucid.foundations.mlp_study import Labelled
from pellucid.foundations.point_sets import blobs, square
from pellucid.foundations.squashed import plugin, probit, quad
from pellucid.report import Fact, Field, Section

from ._cells import kept, share

ANGLE = 10.0
"""Degrees between the boundary and the direction in which it is left."""

WAYS = {
    "laplace": "the normal density of equal mode and curvature",
    "mean_field": "of those whose weights do not vary together, the nearest",
    "full_cov": "of all normal densities, the nearest",
}


def bayesian_logistic(
    *,
    count: int = 200,
    spread: float = 0.8,
    alpha: float = 1.0,
    times: float = 2.0,
    generator: torch.Generator | None = None,
) -> Lesson:
    """One boundary or all that the points allow: plugin, Laplace, variational, and where certainty ends.

    Args:
        count: points of each of two heaps, 2 to 2000.
        spread: standard deviation of a heap, 0.05 to 4; its middle is 2.8 from the origin.
        alpha: prior precision of the weights, 0.001 to 1000.
        times: width of the plane shown by that of the points, 1 to 10.
        generator: of the points; None: seed 0.
    """
    check_count("count", count, 2, 2000)
    check_range("spread", spread, 0.05, 4)
    check_range("alpha", alpha, 1e-3, 1e3)
    check_range("times", times, 1, 10)
    points = blobs(count=count, spread=spread, generator=generator)
    learned = {
        name: BayesianLogisticRegression(approximation=name, alpha=alpha, expectation="quadrature", steps=90).fit(
            points.values, points.targets
        )
        for name in WAYS
    }
    laplace = learned["laplace"]
    along = _along(laplace)
    limit = _limit(laplace, along)
    corner = square(points.values, times=times, places=2)[2]
    facts = (
        Fact(
            "Accuracy",
            share(_accuracy(laplace, points)),
            f"Of the {len(points.targets)} points, whichever density is taken: they hardly differ on the points.",
        ),
        Fact(
            "Far away",
            f"{limit:.3f}",
            f"The most that Laplace with probit ever says {ANGLE:g}° off the boundary; plugin goes to 1.",
        ),
        Fact(
            "In a corner",
            f"±{float(laplace.predict_deviation(corner).max()):.2f}",
            "Standard deviation of the probability at the least known corner of the plane shown.",
        ),
    )
    sections = (_planes(points, learned, times), _far(laplace, along, limit), _bounds(learned))
    lead = "A boundary through two heaps: the points allow many, and far from them these disagree."
    return Lesson("Bayesian logistic regression", lead, _steps(points, laplace), facts, sections)


def _accuracy(learned: BayesianLogisticRegression, points: Labelled) -> float:
    return float(((learned.predict_proba(points.values) > 0.5) == points.targets.bool()).double().mean())


def _along(laplace: BayesianLogisticRegression) -> Tensor:
    """A direction of length 1, (2,), that leaves the boundary at a flat angle, towards class 1."""
    across = laplace.posterior_.mean[1:] / laplace.posterior_.mean[1:].norm()
    flat = torch.tensor(ANGLE, dtype=torch.float64).deg2rad()
    found: Tensor = flat.sin() * across + flat.cos() * torch.stack([across[1], -across[0]])
    return found


def _limit(laplace: BayesianLogisticRegression, along: Tensor) -> float:
    """What probit tends to along a direction."""
    density = laplace.posterior_
    spread = along @ density.covariance[1:, 1:] @ along
    tends = density.mean[1:] @ along / (torch.pi * spread / 8).sqrt()
    return float(tends.sigmoid())


def _planes(points: Labelled, learned: dict[str, BayesianLogisticRegression], times: float) -> Section:
    x, y, spots = square(points.values, times=times)
    laplace = learned["laplace"]
    asked = {
        "plugin, the mode alone": (laplace.predict_proba(spots, predictive="plugin"), torch.zeros(len(spots))),
        "Laplace": (laplace.predict_proba(spots), laplace.predict_deviation(spots)),
        "variational, mean-field": (
            learned["mean_field"].predict_proba(spots),
            learned["mean_field"].predict_deviation(spots),
        ),
    }
    drawn = []
    for name, (chance, doubt) in asked.items():
        told = {"points": points.values, "classes": points.targets, "names": ("class 0", "class 1")}
        figure = report.surface(
            Field(x, y, chance.reshape(len(y), len(x))),
            f"Probability of class 1 over the plane: {name}",
            unit="probability of class 1",
            parting=0.5,
            **told,  # type: ignore[arg-type]
        )
        second = report.surface(
            Field(x, y, doubt.reshape(len(y), len(x))),
            f"Standard deviation of that probability over the plane: {name}",
            unit="standard deviation",
            high=0.5,
            **told,  # type: ignore[arg-type]
        )
        seen = "Parallel lines: as sure far away as it likes." if name.startswith("plugin") else "Shades fan out."
        drawn.append((figure, f"{name}: probability of class 1. {seen}"))
        told_doubt = "none: one boundary only." if name.startswith("plugin") else "how far the boundaries disagree."
        drawn.append((second, f"{name}: standard deviation, {told_doubt}"))
    lead = (
        f"The plane is {times:g} times as wide as the points. Doubt grows with the distance, across the boundary and "
        "along it."
    )
    return Section("planes", "Where certainty ends", lead, report.drawings(drawn))


def _far(laplace: BayesianLogisticRegression, along: Tensor, limit: float) -> Section:
    reach = torch.logspace(-1, 3, 200, dtype=torch.float64)
    rows = torch.cat([torch.ones(200, 1, dtype=torch.float64), reach[:, None] * along], dim=1)
    mean, variance = rows @ laplace.posterior_.mean, laplace.posterior_.variance(rows)
    curves = {
        "plugin": plugin(mean, variance),
        "probit": probit(mean, variance),
        "quad": quad(mean, variance),
        "mc, 100 draws": laplace.predict_proba(rows[:, 1:], predictive="mc"),
    }
    figure = report.lines(
        {name: (reach, said) for name, said in curves.items()},
        f"Probability of class 1 over the distance, {ANGLE:g} degrees off the boundary, four ways to average",
        x=f"distance from the origin, {ANGLE:g}° off the boundary",
        y="probability of class 1",
        log="x",
        width=5.4,
        height=3.4,
    )
    told = f"Far away the spread of the logit grows as fast as the logit: probit stops at {limit:.3f}."
    most = float((probit(mean, variance) - quad(mean, variance)).abs().max())
    body = [
        (kept(name), f"{float((said - curves['quad']).abs().max()):.4f}")
        for name, said in curves.items()
        if name != "quad"
    ]
    table = report.table(("way", "most off"), body, "Largest difference to the integral", numbers=(1,))
    lead = f"Averaging over the weights; the closed form is never more than {most:.3f} from the integral here."
    return Section("far", "How sure, how far away", lead, report.drawings([(figure, told)]) + table)


def _bounds(learned: dict[str, BayesianLogisticRegression]) -> Section:
    body = [
        (
            kept(name),
            told,
            ", ".join(f"{value:.2f}" for value in learned[name].posterior_.mean.tolist()),
            ", ".join(f"{value:.2f}" for value in learned[name].posterior_.covariance.diagonal().sqrt().tolist()),
            f"{learned[name].log_evidence_:.2f}",
        )
        for name, told in WAYS.items()
    ]
    head = ("density", "what it is", "mean (w0, w1, w2)", "standard deviations", "ln evidence")
    table = report.table(head, body, "Log evidence in nats: an estimate for Laplace, else a lower bound", numbers=(4,))
    curves = {}
    for name in ("mean_field", "full_cov"):
        bound = learned[name].bound_
        if bound is not None:
            late = bound.elbos >= bound.elbos[-1] - 12
            curves[name.replace("_", " ")] = (bound.steps[late], bound.elbos[late])
    figure = report.lines(
        curves, "The lower bound step by step, once it is within 12 nats of its end", x="step", y="ELBO, nats"
    )
    drawn = [(figure, "The bound rises at every step, for it is integrated and not drawn.")]
    lead = "Without the covariances the variances come out too small: the price of mean-field."
    return Section("bounds", "Three densities", lead, table + report.drawings(drawn))


def _steps(points: Labelled, laplace: BayesianLogisticRegression) -> tuple[str, ...]:
    density = laplace.posterior_
    spot = torch.tensor([[4.0, -4.0], [4.0, 4.0], [40.0, 40.0]], dtype=torch.float64)
    rows = torch.cat([torch.ones(3, 1, dtype=torch.float64), spot], dim=1)
    mean, variance = rows @ density.mean, density.variance(rows)
    head = "      x1     x2   mean of a   variance   plugin   probit     quad"
    lines = [
        f"{one[0]:8.0f} {one[1]:6.0f} {m:11.3f} {v:10.3f} {float(p):8.4f} {float(k):8.4f} {float(q):8.4f}"
        for one, m, v, p, k, q in zip(
            spot.tolist(),
            mean.tolist(),
            variance.tolist(),
            plugin(mean, variance),
            probit(mean, variance),
            quad(mean, variance),
            strict=True,
        )
    ]
    return (
        f"{len(points.targets)} points; Newton's steps end where the gradient is {laplace.gradient_norm_:.0e} long\n"
        f"w = ({', '.join(f'{value:.4f}' for value in density.mean.tolist())}), the bias first",
        "Laplace: S^-1 = sum of p (1 - p) x x^T + alpha I, S =\n"
        + "\n".join(" ".join(f"{value:+8.4f}" for value in row) for row in density.covariance.tolist()),
        "The logit a of a point is normal; three ways to the probability\n" + "\n".join([head, *lines]),
        f"ln evidence: L(m) + 3/2 ln 2 pi + 1/2 ln |S| = {laplace.log_evidence_:.4f}",
    )
