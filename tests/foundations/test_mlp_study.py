import pytest
import torch

from pellucid.data import builtin
from pellucid.foundations.four_ways import WAYS
from pellucid.foundations.mlp_study import Labelled, landscape, learn, settings


def circles(split: str, seed: int = 0) -> Labelled:
    table = builtin("circles", split=split, seed=seed)
    return Labelled(table.values, table.targets)


TRAIN, TEST = circles("train"), circles("test")


def test_the_four_ways_learn_the_circles_alike() -> None:
    found = {way: learn(TRAIN, TEST, way=way, epochs=8) for way in WAYS}
    for one in found.values():
        torch.testing.assert_close(one.step_losses, found["manual"].step_losses, rtol=0, atol=1e-9)
        torch.testing.assert_close(one.test_loss, found["manual"].test_loss, rtol=0, atol=1e-9)


def test_the_circles_are_learned_as_well_as_their_noise_allows() -> None:
    found = learn(TRAIN, TEST)
    assert found.test_accuracy[-1] > 0.9
    assert found.test_accuracy.shape == (151,)
    assert found.step_losses.shape == (3000,)
    assert found.train_loss[0].item() == pytest.approx(0.693, abs=0.1)
    inside, outside = landscape(found.weights, torch.tensor([[0.0, 0.0], [0.0, 1.0]]))
    assert inside * outside < 0
    said = (landscape(found.weights, TEST.values) > 0) == TEST.targets
    assert said.double().mean() == found.test_accuracy[-1]


def test_a_large_batch_makes_fewer_updates_in_as_many_epochs() -> None:
    assert len(learn(TRAIN, TEST, batch=50, epochs=2).step_losses) == 8
    assert len(learn(TRAIN, TEST, batch=1, epochs=2).step_losses) == 400


def test_the_same_seed_is_the_same_bit_for_bit() -> None:
    one, other, third = (learn(TRAIN, TEST, epochs=2, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(one.step_losses, other.step_losses)
    assert not torch.equal(one.step_losses, third.step_losses)


def test_settings_come_once_each() -> None:
    assert list(settings([0.1, 0.5], [1, 10], lr=0.1, batch=10)) == [(0.1, 10), (0.5, 10), (0.1, 1)]


def test_a_batch_of_more_rows_than_there_are_is_announced() -> None:
    with pytest.warns(UserWarning, match="batch 500 is more than the 200 rows: every batch is all rows"):
        assert len(learn(TRAIN, TEST, batch=500, epochs=2).step_losses) == 2


def test_divergence_says_where_and_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"loss became (nan|inf) at epoch \d step \d+, lr 1e\+308: lower lr"):
        learn(TRAIN, TEST, lr=1e308, epochs=4)


def test_refuses() -> None:
    with pytest.raises(ValueError, match="lr must be above 0, got 0"):
        learn(TRAIN, TEST, lr=0)
    with pytest.raises(ValueError, match="way must be one of manual, autograd, nn, optim, got 'autogad'; did you mean"):
        learn(TRAIN, TEST, way="autogad")
    one = Labelled(TRAIN.values, torch.zeros_like(TRAIN.targets))
    with pytest.raises(ValueError, match=r"train must have at least two classes, all of 0\.\.C-1, got \[0\]"):
        learn(one, TEST)
    with pytest.raises(ValueError, match=r"test must have the classes of train, 0\.\.1, got \[2\]"):
        learn(TRAIN, Labelled(TEST.values, torch.full_like(TEST.targets, 2)))
    with pytest.raises(ValueError, match="train must have finite values"):
        learn(Labelled(TRAIN.values * torch.nan, TRAIN.targets), TEST)
    with pytest.raises(ValueError, match=r"test must have values \(N, d\) and targets \(N,\)"):
        learn(TRAIN, Labelled(TEST.values, TEST.targets[:3]))
    wide = Labelled(torch.cat([TRAIN.values, TRAIN.values], dim=1), TRAIN.targets)
    with pytest.raises(ValueError, match="points must be in the plane for a landscape, got 4 inputs"):
        landscape(learn(wide, wide, epochs=1).weights, torch.zeros(3, 4))
