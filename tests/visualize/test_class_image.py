import copy
import math
from importlib import import_module
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pellucid.models import Model, rehearsal
from pellucid.visualize import PRESETS, class_image
from pellucid.visualize._paint import blurred, preconditioned, shrunk, slope

from .nets import Dead, Linear, small, wrapped

WEIGHT = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(1))
TARGETS = torch.tensor([1, 0])
BARE: dict[str, Any] = {"blur_every": None, "jitter": 0, "clamp": False}


def linear(scale: float = 1.0) -> Model:
    """logits = scale * weight . u, in float64, u being the normalised image."""
    model = wrapped(Linear(scale * WEIGHT).double(), classes=2)
    model.mean, model.std = model.mean.double(), model.std.double()
    return model


def network_units(model: Model, images: Tensor) -> Tensor:
    return (images - model.mean) / model.std


@pytest.mark.parametrize("lr", [0.5, 5.0, 500.0])
def test_a_linear_score_converges_to_its_closed_form(lr: float) -> None:
    model = linear(0.1)
    found = class_image(model, TARGETS, lr=lr, penalty=0.1, steps=400, **BARE)
    expected = 0.1 * WEIGHT[TARGETS].double() / (2 * 0.1)
    torch.testing.assert_close(found.images, (expected * model.std + model.mean).clamp(0, 1))
    assert (found.images > 0).float().mean() > 0.9, "few are cut"


def test_explicit_steps_have_the_same_fixed_point() -> None:
    model = linear(0.1)
    found = class_image(model, TARGETS, lr=1.0, penalty=0.1, steps=400, penalty_step="explicit", **BARE)
    expected = 0.1 * WEIGHT[TARGETS].double() / (2 * 0.1)
    torch.testing.assert_close(found.images, (expected * model.std + model.mean).clamp(0, 1))


def test_explicit_steps_that_diverge_are_warned_of() -> None:
    with pytest.warns(UserWarning, match="lr \\* penalty is 5: explicit penalty steps diverge from 1 on"):
        class_image(linear(), TARGETS, lr=5.0, penalty=1.0, steps=1, penalty_step="explicit")
    hopeless: dict[str, Any] = {**BARE, "penalty_step": "explicit", "penalty": 1e3, "lr": 1e3, "steps": 100}
    with (
        pytest.warns(UserWarning, match="explicit"),
        pytest.raises(ValueError, match="the ascent diverged: lr must be smaller than 1000, or clamp on"),
    ):
        class_image(linear(), TARGETS, **hopeless)


def test_one_step_adds_lr_times_the_gradient() -> None:
    model = linear()
    start = torch.full((3, 4, 4), 0.5, dtype=torch.float64)
    found = class_image(model, TARGETS, start=start, lr=0.01, penalty=0.0, steps=1, **BARE)
    expected = network_units(model, start) + 0.01 * WEIGHT[TARGETS].double()
    torch.testing.assert_close(network_units(model, found.images), expected)
    assert found.trace.shape == (2, 2)
    torch.testing.assert_close(found.trace[0], model(start[None])[0, TARGETS])
    torch.testing.assert_close(found.trace[1], model(found.images).gather(1, TARGETS[:, None])[:, 0])


def test_a_normalised_step_is_lr_long() -> None:
    model = linear(1000.0)
    start = torch.full((1, 3, 4, 4), 0.5, dtype=torch.float64)
    found = class_image(model, TARGETS, start=start, lr=0.3, penalty=0.0, steps=1, step="normalised", **BARE)
    moved = network_units(model, found.images) - network_units(model, start)
    torch.testing.assert_close(moved.flatten(1).norm(dim=1), torch.full((2,), 0.3, dtype=torch.float64))


def test_adam_equals_torchs() -> None:
    model = linear(0.05)
    start = torch.full((1, 3, 4, 4), 0.5, dtype=torch.float64)
    found = class_image(model, TARGETS[:1], start=start, lr=0.02, penalty=0.0, steps=7, optimiser="adam", **BARE)
    u = network_units(model, start).requires_grad_()
    optimiser = torch.optim.Adam([u], lr=0.02)
    for _ in range(7):
        optimiser.zero_grad()
        (-model.network(u)[0, 1]).backward()
        optimiser.step()
    torch.testing.assert_close(network_units(model, found.images), u.detach())


def test_no_step_returns_the_start() -> None:
    model = small()
    start = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    found = class_image(model, TARGETS, start=start, steps=0, frames=5)
    torch.testing.assert_close(found.images, start.expand(2, -1, -1, -1))
    assert (found.trace.shape, found.frame_steps, found.frames.shape) == ((1, 2), (0,), (1, 2, 3, 16, 16))
    assert not found.is_dead.any()


