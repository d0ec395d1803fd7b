from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pellucid.metrics.explanation import sensitivity

from .nets import IMAGES, TARGETS, Small, gradient

GENTLE = IMAGES * 0.8 + 0.1
"""Images that no noise of radius 0.1 takes out of [0, 1]."""


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def noises(samples: int) -> Tensor:
    """The noise that a seed gives, (S, C, H, W), in [-1, 1]."""
    source = seeded()
    return torch.stack([torch.rand(3, 8, 8, generator=source) * 2 - 1 for _ in range(samples)]).double()


def brightness(_model: nn.Module, images: Tensor, _targets: Any) -> Tensor:
    return images.sum(dim=1)


def test_a_map_that_is_the_image_moves_with_it() -> None:
    found = sensitivity(brightness, Small(), GENTLE, TARGETS, radius=0.1, samples=4, generator=seeded())
    moved = 0.1 * noises(4).sum(dim=1)  # (S, H, W)
    expected = moved.flatten(1).norm(dim=1)[:, None] / GENTLE.sum(dim=1).flatten(1).norm(dim=1)
    torch.testing.assert_close(found.each, expected)
    torch.testing.assert_close(found.largest, expected.max(dim=0).values)
    torch.testing.assert_close(found.mean, expected.mean(dim=0))


def test_captum_gives_the_same_on_the_same_noise() -> None:
    metrics = pytest.importorskip("captum.metrics", reason="the extra bench is not installed")
    model, samples = Small(), 6

    def perturb(images: Tensor) -> Tensor:  # each image comes once for each sample
        return images + 0.1 * noises(samples).repeat(len(images) // samples, 1, 1, 1)

    def explain(images: Any, target: Tensor) -> tuple[Tensor]:
        return (gradient(model, images[0] if isinstance(images, tuple) else images, target),)

    theirs = metrics.sensitivity_max(explain, GENTLE, perturb, n_perturb_samples=samples, target=TARGETS)
    ours = sensitivity(gradient, model, GENTLE, TARGETS, radius=0.1, samples=samples, generator=seeded())
    torch.testing.assert_close(ours.largest, theirs)


def test_noisy_images_are_images() -> None:
    given: list[Tensor] = []

    def spy(_model: nn.Module, images: Tensor, _targets: Any) -> Tensor:
        given.append(images)
        return images.sum(dim=1)

    sensitivity(spy, Small(), IMAGES, TARGETS, radius=0.5, samples=3)
    assert len(given) == 4
    assert torch.equal(given[0], IMAGES)
    for noisy in given[1:]:
        assert noisy.min() == 0
        assert noisy.max() == 1
        assert 0.4 < (noisy - IMAGES).abs().max() <= 0.5


def test_a_map_that_ignores_the_image_is_steady_and_a_zero_map_is_told() -> None:
    found = sensitivity(lambda *_: torch.ones(3, 8, 8), Small(), IMAGES, TARGETS)
    assert found.largest.tolist() == [0, 0, 0]
    assert found.is_flat.all()
    found = sensitivity(lambda *_: torch.zeros(3, 8, 8), Small(), IMAGES, TARGETS)
    assert found.largest.tolist() == [0, 0, 0]


def test_the_seed_decides() -> None:
    first, same, other = (
        sensitivity(gradient, Small(), IMAGES, TARGETS, generator=torch.Generator().manual_seed(seed)).each
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, same)
    assert not torch.allclose(first, other)
    assert torch.equal(first, sensitivity(gradient, Small(), IMAGES, TARGETS).each), "no generator means seed 0"


def test_refuses() -> None:
    with pytest.raises(ValueError, match=r"radius must be in \[0, 1\], got -0.1"):
        sensitivity(gradient, Small(), IMAGES, TARGETS, radius=-0.1)
    with pytest.raises(ValueError, match="samples must be at least 1, got 0"):
        sensitivity(gradient, Small(), IMAGES, TARGETS, samples=0)
    with pytest.raises(ValueError, match=r"heat must have shape \(3, 8, 8\)"):
        sensitivity(lambda *_: torch.ones(3, 4, 4), Small(), IMAGES, TARGETS)
