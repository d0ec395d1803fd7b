"""Prediction sets: scores by hand, and the coverage that is stated, over many draws."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import betabinom, binom
from torch import Tensor

from pellucid.uncertainty import ConformalSets, set_coverage

KINDS: list[dict[str, Any]] = [
    {},
    {"kind": "adaptive"},
    {"kind": "adaptive", "randomised": True},
    {"kind": "adaptive", "randomised": True, "penalty": 0.1, "free_ranks": 1},
]
each = pytest.mark.parametrize("options", KINDS, ids=["threshold", "adaptive", "randomised", "penalised"])


def drawn(count: int, source: torch.Generator) -> tuple[Tensor, Tensor]:
    """Probabilities that are too sure of themselves, and classes."""
    logits = 1.5 * torch.randn(count, 6, generator=source, dtype=torch.float64)
    return (2 * logits).softmax(dim=1), logits.softmax(dim=1).multinomial(1, generator=source)[:, 0]


PROBABILITIES, TARGETS = drawn(200, torch.Generator().manual_seed(0))


@each
@pytest.mark.parametrize("empty", [True, False])
def test_the_stated_coverage_over_a_hundred_seeds(options: dict[str, Any], empty: bool) -> None:
    """A draw's hits among m new images follow the beta-binomial of n calibration images, whatever the network."""
    calibrating, fresh, alpha, hits = 99, 100, 0.1, []
    for seed in range(100):
        source = torch.Generator().manual_seed(1000 + seed)
        fitted = ConformalSets(alpha=alpha, allow_empty=empty, **options).fit(
            *drawn(calibrating, source), generator=source
        )
        probabilities, targets = drawn(fresh, source)
        sets = fitted(probabilities, generator=source)
        hits.append(int(sets.members.gather(1, targets[:, None]).sum()))
    place = math.ceil((calibrating + 1) * (1 - alpha) - 1e-9)
    law = betabinom(fresh, place, calibrating + 1 - place)
    mean, spread = sum(hits) / 100, law.std() / 10
    assert law.mean() == pytest.approx(90)
    assert mean > 90 - 2.6 * spread
    if empty:
        assert mean < 90 + 2.6 * spread, "no more than stated: the scores have no ties"
    low, high = (binom.ppf(q, 10_000, 0.9) for q in (0.0005, 0.9995))
    calibrated_once = ConformalSets(alpha=alpha, allow_empty=empty, **options)
    source = torch.Generator().manual_seed(7)
    calibrated_once.fit(*drawn(200_000, source), generator=source)
    probabilities, targets = drawn(10_000, source)
    found = set_coverage(calibrated_once(probabilities, generator=source), targets)
    held = found.coverage.value * 10_000
    assert low <= held
    assert held <= high or not empty


def test_threshold_sets_by_hand() -> None:
    """Nine images, alpha 0.2: the 8th smallest of their 1 - p_y decides."""
    p_true = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5, 0.45, 0.4, 0.35, 0.2], dtype=torch.float64)
    rows = torch.stack([p_true, (1 - p_true) / 2, (1 - p_true) / 2], dim=1)
    fitted = ConformalSets(alpha=0.2).fit(rows, torch.zeros(9, dtype=torch.int64))
    assert fitted.limit_ == pytest.approx(0.65)
    found = fitted(torch.tensor([[0.36, 0.36, 0.28], [0.34, 0.33, 0.33], [0.9, 0.05, 0.05]]))
    assert found.members.tolist() == [[True, True, False], [True, False, False], [True, False, False]]
    assert found.was_empty.tolist() == [False, True, False]
    assert found.sizes.tolist() == [2, 1, 1]
    kept = ConformalSets(alpha=0.2, allow_empty=True).fit(rows, torch.zeros(9, dtype=torch.int64))
    assert kept(torch.tensor([[0.34, 0.33, 0.33]])).sizes.tolist() == [0]