def test_a_huge_penalty_leaves_the_mean_colour() -> None:
    model = small()
    found = class_image(model, TARGETS, penalty=1e6, steps=3)
    torch.testing.assert_close(found.images, model.mean.expand(2, 3, 16, 16), atol=1e-4, rtol=0)


def test_the_score_rises_for_a_small_lr_and_stays_among_colours() -> None:
    model = small().double()
    told: dict[str, Any] = {"lr": 0.05, "penalty": 0.0, "steps": 30, "blur_every": None, "jitter": 0}
    found = class_image(model, torch.arange(4), start="gray", **told)
    assert (found.trace[-1] > found.trace[0]).all()
    assert (found.trace.diff(dim=0) > -1e-9).all()
    assert found.images.min() >= 0
    assert found.images.max() <= 1
    assert (found.images.dtype, found.images.requires_grad) == (torch.float64, False)


def test_the_same_seed_gives_the_same_and_another_another() -> None:
    model = small()
    one, two, other = (
        class_image(model, TARGETS, steps=5, generator=torch.Generator().manual_seed(seed)) for seed in (4, 4, 5)
    )
    assert torch.equal(one.images, two.images)
    assert torch.equal(one.trace, two.trace)
    assert not torch.equal(one.images, other.images)
    before = torch.random.get_rng_state()
    class_image(model, TARGETS, steps=1)
    assert torch.equal(before, torch.random.get_rng_state())


def test_an_image_does_not_depend_on_the_others_nor_on_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small().double()
    every = class_image(model, torch.tensor([2, 0, 1]), steps=6)
    alone = class_image(model, torch.tensor([0]), steps=6)
    torch.testing.assert_close(every.images[1:2], alone.images)
    torch.testing.assert_close(every.trace[:, 1:2], alone.trace)
    monkeypatch.setattr(import_module("pellucid.models.evaluate"), "CPU_BUDGET", 1)
    torch.testing.assert_close(class_image(model, torch.tensor([2, 0, 1]), steps=6).images, every.images)


def test_the_model_is_left_as_it_was() -> None:
    model = small()
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        class_image(model, TARGETS, steps=2)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_frames_are_the_way() -> None:
    model = small()
    found = class_image(model, TARGETS, steps=7, frames=3)
    assert found.frame_steps == (0, 3, 6, 7)
    assert torch.equal(found.frames[-1], found.images)
    shorter = class_image(model, TARGETS, steps=3, blur_every=None)
    torch.testing.assert_close(found.frames[1], shorter.images)
    assert class_image(model, TARGETS, steps=1).frames.shape == (0, 2, 3, 16, 16)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [1, 5, 28])
def test_any_size_and_channel_count(channels: int, side: int) -> None:
    weight = torch.randn(2, channels, side, side, generator=torch.Generator().manual_seed(0))
    model = wrapped(Linear(weight), classes=2, size=(side, side), mean=(0.5,) * channels, std=(0.3,) * channels)
    for way in ("pixel", "fourier"):
        found = class_image(model, TARGETS, steps=12, parameterisation=way)
        assert found.images.shape == (2, channels, side, side)
        assert found.images.isfinite().all()


def test_a_bare_network_says_no_size() -> None:
    net = Linear(WEIGHT)
    with pytest.raises(ValueError, match="start must be an image, or size be given"):
        class_image(net, TARGETS, steps=1)
    with pytest.raises(ValueError, match="start must be an image: the model has no Conv2d"):
        class_image(net, TARGETS, steps=1, size=4)
    found = class_image(net, lambda logits: logits[:, 1], steps=1, start=torch.rand(3, 3, 4, 4))
    assert found.images.shape == (3, 3, 4, 4)


