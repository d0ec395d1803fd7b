"""Splits: in proportion, disjoint, whole, the seed's, and without twins."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from pellucid.data import builtin, content_keys, k_folds, leave_one_out, split_indices


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def worst_share(targets: Tensor, part: Tensor) -> float:
    """How many rows a class is away from its share of a part."""
    count = int(targets.max()) + 1
    ideal = targets.bincount(minlength=count) * len(part) / len(targets)
    return float((targets[part].bincount(minlength=count) - ideal).abs().max())


@pytest.mark.parametrize("seed", range(20))
def test_every_class_is_spread_within_one_row(seed: int) -> None:
    generator = seeded(seed)
    sizes = torch.randint(4, 60, (int(torch.randint(2, 12, (1,), generator=generator)),), generator=generator)
    targets = torch.repeat_interleave(torch.arange(len(sizes)), sizes)[
        torch.randperm(int(sizes.sum()), generator=generator)
    ]
    split = split_indices(targets, val=0.13, test=0.21, generator=generator)
    parts = (split.train, split.val, split.test)
    assert torch.equal(torch.cat(parts).sort().values, torch.arange(len(targets)))
    assert (len(split.val), len(split.test)) == (round(0.13 * len(targets)), round(0.21 * len(targets)))
    assert max(worst_share(targets, part) for part in parts) < 1
    folds = k_folds(targets, folds=4, generator=generator)
    assert torch.equal(torch.cat([fold.held for fold in folds]).sort().values, torch.arange(len(targets)))
    assert max(worst_share(targets, fold.held) for fold in folds) < 1
    assert max(len(fold.held) for fold in folds) - min(len(fold.held) for fold in folds) <= 1
    for fold in folds:
        assert torch.equal(torch.cat([fold.train, fold.held]).sort().values, torch.arange(len(targets)))


def test_small_sets_keep_what_can_be_kept_exactly() -> None:
    generator = seeded(4)
    for _ in range(300):
        sizes = torch.randint(3, 9, (3,), generator=generator)
        targets = torch.repeat_interleave(torch.arange(3), sizes)
        val, test = (int(torch.randint(0, 5, (1,), generator=generator)) for _ in range(2))
        split = split_indices(targets, val=val, test=test, generator=generator)
        assert (len(split.val), len(split.test)) == (val, test)
        for part in (split.train, split.val, split.test):
            assert worst_share(targets, part) < 1 - 1e-4


def test_iris_110_20_20() -> None:
    targets = builtin("iris", split="all").targets
    split = split_indices(targets, val=20, test=20)
    assert [len(part) for part in (split.train, split.val, split.test)] == [110, 20, 20]
    for part in (split.val, split.test):
        assert sorted(targets[part].bincount().tolist()) == [6, 7, 7]


@pytest.mark.parametrize(
    "way",
    [
        lambda targets, seed: split_indices(targets, test=0.3, generator=seeded(seed)).test,
        lambda targets, seed: k_folds(targets, folds=3, generator=seeded(seed))[0].held,
    ],
)
def test_the_seed_decides(way: Callable[[Tensor, int], Tensor]) -> None:
    targets = torch.arange(90) % 3
    assert torch.equal(way(targets, 1), way(targets, 1))
    assert not torch.equal(way(targets, 1), way(targets, 2))


def test_nobody_is_always_chosen() -> None:
    targets = torch.zeros(10, dtype=torch.int64)
    chosen = torch.stack([split_indices(targets, test=3, generator=seeded(s)).test for s in range(400)])
    counts = chosen.flatten().bincount(minlength=10)  # each expected 120 times, standard deviation 9
    assert counts.min() > 80
    assert counts.max() < 160


def test_chance_gives_out_the_odd_row() -> None:
    targets = torch.arange(30) % 3  # 10 of each, 4 to be held out: one class gives two
    two = {
        int(targets[split_indices(targets, test=4, generator=seeded(s)).test].bincount().argmax()) for s in range(30)
    }
    assert two == {0, 1, 2}


def test_twins_stay_together() -> None:
    generator = seeded(0)
    values = torch.randint(0, 12, (200, 2), generator=generator).double()  # at most 144 different rows
    targets = torch.randint(0, 3, (200,), generator=generator)
    keys = content_keys(values)
    split = split_indices(targets, val=0.2, test=0.2, contents=keys, generator=generator)
    sets = [{keys[row] for row in part.tolist()} for part in (split.train, split.val, split.test)]
    assert not sets[0] & sets[1] | sets[0] & sets[2] | sets[1] & sets[2]
    assert sum(map(len, (split.train, split.val, split.test))) == 200
    for fold in k_folds(targets, folds=5, contents=keys):
        assert not {keys[row] for row in fold.train.tolist()} & {keys[row] for row in fold.held.tolist()}
    held = [fold.held for fold in leave_one_out(200, contents=keys)]
    assert len(held) == len(set(keys))
    assert torch.equal(torch.cat(held).sort().values, torch.arange(200))


def test_a_few_twins_cost_no_proportion() -> None:
    values = torch.arange(60.0)[:, None]
    values[1] = values[0]
    targets = torch.arange(60) // 20
    split = split_indices(targets, test=0.5, contents=content_keys(values))
    assert targets[split.test].bincount().tolist() == [10, 10, 10]
    assert bool((split.test == 0).any()) == bool((split.test == 1).any())


def test_a_set_of_twins_only_is_split_in_proportion() -> None:
    values = torch.arange(60.0).repeat_interleave(2)[:, None]
    targets = torch.arange(120) // 40
    split = split_indices(targets, val=0.2, test=0.4, contents=content_keys(values))
    assert [targets[part].bincount().tolist() for part in vars(split).values()] == [[16] * 3, [8] * 3, [16] * 3]


def test_content_keys_tell_rows_apart() -> None:
    rows = torch.tensor([[0.0, 1], [-0.0, 1], [1, 0], [0, 1]])
    keys = content_keys(rows)
    assert keys[0] == keys[1] == keys[3] != keys[2]
    pictures = torch.zeros(3, 1, 2, 2, dtype=torch.uint8)
    pictures[1, 0, 1, 1] = 1
    assert len(set(content_keys(pictures))) == 2


def test_leave_one_out_of_the_nearest_neighbour_equals_brute_force() -> None:
    iris = builtin("iris", split="all").subset(range(0, 150, 2))  # without the twins
    x, y = iris.values.numpy(), iris.targets.numpy()
    distances = np.linalg.norm(x[:, None] - x[None], axis=2) + np.diag(np.full(len(x), np.inf))
    wrong = y[distances.argmin(axis=1)] != y
    folds = leave_one_out(len(x), contents=content_keys(iris.values))
    errors = []
    for fold in folds:
        train, held = fold.train.numpy(), fold.held.numpy()
        nearest = KNeighborsClassifier(1, algorithm="brute").fit(x[train], y[train])
        errors.append(1 - nearest.score(x[held], y[held]))
    assert len(folds) == len(x)
    assert np.mean(errors) == pytest.approx(wrong.mean(), abs=1e-12)


TARGETS = torch.tensor([0] * 10 + [1] * 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test": 14}, "test must not be larger than the set, got 14 of 13 rows"),
        ({"test": 7, "val": 6}, r"val and test must leave rows to train on, got 6 \+ 7 of 13 rows"),
        ({"test": 12}, "every class must have a row to train on, but class 1 would have none"),
        ({"test": 2.5}, "test must be a share below 1 or a whole number of rows, got 2.5"),
        ({"val": -1}, "val must be at least 0, got -1"),
        ({"contents": ["a"]}, "contents must have one key for each of the 13 rows, got 1"),
    ],
)
def test_split_indices_refuses(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        split_indices(TARGETS, **options)  # type: ignore[arg-type]


def test_refuses_targets_that_are_none() -> None:
    with pytest.raises(ValueError, match=r"targets must be an int64 tensor \(N,\)"):
        split_indices(torch.zeros(3))
    with pytest.raises(ValueError, match="targets must be at least 0, got -1"):
        k_folds(torch.tensor([0, -1]))


def test_k_folds_refuses_a_class_that_is_too_small() -> None:
    with pytest.raises(
        ValueError, match="folds must be at most the rows of the smallest class, got 4 for class 1 with 3"
    ):
        k_folds(TARGETS, folds=4)
    with pytest.raises(ValueError, match="folds must be at least 2, got 1"):
        k_folds(TARGETS, folds=1)
    assert [len(fold.held) for fold in k_folds(TARGETS, folds=3)] == [5, 4, 4]
