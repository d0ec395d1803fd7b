"""SWAG against its formulas over the very iterates, against a stationary law that is known, and against SGD by hand."""

import copy
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.data import Pixels
from pellucid.uncertainty import Swag, ensemble, mutual_information
from pellucid.uncertainty._batch_norm import refit
from pellucid.uncertainty._low_rank import LowRank, Moments, weights_of

from .nets import small_images

IMAGES = small_images(24, 4)
TARGETS = (IMAGES[:, 0].mean(dim=(1, 2)) > IMAGES[:, 1].mean(dim=(1, 2))).long()


def linear() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, 2)).eval()


def normed() -> nn.Sequential:
    """Batch norm, dropout, in a small net."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(3, 6, 3),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(24, 2),
        )
    return net.eval()


def noise(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fitted(net: nn.Module, **options: Any) -> Swag:
    return Swag(**{"epochs": 6, "lr": 0.1, "batch_size": 8, "rank": 3, **options}).fit(net, IMAGES, TARGETS)


def covariance(gaussian: LowRank) -> Tensor:
    if not len(gaussian.deviations):
        return gaussian.variance.diag()
    return (gaussian.variance.diag() + gaussian.deviations.T @ gaussian.deviations / (len(gaussian.deviations) - 1)) / 2


@pytest.mark.parametrize(("count", "rank"), [(7, 3), (4, 4), (3, 8), (5, 0)])
def test_the_moments_are_those_of_the_formulas(count: int, rank: int) -> None:
    """Algorithm 1 by the book, in numpy: running means, squares, and the last columns."""
    iterates = np.random.default_rng(0).normal(3, 0.1, (count, 5))
    moments = Moments(torch.zeros(5, dtype=torch.float64), min(rank, count))
    mean, squares = np.zeros(5), np.zeros(5)
    columns: list[Any] = []
    for n, weights in enumerate(iterates):
        moments.take(torch.from_numpy(weights))
        mean, squares = (n * mean + weights) / (n + 1), (n * squares + weights**2) / (n + 1)
        columns = [*columns, weights - mean][-rank:] if rank else []
    found = moments.gathered()
    np.testing.assert_allclose(found.mean, iterates.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.variance, squares - mean**2, rtol=1e-9)
    latest = np.array(columns).reshape(-1, 5)
    np.testing.assert_allclose(found.deviations, np.roll(latest, count % max(1, rank), axis=0), rtol=0, atol=1e-12)


def test_a_variance_far_smaller_than_the_weights_is_kept() -> None:
    moments = Moments(torch.zeros(1), 0)
    for place in (0.9999, 1.0001) * 50:
        moments.take(torch.tensor([place]))
    assert float(moments.gathered().variance) == pytest.approx(1e-8, rel=0.01)


@pytest.mark.parametrize("rank", [0, 3])
def test_draws_have_the_mean_and_covariance_of_the_formula(rank: int) -> None:
    deviations = torch.randn(rank, 4, generator=noise(1), dtype=torch.float64)
    gaussian = LowRank(torch.arange(4.0).double(), torch.tensor([0.5, 1.0, 0.0, 2.0]).double(), deviations)
    count = 8000
    source = noise(2)
    drawn = torch.stack([gaussian.drawn(0.7, source) for _ in range(count)])
    expected = 0.7 * covariance(gaussian)
    found = drawn.T.cov()
    error = ((expected.diag()[:, None] * expected.diag() + expected**2) / count).sqrt()
    assert bool(((drawn.mean(dim=0) - gaussian.mean).abs() <= 4 * (expected.diag() / count).sqrt() + 1e-12).all())
    assert bool(((found - expected).abs() <= 4.5 * error + 1e-12).all())
    assert torch.equal(gaussian.drawn(0.0, source), gaussian.mean)


def test_of_a_quadratic_loss_it_finds_the_stationary_law() -> None:
    """w <- w - lr h (w - noise), the noise of variance s: its law is N(0, lr h s / (2 - lr h)), weight by weight."""
    rates, spreads = torch.tensor([0.1, 0.3, 0.8]), torch.tensor([1.0, 4.0, 0.25])
    expected = (rates * spreads / (2 - rates)).double()
    source, weights = noise(3), torch.zeros(3)
    moments = Moments(torch.zeros(3, dtype=torch.float64), 400)
    for _ in range(5000):
        weights = weights - rates * (weights - spreads.sqrt() * torch.randn(3, generator=source))
        moments.take(weights.double())
    found = moments.gathered()
    assert bool((found.mean.abs() < 5 * (expected / 5000 * 2 / rates).sqrt()).all())
    torch.testing.assert_close(found.variance, expected, rtol=0.15, atol=0)
    torch.testing.assert_close(covariance(found).diag(), expected, rtol=0.25, atol=0)
    apart = covariance(found) - covariance(found).diag().diag()
    assert float(apart.abs().max()) < 0.2 * float(expected.max())


def test_it_gathers_the_iterates_of_descent_by_hand() -> None:
    """torch's SGD over the same batches, an iterate every second update."""
    net = linear()
    swag = Swag(epochs=4, lr=0.1, momentum=0.5, weight_decay=0.01, batch_size=8, collect=2, rank=3)
    swag.fit(net, IMAGES, TARGETS, generator=noise(5))
    source = noise(5)
    seed = int(torch.randint(2**62, (), generator=source))
    from pellucid.uncertainty._descent import shuffled

    ours = copy.deepcopy(net)
    groups = [{"params": [ours[1].weight], "weight_decay": 0.01}, {"params": [ours[1].bias], "weight_decay": 0.0}]
    descent = torch.optim.SGD(groups, lr=0.1, momentum=0.5)
    iterates, updates = [], 0
    for epoch in range(4):
        for images, targets in shuffled(IMAGES, TARGETS, 8, "none", seed)(epoch):
            descent.zero_grad()
            F.cross_entropy(ours(images), targets).backward()  # type: ignore[no-untyped-call]
            descent.step()
            updates += 1
            if updates % 2 == 0:
                iterates.append(weights_of(ours).clone())
    every = torch.stack(iterates)
    assert swag.collected_ == len(every) == 6
    torch.testing.assert_close(swag.gaussian_.mean, every.mean(dim=0))
    torch.testing.assert_close(swag.gaussian_.variance, every.var(dim=0, correction=0))
    torch.testing.assert_close(swag.gaussian_.deviations[-1], every[5] - every.mean(dim=0))
    torch.testing.assert_close(swag.gaussian_.deviations[0], every[3] - every[:4].mean(dim=0))


