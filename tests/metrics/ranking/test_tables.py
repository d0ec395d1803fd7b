"""Both tables: the numbers are the single ones, the intervals those of a plain bootstrap, the same for all scores."""

import math
from dataclasses import fields

import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor

from pellucid.metrics import Interval, ranking
from pellucid.metrics.ranking import (
    DetectionRow,
    FailureRow,
    _resampled,
    detection_table,
    failure_differences,
    failure_table,
)

GENERATOR = torch.Generator().manual_seed(0)
CORRECT = torch.rand(300, generator=GENERATOR) < 0.85
GOOD = torch.rand(300, generator=GENERATOR, dtype=torch.float64) - 0.5 * CORRECT
SCORES = {"good": GOOD, "tied": (GOOD * 5).round(), "random": torch.rand(300, generator=GENERATOR)}
INSIDE = {"one": torch.rand(200, generator=GENERATOR), "two": torch.randn(200, generator=GENERATOR)}
OUTSIDE = {"one": torch.rand(100, generator=GENERATOR) + 0.4, "two": torch.randn(100, generator=GENERATOR)}


def numbers(row: FailureRow | DetectionRow) -> dict[str, Interval]:
    return {field.name: getattr(row, field.name) for field in fields(row) if field.name != "name"}


def test_failures_have_the_single_numbers() -> None:
    found = failure_table(SCORES, CORRECT, draws=20)
    assert [row.name for row in found.rows] == list(SCORES)
    assert (found.images, found.errors, found.undefined) == (300, int((~CORRECT).sum()), "")
    assert found.error_rate.value == pytest.approx(found.errors / 300)
    for row, scores in zip(found.rows, SCORES.values(), strict=True):
        assert row.aupr_error.value == pytest.approx(average_precision_score(~CORRECT, scores))
        assert row.aupr_success.value == pytest.approx(average_precision_score(CORRECT, -scores))
        assert row.auroc.value == pytest.approx(ranking.auroc(scores, ~CORRECT))
        assert row.fpr95.value == pytest.approx(ranking.false_positive_rate(-scores, CORRECT)), "of errors, accepted"
        assert row.aurc.value == pytest.approx(ranking.aurc(scores, CORRECT))
        assert row.e_aurc.value == pytest.approx(ranking.excess_aurc(scores, CORRECT))
        assert row.aupr_error.value != pytest.approx(row.aupr_success.value, abs=0.05), "errors are the positives"


def test_differences_are_those_of_the_same_draws() -> None:
    rows = {row.name: row for row in failure_table(SCORES, CORRECT, draws=50).rows}
    found = failure_differences(SCORES, CORRECT, against="good", draws=50)
    assert [row.name for row in found] == ["tied", "random"]
    for row in found:
        for name, each in numbers(row).items():
            assert each.value == pytest.approx(numbers(rows[row.name])[name].value - numbers(rows["good"])[name].value)
            assert each.low <= each.value <= each.high
    source = torch.Generator().manual_seed(0)
    drawn = []
    for _ in range(50):
        places = torch.randint(300, (300,), generator=source)
        wrong = ~CORRECT[places]
        one, other = (average_precision_score(wrong, SCORES[name][places]) for name in ("random", "good"))
        drawn.append(one - other)
    low, high = torch.tensor(drawn, dtype=torch.float64).quantile(torch.tensor([0.025, 0.975]).double()).tolist()
    assert (found[1].aupr_error.low, found[1].aupr_error.high) == pytest.approx((low, high), abs=1e-6)


def test_a_score_is_not_told_apart_from_itself() -> None:
    (row,) = failure_differences({"one": GOOD, "two": 3 * GOOD}, CORRECT, against="one", draws=20)
    assert all((each.low, each.value, each.high) == (0, 0, 0) for each in numbers(row).values())
    with pytest.raises(ValueError, match="against must be one of one, two, got 'too'; did you mean two"):
        failure_differences({"one": GOOD, "two": GOOD}, CORRECT, against="too")


def test_detection_has_the_single_numbers() -> None:
    found = detection_table(INSIDE, OUTSIDE, draws=20)
    assert (found.inside, found.outside) == (200, 100)
    outside = torch.arange(300) >= 200
    for row in found.rows:
        scores = torch.cat([INSIDE[row.name], OUTSIDE[row.name]])
        assert row.aupr_out.value == pytest.approx(average_precision_score(outside, scores))
        assert row.aupr_in.value == pytest.approx(average_precision_score(~outside, -scores))
        assert row.auroc.value == pytest.approx(ranking.auroc(scores, outside))
        assert row.fpr95.value == pytest.approx(ranking.false_positive_rate(-scores, ~outside))
        assert row.detection_error.value == pytest.approx(ranking.detection_error(scores, outside))


