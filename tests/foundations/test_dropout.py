import pytest
import torch

from pellucid.foundations.dropout import dropout

VALUES = torch.tensor([[2.0, -1.0, 0.5]], dtype=torch.float64)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_mean_and_variance_are_those_of_the_formula(p: float) -> None:
    many = dropout(VALUES.expand(200_000, 3), p=p)
    torch.testing.assert_close(many.mean(dim=0), VALUES[0], rtol=0.03, atol=0)
    torch.testing.assert_close(many.var(dim=0), VALUES[0] ** 2 * p / (1 - p), rtol=0.03, atol=0)
    silent = (many == 0).double().mean(dim=0)
    torch.testing.assert_close(silent, torch.full_like(silent, p), rtol=0.03, atol=0)


def test_the_kept_are_scaled_and_each_sample_has_its_own_mask() -> None:
    found = dropout(torch.ones(64, 10), p=0.25)
    assert set(found.flatten().tolist()) == {0.0, torch.tensor(4 / 3).item()}
    assert len({tuple(row) for row in found.tolist()}) > 40


def test_a_fresh_mask_at_every_call_of_one_generator() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = (dropout(torch.ones(50), generator=generator) for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(first, dropout(torch.ones(50)))


def test_after_training_and_at_zero_nothing_happens() -> None:
    assert torch.equal(dropout(VALUES, p=0.5, is_training=False), VALUES)
    assert torch.equal(dropout(VALUES, p=0), VALUES)
    assert dropout(VALUES.float()).dtype == torch.float32


@pytest.mark.parametrize("p", [1.0, -0.1, float("nan")])
def test_refuses_p(p: float) -> None:
    with pytest.raises(ValueError, match=rf"p must be in \[0, 1\), got {p}"):
        dropout(VALUES, p=p)


def test_refuses_whole_numbers() -> None:
    with pytest.raises(ValueError, match=r"values must be a float tensor, got torch.int64"):
        dropout(torch.arange(3))