def test_without_scale_every_sample_is_the_mean_network() -> None:
    net = linear()
    swag = fitted(net, scale=0.0)
    mean = copy.deepcopy(net)
    nn.utils.vector_to_parameters(swag.gaussian_.mean, mean.parameters())
    drawn = swag(IMAGES, samples=3)
    torch.testing.assert_close(drawn, mean(IMAGES).softmax(dim=1).expand(3, -1, -1))


def test_samples_are_those_of_the_networks_drawn() -> None:
    swag = fitted(linear())
    few = [copy.deepcopy(network) for network in swag.networks(3, generator=noise(1))]
    drawn = swag(IMAGES, samples=3, generator=noise(1))
    torch.testing.assert_close(ensemble(few, IMAGES), drawn)
    torch.testing.assert_close(drawn.sum(dim=2), torch.ones(3, len(IMAGES)))
    assert float(mutual_information(drawn).min()) > 0


@pytest.mark.parametrize("make", [linear, normed])
def test_order_chunks_and_company_change_nothing(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    swag = fitted(make())
    expected = swag(IMAGES, samples=4)
    order = torch.arange(len(IMAGES)).flip(0)
    torch.testing.assert_close(swag(IMAGES[order], samples=4), expected[:, order])
    torch.testing.assert_close(swag(IMAGES[3:4], samples=4), expected[:, 3:4])
    torch.testing.assert_close(swag(IMAGES, samples=2), expected[:2])
    monkeypatch.setattr(import_module("pellucid.models.evaluate"), "CPU_BUDGET", 1)
    torch.testing.assert_close(swag(IMAGES, samples=4), expected)


def test_batch_norm_is_refitted_to_each_network() -> None:
    """Of one batch the running statistics are that batch's; a drawn network answers with those of its own weights."""
    net = normed()
    swag = fitted(net, scale=30.0)
    for network in swag.networks(2):
        shown = network[0](IMAGES[swag.rows_])  # type: ignore[index]
        norm = network[1]  # type: ignore[index]
        torch.testing.assert_close(norm.running_mean, shown.mean(dim=(0, 2, 3)))
        torch.testing.assert_close(norm.running_var, shown.transpose(0, 1).flatten(1).var(dim=1))
        assert not network.training
        assert norm.momentum == 0.1
    kept = fitted(net, scale=30.0, batch_norm="kept")
    for network in kept.networks(2):
        assert torch.equal(network[1].running_mean, kept.buffers_["1.running_mean"])  # type: ignore[index]
    moved = kept.buffers_["1.running_mean"] - net.state_dict()["1.running_mean"]
    assert float(moved.abs().max()) > 1e-3, "the fit moved them"
    assert not torch.allclose(kept(IMAGES, samples=2), swag(IMAGES, samples=2))


def test_the_statistics_are_the_mean_over_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pellucid.uncertainty._batch_norm.BATCH", 8)
    net = normed()
    refit(net, IMAGES)
    shown = net[0](IMAGES).view(3, 8, 6, -1)
    torch.testing.assert_close(net[1].running_mean, shown.mean(dim=(1, 3)).mean(dim=0))
    torch.testing.assert_close(net[1].running_var, shown.transpose(1, 2).flatten(2).var(dim=2).mean(dim=0))


def test_the_model_and_torchs_noise_are_left_as_they_were() -> None:
    net = normed().requires_grad_(False)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    state = torch.random.get_rng_state()
    with torch.inference_mode():
        swag = fitted(net)
        swag(IMAGES, samples=2)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in net.parameters())
    assert not net.training
    torch.rand(3)  # torch's own noise is elsewhere now
    again = fitted(net)
    assert torch.equal(again.gaussian_.mean, swag.gaussian_.mean), "the seed decides, dropout too"
    other = Swag(epochs=6, lr=0.1, batch_size=8, rank=3).fit(net, IMAGES, TARGETS, generator=noise(9))
    assert not torch.equal(other.gaussian_.mean, swag.gaussian_.mean)


