"""One answer of several, against the formulas written out, and what a mean can never lose."""

import pytest
import torch
from torch import Tensor

from pellucid.uncertainty import aggregate

LOGITS = 3 * torch.randn(4, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
SAMPLES = LOGITS.softmax(dim=2)
TARGETS = torch.tensor([0, 1, 2, 3, 4, 0])
WEIGHTS = torch.tensor([0.5, 0.0, 2.0, 1.5])


def nll(probabilities: Tensor) -> Tensor:
    return -probabilities.log()[..., torch.arange(6), TARGETS]


def brier(probabilities: Tensor) -> Tensor:
    return (probabilities - torch.nn.functional.one_hot(TARGETS, 5)).square().sum(dim=-1)


def test_the_means_are_those_of_the_formulas() -> None:
    torch.testing.assert_close(aggregate(SAMPLES), sum(SAMPLES) / 4)
    torch.testing.assert_close(aggregate(SAMPLES, how="geometric"), LOGITS.mean(dim=0).softmax(dim=1))
    product = SAMPLES.prod(dim=0) ** 0.25
    torch.testing.assert_close(aggregate(SAMPLES, how="geometric"), product / product.sum(dim=1, keepdim=True))
    votes = [[sum(int(s[n].argmax()) == k for s in SAMPLES) / 4 for k in range(5)] for n in range(6)]
    torch.testing.assert_close(aggregate(SAMPLES, how="vote"), torch.tensor(votes, dtype=torch.float64))


def test_weights_count_as_often_as_they_say() -> None:
    repeated = SAMPLES[[0, 2, 2, 2, 2, 3, 3, 3]]
    for how in ("arithmetic", "geometric", "vote"):
        torch.testing.assert_close(aggregate(SAMPLES, WEIGHTS, how=how), aggregate(repeated, how=how))
        torch.testing.assert_close(aggregate(SAMPLES, 7 * WEIGHTS, how=how), aggregate(SAMPLES, WEIGHTS, how=how))


def test_all_weight_on_one_is_that_one() -> None:
    first = torch.tensor([1, 0, 0, 0])
    for how in ("arithmetic", "geometric"):
        torch.testing.assert_close(aggregate(SAMPLES, first, how=how), SAMPLES[0])


@pytest.mark.parametrize("how", ["arithmetic", "geometric", "vote"])
def test_rows_sum_to_one(how: str) -> None:
    for weights in (None, WEIGHTS):
        torch.testing.assert_close(aggregate(SAMPLES, weights, how=how).sum(dim=1), torch.ones(6, dtype=torch.float64))


def test_the_mean_is_never_worse_than_the_views_are_on_average() -> None:
    for loss in (nll, brier):
        assert (loss(aggregate(SAMPLES)) <= loss(SAMPLES).mean(dim=0)).all()
        assert (loss(aggregate(SAMPLES)) < loss(SAMPLES).mean(dim=0) - 1e-3).any()


def test_what_a_view_rules_out_leaves_a_geometric_mean_defined() -> None:
    sure = torch.eye(3)[:2, None]  # two views, each certain of another class
    found = aggregate(sure, how="geometric")
    torch.testing.assert_close(found, torch.tensor([[0.5, 0.5, 0.0]]))


def test_refuses() -> None:
    with pytest.raises(ValueError, match="how must be one of arithmetic, geometric, vote, got 'mean'"):
        aggregate(SAMPLES, how="mean")
    with pytest.raises(ValueError, match="samples must be probabilities"):
        aggregate(LOGITS)
    with pytest.raises(ValueError, match=r"weights must have shape \(4,\), one for each sample, got \(3,\)"):
        aggregate(SAMPLES, torch.ones(3))
    with pytest.raises(ValueError, match=r"weights must have shape .*, got list"):
        aggregate(SAMPLES, [1, 1, 1, 1])  # type: ignore[arg-type]
    for bad in ([1.0, -1, 1, 1], [0.0, 0, 0, 0], [float("nan"), 1, 1, 1]):
        with pytest.raises(ValueError, match="weights must be at least 0 and finite, one of them above 0"):
            aggregate(SAMPLES, torch.tensor(bad))
