"""Two moons: a plain network, one with normal weights and one that goes on dropping units, and how sure each is."""

import torch
from torch import Tensor

from pellucid import report
from pellucid.checks import check_count, check_range
from pellucid.foundations.dropout_mlp import DropoutMLP
from pellucid.foundations.lesson import Lesson
from pellucid.foundations.mlp_study import Labelled
from pellucid.foundations.point_sets import moons, square
from pellucid.foundations.spread import Spread, spread
from pellucid.foundations.variational_mlp import VariationalMLP
from pellucid.report import Fact, Field, Section

from ._cells import share

RADIUS = 6.0
"""Of the ring around the moons on which nothing was seen."""

TOLD = {
    "plain": "one answer, sure of itself everywhere but on its boundary.",
    "variational": "weights are normal densities; doubt is low on the points and grows away from them.",
    "MC dropout": "units fall silent; a boundary with corners, doubt in wedges on both sides of it.",
}

Learner = DropoutMLP | VariationalMLP


def two_moons(
    *,
    count: int = 400,
    noise: float = 0.1,
    hidden: int = 50,
    p: float = 0.2,
    epochs: int = 600,
    samples: int = 100,
    generator: torch.Generator | None = None,
) -> Lesson:
    """Three small networks on two moons: plain, variational and MC dropout, and how sure each is where.

    Args:
        count: points to learn from, 20 to 10000.
        noise: standard deviation of the points, 0 to 1.
        hidden: units in the middle, at least 1.
        p: probability that a unit is dropped, 0.01 to 0.9.
        epochs: of each network, at least 1; 2000 settles the variational one.
        samples: draws of a network, at least 2.
        generator: of the points, the first weights and the draws; None: seed 0.
    """
    check_count("count", count, 20, 10000)
    check_range("noise", noise, 0, 1)
    check_range("p", p, 0.01, 0.9)
    check_count("samples", samples, 2)
    source = generator or torch.Generator().manual_seed(0)
    points, unseen = (moons(count=many, noise=noise, generator=source) for many in (count, 2000))
    learners: dict[str, Learner] = {
        "plain": DropoutMLP(hidden=hidden, p=0.0, epochs=epochs),
        "variational": VariationalMLP(hidden=hidden, epochs=epochs),
        "MC dropout": DropoutMLP(hidden=hidden, p=p, epochs=epochs),
    }
    rates = {rate: DropoutMLP(hidden=hidden, p=rate, epochs=epochs) for rate in (0.05, 0.2, 0.5) if rate != p}
    for one in (*learners.values(), *rates.values()):
        one.fit(points.values, points.targets, generator=source)
    ring = _ring(points.values)
    compared = {**learners, **{f"MC dropout, p = {rate:g}": one for rate, one in rates.items()}}
    asked = {name: _asked(one, unseen, ring, samples) for name, one in compared.items()}
    facts = tuple(
        Fact(
            name,
            share(one[0]),
            f"Of 2000 unseen points. Standard deviation {one[1]:.3f} on the points, {one[2]:.3f} at {RADIUS:g} away.",
        )
        for name, one in asked.items()
        if name in learners
    )
    sections = (
        _planes(points, learners, samples),
        _numbers(asked, count, p, samples),
        _learning(learners),
    )
    lead = f"Networks 2-{hidden}-1 that part the same points, and answer differently where there are none."
    return Lesson("Two moons", lead, _steps(learners, points, ring, samples), facts, sections)


def _ring(values: Tensor) -> Tensor:
    """Places (200, 2) around the middle of the points, all equally far."""
    angles = torch.linspace(0, 2 * torch.pi, 201, dtype=torch.float64)[:200]
    return values.mean(dim=0) + RADIUS * torch.stack([angles.cos(), angles.sin()], dim=1)


def _spread(learner: Learner, points: Tensor, samples: int) -> Spread:
    return spread(learner.predict_samples(points, samples=samples))


def _asked(learner: Learner, unseen: Labelled, ring: Tensor, samples: int) -> tuple[float, float, float]:
    """Accuracy, standard deviation on unseen points and on the ring."""
    near, far = (_spread(learner, places, samples) for places in (unseen.values, ring))
    right = (near.mean.argmax(dim=1) == unseen.targets).double().mean()
    return float(right), float(near.deviation[:, 1].mean()), float(far.deviation[:, 1].mean())


