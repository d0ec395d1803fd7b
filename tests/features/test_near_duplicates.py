import sys
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.features import agreement, confirmed, groups, near_duplicates
from pellucid.features._small import small


def rows_of(count: int = 200, width: int = 8, seed: int = 0) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("distance", "threshold"), [("mse", 0.25), ("cosine", 0.05), ("l1", 3.0)])
def test_pairs_are_those_of_brute_force(distance: str, threshold: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["pellucid.features.near_duplicates"], "BLOCK", 64)
    rows, others = rows_of() + 1, rows_of(150, seed=1) + 1

    def far(left: Tensor, right: Tensor) -> Tensor:
        a, b = left.double()[:, None], right.double()[None]
        if distance == "cosine":
            return 1 - torch.cosine_similarity(a, b, dim=2)
        return (a - b).abs().sum(dim=2) if distance == "l1" else (a - b).square().mean(dim=2)

    across = near_duplicates(rows, others, threshold=threshold, distance=distance)
    wanted = (far(rows, others) <= threshold).nonzero()
    assert len(wanted) > 5
    assert sorted(zip(across.first.tolist(), across.second.tolist(), strict=True)) == [*map(tuple, wanted.tolist())]
    torch.testing.assert_close(across.distances, far(rows, others)[across.first, across.second], rtol=1e-9, atol=1e-12)
    assert across.distances.diff().min() >= 0
    within = near_duplicates(rows, threshold=threshold, distance=distance)
    wanted = (far(rows, rows) <= threshold).triu(1).nonzero()
    assert sorted(zip(within.first.tolist(), within.second.tolist(), strict=True)) == [*map(tuple, wanted.tolist())]


def test_equal_rows_are_at_distance_zero_and_none_is_its_own_pair() -> None:
    rows = rows_of(50)
    rows[[7, 30]] = rows[3].clone()
    found = near_duplicates(rows, threshold=0)
    assert list(zip(found.first.tolist(), found.second.tolist(), strict=True)) == [(3, 7), (3, 30), (7, 30)]
    assert found.distances.eq(0).all()
    assert groups(found, 50) == [[3, 7, 30]]
    assert len(near_duplicates(rows[:3], threshold=0)) == 0
    assert groups(near_duplicates(rows[:3], threshold=0), 3) == []


def test_groups_go_through_others() -> None:
    rows = torch.tensor([[0.0], [1.0], [2.0], [9.0], [9.5], [40.0]])
    found = near_duplicates(rows, threshold=1.0, distance="mse")
    assert groups(found, 6) == [[0, 1, 2], [3, 4]]


def test_refuses() -> None:
    rows = rows_of(100)
    with pytest.raises(ValueError, match="pairs must be at most most = 50, but over"):
        near_duplicates(rows, threshold=2, most=50)
    with pytest.raises(ValueError, match="others must have the 8 columns of features, got 3"):
        near_duplicates(rows, rows[:, :3])
    with pytest.raises(ValueError, match="threshold must be at least 0, got -1"):
        near_duplicates(rows, threshold=-1)
    with pytest.raises(ValueError, match="distance must be one of mse, cosine, l1, got 'l2'"):
        near_duplicates(rows, distance="l2")


@pytest.mark.parametrize("distance", ["mse", "cosine", "l1"])
def test_the_nearest_alone_are_some_of_all(distance: str) -> None:
    rows, others = rows_of(60), rows_of(40, seed=1)
    every = near_duplicates(rows, threshold=1e9 if distance != "cosine" else 2, distance=distance)
    near = near_duplicates(rows, threshold=1e9 if distance != "cosine" else 2, distance=distance, nearest=2)
    pairs = zip(every.first.tolist(), every.second.tolist(), strict=True)
    told = dict(zip(pairs, every.distances.tolist(), strict=True))
    assert 60 <= len(near) <= 120
    for first, second, far in zip(near.first.tolist(), near.second.tolist(), near.distances.tolist(), strict=True):
        assert told[first, second] == far
    across = near_duplicates(rows, others, threshold=1e9 if distance != "cosine" else 2, distance=distance, nearest=1)
    assert sorted(across.second.tolist()) == list(range(40))


def scene(seed: int, side: int = 96) -> Tensor:
    """Blobs of several sizes, (1, side, side), in [0, 1]."""
    source = torch.Generator().manual_seed(seed)
    layers = [F.interpolate(torch.rand(1, 1, n, n, generator=source), (side, side), mode="bicubic") for n in (4, 9, 20)]
    made: Tensor = (torch.cat(layers).sum(dim=0) / 3).clamp(0, 1)
    return made


def test_planted_copies_are_all_found_and_others_are_not() -> None:
    """Resized, compressed, cropped; features that tell little: the pictures decide."""
    scenes = [scene(number) for number in range(24)]
    changes: list[Callable[[Tensor], Tensor]] = [
        lambda one: F.interpolate(one[None], (40, 40), mode="bilinear", antialias=True)[0],
        lambda one: F.interpolate(one[None], (150, 130), mode="bilinear")[0],
        lambda one: one[:, 3:-3, 3:-3],
        lambda one: one[:, :88, 8:].expand(3, -1, -1),
        lambda one: (one * 20).round() / 20,
        lambda one: 0.2 + 0.6 * one,
    ]
    copies = [changes[number % 6](scenes[number]) for number in range(12)]
    images = scenes + copies
    features = torch.stack([small(image).flatten()[:: 64 * 5] for image in images])  # some of their pixels
    pairs = near_duplicates(features, threshold=2.0)
    assert len(pairs) == 36 * 35 // 2
    found = confirmed(pairs, images.__getitem__)
    assert {*zip(found.first.tolist(), found.second.tolist(), strict=True)} == {(n, 24 + n) for n in range(12)}
    across = near_duplicates(features[:24], features[24:], threshold=2.0)
    found = confirmed(across, scenes.__getitem__, copies.__getitem__)
    assert {*zip(found.first.tolist(), found.second.tolist(), strict=True)} == {(n, n) for n in range(12)}


def test_agreement_is_symmetric_and_one_for_the_same() -> None:
    first, second = torch.stack([scene(1), scene(2)]), torch.stack([scene(1), scene(3)])
    found = agreement(first, second)
    assert float(found[0]) == pytest.approx(1, abs=1e-5)
    assert found[1] < 0.5
    torch.testing.assert_close(found, agreement(second, first))
    flat = torch.full((2, 3, 8, 8), 0.5)
    assert agreement(flat, flat - 0.2).tolist() == [1, 1]
    assert agreement(flat[:1], first[:1]).abs() < 1e-6
    with pytest.raises(ValueError, match="second must be as many as first, 2, got 1"):
        agreement(first, second[:1])


def test_tiny_pictures_of_a_kind_are_not_the_same_picture() -> None:
    from sklearn.datasets import load_digits

    digits = torch.from_numpy(load_digits().images).float()[:300, None] / 16  # (300, 1, 8, 8)
    again = (digits[:1] * 255 / 16).round() / 255 * 16  # in fewer shades
    images = torch.cat([digits, again.clamp(0, 1)])
    pairs = near_duplicates(images.flatten(1), threshold=0.1)
    assert len(pairs) > 50
    kept = confirmed(pairs, lambda row: images[row])
    assert list(zip(kept.first.tolist(), kept.second.tolist(), strict=True)) == [(0, 300)]
