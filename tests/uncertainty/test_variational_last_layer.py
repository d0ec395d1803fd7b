"""The variational last layer against bounds by quadrature, integrals on a grid, and the loss by hand."""

import json
import math
from importlib import import_module
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.foundations.squashed import expectation
from pellucid.models.variational_layer import VariationalLinear
from pellucid.uncertainty import VariationalLastLayer, mutual_information
from pellucid.uncertainty.variational_last_layer import Known, Shuffled, _Bound, elbo

from .nets import Given, Linear, small, small_images

NET, IMAGES = small(4).double(), small_images(40, 4).double()
TARGETS = torch.arange(40) % 4
ASKED = small_images(6, 4, seed=5).double()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pairs(count: int = 60) -> tuple[Tensor, Tensor]:
    """Images of one pixel, and which of two classes, with noise."""
    x = torch.rand(count, 1, 1, 1, dtype=torch.float64, generator=seeded(3))
    targets = (x[:, 0, 0, 0] + 0.3 * torch.randn(count, dtype=torch.float64, generator=seeded(4)) > 0.5).long()
    return x, targets


def pair_net(*, bias: bool) -> Linear:
    weight = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    return Linear(weight, torch.tensor([0.5, -0.5], dtype=torch.float64) if bias else None)


@pytest.fixture(scope="module")
def learned() -> VariationalLastLayer:
    return VariationalLastLayer(epochs=40, batch_size=16).fit(NET, IMAGES, TARGETS)


