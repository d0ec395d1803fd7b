from itertools import pairwise

import pytest
import torch
from torch import Tensor

from pellucid.foundations.hyperplane import activation
from pellucid.foundations.perceptron import Perceptron, criterion, mistake_bound

CORNERS = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]], dtype=torch.float64)
BITS = (CORNERS + 1) / 2
AND = torch.tensor([-1, -1, -1, 1])
XOR = torch.tensor([-1, 1, 1, -1])


def separated(seed: int, dimensions: int = 2, gap: float = 0.2) -> tuple[Tensor, Tensor, Tensor]:
    """Points, targets, and weights that part them with a gap."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(dimensions + 1, generator=generator, dtype=torch.float64)
    weights[0] *= 0.2
    points = 2 * torch.rand(300, dimensions, generator=generator, dtype=torch.float64) - 1
    excited = activation(weights, points)
    keep = excited.abs() > gap * weights[1:].norm()
    return points[keep], excited[keep].sign(), weights


def test_hebb_on_and_is_right_with_signs_and_wrong_with_bits() -> None:
    signs = Perceptron(rule="hebb", epochs=1).fit(CORNERS, AND)
    assert signs.weights_.tolist() == [-2, 2, 2]
    assert signs.is_separated_
    bits = Perceptron(rule="hebb", epochs=1).fit(BITS, AND)
    assert bits.weights_.tolist() == [-2, 0, 0]
    assert (bits.errors_, bits.is_separated_) == (1, False)
    assert bits.notes_[0].endswith("some hyperplane parts them: take the rule perceptron"), "more epochs only scale it"
    assert Perceptron(epochs=1).fit(BITS, AND).notes_[0].endswith("some hyperplane parts them: give it more epochs")


def test_the_rule_worked_out_on_paper() -> None:
    """AND on bits: the first point is a mistake at zero, the fourth at w = (-1, 0, 0), and so on."""
    first = [(v.index, v.activation, v.is_mistake, v.weights.tolist()) for v in Perceptron(epochs=2).visits(BITS, AND)]
    assert first[:5] == [
        (0, 0, True, [-1, 0, 0]),
        (1, -1, False, [-1, 0, 0]),
        (2, -1, False, [-1, 0, 0]),
        (3, -1, True, [0, 1, 1]),
        (0, 0, True, [-1, 1, 1]),
    ]


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_mistakes_stay_within_the_bound(seed: int, shuffle: bool) -> None:
    points, targets, weights = separated(seed, dimensions=2 + seed)
    learned = Perceptron(epochs=1000, shuffle=shuffle).fit(points, targets)
    assert learned.is_separated_
    assert learned.notes_ == ()
    assert learned.mistakes_[-1] == 0
    assert 0 < sum(learned.mistakes_) <= mistake_bound(points, targets, weights)
    assert len(learned.path_) == sum(learned.mistakes_) + 1
    assert torch.equal(learned.predict(points), targets)


def test_the_bound_of_two_points() -> None:
    points, targets = torch.tensor([[1.0], [-1.0]]), torch.tensor([1.0, -1.0])
    assert mistake_bound(points, targets, torch.tensor([0.0, 2.0])) == pytest.approx(2)  # R^2 = 2, gamma = 1
    with pytest.raises(ValueError, match="every point strictly on its side"):
        mistake_bound(points, targets, torch.tensor([0.0, -2.0]))


def test_xor_makes_a_mistake_in_every_epoch() -> None:
    for points in (CORNERS, BITS):
        learned = Perceptron(epochs=50).fit(points, XOR)
        assert len(learned.mistakes_) == 50
        assert min(learned.mistakes_) > 0
        assert not learned.is_separated_
        assert learned.notes_ == (
            f"not separated after 50 epochs: {learned.errors_} of 4 points are on the wrong side; no hyperplane parts "
            "them, as with XOR: one unit is not enough, two layers are",
        )


def test_the_pocket_keeps_the_best() -> None:
    kept, last = (Perceptron(epochs=50, pocket=pocket, shuffle=True).fit(BITS, XOR) for pocket in (True, False))
    assert torch.equal(kept.path_, last.path_)
    wrong = [int((torch.where(activation(w, BITS) >= 0, 1, -1) != XOR).sum()) for w in kept.path_[1:]]
    assert kept.errors_ == min(wrong) == 1 < max(wrong)


def test_a_step_is_the_gradient_of_the_criterion() -> None:
    """One mistaken point, and all of them at once, by autograd."""
    weights = torch.tensor([0.3, -1.0, 0.5], dtype=torch.float64, requires_grad=True)
    targets = AND.double()
    (slope,) = torch.autograd.grad(criterion(weights, CORNERS, targets), weights)
    wrong = targets * activation(weights.detach(), CORNERS) <= 0
    assert 0 < wrong.sum() < 4
    rows = torch.cat([torch.ones(4, 1, dtype=torch.float64), CORNERS], dim=1)
    torch.testing.assert_close(-slope, (targets[:, None] * rows)[wrong].sum(dim=0))
    seen = list(Perceptron(eta=0.5, epochs=3).visits(CORNERS, AND))
    for before, visit in pairwise(seen):
        point = slice(visit.index, visit.index + 1)
        at = before.weights.clone().requires_grad_()
        (slope,) = torch.autograd.grad(criterion(at, CORNERS[point], targets[point]), at)
        torch.testing.assert_close(visit.weights, before.weights - 0.5 * slope)


@pytest.mark.parametrize("rule", ["perceptron", "hebb"])
def test_eta_scales_the_weights_and_changes_no_prediction(rule: str) -> None:
    points, targets, _ = separated(1)
    one, tenth = (Perceptron(rule=rule, eta=eta, epochs=5).fit(points, targets) for eta in (1.0, 0.125))
    torch.testing.assert_close(tenth.path_, 0.125 * one.path_)
    assert one.mistakes_ == tenth.mistakes_
    assert torch.equal(one.predict(points), tenth.predict(points))


def test_zero_counts_as_plus_one_in_prediction_and_as_a_mistake_in_learning() -> None:
    learned = Perceptron(epochs=1).fit(CORNERS, AND)
    learned.weights_ = torch.zeros(3, dtype=torch.float64)
    assert learned.predict(CORNERS).tolist() == [1, 1, 1, 1]
    assert next(iter(Perceptron().visits(CORNERS, AND))).is_mistake


def test_zeros_and_ones_are_read_as_signs_and_said() -> None:
    told = Perceptron().fit(BITS, (AND + 1) // 2)
    assert told.notes_ == ("targets 0 and 1 were read as -1 and +1",)
    assert torch.equal(told.weights_, Perceptron().fit(BITS, AND).weights_)


def test_a_seed_is_an_order() -> None:
    points, targets, _ = separated(2)
    told = [
        Perceptron(shuffle=True).fit(points, targets, generator=torch.Generator().manual_seed(seed)).path_
        for seed in (0, 0, 1)
    ]
    assert torch.equal(told[0], told[1])
    assert not torch.equal(told[0][:5], told[2][:5])


@pytest.mark.parametrize(
    ("options", "points", "targets", "told"),
    [
        ({"rule": "delta"}, CORNERS, AND, "rule must be one of perceptron, hebb, got 'delta'"),
        ({"eta": 0.0}, CORNERS, AND, "eta must be above 0 and finite, got 0"),
        ({"eta": torch.inf}, CORNERS, AND, "eta must be above 0 and finite, got inf"),
        ({"epochs": 0}, CORNERS, AND, "epochs must be at least 1, got 0"),
        (
            {},
            CORNERS,
            torch.tensor([0, 1, 2, 1]),
            r"targets must be -1 and \+1 \(or 0 and 1\), both present, got 0, 1, 2",
        ),
        ({}, CORNERS, torch.ones(4), r"both present, got 1"),
        ({}, CORNERS, AND[:3], r"targets must have shape \(4,\), one for each point, got \(3,\)"),
        ({}, CORNERS * torch.nan, AND, "points must be finite"),
        ({}, CORNERS.long(), AND, r"points must be float \(N, d\), at least one, got torch.int64 \(4, 2\)"),
    ],
)
def test_refusals(options: dict[str, object], points: Tensor, targets: Tensor, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Perceptron(**options).fit(points, targets)  # type: ignore[arg-type]
