import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.foundations.mlp_study import Labelled
from pellucid.foundations.point_sets import moons
from pellucid.foundations.spread import spread
from pellucid.foundations.variational_mlp import VariationalMLP
from pellucid.models.variational_layer import VariationalLinear, through

POINTS = moons(count=120)
MANY = moons(count=500)
EMPTY = Labelled(torch.zeros(0, 2, dtype=torch.float64), torch.zeros(0, dtype=torch.int64))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def layer(std: float = 0.3, inputs: int = 3, outputs: int = 4) -> VariationalLinear:
    return VariationalLinear(inputs, outputs, std=std, first="he", generator=seeded())


@pytest.fixture(scope="module")
def learned() -> VariationalMLP:
    return VariationalMLP(hidden=20, epochs=400, lr=0.04).fit(MANY.values, MANY.targets)


def test_both_samplers_have_the_same_mean_and_variance() -> None:
    one, count = layer(), 100_000
    values = torch.tensor([0.5, -2.0, 1.0], dtype=torch.float64)
    with torch.no_grad():
        local = one.local(values.expand(count, 3), generator=seeded(1))
        weight = through(one.weights(count, generator=seeded(2)), values.expand(count, 1, 3))[:, 0]
    mean, squares = one(values), torch.cat([values, values.new_ones(1)]) ** 2
    variance = one.std.detach() ** 2 @ squares
    for drawn in (local, weight):
        assert ((drawn.mean(dim=0) - mean).abs() < 3.5 * (variance / count).sqrt()).all()
        assert ((drawn.var(dim=0) / variance - 1).abs() < 3.5 * (2 / count) ** 0.5).all()


def test_local_gradients_are_less_noisy() -> None:
    values = torch.randn(60, 3, generator=seeded(5), dtype=torch.float64)
    targets = (values[:, 0] > 0).double()[:, None].expand(60, 4)
    noise = {}
    for sampler in ("local", "weight"):
        one, found = layer(std=0.5), []
        for seed in range(150):
            source = seeded(seed)
            if sampler == "local":
                logits = one.local(values, generator=source)
            else:
                logits = through(one.weights(1, generator=source), values[None])[0]
            loss = F.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
            found.append(torch.autograd.grad(loss, one.mean)[0])
        noise[sampler] = torch.stack(found).var(dim=0).mean()
    assert noise["local"] < 0.5 * noise["weight"]


def test_the_divergence_is_that_of_its_formula_and_of_draws() -> None:
    one = layer()
    normal: Any = torch.distributions.Normal
    known = torch.distributions.kl_divergence(normal(one.mean, one.std), normal(0.0, 0.7)).sum()
    torch.testing.assert_close(one.divergence(0.7), known)
    with torch.no_grad():
        weights = one.weights(40_000, generator=seeded(1))
        same = one.drawn_divergence(weights, wide=0.7, narrow=0.7, share=0.3)
        alone = one.drawn_divergence(weights, wide=0.7, narrow=0.01, share=1.0)
        mixed = one.drawn_divergence(weights, wide=0.7, narrow=0.1, share=0.5)
    assert same.item() == pytest.approx(known.item(), rel=0.01)
    torch.testing.assert_close(alone, same)
    parts = [0.5 * normal(0.0, std).log_prob(weights).exp() for std in (0.7, 0.1)]
    by_hand = normal(one.mean, one.std).log_prob(weights) - (parts[0] + parts[1]).log()
    torch.testing.assert_close(mixed, by_hand.sum(dim=(1, 2)).mean())


def test_without_spread_it_is_the_plain_network() -> None:
    model = VariationalMLP(hidden=7, layers=2, epochs=1, lr=1e-9).fit(POINTS.values, POINTS.targets)
    for one in model.network_:
        assert isinstance(one, VariationalLinear)
        with torch.no_grad():
            one.rho.fill_(-60.0)
    plain = nn.Sequential()
    for number, one in enumerate(model.network_):
        assert isinstance(one, VariationalLinear)
        line = nn.Linear(one.mean.shape[1] - 1, one.mean.shape[0], dtype=torch.float64)
        line.weight.data, line.bias.data = one.mean[:, :-1].detach(), one.mean[:, -1].detach()
        plain.extend([nn.ReLU(), line] if number else [line])
    expected = plain(POINTS.values).sigmoid()[:, 0]
    torch.testing.assert_close(model.predict_mean(POINTS.values)[:, 1], expected)
    for sampler in ("weight", "local"):
        drawn = model.predict_samples(POINTS.values, samples=3, sampler=sampler)
        torch.testing.assert_close(drawn[:, :, 1], expected.expand(3, -1), atol=1e-4, rtol=0)


@pytest.mark.parametrize("prior_std", [1.0, 0.4])
def test_from_no_point_the_prior_is_learned(prior_std: float) -> None:
    model = VariationalMLP(hidden=3, prior_std=prior_std, epochs=350, lr=0.05).fit(EMPTY.values, EMPTY.targets)
    for one in model.network_:
        assert isinstance(one, VariationalLinear)
        assert one.mean.abs().max() < 0.02 * prior_std
        assert (one.std / prior_std - 1).abs().max() < 0.02
    assert model.elbos_[-1].item() == pytest.approx(0, abs=0.01)


def test_it_learns_and_knows_where_it_has_seen_nothing(learned: VariationalMLP) -> None:
    unseen = moons(count=500, generator=seeded(3))
    said = spread(learned.predict_samples(unseen.values))
    assert (said.mean.argmax(dim=1) == unseen.targets).double().mean() > 0.95
    angles = torch.linspace(0, 2 * math.pi, 100, dtype=torch.float64)
    ring = unseen.values.mean(dim=0) + 6 * torch.stack([angles.cos(), angles.sin()], dim=1)
    far, near = (spread(learned.predict_samples(at)).deviation.mean() for at in (ring, MANY.values))
    assert far > near
    smooth = learned.elbos_.unfold(0, 80, 80).mean(dim=1)
    assert (smooth.diff() > 0).all()