def test_a_set_in_memory_is_as_good_as_its_floats() -> None:
    pixels = (IMAGES * 255).round().to(torch.uint8)
    held = Pixels(pixels, TARGETS, ("a", "b"), tuple(map(str, range(len(pixels)))))
    options: dict[str, Any] = {"epochs": 3, "lr": 0.1, "batch_size": 8, "rank": 2}
    one = Swag(**options).fit(normed(), held)
    other = Swag(**options).fit(normed(), pixels.float() / 255, TARGETS)
    torch.testing.assert_close(one.gaussian_.mean, other.gaussian_.mean)
    torch.testing.assert_close(one(IMAGES, samples=2), other(IMAGES, samples=2))


def test_it_is_less_sure_far_from_the_data() -> None:
    """The log odds of a linear net vary by x^T V x: most where the pixels are largest."""
    swag = fitted(linear(), epochs=20, rank=0)
    near, far = 0.5 * IMAGES, torch.ones(1, 3, 4, 4)
    spread = [swag(images, samples=60)[:, :, 0].logit().var(dim=0).mean() for images in (near, far)]
    assert float(spread[1]) == pytest.approx(float(swag.gaussian_.variance.sum()), rel=0.6)
    assert float(spread[1]) > 2 * float(spread[0])


@pytest.mark.parametrize("make", [linear, normed])
def test_saved_and_loaded_it_answers_the_same(tmp_path: Path, make: Any) -> None:
    net = make()
    swag = fitted(net)
    swag.save(tmp_path / "swag")
    again = Swag.load(tmp_path / "swag", net, IMAGES)
    torch.testing.assert_close(again(IMAGES, samples=3), swag(IMAGES, samples=3), rtol=0, atol=0)
    assert (again.collected_, again.losses_, again.rank) == (6, swag.losses_, 3)
    with pytest.raises(ValueError, match="was fitted on a classifier with other weights"):
        Swag.load(tmp_path / "swag", copy.deepcopy(net).apply(lambda module: _scaled(module, 2)), IMAGES)
    if make is normed:
        with pytest.raises(ValueError, match=r"images must be the 24 it was fitted on, .* got none"):
            Swag.load(tmp_path / "swag", net)
        with pytest.raises(ValueError, match=r"images must be the 24 it was fitted on, .* got 7"):
            Swag.load(tmp_path / "swag", net, IMAGES[:7])
    else:
        Swag.load(tmp_path / "swag", net)


