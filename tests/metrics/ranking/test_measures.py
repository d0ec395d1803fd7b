"""Rankings against scikit-learn, plain loops and closed forms."""

import math
from collections.abc import Callable

import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve
from torch import Tensor

from pellucid.metrics.ranking import auroc, average_precision, detection_error, false_positive_rate

GENERATOR = torch.Generator().manual_seed(0)
POSITIVES = torch.rand(400, generator=GENERATOR) < 0.2
SMOOTH = torch.rand(400, generator=GENERATOR, dtype=torch.float64) + 0.4 * POSITIVES
TIED = (SMOOTH * 8).round()
MEASURES = [average_precision, auroc, false_positive_rate, detection_error]

both = pytest.mark.parametrize("scores", [SMOOTH, TIED, SMOOTH.float()], ids=["smooth", "tied", "float32"])
each = pytest.mark.parametrize("measure", MEASURES)


@both
def test_they_equal_scikit_learn(scores: Tensor) -> None:
    assert average_precision(scores, POSITIVES) == pytest.approx(average_precision_score(POSITIVES, scores), abs=1e-12)
    assert auroc(scores, POSITIVES) == pytest.approx(roc_auc_score(POSITIVES, scores), abs=1e-12)
    false, true, _ = roc_curve(POSITIVES, scores, drop_intermediate=False)
    assert false_positive_rate(scores, POSITIVES) == pytest.approx(false[true >= 0.95 - 1e-12].min(), abs=1e-12)
    assert false_positive_rate(scores, POSITIVES, recall=0.5) == pytest.approx(false[true >= 0.5].min(), abs=1e-12)
    assert detection_error(scores, POSITIVES) == pytest.approx(((1 - true + false) / 2).min(), abs=1e-12)


def test_a_threshold_that_rounding_hides() -> None:
    """0.55 * 100 is a little more than 55 in floats."""
    positives, scores = torch.arange(200) >= 100, torch.arange(200.0)
    scores[100:145] = -1.0  # 45 positives lowest: 55 are found before any other
    assert false_positive_rate(scores, positives, recall=0.55) == 0
    scores[145] = -1.0
    assert false_positive_rate(scores, positives, recall=0.55) == 1


@each
def test_rising_transforms_change_nothing(measure: Callable[..., float]) -> None:
    expected = measure(SMOOTH, POSITIVES)
    assert measure(SMOOTH.exp() * 3 - 7, POSITIVES) == expected
    order = torch.randperm(400, generator=GENERATOR)
    assert measure(SMOOTH[order], POSITIVES[order]) == pytest.approx(expected, abs=1e-12)


def test_perfect_useless_and_reversed_scores() -> None:
    perfect, constant = POSITIVES.double(), torch.zeros(400)
    share = float(POSITIVES.double().mean())
    assert [measure(perfect, POSITIVES) for measure in MEASURES] == [1, 1, 0, 0]
    assert average_precision(constant, POSITIVES) == pytest.approx(share)
    assert auroc(constant, POSITIVES) == 0.5
    assert false_positive_rate(constant, POSITIVES) == 1
    assert detection_error(constant, POSITIVES) == 0.5
    assert auroc(-SMOOTH, POSITIVES) == pytest.approx(1 - auroc(SMOOTH, POSITIVES))
    assert auroc(-SMOOTH, ~POSITIVES) == pytest.approx(auroc(SMOOTH, POSITIVES)), "roles swapped, scores turned"
    assert detection_error(-perfect, POSITIVES) == 0.5


def test_random_scores_have_the_share_of_positives_in_the_mean() -> None:
    source = torch.Generator().manual_seed(1)
    found = [average_precision(torch.rand(2000, generator=source), torch.arange(2000) < 400) for _ in range(50)]
    assert sum(found) / 50 == pytest.approx(0.2, abs=0.01)


@each
@pytest.mark.parametrize("value", [True, False])
def test_of_one_kind_only_nothing_is_defined(measure: Callable[..., float], value: bool) -> None:
    assert math.isnan(measure(SMOOTH, torch.full((400,), value)))


@each
def test_refuses(measure: Callable[..., float]) -> None:
    for scores, positives, message in (
        (torch.zeros(0), torch.zeros(0, dtype=torch.bool), r"scores must have shape \(N,\), N at least 1, got \(0,\)"),
        (torch.zeros(2, 2), POSITIVES, r"scores must have shape \(N,\), N at least 1, got \(2, 2\)"),
        (torch.tensor([0.0, torch.nan]), POSITIVES[:2], "scores must be finite, got NaN or infinity in 1 places"),
        (SMOOTH, POSITIVES.long(), r"positives must be a bool tensor \(N,\), got torch.int64"),
        (SMOOTH, POSITIVES[:9], r"positives must have shape \(400,\), one for each score, got \(9,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            measure(scores, positives)
    with pytest.raises(ValueError, match=r"recall must be in \[0, 1\], got 95"):
        false_positive_rate(SMOOTH, POSITIVES, recall=95)
