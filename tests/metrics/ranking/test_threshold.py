"""The threshold for an accuracy asked for: read off by hand, and kept on new images where it is guaranteed."""

import math

import pytest
import torch
from scipy.stats import binomtest
from torch import Tensor

from pellucid.metrics.ranking import threshold_for_accuracy


def drawn(count: int, source: torch.Generator) -> tuple[Tensor, Tensor]:
    """Scores u in [0, 1], wrong with probability u / 2: of those up to t the share u / 4 is wrong."""
    scores = torch.rand(count, generator=source)
    return scores, torch.rand(count, generator=source) > scores / 2


def test_by_hand() -> None:
    scores = torch.arange(10.0)
    correct = torch.tensor([True, True, True, False, True, True, True, True, False, False])
    found = threshold_for_accuracy(scores, correct, accuracy=0.8)
    assert (found.value, found.coverage, found.accuracy, found.answered) == (7.0, 0.8, 0.875, 8)
    assert (found.guaranteed, found.confidence) == (None, None)
    assert threshold_for_accuracy(scores, correct, accuracy=0.7).answered == 10, "7 of 10 is 0.7"
    assert threshold_for_accuracy(scores, correct, accuracy=0.9).answered == 3


@pytest.mark.parametrize(("right", "count", "accuracy"), [(95, 100, 0.95), (8, 10, 0.8), (7, 10, 0.7)])
def test_what_is_asked_for_is_enough(right: int, count: int, accuracy: float) -> None:
    """(1 - 0.8) * 10 is a little less than 2 in floats."""
    found = threshold_for_accuracy(torch.arange(count), torch.arange(count) < right, accuracy=accuracy)
    assert found.answered == count


def test_equal_scores_are_answered_together() -> None:
    found = threshold_for_accuracy(torch.zeros(4), torch.tensor([True, True, True, False]), accuracy=0.9)
    assert (found.value, found.coverage, found.answered) == (-math.inf, 0.0, 0)
    assert math.isnan(found.accuracy)


def test_the_guarantee_holds_on_new_images() -> None:
    source, broken, flattered = torch.Generator().manual_seed(0), 0, 0
    for _ in range(200):
        scores, correct = drawn(300, source)
        found = threshold_for_accuracy(scores, correct, accuracy=0.85, confidence=0.9)
        broken += found.answered > 0 and 1 - found.value / 4 < 0.85
        plain = threshold_for_accuracy(scores, correct, accuracy=0.85)
        flattered += 1 - plain.value / 4 < 0.85
        assert plain.answered >= found.answered
    assert broken <= 20 + 3 * math.sqrt(200 * 0.1 * 0.9)
    assert flattered > 60, "an empirical threshold is no guarantee"


def test_the_bound_is_the_exact_binomials() -> None:
    scores, correct = torch.zeros(200), torch.arange(200) < 196  # one threshold, hence one step
    found = threshold_for_accuracy(scores, correct, accuracy=0.9, confidence=0.95)
    exact = binomtest(196, 200, alternative="greater").proportion_ci(0.95, method="exact").low
    assert found.guaranteed == pytest.approx(exact)
    assert found.confidence == 0.95


def test_all_wrong() -> None:
    found = threshold_for_accuracy(torch.arange(5.0), torch.zeros(5, dtype=torch.bool), accuracy=0.5, confidence=0.5)
    assert found.answered == 0
    assert found.guaranteed is None


@pytest.mark.parametrize(("name", "value"), [("accuracy", 1.0), ("accuracy", 95), ("confidence", 0.0)])
def test_refuses(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be between 0 and 1, such as 0.95, got {value}"):
        threshold_for_accuracy(torch.zeros(3), torch.ones(3, dtype=torch.bool), **{name: value})
