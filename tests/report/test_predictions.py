import torch

from pellucid import report
from pellucid.report import Predicted

X = torch.linspace(-1, 1, 9)
POINTS = torch.tensor([[0.0, 0.1], [0.5, 0.2]])


def test_bands_points_and_both_parts_of_the_variance_are_named() -> None:
    shown = Predicted(X, X, X**2, torch.full_like(X, 0.04), POINTS, X + 0.1)
    svg = report.predictions(shown, "a <curve>")
    assert 'aria-label="a &lt;curve&gt;"' in svg
    for word in ("±1 σ", "±2 σ", "±3 σ", ">mean<", ">truth<", ">points<", ">total<", ">epistemic<", ">aleatoric, 1/β<"):
        assert word in svg
    assert "#0" not in svg, "colours are the page's"
    assert svg == report.predictions(shown, "a <curve>")


def test_a_curve_without_points_or_truth_is_drawn_too() -> None:
    svg = report.predictions(Predicted(X, X, X**2 + 1e3, X**0, torch.zeros(0, 2)), "prior", log=True)
    assert ">truth<" not in svg
    assert "nan" not in svg
