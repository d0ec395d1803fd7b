import math

import pytest
import torch

from pellucid.foundations.spread import spread


def test_draws_that_agree_disagree_in_nothing_and_those_that_are_sure_of_others_in_all() -> None:
    one = torch.tensor([[0.2, 0.8], [1.0, 0.0]], dtype=torch.float64)
    same = spread(one.expand(5, 2, 2))
    assert same.disagreement.abs().max() < 1e-12
    assert same.deviation.max() < 1e-12
    assert same.entropy.tolist() == pytest.approx([-0.2 * math.log(0.2) - 0.8 * math.log(0.8), 0])
    torch.testing.assert_close(same.mean, one)
    split = spread(torch.eye(2, dtype=torch.float64)[:, None])  # (2, 1, 2): one sure of each class
    assert split.entropy.item() == pytest.approx(math.log(2))
    assert split.disagreement.item() == pytest.approx(math.log(2))
    assert split.deviation.tolist() == [[0.5, 0.5]]


def test_disagreement_is_part_of_the_entropy() -> None:
    found = spread(torch.randn(20, 50, 4, generator=torch.Generator().manual_seed(0)).softmax(dim=2))
    assert (found.disagreement >= 0).all()
    assert (found.disagreement <= found.entropy).all()
    assert (found.entropy <= math.log(4) + 1e-6).all()


@pytest.mark.parametrize("shape", [(1, 3, 2), (3, 2)])
def test_refuses_what_has_no_spread(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"samples must have shape \(S, N, K\), S at least 2 for a spread, got"):
        spread(torch.full(shape, 0.5))
