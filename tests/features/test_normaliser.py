import warnings

import numpy as np
import pytest
import torch
from sklearn.preprocessing import MinMaxScaler, Normalizer, StandardScaler

from pellucid.features import Normaliser

TRAIN = torch.randn(50, 7, generator=torch.Generator().manual_seed(0)) * 3 + 2
TEST = torch.randn(20, 7, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("how", "peer"), [("l2", Normalizer), ("standard", StandardScaler), ("minmax", MinMaxScaler)])
def test_equals_scikit_learn(how: str, peer: type) -> None:
    wanted = peer().fit(TRAIN.numpy()).transform(TEST.numpy())
    found = Normaliser(how).fit(TRAIN).transform(TEST)
    torch.testing.assert_close(found, torch.from_numpy(wanted).float())


def test_only_training_rows_are_learned_from() -> None:
    normaliser = Normaliser("standard").fit(TRAIN)
    shift = normaliser.shift_.clone()
    normaliser.transform(TEST)
    assert torch.equal(normaliser.shift_, shift)
    alone = normaliser.transform(TEST[:1])
    torch.testing.assert_close(alone, normaliser.transform(TEST)[:1])


def test_rows_of_l2_have_norm_one_and_rows_of_zeros_stay() -> None:
    rows = TRAIN.clone()
    rows[[3, 9]] = 0
    rows[4] *= 1e25  # whose squares leave float32
    rows[5] *= 1e-30
    with pytest.warns(UserWarning, match="2 of 50 rows are all zero and stay so, the first row 3"):
        found = Normaliser().fit(rows).transform(rows)
    norms = torch.ones(50)
    norms[[3, 9]] = 0
    torch.testing.assert_close(found.norm(dim=1), norms)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Normaliser().fit(rows).transform(TRAIN)


def test_scaling_rows_changes_nothing_under_l2() -> None:
    factors = torch.rand(20, 1, generator=torch.Generator().manual_seed(2)) * 9 + 0.1
    normaliser = Normaliser("l2").fit(TRAIN)
    torch.testing.assert_close(normaliser.transform(TEST * factors), normaliser.transform(TEST))


@pytest.mark.parametrize("how", ["standard", "minmax"])
def test_a_column_that_never_varies_becomes_zero(how: str) -> None:
    rows = TRAIN.clone()
    rows[:, 2] = 0.1  # not exact in binary
    found = Normaliser(how).fit(rows).transform(rows)
    assert torch.equal(found[:, 2], torch.zeros(50))
    assert torch.isfinite(found).all()


def test_a_large_mean_does_not_spoil_the_deviation() -> None:
    rows = TRAIN + 1e4
    found = Normaliser("standard").fit(rows).transform(rows)
    torch.testing.assert_close(found.std(dim=0, correction=0), torch.ones(7), atol=1e-3, rtol=0)


def test_none_and_arrays(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.npy"
    np.save(path, TRAIN.numpy())
    mapped = np.load(path, mmap_mode="r")  # as Store.read gives it
    assert torch.equal(Normaliser("none").fit(mapped).transform(mapped), TRAIN)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="how must be one of none, l2, standard, minmax, got 'l1'"):
        Normaliser("l1")
    with pytest.raises(ValueError, match="fitted on training rows first"):
        Normaliser().transform(TRAIN)
    with pytest.raises(ValueError, match="features must have the 7 columns learned, got 6"):
        Normaliser().fit(TRAIN).transform(TRAIN[:, :6])
    bad = TRAIN.clone()
    bad[17, 4] = float("nan")
    with pytest.raises(ValueError, match="features must be finite, got nan in row 17, column 4"):
        Normaliser().fit(bad)
    with pytest.raises(ValueError, match="features must be a float matrix"):
        Normaliser().fit(TRAIN[0])
