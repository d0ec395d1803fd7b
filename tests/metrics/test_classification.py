import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support, top_k_accuracy_score

from pellucid.metrics import (
    confusion,
    cross_entropy,
    in_top_k,
    per_class,
    proportion,
    strongest_confusions,
)

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(200, 6, generator=GENERATOR)
TARGETS = torch.randint(0, 5, (200,), generator=GENERATOR)  # class 5 has no image
PREDICTED = LOGITS.argmax(dim=1)


def test_confusion_equals_scikit_learn() -> None:
    expected = confusion_matrix(TARGETS, PREDICTED, labels=range(6))
    np.testing.assert_array_equal(confusion(TARGETS, PREDICTED, 6), expected)


def test_precision_recall_f1_equal_scikit_learn() -> None:
    score = per_class(TARGETS, PREDICTED, 6)
    expected = precision_recall_fscore_support(TARGETS, PREDICTED, labels=range(6), zero_division=0.0)
    for ours, theirs in zip((score.precision, score.recall, score.f1, score.support), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_mean_f1_equals_scikit_learn_over_classes_with_images(average: str) -> None:
    score = per_class(TARGETS, PREDICTED, 6)
    expected = precision_recall_fscore_support(TARGETS, PREDICTED, labels=range(5), average=average, zero_division=0.0)[
        2
    ]
    assert {"macro": score.macro_f1, "weighted": score.weighted_f1}[average] == pytest.approx(expected, abs=1e-12)


def test_top_k_equals_scikit_learn() -> None:
    hits = in_top_k(LOGITS.topk(3).indices, TARGETS)
    expected = top_k_accuracy_score(TARGETS, LOGITS.softmax(dim=1), k=3, labels=range(6))
    assert hits.double().mean().item() == pytest.approx(expected, abs=1e-12)


def test_cross_entropy_equals_scikit_learn() -> None:
    expected = log_loss(TARGETS, LOGITS.double().softmax(dim=1), labels=range(6))
    assert cross_entropy(LOGITS.double(), TARGETS).mean().item() == pytest.approx(expected, rel=1e-9)


def test_wilson_interval_equals_the_published_example() -> None:
    share = proportion(81, 263)  # R. Newcombe, Statistics in Medicine 17, 1998, table I, method 3
    assert (round(share.low, 4), round(share.high, 4)) == (0.2553, 0.3662)


@pytest.mark.parametrize(("hits", "count"), [(0, 10), (10, 10), (1, 2), (500, 1000)])
def test_wilson_bounds_solve_their_equation(hits: int, count: int) -> None:
    share = proportion(hits, count)
    for bound in {share.low, share.high} - {0.0, 1.0}:  # |hits/n - p| = z sqrt(p (1 - p) / n)
        left, right = abs(hits / count - bound), 1.959963984540054 * (bound * (1 - bound) / count) ** 0.5
        assert left == pytest.approx(right, rel=1e-9)
    assert 0 <= share.low <= share.value <= share.high <= 1


def test_proportion_refuses_no_trials() -> None:
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        proportion(0, 0)


def test_strongest_confusions_are_sorted_and_hold_no_hits() -> None:
    matrix = torch.tensor([[9, 2, 0], [5, 1, 5], [0, 0, 7]])
    pairs = torch.tensor([(a, b) for a in range(3) for b in range(3) for _ in range(int(matrix[a, b]))])
    assert strongest_confusions(pairs[:, 0], pairs[:, 1], 3) == [(1, 0, 5), (1, 2, 5), (0, 1, 2)]
    assert strongest_confusions(pairs[:, 0], pairs[:, 0], 3) == []


def test_a_million_classes_need_no_square() -> None:
    last = torch.tensor([999_999, 999_999, 3])
    score = per_class(last, torch.tensor([999_999, 3, 3]), 1_000_000)
    assert (float(score.recall[999_999]), float(score.precision[3]), float(score.f1[3])) == pytest.approx(
        (0.5, 0.5, 2 / 3)
    )
