from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pellucid.features import Index

KINDS, DISTANCES = ("exact", "ivf", "hnsw"), ("mse", "cosine", "l1")
ALL: dict[str, Any] = {"cells": 4, "probes": 4, "effort": 200}
"""Options with which ivf looks everywhere and the graph nearly so."""


def rows_of(count: int = 120, width: int = 12, seed: int = 0) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def by_hand(asked: Tensor, known: Tensor, distance: str) -> Tensor:
    """Distances (Q, N), one pair at a time."""
    found = torch.empty(len(asked), len(known), dtype=torch.float64)
    for i, a in enumerate(asked.double()):
        for j, b in enumerate(known.double()):
            if distance == "cosine":
                lengths = a.norm() * b.norm()
                found[i, j] = 1 - a @ b / lengths if lengths else 1 - float(bool(a.norm() == b.norm()))
            else:
                found[i, j] = (a - b).abs().sum() if distance == "l1" else (a - b).square().mean()
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("distance", DISTANCES)
def test_the_nearest_are_those_of_brute_force(kind: str, distance: str) -> None:
    known, asked = rows_of() + 3, rows_of(7, seed=1) + 3
    found = Index(kind=kind, distance=distance, **ALL).fit(known).search(asked, k=9)
    far = by_hand(asked, known, distance)
    wanted = far.sort(dim=1, stable=True)
    assert found.rows.equal(wanted.indices[:, :9])
    torch.testing.assert_close(found.distances, wanted.values[:, :9], atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("distance", DISTANCES)
def test_a_row_finds_itself_first_at_exactly_zero(kind: str, distance: str) -> None:
    known = rows_of() * 3e3 + 1e6  # float32 distances of such rows are mostly rounding
    index = Index(kind=kind, distance=distance, **ALL).fit(known)
    found = index.search(known, k=3)
    assert found.distances[:, 0].eq(0).all()
    assert found.rows[:, 0].tolist() == list(range(120))
    without = index.search(known, k=2, exclude=torch.arange(120))
    assert not without.rows.eq(torch.arange(120)[:, None]).any()
    assert without.rows[:, 0].equal(found.rows[:, 1])


def test_rounding_hides_none_of_the_nearest() -> None:
    """Two heaps far apart, within which float32 products of whole rows cannot tell who is near."""
    known = torch.full((400, 64), 1000.0)
    known[::2] *= -1
    known[:, 0] += torch.randperm(400, generator=torch.Generator().manual_seed(0)) * 2.0**-10
    found = Index().fit(known).search(known, k=6)  # by matrix products, as of many rows
    wanted = (known[:, None].double() - known.double()).square().mean(dim=2).sort(dim=1, stable=True)
    assert found.rows.equal(wanted.indices[:, :6])
    assert found.distances.equal(wanted.values[:, :6])


def test_equal_rows_come_in_their_order() -> None:
    known = rows_of(10)[[0] * 50 + list(range(10))]
    found = Index().fit(known).search(known[:1], k=51)
    assert found.rows[0, :50].tolist() == list(range(50))
    assert found.rows[0, 50] == 50
    assert found.distances[0, :51].eq(0).all()


def test_distances_are_symmetric_and_squares_of_euclid() -> None:
    known = rows_of(30)
    for distance in DISTANCES:
        found = Index(distance=distance).fit(known).search(known, k=30)
        far = torch.empty(30, 30, dtype=torch.float64).scatter_(1, found.rows, found.distances)
        assert far.equal(far.T)
    far = torch.empty(30, 30, dtype=torch.float64).scatter_(1, *vars(Index().fit(known).search(known, k=30)).values())
    torch.testing.assert_close(far * 12, torch.cdist(known.double(), known.double()).square())


def test_a_row_of_zeros_is_at_a_right_angle_to_all_but_its_like() -> None:
    known = torch.cat([rows_of(5), torch.zeros(2, 12)])
    found = Index(distance="cosine").fit(known).search(torch.zeros(1, 12), k=7)
    assert found.rows[0, :2].tolist() == [5, 6]
    assert found.distances[0].tolist() == pytest.approx([0, 0, 1, 1, 1, 1, 1])


@pytest.mark.parametrize("kind", KINDS)
def test_added_rows_are_found(kind: str) -> None:
    known = rows_of()
    index = Index(kind=kind, **ALL).fit(known[:100]).add(known[100:])
    assert len(index) == 120
    found = index.search(known[110:], k=1)
    assert found.rows[:, 0].tolist() == list(range(110, 120))
    assert Index(kind=kind, **ALL).add(known).search(known, k=1).rows[:, 0].equal(torch.arange(120))


def test_recall_counts_what_is_missed() -> None:
    known = rows_of(2000, 16)
    assert Index().fit(known).recall(k=5, queries=50) == 1
    every = Index(kind="ivf", cells=20, probes=20).fit(known)
    assert every.recall(k=5, queries=50) == 1
    one = Index(kind="ivf", cells=20, probes=1).fit(known)
    share = one.recall(k=5, queries=2000)
    truth = Index().fit(known).search(known, k=5, exclude=torch.arange(2000)).rows
    found = one.search(known, k=5, exclude=torch.arange(2000)).rows
    hits = torch.tensor([len({*a} & {*b}) for a, b in zip(truth.tolist(), found.tolist(), strict=True)])
    assert share == pytest.approx(float(hits.double().mean() / 5))
    assert 0.2 < share < 0.95


def test_the_same_seed_makes_the_same_structure() -> None:
    known = rows_of(500)
    for kind in ("ivf", "hnsw"):
        first, second = (Index(kind=kind, probes=1, effort=1).fit(known).search(known, k=8) for _ in range(2))
        assert first.rows.equal(second.rows)


def test_rows_on_the_disk_stay_there(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", rows_of().numpy())
    rows = np.load(tmp_path / "rows.npy", mmap_mode="r")
    index = Index().fit(rows)
    assert index.features_ is rows
    assert index.search(rows[:3], k=1).rows[:, 0].tolist() == [0, 1, 2]


def test_too_few_in_a_cell_are_told_as_missing() -> None:
    known = torch.cat([rows_of(60, 2) * 0.01, rows_of(60, 2) * 0.01 + 100])
    found = Index(kind="ivf", cells=2, probes=1).fit(known).search(known[:1], k=100)
    assert found.rows[0].eq(-1).sum() == 40
    assert found.distances[0, 60:].isinf().all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "flat"}, "kind must be one of exact, ivf, hnsw, got 'flat'"),
        ({"distance": "euclid"}, "distance must be one of mse, cosine, l1, got 'euclid'"),
        ({"cells": 0}, "cells must be at least 1, got 0"),
        ({"probes": 0}, "probes must be at least 1, got 0"),
        ({"links": 1}, r"links must be in \[2, 512\], got 1"),
        ({"effort": 0}, "effort must be at least 1, got 0"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Index(**options)  # type: ignore[arg-type]


def test_refuses() -> None:
    known = rows_of(8)
    with pytest.raises(ValueError, match="the index must hold rows before it is searched"):
        Index().search(known)
    index = Index().fit(known)
    for k in (0, 9):
        with pytest.raises(ValueError, match=rf"k must be in \[1, 8\], got {k}"):
            index.search(known, k=k)
    with pytest.raises(ValueError, match=r"k must be in \[1, 7\], got 8"):
        index.search(known, k=8, exclude=torch.arange(8))
    with pytest.raises(ValueError, match="features must have the 12 columns of the index, got 3: are they of the same"):
        index.search(known[:, :3])
    with pytest.raises(ValueError, match=r"exclude must be rows in \[-1, 7\], got 0 to 8"):
        index.search(known[:2], k=1, exclude=torch.tensor([0, 8]))
    with pytest.raises(ValueError, match=r"exclude must be int64 \(8,\)"):
        index.search(known, k=1, exclude=torch.arange(3))
    known[5, 2] = torch.nan
    with pytest.raises(ValueError, match="features must be finite, got nan in row 5, column 2"):
        Index().fit(known)
    with pytest.raises(ValueError, match="features must be finite, got NaN or an infinite value in row 5"):
        Index().fit(known.numpy())
