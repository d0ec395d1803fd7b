from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pellucid.foundations.dropout_mlp import DropoutMLP, decay_of, regression_of
from pellucid.foundations.point_sets import moons
from pellucid.foundations.spread import spread

POINTS = moons(count=120)


@pytest.fixture(scope="module")
def learned() -> DropoutMLP:
    return DropoutMLP(hidden=30, epochs=250, lr=0.03).fit(POINTS.values, POINTS.targets)


def test_nothing_dropped_is_one_answer() -> None:
    plain = DropoutMLP(hidden=30, p=0.0, epochs=250, lr=0.03).fit(POINTS.values, POINTS.targets)
    said = spread(plain.predict_samples(POINTS.values, samples=5))
    assert said.deviation.max() < 1e-12
    assert said.disagreement.max() < 1e-12
    torch.testing.assert_close(said.mean, plain.predict_mean(POINTS.values))
    unseen = moons(count=500, generator=torch.Generator().manual_seed(3))
    right = plain.predict_mean(unseen.values).argmax(dim=1) == unseen.targets
    assert right.double().mean() > 0.95


def test_it_learns_and_a_lower_rate_disagrees_less(learned: DropoutMLP) -> None:
    unseen = moons(count=500, generator=torch.Generator().manual_seed(3))
    said = spread(learned.predict_samples(unseen.values))
    assert (said.mean.argmax(dim=1) == unseen.targets).double().mean() > 0.95
    less = [spread(learned.predict_samples(unseen.values, p=p)).deviation.mean() for p in (0.05, 0.2, 0.5)]
    assert less[0] < less[1] < less[2]
    torch.testing.assert_close(less[1], said.deviation.mean())
    assert learned.losses_[-20:].mean() < learned.losses_[0]
    assert not learned.network_.training


def test_a_dropped_unit_has_the_known_moments(learned: DropoutMLP) -> None:
    """The logit after one layer of dropout: variance sum of w^2 x^2 p / (1 - p)."""
    last, count = learned.network_[-1], 16_000
    assert isinstance(last, nn.Linear)
    point = POINTS.values[:1]
    with torch.no_grad():
        hidden = learned.network_[:2](point)[0]
        logit, variance = learned.network_(point)[0, 0], ((last.weight[0] * hidden) ** 2).sum() * 0.2 / 0.8
    drawn = learned.predict_samples(point, samples=count)[:, 0]
    logits = drawn[:, 1].log() - drawn[:, 0].log()
    assert abs(logits.mean() - logit) < 4 * (variance / count) ** 0.5
    assert logits.var().item() == pytest.approx(variance.item(), rel=0.07)


def test_a_draw_is_one_network_for_all_points(learned: DropoutMLP) -> None:
    points = POINTS.values[:3]
    whole = learned.predict_samples(points, samples=6)
    assert whole.shape == (6, 3, 2)
    torch.testing.assert_close(whole.sum(dim=2), torch.ones(6, 3, dtype=torch.float64))
    torch.testing.assert_close(learned.predict_samples(points[1:2], samples=6), whole[:, 1:2])
    torch.testing.assert_close(learned.predict_samples(points.flip(0), samples=6), whole.flip(1))
    torch.testing.assert_close(learned.predict_samples(points, samples=2), whole[:2])
    assert torch.equal(learned.predict_samples(points, samples=6), whole)


def test_chunks_change_nothing(learned: DropoutMLP, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = learned.predict_samples(POINTS.values, samples=4)
    monkeypatch.setattr("pellucid.foundations._learning.ROWS", 40)
    torch.testing.assert_close(learned.predict_samples(POINTS.values, samples=4), whole)


@pytest.mark.parametrize("options", [{"batch": 50}, {"classes": 3, "layers": 2}])
def test_every_way_learns_without_the_global_seed(options: dict[str, Any]) -> None:
    before = torch.random.get_rng_state()
    one, again = (DropoutMLP(hidden=8, epochs=30, **options).fit(POINTS.values, POINTS.targets) for _ in range(2))
    assert torch.equal(one.losses_, again.losses_)
    assert one.losses_[-1] < one.losses_[0]
    assert one.predict_samples(POINTS.values[:4], samples=2).shape == (2, 4, options.get("classes", 2))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_prior_behind_a_decay_and_the_two_parts_of_a_variance() -> None:
    assert decay_of(length_scale=0.5, precision=10.0, p=0.2, count=100) == pytest.approx(0.8 * 0.25 / 2000)
    samples = torch.tensor([[1.0, 5.0], [3.0, 5.0]])
    found = regression_of(samples, precision=4.0)
    assert found.mean.tolist() == [2, 5]
    assert found.epistemic.tolist() == [1, 0]
    assert found.aleatoric.tolist() == [0.25, 0.25]
    assert found.total.tolist() == [1.25, 0.25]


@pytest.mark.parametrize(
    ("options", "points", "targets", "told"),
    [
        ({"p": 1.0}, POINTS.values, POINTS.targets, r"p must be in \[0, 1\), got 1"),
        ({"p": -0.1}, POINTS.values, POINTS.targets, r"p must be in \[0, 1\), got -0.1"),
        ({"weight_decay": -1.0}, POINTS.values, POINTS.targets, "weight_decay must be at least 0, got -1"),
        ({"classes": 1}, POINTS.values, POINTS.targets, "classes must be at least 2, got 1"),
        ({}, POINTS.values, POINTS.targets + 1, "targets must be in 0..1 for 2 classes, got 1 to 2"),
        ({}, POINTS.values[:0], POINTS.targets[:0], "points must be at least 1, got 0"),
        ({}, POINTS.values / 0, POINTS.targets, "points must be finite"),
        ({}, POINTS.values[0], POINTS.targets, r"points must be float \(N, d\), got torch.float64 \(2,\)"),
        ({"epochs": 60, "lr": 1e300}, POINTS.values, POINTS.targets, "loss became .* lower lr"),
    ],
)
def test_refusals(options: dict[str, Any], points: Tensor, targets: Tensor, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        DropoutMLP(**options).fit(points, targets)


def test_refuses_questions(learned: DropoutMLP) -> None:
    with pytest.raises(ValueError, match=r"p must be in \[0, 1\), got 1"):
        learned.predict_samples(POINTS.values, p=1.0)
    with pytest.raises(ValueError, match="points must have 2 columns as in fit, got 3"):
        learned.predict_mean(torch.zeros(1, 3))
    with pytest.raises(
        ValueError, match=r"samples must have shape \(S, N\), S at least 2 for a variance, got \(1, 3\)"
    ):
        regression_of(torch.zeros(1, 3), precision=1.0)
    with pytest.raises(ValueError, match="precision must be above 0 and finite, got 0"):
        decay_of(length_scale=1.0, precision=0.0, p=0.1, count=3)
