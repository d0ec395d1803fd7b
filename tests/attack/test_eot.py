"""EOT-PGD: views by hand, a mean gradient by plain loops, and images that survive being turned."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.attack import Trace, eot, outcome, pgd, survival
from pellucid.attack._losses import loss_of
from pellucid.attack._views import Spread, Views, views
from pellucid.attack.eot import _mean_slope

from .nets import Linear, called, small_images, small_net

STILL: dict[str, Any] = {"rotation": 0.0, "scale": 0.0, "shift": 0.0, "brightness": 0.0, "noise": 0.0}
WIDE = Spread(22.5, 0.1, 0.05, 0.1, 0.02)


def one_view(images: Tensor, angle: float = 0.0, size: float = 1.0, right: float = 0.0) -> Tensor:
    """A view by its numbers, as `views` would draw it."""
    height, width = images.shape[-2:]
    turn = torch.tensor(angle, dtype=images.dtype).deg2rad()
    cos, sin = turn.cos() / size, turn.sin() / size
    places = torch.tensor([[[cos, -sin * height / width, right], [sin * width / height, cos, 0.0]]], dtype=images.dtype)
    made = Views(places, images.new_zeros(1), images.new_zeros(1, *images.shape[1:]), is_lit=False)
    return made.of(images, torch.tensor([0]))[0]


def test_views_by_hand() -> None:
    images = small_images(2, side=8).double()
    torch.testing.assert_close(one_view(images), images)
    torch.testing.assert_close(one_view(images, angle=90.0), images.rot90(1, dims=(2, 3)))
    torch.testing.assert_close(one_view(images, right=2 * 3 / 8)[..., :5], images[..., 3:])
    torch.testing.assert_close(one_view(images, right=2 * 3 / 8)[..., 5:], images[..., 7:].expand(-1, -1, -1, 3))
    large = one_view(F.interpolate(images, scale_factor=2, mode="nearest"), size=2.0)
    torch.testing.assert_close(large[..., 1:-1, 1:-1].mean(), images[..., 2:6, 2:6].mean(), rtol=0.05, atol=0)


def test_draws_fill_their_ranges_and_are_shared() -> None:
    images = torch.full((3, 1, 6, 9), 0.5, dtype=torch.float64)
    some = views(images, 400, WIDE, torch.Generator().manual_seed(0))
    turn = some.places[:, :, :2] * torch.tensor([[1, 9 / 6], [6 / 9, 1]])  # in pixels: (cos, -sin; sin, cos) / size
    size = 1 / turn.det().sqrt()
    angle = torch.atan2(turn[:, 1, 0], turn[:, 0, 0]).rad2deg()
    torch.testing.assert_close(turn[:, 0, 0], turn[:, 1, 1])
    torch.testing.assert_close(turn[:, 0, 1], -turn[:, 1, 0])
    for drawn, middle, most in (
        (angle, 0, 22.5),
        (size, 1, 0.1),
        (some.places[:, 0, 2], 0, 0.1),
        (some.places[:, 1, 2], 0, 0.1),
        (some.brightness, 0, 0.1),
    ):
        off = drawn - middle
        assert 0.97 * most < float(off.abs().max()) <= most + 1e-9
        assert abs(float(off.mean())) < 0.1 * most
    assert some.noise.std().item() == pytest.approx(0.02, rel=0.02)
    met = some.of(images, torch.arange(400))
    assert met.shape == (400, 3, 1, 6, 9)
    assert 0.3 < float(met.min()) < float(met.max()) < 0.7
    assert float(some.of(images + 0.5, torch.arange(400)).max()) == 1
    assert torch.equal(met[:, 0], met[:, 2])


def test_the_mean_gradient_is_that_of_plain_loops() -> None:
    net, images = small_net(1).double(), small_images(3).double()
    targets = called(net, images)
    some = views(images, 6, WIDE, torch.Generator().manual_seed(0))
    found = _mean_slope(net, images, targets, loss_of("ce", targeted=False), some)
    leaf = images.clone().requires_grad_()
    values = [
        F.cross_entropy(net(some.of(leaf, torch.tensor([n]))[0]), targets, reduction="none") for n in range(len(some))
    ]
    mean = torch.stack(values).mean(dim=0)
    torch.testing.assert_close(found.gradient, torch.autograd.grad(mean.sum(), leaf)[0])
    torch.testing.assert_close(found.value, mean.detach())
    assert found.passes == 6


def test_views_that_change_nothing_make_it_pgd() -> None:
    net, images = small_net(1).double(), small_images(6).double()
    targets = called(net, images)
    told: dict[str, Any] = {"epsilon": 0.03, "steps": 7, "alpha": 0.01}
    expected = pgd(net, images, targets, keep_best=False, **told)
    torch.testing.assert_close(eot(net, images, targets, samples=2, **told, **STILL), expected, rtol=0, atol=1e-9)


def test_it_costs_a_pass_a_view() -> None:
    weight = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(3))
    trace = Trace()
    image = torch.full((1, 3, 6, 6), 0.5)
    eot(Linear(weight), image, called(Linear(weight), image), steps=4, samples=5, trace=trace)
    assert trace.backward.tolist() == [20]
    assert trace.forward.tolist() == [21], "and the clean image"
    assert len(trace.history) == 4


def test_what_it_makes_survives_being_turned() -> None:
    net, images = small_net(5), small_images(16)
    targets = called(net, images)
    plain = pgd(net, images, targets, epsilon=0.15, steps=30)
    held = eot(net, images, targets, epsilon=0.15, steps=30)
    assert outcome(net, images, plain, targets).success.float().mean() > 0.5
    told = torch.Generator().manual_seed(9)
    clean, before, after = (float(survival(net, x, targets, generator=told).mean()) for x in (images, plain, held))
    assert clean < before
    assert before + 0.1 < after


class Bright(nn.Module):
    """Class 1 where the mean is above 0.5."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([torch.full_like(images[:, 0, 0, 0], 0.5), images.mean(dim=(1, 2, 3))], dim=1)


