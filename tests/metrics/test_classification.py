import numpy as np
import pytest
import torch
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    log_loss,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)

from pellucid.metrics import (
    averages,
    confusion,
    cross_entropy,
    in_top_k,
    per_class,
    proportion,
    strongest_confusions,
)
from pellucid.metrics.classification import worth

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


def test_answers_in_groups_are_worth_what_their_spread_says() -> None:
    generator = torch.Generator().manual_seed(0)
    alone = (torch.rand(4000, 24, generator=generator) < 0.3).sum(dim=1)
    assert worth(alone, 24) == pytest.approx(4000 * 24, rel=0.1)  # all independent
    together = (torch.rand(4000, 1, generator=generator) < 0.3).expand(-1, 24).sum(dim=1)
    assert worth(together, 24) == pytest.approx(4000, rel=0.01)  # all of a group alike
    assert worth(torch.tensor([24, 24, 24]), 24) == worth(torch.tensor([0, 0, 0]), 24) == 3
    assert worth(torch.tensor([12, 12]), 24) == 48
    assert worth(torch.tensor([7]), 24) == 1


def test_an_interval_over_groups_covers_the_share_it_is_of() -> None:
    generator = torch.Generator().manual_seed(1)
    covered, trials = 0, 400
    for _ in range(trials):
        easy = torch.rand(60, 1, generator=generator) * 0.8 + 0.1  # each picture has a share of its own, 0.5 on average
        hits = (torch.rand(60, 24, generator=generator) < easy).sum(dim=1)
        count, share = worth(hits, 24), float(hits.double().mean()) / 24
        found = proportion(share * count, count)
        covered += found.low <= 0.5 <= found.high
    assert 0.92 <= covered / trials <= 0.98


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


@pytest.mark.parametrize("how", ["macro", "weighted", "micro"])
def test_averages_equal_scikit_learn_over_all_classes(how: str) -> None:
    found = averages(per_class(TARGETS, PREDICTED, 6), how)
    wanted = precision_recall_fscore_support(TARGETS, PREDICTED, labels=range(6), average=how, zero_division=0.0)
    assert (found.precision, found.recall, found.f1) == pytest.approx(wanted[:3], abs=1e-12)


def test_micro_is_accuracy_and_so_is_weighted_recall() -> None:
    score = per_class(TARGETS, PREDICTED, 6)
    accuracy = accuracy_score(TARGETS, PREDICTED)
    micro = averages(score, "micro")
    assert (micro.precision, micro.recall, micro.f1) == pytest.approx((accuracy,) * 3, abs=1e-15)
    assert averages(score, "weighted").recall == pytest.approx(accuracy, abs=1e-12)
    matrix = confusion(TARGETS, PREDICTED, 6)
    assert int(matrix.sum()) == len(TARGETS)
    assert float(matrix.trace() / matrix.sum()) == pytest.approx(accuracy, abs=1e-7)


def test_macro_f1_is_the_mean_of_f1_not_the_f1_of_means() -> None:
    score = per_class(torch.tensor([0, 0, 0, 1]), torch.tensor([0, 1, 1, 1]), 2)  # P = 1, 1/3; R = 1/3, 1; F1 = 1/2
    macro = averages(score, "macro")
    assert (macro.precision, macro.recall, macro.f1) == pytest.approx((2 / 3, 2 / 3, 1 / 2), abs=1e-12)


def test_nothing_over_nothing_is_flagged() -> None:
    score = per_class(torch.tensor([0, 0, 1]), torch.tensor([0, 2, 0]), 4)
    assert score.lacks_precision.tolist() == [False, True, False, True]
    assert score.lacks_recall.tolist() == [False, False, True, True]
    assert score.f1.tolist() == [0.5, 0, 0, 0]


def test_renamed_classes_have_the_same_scores() -> None:
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    one, other = per_class(TARGETS, PREDICTED, 6), per_class(order[TARGETS], order[PREDICTED], 6)
    for name in ("precision", "recall", "f1", "support"):
        assert torch.equal(getattr(one, name), getattr(other, name)[order])
    assert averages(one).f1 == pytest.approx(averages(other).f1, abs=1e-12)


def test_a_perfect_prediction_has_nothing_beside_the_diagonal() -> None:
    matrix = confusion(TARGETS, TARGETS, 6)
    assert torch.equal(matrix, torch.diag(TARGETS.bincount(minlength=6)))
    assert averages(per_class(TARGETS, TARGETS, 5)).f1 == 1


def test_averages_refuse() -> None:
    with pytest.raises(ValueError, match=r"how must be one of macro, weighted, micro, got 'mean'"):
        averages(per_class(TARGETS, PREDICTED, 6), "mean")
    with pytest.raises(ValueError, match="images must be at least 1, got 0"):
        averages(per_class(TARGETS[:0], PREDICTED[:0], 6))
