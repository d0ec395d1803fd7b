"""Mixup and CutMix: the mixture by hand, both forms of the loss, and lambda's mean."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.data.augment import cutmix, mixup

IMAGES = torch.rand(8, 3, 10, 10, generator=torch.Generator().manual_seed(0))
TARGETS = torch.arange(8)  # a class each, so that the partner shows
both = pytest.mark.parametrize("mix", [mixup, cutmix])


def parts(soft: Tensor) -> tuple[float, Tensor]:
    """Lambda and each image's partner, off targets that are all different."""
    share = float(soft.diagonal()[soft.diagonal() < 1].max())
    rest = soft - torch.diag(torch.full((8,), share))
    return share, rest.argmax(dim=1)


@both
def test_labels_sum_to_one_and_the_same_step_repeats(mix: object) -> None:
    assert callable(mix)
    images, soft = mix(IMAGES, TARGETS, 8, alpha=1.0, seed=1, epoch=2, step=3)
    torch.testing.assert_close(soft.sum(dim=1), torch.ones(8))
    again = mix(IMAGES, TARGETS, 8, alpha=1.0, seed=1, epoch=2, step=3)
    assert torch.equal(images, again[0])
    for other in ({"seed": 2}, {"epoch": 3}, {"step": 4}):
        assert not torch.equal(
            mix(IMAGES, TARGETS, 8, alpha=1.0, **{"seed": 1, "epoch": 2, "step": 3, **other})[0], images
        )


def test_mixup_is_the_weighted_sum() -> None:
    images, soft = mixup(IMAGES, TARGETS, 8, alpha=1.0, seed=5)
    share, partner = parts(soft)
    torch.testing.assert_close(images, share * IMAGES + (1 - share) * IMAGES[partner])


def test_both_forms_of_the_mixup_loss_are_equal() -> None:
    _, soft = mixup(IMAGES, TARGETS, 8, alpha=1.0, seed=5)
    share, partner = parts(soft)
    logits = torch.randn(8, 8, generator=torch.Generator().manual_seed(2))
    loss = share * F.cross_entropy(logits, TARGETS) + (1 - share) * F.cross_entropy(logits, TARGETS[partner])
    torch.testing.assert_close(F.cross_entropy(logits, soft), loss)


def test_cutmix_pastes_a_rectangle_and_counts_it() -> None:
    for seed in range(20):
        images, soft = cutmix(IMAGES, TARGETS, 8, seed=seed)
        if soft.diagonal().min() == 1:  # a rectangle of no pixel
            assert torch.equal(images, IMAGES)
            continue
        share, partner = parts(soft)
        changed = (images != IMAGES).any(dim=1)  # (N, H, W)
        moved = partner != TARGETS
        assert torch.equal(images, torch.where(changed[:, None], IMAGES[partner], IMAGES))
        kept = 1 - changed[moved].double().mean(dim=(1, 2))
        torch.testing.assert_close(kept, torch.full_like(kept, share))


def test_lambda_is_a_half_on_average() -> None:
    swapped = [mixup(IMAGES[:2, :, :2, :2], TARGETS[:2], 2, alpha=0.2, step=step)[1] for step in range(2000)]
    shares = [float(soft[0, 0]) for soft in swapped if soft[0, 0] != 1]  # 1: an image's partner is itself
    assert 900 < len(shares) < 1100
    assert abs(sum(shares) / len(shares) - 0.5) < 0.05  # the deviation of Beta(.2, .2) is .42, of the mean .013


@both
def test_soft_targets_are_mixed_like_hard_ones(mix: object) -> None:
    assert callable(mix)
    hard = mix(IMAGES, TARGETS, 8, seed=3)
    soft = mix(IMAGES, F.one_hot(TARGETS, 8).float(), 8, seed=3)
    assert torch.equal(hard[1], soft[1])


@both
@pytest.mark.parametrize(
    ("targets", "alpha", "message"),
    [
        (TARGETS, 0.0, "alpha must be over 0, got 0.0"),
        (torch.rand(8), 1.0, r"targets must be class numbers \(8,\), int64, or shares \(8, 8\)"),
        (torch.rand(8, 2), 1.0, r"to be mixed, got \(8, 2\), torch.float32"),
        (TARGETS + 1, 1.0, r"targets must be in \[0, 7\], got 1 to 8"),
    ],
)
def test_refuses(mix: object, targets: Tensor, alpha: float, message: str) -> None:
    assert callable(mix)
    with pytest.raises(ValueError, match=message):
        mix(IMAGES, targets, 8, alpha=alpha)
