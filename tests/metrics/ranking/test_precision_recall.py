"""The curve against scikit-learn's."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, precision_recall_curve

from pellucid.metrics.ranking import average_precision, precision_recall


def test_it_is_scikit_learns_curve_also_with_equal_scores() -> None:
    source = torch.Generator().manual_seed(0)
    scores = torch.randint(12, (80,), generator=source).double()
    positives = torch.rand(80, generator=source) > 0.7
    for sign, sought in ((1, positives), (-1, ~positives)):
        found = precision_recall(sign * scores, sought)
        precision, recall, _ = precision_recall_curve(sought, sign * scores)
        np.testing.assert_allclose(found.precision, precision[:-1][::-1])
        np.testing.assert_allclose(found.recall, recall[:-1][::-1])
        area = float((found.recall.diff(prepend=torch.zeros(1, dtype=torch.float64)) * found.precision).sum())
        assert area == pytest.approx(average_precision_score(sought, sign * scores))
        assert area == pytest.approx(average_precision(sign * scores, sought))


def test_a_curve_by_hand() -> None:
    known, others = torch.tensor([0.1, 0.2, 0.2, 0.7]), torch.tensor([0.2, 0.6, 0.7, 0.9])
    found = precision_recall(torch.cat([known, others]), torch.arange(8) >= 4)
    assert found.recall.tolist() == [0.25, 0.5, 0.75, 1, 1]
    assert found.precision.tolist() == pytest.approx([1, 2 / 3, 3 / 4, 4 / 7, 4 / 8])


def test_refuses() -> None:
    right = torch.ones(3, dtype=torch.bool)
    for same, count in ((right, 3), (~right, 0)):
        with pytest.raises(ValueError, match=f"positives must hold some, and others, got {count} among 3"):
            precision_recall(torch.rand(3), same)
    with pytest.raises(ValueError, match="scores must be finite"):
        precision_recall(torch.tensor([1.0, float("nan"), 0.0]), torch.tensor([True, False, False]))
    with pytest.raises(ValueError, match=r"positives must be a bool tensor \(N,\), got torch\.int64"):
        precision_recall(torch.rand(3), right.long())
    with pytest.raises(ValueError, match=r"positives must have shape \(3,\)"):
        precision_recall(torch.rand(3), right[:2])
