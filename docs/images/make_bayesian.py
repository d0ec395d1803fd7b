"""Make the three pictures of docs/foundations.md: bands of regression, boundaries that fan out, two moons.

    python docs/images/make_bayesian.py

All of them are drawn from generated points; the last takes about a minute.
"""

from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from pellucid.foundations.bases import Basis, Gaussian, Linear, Polynomial
from pellucid.foundations.bayesian_linear import BayesianLinearRegression
from pellucid.foundations.bayesian_logistic import BayesianLogisticRegression
from pellucid.foundations.dropout_mlp import DropoutMLP
from pellucid.foundations.mlp_study import Labelled
from pellucid.foundations.point_sets import blobs, moons, square
from pellucid.foundations.regression_sets import regression_set
from pellucid.foundations.spread import spread
from pellucid.foundations.variational_mlp import VariationalMLP
from pellucid.report import Field, Predicted
from pellucid.report.predictions import draw_predictions
from pellucid.report.surfaces import draw_surface

HERE = Path(__file__).parent
INK, SOFT, PAPER = "#1d1f24", "#62656e", "#ffffff"
TONES = ("#0b6e8f", "#c2410c", "#6d3fc0", "#3f7d20", "#a8760a", "#b0257f")


def regression() -> None:
    """A hole in the data, a polynomial and bumps, side by side."""
    figure = Figure(figsize=(13.5, 4.4), dpi=100, layout="constrained")
    shown: tuple[tuple[str, Basis, bool], ...] = (
        ("line-gap", Linear(), False),
        ("rising-sine", Polynomial(), True),
        ("rising-sine", Gaussian(), False),
    )
    for part, (name, basis, log) in zip(figure.subfigures(1, 3), shown, strict=True):
        known = regression_set(name)
        model = BayesianLinearRegression(basis, alpha=known.alpha, sigma=known.sigma).fit(known.inputs, known.targets)
        x = torch.linspace(known.low, known.high, 301, dtype=torch.float64)
        said, points = model.predict(x), torch.stack([known.inputs, known.targets], dim=1)
        predicted = Predicted(x, said.mean, said.epistemic, said.aleatoric, points, known.truth(x))
        places = part.subplots(2, 1, gridspec_kw={"height_ratios": (3, 2)})
        draw_predictions(places, predicted, tones=TONES, ink=INK, soft=SOFT, log=log)
    _save(figure, "bayesian_linear.png")


def boundaries() -> None:
    """Plugin, Laplace and mean-field: probability over its standard deviation."""
    points = blobs()
    x, y, spots = square(points.values)
    laplace = BayesianLogisticRegression().fit(points.values, points.targets)
    near = BayesianLogisticRegression(approximation="mean_field", expectation="quadrature", steps=90)
    near.fit(points.values, points.targets)
    columns = {
        "plugin": (laplace.predict_proba(spots, predictive="plugin"), torch.zeros(len(spots))),
        "Laplace": (laplace.predict_proba(spots), laplace.predict_deviation(spots)),
        "variational, mean-field": (near.predict_proba(spots), near.predict_deviation(spots)),
    }
    _planes(columns, points, (x, y), ("class 0", "class 1"), "bayesian_logistic.png")


def two_moons() -> None:
    """A plain network, a variational one and MC dropout: probability over its standard deviation."""
    points = moons()
    x, y, spots = square(points.values, places=101)
    learners: dict[str, DropoutMLP | VariationalMLP] = {
        "plain network": DropoutMLP(p=0.0),
        "variational": VariationalMLP(),
        "MC dropout, p = 0.2": DropoutMLP(),
    }
    columns = {}
    for name, learner in learners.items():
        said = spread(learner.fit(points.values, points.targets).predict_samples(spots))
        columns[name] = (said.mean[:, 1], said.deviation[:, 1])
    few = Labelled(points.values[::4], points.targets[::4])
    _planes(columns, few, (x, y), ("upper moon", "lower moon"), "two_moons.png")


def _planes(
    columns: dict[str, tuple[Tensor, Tensor]],
    points: Labelled,
    axes: tuple[Tensor, Tensor],
    names: tuple[str, str],
    file: str,
) -> None:
    figure = Figure(figsize=(12.6, 7.4), dpi=100)
    figure.subplots_adjust(left=0.045, right=0.925, bottom=0.065, top=0.955, wspace=0.3, hspace=0.16)
    grid = figure.subplots(2, len(columns))
    for number, (name, pair) in enumerate(columns.items()):
        for row, (values, unit, high, parting) in enumerate(
            ((pair[0], f"probability of {names[1]}", 1.0, 0.5), (pair[1], "standard deviation", 0.5, None))
        ):
            place: Any = grid[row][number]
            field = Field(*axes, values.reshape(len(axes[1]), len(axes[0])))
            scale = draw_surface(
                place,
                field,
                unit=unit,
                low=0.0,
                high=high,
                parting=parting,
                points=points.values,
                classes=points.targets,
                names=names,
                marked=None,
                axes=("x1", "x2"),
                tones=TONES,
                ink=INK,
                paper=PAPER,
            )
            place.get_legend().remove()
            if number:
                place.set_ylabel("")
            if number < len(columns) - 1:
                scale.set_ylabel("")
            if not row:
                place.set_xlabel("")
            for edge in ("top", "right"):
                place.spines[edge].set_visible(False)
            if not row:
                place.set_title(name, fontsize=11)
    _save(figure, file)


def _save(figure: Figure, name: str) -> None:
    """As a PNG of 128 colours."""
    figure.savefig(HERE / name, facecolor=PAPER)
    with Image.open(HERE / name) as picture:
        small = picture.convert("RGB").quantize(128, dither=Image.Dither.NONE)
    small.save(HERE / name, optimize=True)


if __name__ == "__main__":
    regression()
    boundaries()
    two_moons()