def test_perfect_separation_and_none() -> None:
    perfect = detection_table({"x": torch.zeros(30)}, {"x": torch.ones(50)}, draws=10).rows[0]
    assert {name: each.value for name, each in numbers(perfect).items()} == {
        "aupr_out": 1,
        "aupr_in": 1,
        "auroc": 1,
        "fpr95": 0,
        "detection_error": 0,
    }
    same = detection_table(INSIDE, INSIDE, draws=200).rows[0]
    assert same.auroc.value == 0.5
    assert same.auroc.low < 0.5 < same.auroc.high
    assert same.aupr_out.value == pytest.approx(0.5, abs=0.05)


def test_intervals_are_those_of_a_plain_bootstrap() -> None:
    """Images themselves drawn again, and each draw handed to scikit-learn or to the single number."""
    found = failure_table({"good": GOOD}, CORRECT, draws=40, generator=torch.Generator().manual_seed(3)).rows[0]
    source = torch.Generator().manual_seed(3)
    drawn: dict[str, list[float]] = {"aupr_error": [], "e_aurc": [], "fpr95": []}
    for _ in range(40):
        places = torch.randint(300, (300,), generator=source)
        scores, correct = GOOD[places], CORRECT[places]
        drawn["aupr_error"].append(average_precision_score(~correct, scores))
        drawn["e_aurc"].append(ranking.excess_aurc(scores, correct))
        drawn["fpr95"].append(ranking.false_positive_rate(-scores, correct))
    for name, values in drawn.items():
        low, high = (
            torch.tensor(values, dtype=torch.float64)
            .quantile(torch.tensor([0.025, 0.975], dtype=torch.float64))
            .tolist()
        )
        interval: Interval = getattr(found, name)
        assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-9), name


def test_intervals_hold_the_number_and_cover_the_truth() -> None:
    for row in failure_table(SCORES, CORRECT, draws=100).rows:
        for name, interval in numbers(row).items():
            assert interval.low <= interval.value <= interval.high, name
    source, covered = torch.Generator().manual_seed(5), 0
    for _ in range(100):  # scores N(0, 1) and N(1, 1): AUROC is Phi(1 / sqrt 2)
        correct = torch.rand(150, generator=source) < 0.7
        scores = torch.randn(150, generator=source) + (~correct).float()
        interval = failure_table({"x": scores}, correct, draws=100, generator=source).rows[0].auroc
        covered += interval.low <= 0.7602 <= interval.high
    assert covered >= 87


def test_chunks_and_company_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = failure_table(SCORES, CORRECT, draws=30)
    assert failure_table({"tied": SCORES["tied"]}, CORRECT, draws=30).rows[0] == expected.rows[1], "the same draws"
    monkeypatch.setattr(_resampled, "MOST_AT_ONCE", 1000)
    assert failure_table(SCORES, CORRECT, draws=30) == expected


@pytest.mark.parametrize("value", [True, False])
def test_without_both_kinds_nothing_is_made_up(value: bool) -> None:
    found = failure_table(SCORES, torch.full((300,), value), draws=5)
    assert found.undefined.startswith("0 errors among 300 images" if value else "300 errors among 300 images")
    for row in found.rows:
        told = numbers(row)
        assert all(math.isnan(told[name].value) for name in ("aupr_error", "aupr_success", "auroc", "fpr95"))
        assert told["aurc"].value == pytest.approx(0 if value else 1)
        assert told["e_aurc"].high == pytest.approx(0)


def test_draws_without_an_error_are_left_out() -> None:
    correct = torch.ones(40, dtype=torch.bool)
    correct[3] = False
    found = failure_table({"x": torch.arange(40.0)}, correct, draws=100).rows[0].auroc
    assert math.isfinite(found.low) and math.isfinite(found.high)  # noqa: PT018


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ({}, "scores must map at least one name to scores"),
        ({"a": GOOD, "b": GOOD[:9]}, r"scores must all be of the same images, got 300 \('a'\) and 9 \('b'\)"),
        ({"a": torch.full((300,), torch.nan)}, r"scores\['a'\] must be finite, got NaN or infinity in 300 places"),
    ],
)
def test_failures_refuse(scores: dict[str, Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        failure_table(scores, CORRECT)


def test_refuses() -> None:
    with pytest.raises(ValueError, match="draws must be at least 1, got 0"):
        failure_table(SCORES, CORRECT, draws=0)
    with pytest.raises(ValueError, match="scores_out must hold 'two' as well, got one"):
        detection_table(INSIDE, {"one": OUTSIDE["one"]})
    with pytest.raises(ValueError, match=r"scores_out\['one'\] must have shape \(N,\), N at least 1, got \(0,\)"):
        detection_table({"one": INSIDE["one"]}, {"one": torch.zeros(0)})