def test_adaptive_scores_by_hand() -> None:
    row = torch.tensor([[0.2, 0.5, 0.3]], dtype=torch.float64)
    plain = ConformalSets(kind="adaptive")._scores(row, None)
    torch.testing.assert_close(plain, torch.tensor([[1.0, 0.5, 0.8]]).double())
    dearer = ConformalSets(kind="adaptive", penalty=0.1, free_ranks=1)._scores(row, None)
    torch.testing.assert_close(dearer, torch.tensor([[1.2, 0.5, 0.9]]).double())
    share = torch.rand(1, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    source = torch.Generator().manual_seed(4)
    random = ConformalSets(kind="adaptive", randomised=True)._scores(row, source)
    torch.testing.assert_close(random, plain - share * row)


def test_a_smaller_alpha_gives_larger_sets() -> None:
    fresh = drawn(300, torch.Generator().manual_seed(1))[0]
    for options in KINDS:
        wide, narrow = (ConformalSets(alpha=a, **options).fit(PROBABILITIES, TARGETS)(fresh) for a in (0.02, 0.2))
        assert (wide.members | ~narrow.members).all(), "nested"
        assert wide.sizes.sum() > narrow.sizes.sum()


def test_threshold_sets_are_the_smallest_and_adaptive_ones_follow_the_hardness() -> None:
    source = torch.Generator().manual_seed(2)
    many, truth = drawn(20_000, source)
    fresh, targets = drawn(20_000, source)
    plain, adaptive = (
        set_coverage(ConformalSets(**options).fit(many, truth)(fresh), targets) for options in (KINDS[0], KINDS[2])
    )
    assert plain.mean_size < adaptive.mean_size
    assert int(plain.images_of_size.sum()) == 20_000
    sizes = torch.arange(7)
    assert float((plain.images_of_size * sizes).sum()) / 20_000 == pytest.approx(plain.mean_size)
    total = (adaptive.coverage_of_size.nan_to_num() * adaptive.images_of_size).sum() / 20_000
    assert float(total) == pytest.approx(adaptive.coverage.value)


@each
def test_what_was_fitted_is_kept(options: dict[str, Any], tmp_path: Path) -> None:
    fitted = ConformalSets(alpha=0.07, **options).fit(PROBABILITIES, TARGETS)
    fitted.save(tmp_path)
    again = ConformalSets.load(tmp_path)
    assert vars(again) == vars(fitted)
    assert torch.equal(again(PROBABILITIES).members, fitted(PROBABILITIES).members)
    assert torch.equal(fitted(PROBABILITIES.float()[:50]).members, fitted(PROBABILITIES.float()).members[:50])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 0.0}, "alpha must be between 0 and 1, such as 0.1, got 0.0"),
        ({"kind": "adaptiv"}, "kind must be one of threshold, adaptive, got 'adaptiv'; did you mean adaptive"),
        ({"penalty": 0.1}, "must be left out with kind threshold"),
        ({"kind": "adaptive", "penalty": -1.0}, "penalty must be at least 0, got -1.0"),
        ({"kind": "adaptive", "free_ranks": 1.5}, "free_ranks must be a whole number, got 1.5"),
    ],
)
def test_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ConformalSets(**options)


def test_refuses() -> None:
    with pytest.raises(
        ValueError, match=r"alpha must be at least 1 / \(N \+ 1\) = 0.1 with 9 images, got 0.05: give at "
    ):
        ConformalSets(alpha=0.05).fit(PROBABILITIES[:9], TARGETS[:9])
    assert ConformalSets(alpha=0.05).fit(PROBABILITIES[:19], TARGETS[:19]).images_ == 19
    with pytest.raises(ValueError, match="probabilities must be at least 0, in rows that sum to 1"):
        ConformalSets().fit(PROBABILITIES.log(), TARGETS)
    with pytest.raises(ValueError, match="targets must be int64"):
        ConformalSets().fit(PROBABILITIES, TARGETS[:4])
    with pytest.raises(ValueError, match="probabilities must be of the 6 classes fitted on, got 2"):
        ConformalSets().fit(PROBABILITIES, TARGETS)(torch.full((1, 2), 0.5))
