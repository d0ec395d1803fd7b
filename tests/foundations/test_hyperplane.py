import pytest
import torch

from pellucid.foundations.hyperplane import (
    Line,
    activation,
    foot_point,
    line,
    margin,
    separable,
    signed_distance,
    unit_normal,
)

WEIGHTS = torch.tensor([-5.0, 3.0, 4.0], dtype=torch.float64)
POINTS = torch.randn(20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_distance_normal_and_foot_of_a_line_worked_out_on_paper() -> None:
    points = torch.tensor([[0.0, 0.0], [3.0, 4.0]], dtype=torch.float64)  # the origin is 1 before 3 x1 + 4 x2 = 5
    torch.testing.assert_close(signed_distance(WEIGHTS, points), torch.tensor([-1.0, 4.0], dtype=torch.float64))
    torch.testing.assert_close(unit_normal(WEIGHTS), torch.tensor([0.6, 0.8], dtype=torch.float64))
    torch.testing.assert_close(foot_point(WEIGHTS, points), torch.tensor([[0.6, 0.8], [0.6, 0.8]], dtype=torch.float64))
    assert margin(WEIGHTS, points, torch.tensor([-1.0, 1.0])) == pytest.approx(1)
    assert margin(WEIGHTS, points, torch.tensor([-1.0, -1.0])) == pytest.approx(-4)


def test_points_of_the_line_have_no_distance_and_differ_along_it() -> None:
    feet = foot_point(WEIGHTS, POINTS)
    torch.testing.assert_close(signed_distance(WEIGHTS, feet), torch.zeros(20, dtype=torch.float64))
    torch.testing.assert_close((feet[1:] - feet[:-1]) @ WEIGHTS[1:], torch.zeros(19, dtype=torch.float64))
    distance = signed_distance(WEIGHTS, POINTS)
    torch.testing.assert_close((POINTS - feet).norm(dim=1), distance.abs())


@pytest.mark.parametrize("scale", [0.01, 7.0])
def test_scaling_the_weights_changes_no_distance(scale: float) -> None:
    torch.testing.assert_close(signed_distance(scale * WEIGHTS, POINTS), signed_distance(WEIGHTS, POINTS))
    torch.testing.assert_close(activation(scale * WEIGHTS, POINTS), scale * activation(WEIGHTS, POINTS))


@pytest.mark.parametrize(
    ("weights", "expected", "text"),
    [
        ((-2.0, 1.5, 1.0), Line(-1.5, 2.0), "x2 = 2 - 1.5 x1"),
        ((1.0, 2.0, 0.0), Line(None, -0.5), "x1 = -0.5"),
        ((1.0, 0.0, -2.0), Line(0.0, 0.5), "x2 = 0.5 + 0 x1"),
    ],
)
def test_a_line_of_the_plane(weights: tuple[float, ...], expected: Line, text: str) -> None:
    found = line(torch.tensor(weights))
    assert (found, str(found)) == (expected, text)


def test_a_program_knows_whether_a_line_parts_them() -> None:
    square = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    assert separable(square, torch.tensor([-1.0, -1.0, -1.0, 1.0]))
    assert not separable(square, torch.tensor([-1.0, 1.0, 1.0, -1.0]))


def test_refuses_what_is_no_hyperplane() -> None:
    with pytest.raises(ValueError, match=r"weights must have a direction: w is all zero, got \[1.0, 0.0, 0.0\]"):
        signed_distance(torch.tensor([1.0, 0.0, 0.0]), torch.zeros(1, 2))
    with pytest.raises(ValueError, match="must have a direction"):
        line(torch.zeros(3))
    with pytest.raises(ValueError, match=r"weights must have shape \(d \+ 1,\), w0 first"):
        activation(torch.zeros(2), torch.zeros(1, 2))
    with pytest.raises(ValueError, match=r"must be \(w0, w1, w2\) to make a line, got 2 numbers"):
        line(torch.ones(2))
