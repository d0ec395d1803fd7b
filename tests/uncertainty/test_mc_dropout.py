"""MC dropout against the loop people write, and against closed forms."""

from importlib import import_module
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.models.dropouts import Thinned, thinned
from pellucid.uncertainty import mc_dropout

from .nets import Functional, modules, small_images

IMAGES = small_images()


def naive(net: nn.Module, images: Tensor, samples: int, seed: int) -> Tensor:
    """Each sample and each image in a pass of its own, from the start, with the masks of that sample."""
    rows = []
    for number in range(samples):
        draws = Thinned(seed)
        with thinned(draws), torch.no_grad():
            each = []
            for image in images:
                draws.begin(torch.tensor([number]))
                each.append(net(image[None]).softmax(dim=1))
            rows.append(torch.cat(each))
    return torch.stack(rows)


def seed_of(generator: torch.Generator) -> int:
    return int(torch.randint(2**62, (), generator=generator))


@pytest.mark.parametrize("make", [modules, Functional], ids=["modules", "functions"])
def test_it_equals_the_naive_loop_under_the_same_masks(make: Any) -> None:
    net, images = make().double(), IMAGES.double()
    seed = seed_of(torch.Generator().manual_seed(3))
    ours = mc_dropout(net, images, samples=20, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(ours, naive(net, images, 20, seed), rtol=0, atol=1e-12)
    assert float(ours.var(dim=0).max()) > 1e-4, "it drops"


@pytest.mark.parametrize("make", [modules, Functional], ids=["modules", "functions"])
def test_it_is_distributed_as_torchs_own_dropout(make: Any) -> None:
    net, count = make(), 3000
    ours = mc_dropout(net, IMAGES[:1], samples=count)[:, 0]
    torch.manual_seed(0)
    net.train()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    with torch.no_grad():
        theirs = net(IMAGES[:1].expand(count, -1, -1, -1)).softmax(dim=1)
    for column in range(5):
        one, other = ours[:, column], theirs[:, column]
        error = (one.var() / count + other.var() / count).sqrt()
        assert abs(float(one.mean() - other.mean())) < 4 * float(error)
        assert float(one.std()) == pytest.approx(float(other.std()), rel=0.12)


def test_a_linear_layer_behind_dropout_has_the_variance_of_the_formula() -> None:
    """Var of sum w x m / (1 - p) is sum of w^2 x^2 p / (1 - p)."""
    weight = torch.tensor([[1.0, -2.0, 0.5, 0.0, 3.0, 1.0]])

    class Log(nn.Module):
        """Two classes whose log odds are the linear layer."""

        def __init__(self) -> None:
            super().__init__()
            self.flat, self.drop = nn.Flatten(), nn.Dropout(0.3)
            self.eval()

        def forward(self, images: Tensor) -> Tensor:
            a = F.linear(self.drop(self.flat(images)), weight)
            return torch.cat([a, torch.zeros_like(a)], dim=1)

    images = torch.rand(1, 6, 1, 1, generator=torch.Generator().manual_seed(1))
    drawn = mc_dropout(Log(), images, samples=20_000)[:, 0]
    odds = (drawn[:, 0] / drawn[:, 1]).log()
    x = images.flatten()
    expected = float((weight[0] ** 2 * x**2).sum() * 0.3 / 0.7)
    assert float(odds.mean()) == pytest.approx(float(weight[0] @ x), abs=4 * (expected / 20_000) ** 0.5)
    assert float(odds.var()) == pytest.approx(expected, rel=0.04)


@pytest.mark.parametrize("make", [modules, Functional], ids=["modules", "functions"])
def test_what_lies_before_is_computed_once_for_each_image(make: Any) -> None:
    net = make()
    rows: list[int] = []
    first = net[0] if isinstance(net, nn.Sequential) else net.first
    plain: Any = first.forward

    def counted(images: Tensor) -> Tensor:
        rows.append(len(images))
        found: Tensor = plain(images)
        return found

    first.forward = counted
    mc_dropout(net, IMAGES, samples=200)
    assert sum(rows) <= 1 + 2 + len(IMAGES), "once to find the sites, two rows to see that broadcasting holds"


def test_order_chunks_and_company_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    net = modules()
    expected = mc_dropout(net, IMAGES, samples=30)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(mc_dropout(net, IMAGES[order], samples=30), expected[:, order])
    torch.testing.assert_close(mc_dropout(net, IMAGES[1:2], samples=30), expected[:, 1:2])
    torch.testing.assert_close(mc_dropout(net, IMAGES, samples=12), expected[:12])
    monkeypatch.setattr(import_module("pellucid.models.evaluate"), "CPU_BUDGET", 1)
    torch.testing.assert_close(mc_dropout(net, IMAGES, samples=30), expected)


def test_rows_sum_to_one_and_the_network_is_left_as_it_was() -> None:
    net = Functional()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    noise = torch.random.get_rng_state()
    drawn = mc_dropout(net, IMAGES, samples=7)
    assert drawn.shape == (7, 4, 5)
    torch.testing.assert_close(drawn.sum(dim=2), torch.ones(7, 4))
    assert not net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert torch.equal(noise, torch.random.get_rng_state())
    assert all("forward" not in vars(module) for module in net.modules())
    assert all(not module._forward_hooks and not module._forward_pre_hooks for module in net.modules())


def test_a_rate_of_ones_own() -> None:
    net = modules(0.1)
    assert float(mc_dropout(net, IMAGES, samples=50, rate=0.6).var(dim=0).mean()) > 2 * float(
        mc_dropout(net, IMAGES, samples=50).var(dim=0).mean()
    )


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    class Selfish(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.flat = nn.Flatten()
            self.eval()

        def forward(self, images: Tensor) -> Tensor:
            return F.alpha_dropout(self.flat(images), 0.3, self.training)

    x = torch.randn(1, 40_000, generator=torch.Generator().manual_seed(0))
    draws = Thinned(0)
    draws.begin(torch.tensor([0]))
    with thinned(draws):
        out = Selfish()(x)
    assert float(out.mean()) == pytest.approx(0, abs=0.03)
    assert float(out.var()) == pytest.approx(1, rel=0.03)


def test_a_net_without_dropout_is_refused() -> None:
    with pytest.raises(ValueError, match="the network has no dropout that is called in its forward pass"):
        mc_dropout(modules(0.0), IMAGES)
    with pytest.raises(ValueError, match="rate must be above 0, got 0"):
        mc_dropout(modules(), IMAGES, rate=0.0)
    with pytest.raises(ValueError, match="rate must be in"):
        mc_dropout(modules(), IMAGES, rate=1.5)
    with pytest.raises(ValueError, match=r"samples must be a whole number, got 2\.5"):
        mc_dropout(modules(), IMAGES, samples=2.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="model must be in eval mode"):
        mc_dropout(modules().train(), IMAGES)