@pytest.mark.parametrize("bias", [True, False])
def test_it_finds_the_bound_that_quadrature_finds(bias: bool) -> None:
    """Of two classes the one logit that counts is normal, so that the bound is a sum of integrals."""
    x, targets = pairs()
    scale = 2.0
    rows = torch.cat([x.flatten(1), torch.ones(60, 1, dtype=torch.float64)], dim=1) if bias else x.flatten(1)
    leaf = torch.zeros(4 * rows.shape[1], dtype=torch.float64, requires_grad=True)  # means, then log deviations
    search = torch.optim.LBFGS([leaf], max_iter=200, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        search.zero_grad()
        mean, std = leaf[: 2 * rows.shape[1]].view(2, -1), leaf[2 * rows.shape[1] :].view(2, -1).exp()
        apart = rows @ (mean[1] - mean[0])
        variance = rows**2 @ (std**2).sum(dim=0)
        fit = (targets * apart - expectation(F.softplus, apart, variance)).sum()
        divergence = ((std**2 + mean**2) / (2 * scale**2) - 0.5 - (std / scale).log()).sum()
        value: Tensor = divergence - fit
        value.backward()  # type: ignore[no-untyped-call]
        return value

    search.step(loss)  # type: ignore[no-untyped-call]
    best = -float(loss().detach())
    found = VariationalLastLayer(prior_scale=scale, epochs=250, batch_size=60).fit(pair_net(bias=bias), x, targets)
    assert best - 0.5 < float(found.elbos_[-1]) < best + 0.5, "told by draws"
    torch.testing.assert_close(found.layer_.weights, leaf.detach()[: 2 * rows.shape[1]].view(2, -1), atol=0.15, rtol=0)
    torch.testing.assert_close(found.std_, leaf.detach()[2 * rows.shape[1] :].view(2, -1).exp(), atol=0, rtol=0.1)


def test_the_bound_lies_below_the_evidence() -> None:
    x, targets = pairs()
    found = VariationalLastLayer(epochs=200, batch_size=60).fit(pair_net(bias=False), x, targets)
    line = torch.linspace(-8, 8, 161, dtype=torch.float64)
    plane = torch.cartesian_prod(line, line)
    logits = x[:, 0, 0] * plane[:, None, :]  # (M, N, 2)
    heights = logits.log_softmax(dim=2).gather(2, targets.expand(len(plane), -1)[..., None]).sum(dim=(1, 2))
    heights = heights - plane.square().sum(dim=1) / 2 - math.log(2 * math.pi)
    integral = float(heights.logsumexp(dim=0)) + 2 * math.log(0.1)
    assert integral - 1.5 < float(found.elbos_[-1]) < integral + 0.3
    assert (found.elbos_ < integral + 0.5).all()


def test_the_loss_is_minus_the_bound_of_the_whole_set() -> None:
    """Without spread every batch's loss is known, and their mean is the whole set's: the KL counts once."""
    rows = torch.randn(30, 5, dtype=torch.float64, generator=seeded(1))
    known = Known(rows, torch.arange(30) % 3)
    mean = torch.randn(3, 5, dtype=torch.float64, generator=seeded(2))
    layer = VariationalLinear.around(mean, torch.full_like(mean, 1e-6))
    whole = -float(F.cross_entropy(rows @ mean.T, known.targets, reduction="sum"))
    divergence = float(((1e-12 + mean**2) / (2 * 0.49) - 0.5 - math.log(1e-6 / 0.7)).sum())
    assert elbo(layer, known, 0.7) == pytest.approx(whole - divergence, rel=1e-5)
    bound = _Bound(layer, 30, 0.7, seeded())
    losses = [float(bound(batch)["loss"].detach()) for batch in Shuffled(known, 6, 0)(0, 0)]
    assert len(losses) == len(Shuffled(known, 6, 0)) == 5
    assert sum(losses) / 5 == pytest.approx((divergence - whole) / 30, rel=1e-5)
    orders = [torch.cat([each for _, each in Shuffled(known, 6, 0)(epoch, 0)]) for epoch in (0, 1)]
    assert not torch.equal(*orders)


def test_a_layer_begins_with_the_spread_it_is_given() -> None:
    std = torch.tensor([[0.01, 0.05], [1.0, 4.0]], dtype=torch.float64)
    torch.testing.assert_close(VariationalLinear.around(torch.zeros_like(std), std).std.detach(), std)


def test_the_bound_rises(learned: VariationalLastLayer) -> None:
    assert learned.elbos_.shape == (41,)
    smooth = learned.elbos_.unfold(0, 10, 10).mean(dim=1)
    assert (smooth.diff() > 0).all()
    assert learned.elbos_[-1] > learned.elbos_[0] + 1
    assert learned.images_ == 40


def test_of_a_feature_never_seen_the_prior_stays() -> None:
    images = IMAGES.clone()
    images[:, 0] = 0.0
    net = Linear(torch.full((4, 48), 0.3, dtype=torch.float64))
    found = VariationalLastLayer(prior_scale=0.6, epochs=150, batch_size=20).fit(net, images, TARGETS)
    assert found.layer_.weights[:, :16].abs().max() < 0.02
    assert (found.std_[:, :16] / 0.6 - 1).abs().max() < 0.02
    assert found.std_[:, 16:].mean() < 0.55


def test_it_doubts_more_far_from_what_it_saw() -> None:
    near = 0.2 + 0.03 * torch.randn(100, 1, 1, 2, dtype=torch.float64, generator=seeded(6))
    targets = torch.arange(100) % 2
    near[:, 0, 0, 0] += 0.1 * targets
    net = Linear(torch.tensor([[-30.0, 0.0], [30.0, 0.0]]).double(), torch.tensor([7.5, -7.5]).double())
    found = VariationalLastLayer(prior_scale=20.0, epochs=100).fit(net, near, targets)
    asked = torch.tensor([[0.3, 0.2], [0.3, 1.0]], dtype=torch.float64).view(2, 1, 1, 2)
    doubt = mutual_information(found(asked, samples=400))
    assert doubt[1] > 1.2 * doubt[0]


def test_without_spread_it_is_the_plain_network() -> None:
    found = VariationalLastLayer(epochs=1, lr=1e-12).fit(NET, IMAGES, TARGETS)
    found.std_ = torch.full_like(found.std_, 1e-9)
    plain = NET(ASKED).softmax(dim=1).detach()
    torch.testing.assert_close(found(ASKED, samples=5), plain.expand(5, -1, -1), rtol=0, atol=1e-6)
    torch.testing.assert_close(found.probit(ASKED), plain)


def test_draws_are_normal_about_the_mean(learned: VariationalLastLayer) -> None:
    rows = learned.layer_.rows(NET[:-1](ASKED).detach())
    drawn = learned(ASKED, samples=4000)
    logits = drawn.log() - drawn.log()[:, :, :1]  # against the first class
    mean = rows @ (learned.layer_.weights - learned.layer_.weights[:1]).T
    squares = rows**2 @ learned.std_.square().T
    variance = squares[:, 1:] + squares[:, :1]
    assert ((logits.mean(dim=0) - mean)[:, 1:].abs() < 4.5 * (variance / 4000).sqrt()).all()
    assert ((logits.var(dim=0)[:, 1:] / variance - 1).abs() < 4.5 * (2 / 4000) ** 0.5).all()
    shrunk = (rows @ learned.layer_.weights.T) / (1 + math.pi * squares / 8).sqrt()
    torch.testing.assert_close(learned.probit(ASKED), shrunk.softmax(dim=1))


def test_order_chunks_and_company_change_nothing(
    learned: VariationalLastLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = learned(ASKED, samples=30)
    torch.testing.assert_close(drawn.sum(dim=2), torch.ones(30, 6, dtype=torch.float64))
    order = torch.tensor([2, 0, 3, 1, 5, 4])
    torch.testing.assert_close(learned(ASKED[order], samples=30), drawn[:, order])
    torch.testing.assert_close(learned(ASKED[1:2], samples=30), drawn[:, 1:2])
    torch.testing.assert_close(learned(ASKED, samples=12), drawn[:12])
    again = VariationalLastLayer(epochs=2).fit(NET, IMAGES, TARGETS)
    told, other = again.elbos_.clone(), VariationalLastLayer(epochs=2).fit(NET, IMAGES, TARGETS, generator=seeded(7))
    monkeypatch.setattr(import_module("pellucid.uncertainty._last_layer"), "AT_ONCE", 1)
    monkeypatch.setattr(import_module("pellucid.models.evaluate"), "CPU_BUDGET", 1)
    torch.testing.assert_close(learned(ASKED, samples=30), drawn)
    torch.testing.assert_close(VariationalLastLayer(epochs=2).fit(NET, IMAGES, TARGETS).elbos_, told)
    assert not torch.allclose(other.elbos_, told)


def test_the_network_is_left_as_it_was() -> None:
    net, images = small(4), IMAGES.float()
    before, noise = {name: value.clone() for name, value in net.state_dict().items()}, torch.random.get_rng_state()
    with torch.inference_mode():
        drawn = VariationalLastLayer(epochs=2).fit(net, images, TARGETS)(images[:3], samples=4)
    assert drawn.dtype == torch.float32
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert torch.equal(noise, torch.random.get_rng_state())
    assert not any(module.training or module._forward_hooks or module._forward_pre_hooks for module in net.modules())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in net.parameters())


def test_it_comes_back(learned: VariationalLastLayer, tmp_path: Path) -> None:
    learned.save(tmp_path / "kept")
    again = VariationalLastLayer.load(tmp_path / "kept", NET)
    assert set(vars(again)) == set(vars(learned))
    assert torch.equal(again(ASKED, samples=5), learned(ASKED, samples=5))
    assert torch.equal(again.elbos_, learned.elbos_)
    other = small(4).double()
    other.get_parameter("6.bias").data += 1
    with pytest.raises(ValueError, match="other weights"):
        VariationalLastLayer.load(tmp_path / "kept", other)
    told = json.loads((tmp_path / "kept" / "fitted.json").read_text())
    for change in ({"options": {"epochs": 0}}, {"options": {"sharp": 1}}, {"images": None}):
        (tmp_path / "kept" / "fitted.json").write_text(json.dumps({**told, **change}))
        with pytest.raises(ValueError, match="is damaged"):
            VariationalLastLayer.load(tmp_path / "kept", NET)


def test_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="prior_scale must be above 0 and finite, got 0"):
        VariationalLastLayer(prior_scale=0)
    with pytest.raises(ValueError, match=r"epochs must be a whole number, got 2\.5"):
        VariationalLastLayer(epochs=2.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="lr must be above 0 and finite, got nan"):
        VariationalLastLayer(lr=math.nan)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        VariationalLastLayer(batch_size=0)
    with pytest.raises(ValueError, match=r"must be fitted first: call fit\(model, images, targets\)"):
        VariationalLastLayer()(ASKED)
    with pytest.raises(ValueError, match="model must be in eval mode"):
        VariationalLastLayer().fit(small(4).train(), IMAGES.float(), TARGETS)
    with pytest.raises(ValueError, match=r"target 4 is no class: not in 0\.\.3"):
        VariationalLastLayer().fit(NET, IMAGES, TARGETS + 1)
    with pytest.raises(ValueError, match="calls no linear layer"):
        VariationalLastLayer().fit(Given(), IMAGES.float(), TARGETS)
    ends = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    with pytest.raises(ValueError, match="VariationalLastLayer needs a network whose logits come from a linear layer"):
        VariationalLastLayer().fit(ends, IMAGES.float(), TARGETS)
    monkeypatch.setattr(import_module("pellucid.uncertainty._last_layer"), "MOST_BYTES", 1000)
    with pytest.raises(ValueError, match=r"features of 40 images would need .* fit on fewer images"):
        VariationalLastLayer().fit(NET, IMAGES, TARGETS)
