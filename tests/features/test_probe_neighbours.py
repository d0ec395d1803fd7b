"""Nearest neighbours: exactly what brute force finds, and equal rows at distance 0."""

import sys

import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from pellucid.features.probes import NearestNeighbours, nearest

from .blobs import overlapping

ROWS, TARGETS = overlapping(count=90, dimension=7)
ASKED, WANTED = overlapping(count=40, dimension=7, seed=3)


def brute(rows: Tensor, asked: Tensor, count: int, distance: str) -> tuple[Tensor, Tensor]:
    """One pair after the other, in float64; equal distances in the order of the rows."""
    found = torch.empty(len(asked), len(rows), dtype=torch.float64)
    for i, one in enumerate(asked.double()):
        for j, other in enumerate(rows.double()):
            cosine = (one @ other) / (one.norm() * other.norm())
            found[i, j] = (one - other).norm() if distance == "euclidean" else 1 - cosine
    order = found.argsort(dim=1, stable=True)[:, :count]
    return order, found.gather(1, order)


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
@pytest.mark.parametrize("count", [1, 4, 90])
def test_blocks_equal_brute_force(distance: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, away = brute(ROWS, ASKED, count, distance)
    whole = nearest(ROWS, ASKED, neighbours=count, distance=distance)
    monkeypatch.setattr(sys.modules[nearest.__module__], "AT_ONCE", 200)
    parts = nearest(ROWS, ASKED, neighbours=count, distance=distance)
    for found in (whole, parts):
        assert torch.equal(found.indices, wanted)
        torch.testing.assert_close(found.distances, away, atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize("shift", [0.0, 1e4])  # far from the origin the terms of |a - b|^2 nearly cancel
def test_an_equal_row_is_at_distance_zero_and_comes_first(shift: float) -> None:
    rows = ROWS + shift
    found = nearest(rows, rows, neighbours=2)
    assert torch.equal(found.indices[:, 0], torch.arange(90))
    assert torch.equal(found.distances[:, 0], torch.zeros(90, dtype=torch.float64))
    assert bool((found.distances[:, 1] > 0).all())
    near = rows.clone()
    near[1] = rows[0]
    near[1, 0] = torch.nextafter(rows[0, 0], torch.tensor(torch.inf))  # one step of float32 away
    close = nearest(near, rows[:1], neighbours=2)
    assert close.indices[0].tolist() == [0, 1]
    assert float(close.distances[0, 1]) == float(near[1, 0].double() - rows[0, 0].double())


def test_rounding_hides_no_neighbour() -> None:
    generator = torch.Generator().manual_seed(4)
    rows = 1.6e7 + torch.randint(-2, 3, (100, 2000), generator=generator).float()  # squares of 5e17 round by 64
    wanted, away = brute(rows, rows[:9], 3, "euclidean")
    found = nearest(rows, rows[:9], neighbours=3)
    assert torch.equal(found.indices, wanted)
    torch.testing.assert_close(found.distances, away)


def test_equal_distances_come_in_the_order_of_the_rows() -> None:
    rows = ROWS[:5].repeat(20, 1)
    assert nearest(rows, rows[:1], neighbours=3).indices.tolist() == [[0, 5, 10]]
    assert nearest(rows, neighbours=2).indices[5].tolist() == [0, 10]  # itself left out


def test_leaving_out_is_the_second_nearest() -> None:
    alone, all_ = nearest(ROWS, neighbours=3), nearest(ROWS, ROWS, neighbours=4)
    assert torch.equal(alone.indices, all_.indices[:, 1:])
    assert torch.equal(alone.distances, all_.distances[:, 1:])


def test_permuted_training_rows_permute_the_indices_alone() -> None:
    order = torch.randperm(90, generator=torch.Generator().manual_seed(1))
    plain, permuted = (nearest(rows, ASKED, neighbours=5) for rows in (ROWS, ROWS[order]))
    assert torch.equal(order[permuted.indices], plain.indices)
    torch.testing.assert_close(permuted.distances, plain.distances)


def test_on_rows_of_length_one_cosine_and_euclidean_have_one_order() -> None:
    rows, asked = (torch.nn.functional.normalize(some, dim=1) for some in (ROWS, ASKED))
    euclidean, cosine = (nearest(rows, asked, neighbours=9, distance=how) for how in ("euclidean", "cosine"))
    assert torch.equal(euclidean.indices, cosine.indices)
    torch.testing.assert_close(euclidean.distances.square() / 2, cosine.distances, atol=1e-6, rtol=1e-6)


def test_training_rows_are_told_right() -> None:
    assert torch.equal(NearestNeighbours().fit(ROWS, TARGETS).predict(ROWS), TARGETS)


@pytest.mark.parametrize("neighbours", [1, 3])
def test_equals_scikit_learn(neighbours: int) -> None:
    peer = KNeighborsClassifier(neighbours).fit(ROWS.numpy()[:, :], TARGETS.numpy() % 2)  # two classes: odd k, no ties
    ours = NearestNeighbours(neighbours=neighbours, normalise="none").fit(ROWS, TARGETS % 2)
    assert torch.equal(ours.predict(ASKED), torch.from_numpy(peer.predict(ASKED.numpy())))


def test_of_equal_votes_the_nearer_class() -> None:
    rows = torch.tensor([[0.0], [3.0], [4.0], [10.0]])
    targets = torch.tensor([5, 8, 8, 5])
    found = NearestNeighbours(neighbours=4, normalise="none").fit(rows, targets)
    assert found.predict(torch.tensor([[3.5], [0.1]])).tolist() == [8, 8]  # 10 against 1, 10 against 6.8
    two = NearestNeighbours(neighbours=2, normalise="none").fit(rows, targets)
    assert two.predict(torch.tensor([[1.0], [2.0]])).tolist() == [5, 8]
    assert two.scores(torch.tensor([[1.0]])).tolist() == [[pytest.approx(1 + 1 / 3), pytest.approx(1 + 1 / 6)]]


def test_leave_one_out_tells_each_training_row() -> None:
    rows = torch.tensor([[0.0], [1.0], [5.0], [6.5]])
    found = NearestNeighbours(normalise="none").fit(rows, torch.tensor([0, 0, 1, 1]))
    assert found.leave_one_out().tolist() == [0, 0, 1, 1]
    other = NearestNeighbours(normalise="none").fit(rows, torch.tensor([0, 1, 0, 1]))
    assert other.leave_one_out().tolist() == [1, 0, 1, 0]


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"neighbours must be in \[1, 90\], got 91"):
        nearest(ROWS, ASKED, neighbours=91)
    with pytest.raises(ValueError, match=r"neighbours must be in \[1, 89\], got 90"):
        nearest(ROWS, neighbours=90)
    with pytest.raises(ValueError, match=r"neighbours must be in \[1, 90\], got 91"):
        NearestNeighbours(neighbours=91).fit(ROWS, TARGETS)
    with pytest.raises(ValueError, match="distance must be one of euclidean, cosine, got 'cos'; did you mean cosine"):
        nearest(ROWS, ASKED, distance="cos")
    with pytest.raises(ValueError, match="queries must have the 7 columns of the rows, got 6"):
        nearest(ROWS, ASKED[:, 1:])
    with pytest.raises(ValueError, match="rows must be at least 2 to leave each out, got 1"):
        nearest(ROWS[:1])
    with pytest.raises(ValueError, match="must be fitted first"):
        NearestNeighbours().leave_one_out()
