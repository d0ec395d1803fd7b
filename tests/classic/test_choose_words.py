import math

import pytest
import torch
from torch import Tensor

from pellucid.classic import choose_words
from pellucid.classic.choose_words import _best


def blobs(count: int = 3, each: int = 40) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    middles = torch.tensor([[30.0, 0, 0], [0, 30, 0], [0, 0, 30], [30, 30, 30]])[:count]
    return (middles[:, None] + torch.randn(count, each, 3, generator=generator)).flatten(0, 1)


@pytest.mark.parametrize("criterion", ["elbow", "silhouette", "gap"])
@pytest.mark.parametrize("count", [3, 4])
def test_far_groups_are_counted(criterion: str, count: int) -> None:
    numbers = range(2, 8) if criterion == "silhouette" else range(1, 8)
    found = choose_words(blobs(count), list(numbers), criterion=criterion, references=5)
    assert found.best == count
    assert found.counts.tolist() == list(numbers)
    assert (found.errors > 0).all() if criterion == "gap" else not found.errors.any()


def test_bounds_serve_the_gap_too() -> None:
    assert choose_words(blobs(), [1, 2, 3, 4, 5], criterion="gap", box="bounds", references=5).best == 3


def test_nothing_to_count_gives_one_word() -> None:
    even = torch.rand(200, 3, generator=torch.Generator().manual_seed(0))
    assert choose_words(even, [1, 2, 3, 4], criterion="gap").best == 1


def test_the_curve_of_the_elbow_is_the_error() -> None:
    rows = blobs()
    found = choose_words(rows, [1, 3, 5])
    groups = rows.view(3, -1, 3)
    assert float(found.values[0]) == pytest.approx(float((rows - rows.mean(dim=0)).square().sum()), rel=1e-4)
    wanted = (groups - groups.mean(dim=1, keepdim=True)).square().sum()
    assert float(found.values[1]) == pytest.approx(float(wanted), rel=1e-4)
    assert found.values[2] < found.values[1]


def test_the_gap_of_one_word_is_known() -> None:
    """Rows even along a line of length l in one dimension: both errors are about n l^2 / 12."""
    rows = torch.linspace(1, 11, 2000)[:, None]
    found = choose_words(rows, [1, 2], criterion="gap", references=20)
    assert float(found.values[0]) == pytest.approx(0, abs=0.05)
    assert float(found.errors[0]) < 0.05
    tripled = choose_words(torch.cat([rows, rows]), [1, 2], criterion="gap", references=20, sample=4000)
    assert math.isclose(float(tripled.values[0]), 0, abs_tol=0.05)


def test_the_sample_is_drawn_from_the_generator_alone() -> None:
    state = torch.get_rng_state()
    one, two = (choose_words(blobs(), [1, 2, 3], sample=50) for _ in range(2))
    assert torch.equal(one.values, two.values)
    assert torch.equal(torch.get_rng_state(), state)


def test_refuses() -> None:
    with pytest.raises(ValueError, match=r"counts must be at least 3 different numbers for elbow, got \[2, 2, 3\]"):
        choose_words(blobs(), [2, 2, 3])
    with pytest.raises(ValueError, match="counts must be at least 2, got 1"):
        choose_words(blobs(), [1, 2], criterion="silhouette")
    with pytest.raises(ValueError, match="criterion must be one of elbow, silhouette, gap, got 'gab'"):
        choose_words(blobs(), [1, 2], criterion="gab")
    with pytest.raises(ValueError, match="words must be at most the 120 different descriptors there are, got 121"):
        choose_words(blobs(), [1, 2, 121])
    for criterion in ("gap", "silhouette"):
        with pytest.raises(
            ValueError, match=f"below the 120 different descriptors there are, for {criterion}, got 120"
        ):
            choose_words(blobs(), [2, 3, 120], criterion=criterion)
    with pytest.raises(ValueError, match="descriptors must not all be zeros"):
        choose_words(torch.zeros(9, 3), [1, 2, 3])


def test_the_gap_forgives_one_error() -> None:
    counts = torch.tensor([1, 2, 4])
    curve = torch.tensor([1.0, 1.05, 2.0]).double()
    assert _best(counts, curve, torch.full((3,), 0.1).double(), "gap") == 0
    assert _best(counts, curve, torch.full((3,), 0.01).double(), "gap") == 2
