import math

import pytest
import torch
import torch.nn.functional as F

from pellucid.foundations.cross_entropy import (
    compare,
    cross_entropy_dense,
    cross_entropy_expression,
    cross_entropy_index,
    cross_entropy_logits,
    divergence,
    entropy,
)

DRAWN = torch.Generator().manual_seed(0)
LOGITS = 2 * torch.randn(7, 5, generator=DRAWN, dtype=torch.float64)
TARGETS = torch.randint(0, 5, (7,), generator=DRAWN)
HOT = F.one_hot(TARGETS, 5).double()
Z = LOGITS.softmax(dim=1)
SOFT = torch.rand(7, 5, generator=DRAWN, dtype=torch.float64)
SOFT = SOFT / SOFT.sum(dim=1, keepdim=True)


def test_the_four_ways_are_one_number() -> None:
    expected = sum(-math.log(Z[n, TARGETS[n]].item()) for n in range(7)) / 7
    for found in (
        cross_entropy_dense(Z, HOT),
        cross_entropy_expression(Z, HOT),
        cross_entropy_index(Z, TARGETS),
        cross_entropy_logits(LOGITS, TARGETS),
        F.cross_entropy(LOGITS, TARGETS),
    ):
        assert found.item() == pytest.approx(expected, rel=1e-12)


def test_soft_targets_too() -> None:
    expected = F.cross_entropy(LOGITS, SOFT)
    torch.testing.assert_close(cross_entropy_dense(Z, SOFT, soft=True), expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(cross_entropy_expression(Z, SOFT, soft=True), expected, rtol=1e-12, atol=0)


def test_the_gradient_by_the_logits_is_softmax_minus_targets_over_n() -> None:
    leaf = LOGITS.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(cross_entropy_logits(leaf, TARGETS), leaf)
    torch.testing.assert_close(gradient, (Z - HOT) / 7, rtol=1e-12, atol=1e-14)


def test_a_constant_added_to_the_logits_changes_nothing() -> None:
    torch.testing.assert_close(cross_entropy_logits(LOGITS + 1000, TARGETS), cross_entropy_logits(LOGITS, TARGETS))
    sure = torch.tensor([[0.0, 2000.0]])
    assert cross_entropy_logits(sure, torch.tensor([0])).item() == 2000  # softmax would have made it ln 0


def test_it_is_the_entropy_and_the_divergence() -> None:
    whole = cross_entropy_dense(Z, SOFT, soft=True)
    torch.testing.assert_close(whole, entropy(SOFT) + divergence(SOFT, Z), rtol=1e-12, atol=0)
    assert whole > entropy(SOFT)
    torch.testing.assert_close(cross_entropy_dense(SOFT, SOFT, soft=True), entropy(SOFT))
    assert divergence(SOFT, SOFT).item() == pytest.approx(0, abs=1e-15)
    assert entropy(HOT).item() == 0
    torch.testing.assert_close(divergence(HOT, Z), cross_entropy_index(Z, TARGETS))


def test_an_untrained_net_of_c_classes_begins_at_ln_c() -> None:
    assert cross_entropy_logits(torch.zeros(4, 10), torch.tensor([0, 3, 5, 9])).item() == pytest.approx(math.log(10))


def test_comparing_gives_the_same_loss_and_the_operations() -> None:
    ways = {way.name: way for way in compare(LOGITS, TARGETS, repeats=2)}
    assert list(ways) == ["dense", "expression", "index", "logits"]
    assert all(way.loss == pytest.approx(ways["dense"].loss, rel=1e-12) for way in ways.values())
    assert all(way.seconds > 0 for way in ways.values())
    assert [way.logarithms for way in ways.values()] == [35, 35, 7, 7]
    assert [way.products for way in ways.values()] == [35, 35, 0, 0]
    assert [way.exponentials for way in ways.values()] == [0, 0, 0, 35]


def test_refuses_probabilities_that_are_none() -> None:
    with pytest.raises(ValueError, match=r"probabilities must be above 0, got -.*pass logits to cross_entropy_logits"):
        cross_entropy_index(LOGITS, TARGETS)
    with pytest.raises(ValueError, match="probabilities must be above 0, got 0: pass logits"):
        cross_entropy_dense(HOT, HOT)
    with pytest.raises(ValueError, match="must have rows that sum to 1, got 2 in row 0: pass logits"):
        cross_entropy_expression(2 * Z, HOT)
    with pytest.raises(ValueError, match="probabilities must be finite"):
        cross_entropy_index(Z * math.nan, TARGETS)
    with pytest.raises(ValueError, match=r"probabilities must be a float tensor \(N, C\), got torch.float64 \(5,\)"):
        cross_entropy_index(Z[0], TARGETS)
    assert cross_entropy_index((1 + 9e-6) * Z, TARGETS).isfinite()


def test_refuses_targets_that_are_none() -> None:
    with pytest.raises(ValueError, match="targets must be one-hot, a single 1 in each row; soft=True"):
        cross_entropy_dense(Z, SOFT)
    with pytest.raises(ValueError, match="targets must be one-hot"):
        cross_entropy_dense(Z, torch.ones_like(Z))
    with pytest.raises(ValueError, match="targets must have rows that sum to 1"):
        cross_entropy_dense(Z, torch.ones_like(Z), soft=True)
    with pytest.raises(ValueError, match=r"shape \(7, 5\), got \(7,\); cross_entropy_index takes class indices"):
        cross_entropy_dense(Z, TARGETS)
    with pytest.raises(ValueError, match=r"targets must be int64 \(7,\), one for each row, got torch.float64 \(7, 5\)"):
        cross_entropy_index(Z, HOT)
    with pytest.raises(ValueError, match=r"targets must be in 0\.\.4, got 1 to 7: labels count classes"):
        cross_entropy_index(Z, torch.arange(1, 8))
    with pytest.raises(ValueError, match="one for each row"):
        cross_entropy_logits(LOGITS, TARGETS[:3])
