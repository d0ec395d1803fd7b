import pytest
import torch

from pellucid.features import retrieval

BLOBS = torch.randn(90, 6, generator=torch.Generator().manual_seed(0)) * 0.1
TARGETS = torch.arange(3).repeat_interleave(30)


@pytest.mark.parametrize("distance", ["mse", "cosine", "l1"])
def test_clusters_far_apart_are_perfect(distance: str) -> None:
    found = retrieval(BLOBS + torch.eye(6)[TARGETS] * 9, TARGETS, k=10, distance=distance)
    assert found.precision.eq(1).all()
    assert found.mean_average_precision == 1
    torch.testing.assert_close(found.recall, torch.full((90,), 10 / 29, dtype=torch.float64))
    assert found.chance == pytest.approx(29 / 89)


def test_labels_that_say_nothing_are_at_chance() -> None:
    rows = torch.randn(400, 8, generator=torch.Generator().manual_seed(1))
    targets = torch.randint(4, (400,), generator=torch.Generator().manual_seed(2))
    found = retrieval(rows, targets)
    assert float(found.precision.mean()) == pytest.approx(found.chance, abs=0.03)
    assert found.mean_average_precision == pytest.approx(found.chance, abs=0.03)


def test_a_ranking_by_hand() -> None:
    """Around 0: its class at ranks 1, 3 and 4 of five others."""
    rows = torch.tensor([[0.0], [1.0], [2.0], [3.0], [4.0], [50.0]])
    found = retrieval(rows, torch.tensor([0, 0, 1, 0, 0, 1]), k=2)
    assert found.precision[0] == 0.5
    assert found.recall[0] == pytest.approx(1 / 3)
    assert found.average_precision[0] == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)


def test_rows_without_a_class_or_alone_in_it_are_not_asked() -> None:
    rows = torch.tensor([[0.0], [1.0], [2.0], [3.0], [4.0]])
    found = retrieval(rows, torch.tensor([-1, 5, 5, 2, -1]), k=1)
    assert found.asked.tolist() == [1, 2]
    assert found.precision.tolist() == [1, 0.0] or found.precision.tolist() == [1, 1]


def test_a_seeded_sample_is_asked() -> None:
    first, second = (retrieval(BLOBS, TARGETS, queries=20) for _ in range(2))
    assert len(first.asked) == 20
    assert first.asked.equal(second.asked)
    every = retrieval(BLOBS, TARGETS)
    torch.testing.assert_close(first.average_precision, every.average_precision[first.asked])


def test_refuses() -> None:
    with pytest.raises(ValueError, match=r"targets must be int64 \(90,\), one for each row, got"):
        retrieval(BLOBS, TARGETS[:3])
    with pytest.raises(ValueError, match="targets must give some class two rows at least, got none"):
        retrieval(BLOBS, torch.arange(90))
    with pytest.raises(ValueError, match=r"k must be in \[1, 89\], got 90"):
        retrieval(BLOBS, TARGETS, k=90)
