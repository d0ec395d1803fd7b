"""Scaling: by hand, as scikit-learn, and there and back."""

import json
import re

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from torch import Tensor

from pellucid.models import SCALERS, Scaler

ROWS = torch.randn(40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * torch.tensor([1, 50, 1e-3])
ROWS[:, 1] += 0.5 * ROWS[:, 0] + 2000
NEW = ROWS[:5] * 1.5


def test_training_columns_lie_in_the_unit_interval_exactly_and_others_may_leave() -> None:
    scaler = Scaler("minmax").fit(ROWS)
    scaled = scaler.transform(ROWS)
    assert (scaled.amin(dim=0) == 0).all()
    assert (scaled.amax(dim=0) == 1).all()
    assert float(scaler.transform(NEW).max()) > 1
    torch.testing.assert_close(scaled, (ROWS - ROWS.amin(0)) / (ROWS.amax(0) - ROWS.amin(0)), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("kind", "oracle"), [("minmax", MinMaxScaler()), ("standard", StandardScaler()), ("whiten", PCA(whiten=True))]
)
def test_equals_scikit_learn(kind: str, oracle: object) -> None:
    oracle.fit(ROWS.numpy())  # type: ignore[attr-defined]
    expected = oracle.transform(NEW.numpy())  # type: ignore[attr-defined]
    found = Scaler(kind).fit(ROWS).transform(NEW).numpy()
    if kind == "whiten":  # axes have no sign of their own, and scikit-learn divides by N - 1
        expected *= np.sign(expected[0] * found[0]) * (40 / 39) ** 0.5
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_whitened_rows_have_identity_covariance() -> None:
    white = Scaler("whiten").fit(ROWS).transform(ROWS)
    torch.testing.assert_close(white.T @ white / len(white), torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", SCALERS)
def test_there_and_back(kind: str) -> None:
    scaler = Scaler(kind).fit(ROWS)
    torch.testing.assert_close(scaler.inverse(scaler.transform(NEW)), NEW, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", SCALERS)
def test_written_and_read_it_is_the_same(kind: str) -> None:
    scaler = Scaler(kind, fills=True).fit(ROWS)
    again = Scaler.from_state(json.loads(json.dumps(scaler.state())), 3)
    assert torch.equal(again.transform(NEW), scaler.transform(NEW))
    assert (again.kind, again.fills) == (kind, True)


@pytest.mark.parametrize("kind", ["minmax", "standard"])
def test_a_constant_column_is_named_and_becomes_zero(kind: str) -> None:
    rows = torch.cat([ROWS, torch.full((40, 1), 0.1, dtype=torch.float64)], dim=1)
    with pytest.warns(UserWarning, match="column year is constant in training and becomes 0"):
        scaler = Scaler(kind).fit(rows, ["a", "b", "c", "year"])
    changed = rows.clone()
    changed[:, 3] = 7
    assert (scaler.transform(changed)[:, 3] == 0).all()
    assert torch.equal(scaler.transform(changed)[:, :3], Scaler(kind).fit(ROWS).transform(ROWS))
    assert scaler.inverse(scaler.transform(changed))[:, 3].tolist() == pytest.approx([0.1] * 40, rel=1e-12)


def test_whitening_leaves_out_what_has_no_spread() -> None:
    rows = torch.cat([ROWS, ROWS[:, :1] * 2 + 1], dim=1)
    with pytest.warns(UserWarning, match="1 of 4 principal axes have no spread and become 0"):
        scaler = Scaler("whiten").fit(rows)
    assert (scaler.transform(rows)[:, 3] == 0).all()
    torch.testing.assert_close(scaler.inverse(scaler.transform(rows)), rows, rtol=1e-7, atol=1e-7)


def test_a_missing_value_becomes_the_training_mean() -> None:
    rows, new = ROWS.clone(), NEW.clone()
    rows[3, 1], new[0, 1] = torch.nan, torch.nan
    mean = torch.cat([ROWS[:3, 1], ROWS[4:, 1]]).mean()
    scaler = Scaler("standard", fills=True).fit(rows)
    torch.testing.assert_close(scaler.fill_[1], mean)
    filled = new.clone()
    filled[0, 1] = mean
    torch.testing.assert_close(scaler.transform(new), scaler.transform(filled))
    assert float(scaler.transform(new)[0, 1]) == pytest.approx(0, abs=1e-9)


def test_gradients_pass() -> None:
    rows = NEW.clone().requires_grad_()
    scaler = Scaler("standard").fit(ROWS)
    scaler.transform(rows).sum().backward()  # type: ignore[no-untyped-call]
    assert rows.grad is not None
    torch.testing.assert_close(rows.grad, (1 / scaler.scale_).expand(5, 3))


def holed() -> Tensor:
    rows = ROWS.clone()
    rows[3, 1] = torch.nan
    return rows


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (holed(), "column 'b' lacks a value"),
        (ROWS[:0], r"rows must be float numbers \(N, 3\), N at least 1, got torch.float64 \(0, 3\)"),
        (ROWS.long(), "rows must be float numbers"),
        (ROWS / torch.tensor([1, 0, 1]), "rows must be finite, got infinity in row 1"),
    ],
)
def test_fit_refuses(rows: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Scaler().fit(rows, ["a", "b", "c"])


def test_refuses() -> None:
    with pytest.raises(ValueError, match=r"scaler must be one of minmax, .*got 'min-max'; did you mean minmax\?"):
        Scaler("min-max")
    with pytest.raises(ValueError, match="row 4 lacks a value"):
        Scaler().fit(ROWS).transform(holed())
    with pytest.raises(ValueError, match=r"\(N, 3\).*got torch.float64 \(40, 2\)"):
        Scaler().fit(ROWS).transform(ROWS[:, :2])
    with pytest.raises(ValueError, match="column 'b' has no value at all"):
        Scaler(fills=True).fit(torch.where(torch.tensor([False, True, False]), torch.nan, ROWS), ["a", "b", "c"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": [1.0, -1.0, 1.0]}, "scale must be at least 0"),
        ({"scale": [1.0, 1.0]}, "scale must be 3 finite numbers, got shape (2,)"),
        ({"shift": ["a", 1, 2]}, "shift must be 3 finite numbers"),
        ({"shift": [[1], 2, 3]}, "shift must be 3 finite numbers"),
        ({"fill": [1.0, 2.0, float("nan")]}, "fill must be 3 finite numbers"),
        ({"rotation": [[1.0]]}, "rotation must be given with whiten and only then, the kind is minmax"),
        ({"kind": "whiten"}, "rotation must be given with whiten"),
        ({"fills": 1}, "fills must be true or false, got 1"),
        ({"shifts": [1]}, "scaler must give kind, fills"),
    ],
)
def test_what_was_written_is_checked(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Scaler.from_state(Scaler().fit(ROWS).state() | change, 3)
