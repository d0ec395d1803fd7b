"""The gain, counted by hand."""

import pytest
import torch

from pellucid.uncertainty import augmentation_gain

FIRST = torch.tensor([[0.9, 0.1], [0.45, 0.55], [0.6, 0.4], [0.2, 0.8]])
SECOND = torch.tensor([[0.8, 0.2], [0.9, 0.1], [0.1, 0.9], [0.9, 0.1]])
SAMPLES = torch.stack([FIRST, SECOND])  # together 0, 0, 1, 0
TARGETS = torch.tensor([0, 0, 0, 0])


def test_right_answers_with_and_without() -> None:
    found = augmentation_gain(SAMPLES, TARGETS)
    assert (found.plain.value, found.augmented.value, found.difference.value) == (0.5, 0.75, 0.25)
    assert (found.mended, found.spoilt) == (2, 1)
    assert found.difference.low < 0.25 < found.difference.high


def test_all_weight_on_the_image_as_it_is_gains_nothing() -> None:
    found = augmentation_gain(SAMPLES, TARGETS, torch.tensor([1.0, 0.0]))
    assert found.plain == found.augmented
    assert (found.difference.low, found.difference.high, found.mended, found.spoilt) == (0, 0, 0, 0)


def test_the_interval_is_of_pairs_and_covers() -> None:
    """Views that mend 3 of 100 and spoil 1: the difference of the same images is surer than two accuracies apart."""
    targets = torch.zeros(1000, dtype=torch.int64)
    before, after = torch.zeros(1000), torch.zeros(1000)
    before[10:700] = after[40:700] = 1  # right ones
    samples = torch.stack([torch.stack([0.4 + 0.2 * before, 0.6 - 0.2 * before], dim=1)] * 2)
    samples[1] = torch.stack([0.1 + 0.8 * after, 0.9 - 0.8 * after], dim=1)
    found = augmentation_gain(samples, targets)
    assert (found.plain.value, found.augmented.value) == (0.69, 0.66)
    assert found.difference.value == pytest.approx(-0.03)
    half = 1.96 * (0.03 * 0.97 / 1000) ** 0.5
    assert found.difference.low == pytest.approx(-0.03 - half, abs=2e-3)
    assert found.difference.high == pytest.approx(-0.03 + half, abs=2e-3)


def test_refuses() -> None:
    with pytest.raises(ValueError, match=r"targets must be int64 of shape \(4,\)"):
        augmentation_gain(SAMPLES, TARGETS[:3])
    with pytest.raises(ValueError, match="how must be one of"):
        augmentation_gain(SAMPLES, TARGETS, how="best")