def test_survival_is_the_share_of_views_that_fool() -> None:
    """A brightness drawn from +-0.1 lifts 0.45 above 0.5 in a quarter of the views, and 0.55 not below in three."""
    images = torch.tensor([0.45, 0.55, 0.3])[:, None, None, None].expand(3, 1, 4, 4).contiguous()
    told = STILL | {"brightness": 0.1, "samples": 1600}
    found = survival(Bright().eval(), images, torch.zeros(3, dtype=torch.int64), **told)
    torch.testing.assert_close(found, torch.tensor([0.25, 0.75, 0.0]), rtol=0, atol=0.03)
    found = survival(Bright().eval(), images, torch.ones(3, dtype=torch.int64), targeted=True, **told)
    torch.testing.assert_close(found, torch.tensor([0.25, 0.75, 0.0]), rtol=0, atol=0.03)
    assert survival(Bright().eval(), images[1:2], torch.zeros(1, dtype=torch.int64), samples=1, **STILL).item() == 1


@pytest.mark.parametrize("method", [eot, survival])
@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"samples": 0}, "samples must be at least 1, got 0"),
        ({"rotation": 200.0}, r"rotation must be in \[0, 180\], got 200"),
        ({"scale": 1.0}, "scale must be at least 0 and below 1, got 1.0"),
        ({"shift": -0.1}, r"shift must be in \[0, 1\], got -0.1"),
        ({"brightness": 2.0}, r"brightness must be in \[0, 1\], got 2.0"),
        ({"noise": 5.0}, r"noise must be in \[0, 1\], got 5.0"),
    ],
    ids=lambda told: str(told)[:20],
)
def test_bad_options_are_refused(method: Any, told: dict[str, Any], message: str) -> None:
    net, images = small_net(), small_images()
    with pytest.raises(ValueError, match=message):
        method(net, images, called(net, images), **told)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"alpha": 0.0}, "alpha must be above 0, got 0.0"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"loss": "mse"}, "loss must be one of ce, margin, dlr, got 'mse'"),
        ({"norm": "l3"}, "norm must be one of linf, l2, l1, got 'l3'"),
    ],
    ids=lambda told: str(told)[:20],
)
def test_bad_steps_are_refused(told: dict[str, Any], message: str) -> None:
    net, images = small_net(), small_images()
    with pytest.raises(ValueError, match=message):
        eot(net, images, called(net, images), **told)