def _planes(points: Labelled, learners: dict[str, Learner], samples: int) -> Section:
    x, y, spots = square(points.values, places=81)
    few = slice(None, None, max(1, len(points.targets) // 250))
    told = {"points": points.values[few], "classes": points.targets[few], "names": ("upper moon", "lower moon")}
    drawn = []
    for name, learner in learners.items():
        said = _spread(learner, spots, samples)
        shown = [
            ("probability of the lower moon", said.mean[:, 1], 1.0, 0.5),
            ("entropy, nats", said.entropy, 0.7, None),
            ("standard deviation", said.deviation[:, 1], 0.5, None),
            ("mutual information, nats", said.disagreement, 0.7, None),
        ]
        for unit, values, high, parting in shown[: 2 if name == "plain" else 4]:
            figure = report.surface(
                Field(x, y, values.reshape(81, 81)),
                f"{unit} over the plane: {name}",
                unit=unit,
                high=high,
                parting=parting,
                side=3.2,
                **told,  # type: ignore[arg-type]
            )
            drawn.append((figure, f"{name}, {unit}" + (f": {TOLD[name]}" if parting else ".")))
    lead = (
        "Blue and orange say which moon and how surely. Entropy is all doubt; the deviation and mutual information "
        "say where the draws of a network disagree."
    )
    return Section("planes", "Three ways to be sure", lead, report.drawings(drawn))


def _numbers(asked: dict[str, tuple[float, float, float]], count: int, p: float, samples: int) -> Section:
    body = [
        (
            f"MC dropout, p = {p:g}" if name == "MC dropout" else name,
            share(right),
            f"{near:.4f}",
            f"{far:.4f}",
        )
        for name, (right, near, far) in asked.items()
    ]
    head = ("network", "accuracy", "deviation on unseen points", f"deviation {RADIUS:g} from their middle")
    table = report.table(head, body, f"{count} points learned from, {samples} draws", numbers=(1, 2, 3))
    lead = "A higher rate of dropping spreads the answers; where nothing was seen they should spread most."
    return Section("numbers", "How far the draws disagree", lead, table)


def _learning(learners: dict[str, Learner]) -> Section:
    drawn = []
    for name, learner in learners.items():
        is_bound = isinstance(learner, VariationalMLP)
        values = learner.elbos_ if isinstance(learner, VariationalMLP) else learner.losses_
        epochs = torch.arange(1, len(values) + 1)
        from_tenth = slice(len(values) // 20, None)
        figure = report.lines(
            {name: (epochs[from_tenth], values[from_tenth])},
            f"{'Lower bound' if is_bound else 'Loss'} over the epochs: {name}",
            x="epoch",
            y="ELBO of the whole set, nats" if is_bound else "loss, nats a point",
        )
        drawn.append((figure, f"{name}, from epoch {int(epochs[from_tenth][0])} on."))
    lead = "The bound is of the whole set, points against prior; the losses are of a point, with units dropped."
    return Section("learning", "While they learn", lead, report.drawings(drawn))


def _steps(learners: dict[str, Learner], points: Labelled, ring: Tensor, samples: int) -> tuple[str, ...]:
    """What each says of the middle, of a point, and of two places of the ring."""
    doubt = _spread(learners["variational"], ring, samples).deviation[:, 1]
    places = torch.stack([points.values.mean(dim=0), points.values[0], ring[doubt.argmax()], ring[doubt.argmin()]])
    names = ("the middle", "a point", "far, least sure", "far, most sure")
    told = []
    for name, learner in learners.items():
        said = _spread(learner, places, samples)
        head = f"{'':34}{'mean':>8}{'std':>8}{'entropy':>9}{'mutual information':>20}"
        lines = [
            f"{called:16} ({spot[0]:+6.2f}, {spot[1]:+6.2f}){mean:8.4f}{std:8.4f}{whole:9.4f}{between:20.4f}"
            for called, spot, mean, std, whole, between in zip(
                names,
                places.tolist(),
                *(one.tolist() for one in (said.mean[:, 1], said.deviation[:, 1], said.entropy, said.disagreement)),
                strict=True,
            )
        ]
        told.append("\n".join([f"{name}: probability of the lower moon, {samples} draws, in nats", head, *lines]))
    return tuple(told)