@torch.no_grad()
def _scaled(module: nn.Module, factor: float) -> None:
    if isinstance(module, nn.Linear):
        module.weight.mul_(factor)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    net = linear()
    fitted(net).save(tmp_path / "swag")
    place = tmp_path / "swag" / "fitted.safetensors"
    tensors = load_file(place)
    for name, value in (
        ("variance", -tensors["variance"] - 1),
        ("mean", tensors["mean"][1:]),
        ("mean", 0 / (0 * tensors["mean"])),
    ):
        save_file({**tensors, name: value.contiguous()}, place)
        with pytest.raises(ValueError, match="is damaged"):
            Swag.load(tmp_path / "swag", net)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"epochs": 1}, "epochs 1 of 3 updates would give 1 iterate, but a spread needs at least 2: give more epochs"),
        ({"epochs": 1, "collect": 4}, "would give 0 iterates"),
        ({"collect": 0}, "collect must be at least 1, got 0"),
        ({"lr": 0.0}, "lr must be above 0 and finite, got 0"),
        ({"lr": 1e30}, "lower lr"),
        ({"rank": 1}, r"rank must be 0 \(the diagonal alone\) or at least 2"),
        ({"rank": -1}, "rank must be at least 0, got -1"),
        ({"scale": -1.0}, "scale must be at least 0 and finite, got -1"),
        ({"momentum": 1.0}, r"momentum must be in \[0, 1\), got 1"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0, got -1"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"batch_norm": "keep"}, "batch_norm must be one of refit, kept, got 'keep'; did you mean kept?"),
        ({"refit_images": 1}, "refit_images must be at least 2, got 1"),
        ({"augmentation": "hflop=1"}, "hflop"),
    ],
)
def test_refuses_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fitted(linear(), **options)


def test_refuses_a_rank_that_takes_too_much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pellucid.uncertainty._low_rank.MOST_BYTES", 98 * 4 * 4)
    told = "rank 3 would keep 5 numbers for each of the 98 weights, .* above .*: give a rank of at most 2"
    with pytest.raises(ValueError, match=told):
        fitted(linear())
    fitted(linear(), rank=2)
    monkeypatch.setattr("pellucid.uncertainty._low_rank.MOST_BYTES", 98 * 4)
    with pytest.raises(ValueError, match="even rank 0 is too much"):
        fitted(linear(), rank=0)


def test_refuses_what_cannot_be_learned_from() -> None:
    with pytest.raises(ValueError, match=r"call fit\(model, images\)"):
        Swag()(IMAGES)
    with pytest.raises(ValueError, match=r"call fit\(model, images\)"):
        Swag().networks(3)
    with pytest.raises(ValueError, match="model must be in eval mode"):
        fitted(linear().train())
    with pytest.raises(ValueError, match=r"target 2 is no class: not in 0\.\.1"):
        Swag().fit(linear(), IMAGES, TARGETS + 1)
    with pytest.raises(ValueError, match="at least 2 classes"):
        fitted(nn.Sequential(linear(), nn.Linear(2, 1)).eval())
    with pytest.raises(ValueError, match="already sum to 1"):
        fitted(nn.Sequential(linear(), nn.Softmax(dim=1)).eval())
    with pytest.raises(ValueError, match="samples must be at least 1, got 0"):
        fitted(linear())(IMAGES, samples=0)
    with pytest.raises(ValueError, match=r"images must be in \[0, 1\]"):
        fitted(linear())(IMAGES * 3)


def test_a_descent_that_leaves_what_was_learned_is_told() -> None:
    net = linear()
    net.apply(lambda module: _scaled(module, 100))
    with pytest.warns(UserWarning, match=r"from 0.* what was learned is lost; give a lower lr than 0\.2"):
        Swag(epochs=8, lr=0.2, weight_decay=2.0, batch_size=8, rank=2).fit(net, IMAGES, net(IMAGES).argmax(dim=1))
