import math

import numpy as np
import pytest
import torch
from scipy.stats import bootstrap as scipy_bootstrap

from pellucid.metrics import bootstrap, intervals, student

VALUES = torch.randn(300, generator=torch.Generator().manual_seed(0), dtype=torch.float64).exp()


def test_a_plain_loop_over_the_same_draws_gives_the_same() -> None:
    found = bootstrap(VALUES[:7], draws=50, generator=torch.Generator().manual_seed(3))
    places = torch.randint(7, (50, 7), generator=torch.Generator().manual_seed(3)).tolist()
    means = [sum(VALUES[place].item() for place in row) / 7 for row in places]
    assert found.value == pytest.approx(VALUES[:7].mean().item())
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])))


def test_it_is_near_the_normal_interval_and_scipys() -> None:
    found = bootstrap(VALUES, draws=20_000)
    half = 1.96 * VALUES.std().item() / math.sqrt(300)
    assert found.high - found.low == pytest.approx(2 * half, rel=0.05)
    theirs = scipy_bootstrap(
        (VALUES.numpy(),), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.02 * half)


def test_it_covers_the_mean_as_often_as_it_says() -> None:
    source, covered = torch.Generator().manual_seed(1), 0
    for _ in range(1000):
        found = bootstrap(torch.randn(100, generator=source), draws=200, generator=source)
        covered += found.low <= 0 <= found.high
    assert 0.91 < covered / 1000 < 0.97


def test_few_at_a_time_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = bootstrap(VALUES, draws=101)
    monkeypatch.setattr(intervals, "MOST_AT_ONCE", 1000)
    assert bootstrap(VALUES, draws=101) == expected


def test_of_equal_values_there_is_no_doubt() -> None:
    found = bootstrap(torch.full((5,), 0.25))
    assert (found.value, found.low, found.high) == (0.25, 0.25, 0.25)
    assert bootstrap(torch.tensor([True, True])).low == 1, "shares as well"


def test_refuses() -> None:
    for values, message in (
        (torch.zeros(0), r"values must have shape \(N,\), N at least 1, got \(0,\)"),
        (torch.zeros(2, 2), r"values must have shape \(N,\), N at least 1, got \(2, 2\)"),
        (torch.tensor([0.0, torch.nan]), "values must be finite, got NaN or infinity"),
    ):
        with pytest.raises(ValueError, match=message):
            bootstrap(values)
    with pytest.raises(ValueError, match="draws must be at least 1, got 0"):
        bootstrap(VALUES, draws=0)


def test_student_of_three_repeats_is_the_tables() -> None:
    found = student([1.0, 2.0, 3.0])  # s = 1, and 4.302653 is the tables' t of 2 degrees of freedom
    assert found.value == 2.0
    assert found.high - found.value == pytest.approx(4.302653 / 3**0.5, abs=1e-6)
    assert found.value - found.low == pytest.approx(4.302653 / 3**0.5, abs=1e-6)


def test_student_of_one_repeat_says_nothing_of_its_spread() -> None:
    found = student([0.7])
    assert (found.value, found.low, found.high) == (0.7, -math.inf, math.inf)


def test_student_covers_the_mean_as_often_as_it_says() -> None:
    draws = torch.randn(2000, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = [student(row) for row in draws.tolist()]
    assert sum(one.low <= 0 <= one.high for one in found) / 2000 == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("values", [[], [1.0, math.nan]])
def test_student_refuses(values: list[float]) -> None:
    with pytest.raises(ValueError, match="values must be finite, at least one"):
        student(values)
