"""The curve against scikit-learn's."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, precision_recall_curve

from pellucid.uncertainty.failure import precision_recall


def test_it_is_scikit_learns_curve_also_with_equal_scores() -> None:
    source = torch.Generator().manual_seed(0)
    scores = torch.randint(12, (80,), generator=source).double()
    correct = torch.rand(80, generator=source) < 0.7
    found = precision_recall(scores, correct)
    precision, recall, _ = precision_recall_curve(~correct, scores)
    np.testing.assert_allclose(found.precision, precision[:-1][::-1])
    np.testing.assert_allclose(found.recall, recall[:-1][::-1])
    area = float((found.recall.diff(prepend=torch.zeros(1, dtype=torch.float64)) * found.precision).sum())
    assert area == pytest.approx(average_precision_score(~correct, scores))


def test_refuses() -> None:
    right = torch.ones(3, dtype=torch.bool)
    with pytest.raises(ValueError, match="correct must hold errors and right answers, got 0 errors among 3"):
        precision_recall(torch.rand(3), right)
    with pytest.raises(ValueError, match="must be finite"):
        precision_recall(torch.tensor([1.0, float("nan"), 0.0]), torch.tensor([True, False, False]))
    with pytest.raises(ValueError, match=r"correct must be bool, one for each of the scores \(3,\), got torch.int64"):
        precision_recall(torch.rand(3), right.long())