def test_a_draw_is_one_network_for_all_points_and_local_noise_is_none(learned: VariationalMLP) -> None:
    points = POINTS.values[:3]
    whole = learned.predict_samples(points, samples=6)
    assert whole.shape == (6, 3, 2)
    torch.testing.assert_close(whole.sum(dim=2), torch.ones(6, 3, dtype=torch.float64))
    torch.testing.assert_close(learned.predict_samples(points[1:2], samples=6), whole[:, 1:2])
    torch.testing.assert_close(learned.predict_samples(points.flip(0), samples=6), whole.flip(1))
    twice = points[:1].expand(2, 2)
    assert torch.equal(*learned.predict_samples(twice, samples=6).unbind(dim=1))
    speckle = learned.predict_samples(twice, samples=6, sampler="local")
    assert not torch.allclose(speckle[:, 0], speckle[:, 1])
    assert learned.sample_functions(points, samples=2).shape == (2, 3, 1)
    other = learned.predict_samples(points, samples=6, generator=seeded(9))
    assert not torch.allclose(other, whole)


def test_chunks_change_nothing(learned: VariationalMLP, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = learned.predict_samples(POINTS.values, samples=4)
    monkeypatch.setattr("pellucid.foundations._learning.ROWS", 40)
    torch.testing.assert_close(learned.predict_samples(POINTS.values, samples=4), whole)


@pytest.mark.parametrize(
    "options",
    [
        {"sampler": "weight"},
        {"prior": "mixture"},
        {"prior": "mixture", "sampler": "weight"},
        {"batch": 50, "warm_up": 3},
        {"classes": 3, "layers": 2},
    ],
)
def test_every_way_learns(options: dict[str, Any]) -> None:
    model = VariationalMLP(hidden=8, epochs=40, lr=0.02, **options).fit(POINTS.values, POINTS.targets)
    assert model.elbos_[-5:].mean() > model.elbos_[:5].mean()
    assert model.elbos_.shape == model.losses_.shape == (40,)
    assert model.predict_samples(POINTS.values[:4], samples=2).shape == (2, 4, options.get("classes", 2))
    again = VariationalMLP(hidden=8, epochs=40, lr=0.02, **options).fit(POINTS.values, POINTS.targets)
    assert torch.equal(again.elbos_, model.elbos_)


def test_a_batch_counts_for_the_whole_set_and_the_prior_once() -> None:
    """Before any real step, the mean bound over batches is about that of all points at once."""
    told = {"hidden": 8, "epochs": 1, "lr": 1e-9, "first_std": 1e-3}
    whole, parts = (VariationalMLP(batch=batch, **told) for batch in (None, 40))  # type: ignore[arg-type]
    bounds = [float(model.fit(POINTS.values, POINTS.targets).elbos_[0]) for model in (whole, parts)]
    assert bounds[0] == pytest.approx(bounds[1], rel=1e-3)
    slow = VariationalMLP(warm_up=100, **told).fit(POINTS.values, POINTS.targets)  # type: ignore[arg-type]
    assert slow.losses_[0] < -slow.elbos_[0], "the prior counts a hundredth at first"


@pytest.mark.parametrize(
    ("options", "targets", "told"),
    [
        ({"prior_std": 0.0}, POINTS.targets, "prior_std must be above 0 and finite, got 0"),
        ({"narrow_share": 1.0}, POINTS.targets, r"narrow_share must be in \[0, 1\), got 1"),
        ({"prior": "laplace"}, POINTS.targets, "prior must be one of normal, mixture"),
        ({"sampler": "weights"}, POINTS.targets, "sampler must be one of .* did you mean weight"),
        ({"first": "xavier"}, POINTS.targets, "first must be one of small, he"),
        ({}, POINTS.targets + 1, r"targets must be in 0..1 for 2 classes, got 1 to 2: remap, or set classes"),
        ({}, POINTS.targets.double(), r"targets must be int64 \(120,\), one for each point, got torch.float64"),
        ({"epochs": 0}, POINTS.targets, "epochs must be at least 1, got 0"),
        ({"lr": -1.0}, POINTS.targets, "lr must be above 0, got -1"),
        ({"hidden": 0}, POINTS.targets, "hidden must be at least 1, got 0"),
    ],
)
def test_refusals(options: dict[str, Any], targets: Tensor, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        VariationalMLP(**options).fit(POINTS.values, targets)


def test_refuses_functions_of_local_noise(learned: VariationalMLP) -> None:
    with pytest.raises(ValueError, match=r"local noise is apart for each point .* use sampler='weight'"):
        learned.sample_functions(POINTS.values, sampler="local")
    with pytest.raises(ValueError, match="points must have 2 columns as in fit, got 3"):
        learned.predict_samples(torch.zeros(1, 3))
    with pytest.raises(ValueError, match="samples must be at least 1, got 0"):
        learned.predict_samples(POINTS.values, samples=0)


def test_a_drawn_divergence_counts_every_layer() -> None:
    """A mixture without its narrow part is the normal prior, whose divergence is known."""
    told: dict[str, Any] = {"epochs": 1, "layers": 2}
    known = VariationalMLP(**told).fit(EMPTY.values, EMPTY.targets).losses_[0]
    drawn = VariationalMLP(prior="mixture", narrow_share=0.0, **told).fit(EMPTY.values, EMPTY.targets).losses_[0]
    assert drawn.item() == pytest.approx(known.item(), rel=0.03)
