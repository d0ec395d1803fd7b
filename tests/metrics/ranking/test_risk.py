"""Risk and coverage against plain loops over every order."""

import itertools

import pytest
import torch
from torch import Tensor

from pellucid.metrics.ranking import aurc, excess_aurc, risk_coverage

GENERATOR = torch.Generator().manual_seed(0)
CORRECT = torch.rand(60, generator=GENERATOR) < 0.8
SCORES = torch.rand(60, generator=GENERATOR, dtype=torch.float64) - 0.3 * CORRECT


def loop_aurc(scores: Tensor, correct: Tensor) -> float:
    """Answer one image more at a time."""
    wrong = [not correct[place] for place in scores.argsort(stable=True)]
    return sum(sum(wrong[:n]) / n for n in range(1, len(wrong) + 1)) / len(wrong)


def test_aurc_equals_a_plain_loop() -> None:
    assert aurc(SCORES, CORRECT) == pytest.approx(loop_aurc(SCORES, CORRECT), abs=1e-12)
    assert aurc(SCORES.exp(), CORRECT) == pytest.approx(aurc(SCORES, CORRECT), abs=1e-15)


def test_equal_scores_count_as_the_mean_of_all_their_orders() -> None:
    correct = torch.tensor([True, False, True, False, True, True])
    scores = torch.tensor([0.0, 1.0, 1.0, 1.0, 1.0, 2.0])
    orders = [
        loop_aurc(torch.arange(6), correct[torch.tensor([0, *middle, 5])])
        for middle in itertools.permutations([1, 2, 3, 4])
    ]
    assert aurc(scores, correct) == pytest.approx(sum(orders) / len(orders), abs=1e-12)


def test_a_score_that_tells_nothing_has_the_error_rate() -> None:
    assert aurc(torch.zeros(60), CORRECT) == pytest.approx(float((~CORRECT).double().mean()), abs=1e-12)


def test_excess_is_none_for_the_best_order_only() -> None:
    assert excess_aurc((~CORRECT).double(), CORRECT) == pytest.approx(0, abs=1e-12)
    best = loop_aurc((~CORRECT).double(), CORRECT)
    assert excess_aurc(SCORES, CORRECT) == pytest.approx(aurc(SCORES, CORRECT) - best, abs=1e-12)
    assert excess_aurc(SCORES, CORRECT) > 0.001
    assert aurc(SCORES, torch.ones(60, dtype=torch.bool)) == 0
    assert aurc(SCORES, torch.zeros(60, dtype=torch.bool)) == pytest.approx(1)


def test_the_curve_by_hand() -> None:
    scores, correct = torch.tensor([3.0, 1.0, 2.0, 2.0]), torch.tensor([False, True, True, False])
    found = risk_coverage(scores, correct)
    assert found.thresholds.tolist() == [1, 2, 3]
    assert found.answered.tolist() == [1, 3, 4]
    assert found.wrong.tolist() == [0, 1, 2]
    torch.testing.assert_close(found.coverage, torch.tensor([0.25, 0.75, 1.0], dtype=torch.float64))
    torch.testing.assert_close(found.risk, torch.tensor([0, 1 / 3, 0.5], dtype=torch.float64))


def test_refuses() -> None:
    with pytest.raises(ValueError, match=r"correct must be a bool tensor \(N,\), got torch.float32"):
        aurc(SCORES, CORRECT.float())