def test_a_bare_networks_first_convolution_says_its_channels() -> None:
    net = nn.Sequential(nn.Conv2d(2, 4, 3, groups=2), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    assert class_image(net, TARGETS, steps=1, size=5).images.shape == (2, 2, 5, 5)


def test_a_preset_is_a_set_of_options() -> None:
    model = small()
    by_hand = class_image(model, TARGETS, steps=9, start="uniform", blur_every=5, jitter=0)
    found = class_image(model, TARGETS, **{**PRESETS["plain"], "steps": 9})
    torch.testing.assert_close(found.images, by_hand.images)
    assert len(class_image(linear(), TARGETS, **PRESETS["plain"]).trace) == 151


@pytest.mark.parametrize("clamp", [True, False])
def test_a_model_that_says_nan_is_told_from_an_ascent_that_diverges(clamp: bool) -> None:
    with pytest.raises(ValueError, match="the score's gradient is not finite at the start"):
        class_image(wrapped(Linear(math.nan * WEIGHT), classes=2), TARGETS, steps=3, clamp=clamp)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("parameterisation", ["pixel", "fourier"])
def test_half_precision_climbs_near_full(dtype: torch.dtype, parameterisation: str) -> None:
    told: dict[str, Any] = {"steps": 2, "start": "gray", "lr": 0.1, "blur_every": 1, "jitter": 0}
    full, half = (
        class_image(small().to(kind), TARGETS, **told, parameterisation=parameterisation).images
        for kind in (torch.float32, dtype)
    )
    assert half.dtype == dtype
    torch.testing.assert_close(half.float(), full, atol=0.02, rtol=0)
    wide = blurred(torch.rand(1, 1, 4, 99, generator=torch.Generator().manual_seed(0)).to(dtype), 90.0)
    assert wide.min() > 0.3
    assert wide.max() < 0.7


def test_logprob_is_climbed_too() -> None:
    model = small()
    found = class_image(model, TARGETS, objective="logprob", steps=0)
    expected = model(found.images).log_softmax(dim=1).gather(1, TARGETS[:, None])[:, 0].detach()
    torch.testing.assert_close(found.trace[0], expected)


def test_the_jitter_shifts_and_shifts_back() -> None:
    model = linear(0.1)
    start = torch.full((3, 4, 4), 0.5, dtype=torch.float64)
    told: dict[str, Any] = {**BARE, "jitter": 112, "penalty": 0.0, "lr": 0.1, "steps": 1, "start": start}  # up to 2 px
    seen = set()
    for seed in range(12):
        found = class_image(model, TARGETS[:1], **told, generator=torch.Generator().manual_seed(seed))
        moved = (network_units(model, found.images) - network_units(model, start)) / 0.1
        shifts = [
            (i, j)
            for i in range(3)
            for j in range(3)
            if torch.allclose(moved[0], 0.1 * WEIGHT[1].double().roll((-i, -j), (1, 2)))
        ]
        assert len(shifts) == 1
        seen |= set(shifts)
    assert len(seen) > 3


def test_a_dead_score_is_climbed_through_its_silence() -> None:
    model = wrapped(Dead(), classes=2, size=(4, 4), mean=(0.0,), std=(0.05,))
    found = class_image(model, TARGETS, start="gray", lr=16.0, penalty=0.0, steps=40, jitter=0, clamp=False)
    assert found.trace[0].tolist() == [0, 0]
    assert found.trace[-1].tolist() == [0, 0], "bright enough for neither unit"
    assert found.revived[1] > 0
    assert not found.is_dead.any()
    assert found.images[1].mean() > 0.9, "unit 0 wants bright pixels"
    assert found.images[0].mean() < 0.1


def test_a_score_that_never_moves_is_called_dead() -> None:
    found = class_image(wrapped(Linear(0 * WEIGHT), classes=2), TARGETS, steps=3)
    assert found.is_dead.tolist() == [True, True]
    assert found.images.isfinite().all()


def test_the_cost_is_told_beforehand() -> None:
    with rehearsal() as cost:
        class_image(small(), TARGETS, steps=5)
    assert (cost.forward, cost.backward) == (5 * 2 + 2, 5 * 2)


def test_the_blur_comes_every_so_many_steps_and_never_last() -> None:
    model = linear(0.1)
    told: dict[str, Any] = {**BARE, "steps": 4, "start": "uniform", "lr": 0.1, "penalty": 0.0, "blur_sigma": 1.0}
    sharp, last, half = (class_image(model, TARGETS, **{**told, "blur_every": n}).images for n in (None, 4, 2))
    assert torch.equal(sharp, last)
    short = class_image(model, TARGETS, **{**told, "steps": 2}).images  # the colours stay inside: nothing was cut
    soft = (blurred(network_units(model, short), 1.0) * model.std + model.mean).clamp(0, 1)
    torch.testing.assert_close(half, class_image(model, TARGETS, **{**told, "steps": 2, "start": soft}).images)


def test_the_blur_is_a_gaussian() -> None:
    u = torch.zeros(1, 1, 9, 9, dtype=torch.float64)
    u[0, 0, 4, 4] = 1
    found = blurred(u, 0.5)
    assert math.isclose(float(found.sum()), 1)
    torch.testing.assert_close(found[0, 0, 4, 5] / found[0, 0, 4, 4], torch.tensor(math.exp(-2)).double())
    torch.testing.assert_close(blurred(torch.ones(2, 3, 1, 5), 2.0), torch.ones(2, 3, 1, 5))
    assert torch.equal(blurred(u, 0), u)


@pytest.mark.parametrize("regulariser", ["l2sq", "l2", "tv"])
def test_slopes_are_the_regularisers_gradients(regulariser: str) -> None:
    u = torch.randn(1, 2, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    down, right = torch.zeros_like(u), torch.zeros_like(u)
    down[:, :, :-1], right[..., :-1] = u.diff(dim=2), u.diff(dim=3)
    value = {"l2sq": (u**2).sum(), "l2": u.norm(), "tv": (down**2 + right**2 + 1e-8).sqrt().sum()}[regulariser]
    torch.testing.assert_close(slope(u.detach(), regulariser), torch.autograd.grad(value, u)[0])


@pytest.mark.parametrize("regulariser", ["l2sq", "l2"])
def test_implicit_steps_minimise_what_they_say(regulariser: str) -> None:
    u = torch.randn(2, 1, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = shrunk(u, 0.4, regulariser)
    torch.testing.assert_close(found - u + 0.4 * slope(found, regulariser), torch.zeros_like(u))
    assert torch.equal(shrunk(u, 100.0, "l2"), torch.zeros_like(u))


def test_fourier_is_a_linear_symmetric_direction_of_ascent() -> None:
    draw = torch.Generator().manual_seed(0)
    g = torch.randn(1, 3, 6, 7, dtype=torch.float64, generator=draw)
    found = preconditioned(g)
    torch.testing.assert_close(found.norm(), g.norm())
    assert (found * g).sum() > 0
    spectrum, before = torch.fft.rfft2(found.sum(dim=1)), torch.fft.rfft2(g.sum(dim=1))
    ratio = (spectrum / before).abs()[0]  # by frequency
    torch.testing.assert_close(ratio[0, 1] / ratio[0, 3], torch.tensor(3.0).double())
    torch.testing.assert_close(ratio[0, 0], ratio[0, 1], msg="the mean counts as the longest wave")
    assert torch.equal(preconditioned(torch.zeros(1, 1, 4, 4)), torch.zeros(1, 1, 4, 4))


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"steps": -1}, "steps must be at least 0, got -1"),
        ({"lr": 0.0}, "lr must be above 0, got 0.0"),
        ({"lr": math.nan}, "lr must be above 0, got nan"),
        ({"penalty": -1.0}, "penalty must be at least 0, got -1.0"),
        ({"blur_every": 0}, "blur_every must be at least 1, got 0"),
        ({"jitter": -1}, "jitter must be at least 0, got -1"),
        ({"frames": -1}, "frames must be at least 0"),
        ({"step": "norm"}, "step must be one of raw, normalised, got 'norm'; did you mean normalised"),
        ({"optimiser": "sgd"}, "optimiser must be one of plain, adam"),
        ({"regulariser": "l1"}, "regulariser must be one of l2sq, l2, tv"),
        ({"penalty_step": "x"}, "penalty_step must be one of implicit, explicit"),
        ({"parameterisation": "x"}, "parameterisation must be one of pixel, fourier"),
        ({"blur_sigma": math.inf}, r"blur_sigma must be in \[0, 4\], got inf"),
        ({"blur_sigma": -0.1}, r"blur_sigma must be in \[0, 4\], got -0.1"),
        ({"size": 0}, r"size must be in \[1, 16384\], got 0"),
        ({"start": "nois"}, "start must be one of noise, uniform, gray, got 'nois'; did you mean noise"),
        ({"start": torch.rand(1, 4, 4)}, "start must have 3 channels"),
        ({"start": torch.rand(3, 3, 4, 4)}, "start must be one image or 2, one for each target, got 3"),
        ({"start": 2 * torch.ones(3, 4, 4)}, "images must be in"),
        ({"start": torch.rand(3, 4, 4), "size": 5}, "start must have the size asked for, 5"),
        ({"objective": "prob"}, "objective must be one of score, logprob"),
        ({"targets": torch.tensor([2])}, r"target 2 is no class: not in 0..1"),
        ({"targets": torch.tensor([0.0])}, r"targets must be an int64 tensor \(N,\)"),
        ({"targets": 3}, r"targets must be an int64 tensor \(N,\) or a callable, got int"),
    ],
)
def test_refuses(told: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        class_image(wrapped(Linear(WEIGHT), classes=2), **{"targets": TARGETS, "steps": 1, **told})
