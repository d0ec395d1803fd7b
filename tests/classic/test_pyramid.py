import pytest
import torch
from torch import Tensor

from pellucid.classic import Codes, pyramid

GENERATOR = torch.Generator().manual_seed(0)
FIRST = torch.randint(6, (3, 30, 1), generator=GENERATOR)  # 5 x 6 patches, two words each of 5 and the null one
WORDS = torch.cat([FIRST, (FIRST + torch.randint(1, 6, (3, 30, 1), generator=GENERATOR)) % 6], dim=2)
WEIGHTS = torch.rand(3, 30, 2, generator=GENERATOR)
SOFT = Codes(WORDS, WEIGHTS, 6, "made")
HARD = Codes(WORDS[..., :1], torch.ones(3, 30, 1), 6, "made")


def by_hand(codes: Codes, levels: int, pool: str, weights: list[float]) -> Tensor:
    """Patch by patch, (N, parts * words), not normalised, of one grid of 5 x 6 patches or two."""
    rows = []
    for image in codes.dense():
        parts: list[Tensor] = []
        for level in range(levels):
            sides = 2**level
            inside: list[list[Tensor]] = [[] for _ in range(sides * sides)]
            for patch in range(len(image)):
                down, across = (patch % 30 // 6 + 0.5) / 5, (patch % 6 + 0.5) / 6
                inside[int(down * sides) * sides + int(across * sides)].append(image[patch])
            stacked = [torch.stack(one) for one in inside]
            made = {
                "sum": lambda one: one.sum(dim=0),
                "mean": lambda one: one.mean(dim=0),
                "max": lambda one: one.amax(0),
            }
            parts += [made[pool](one) * weights[level] for one in stacked]
        rows.append(torch.cat(parts))
    return torch.stack(rows)


@pytest.mark.parametrize("pool", ["sum", "mean", "max"])
@pytest.mark.parametrize(("levels", "weights"), [(1, [1.0]), (2, [0.5, 0.5]), (3, [0.25, 0.25, 0.5])])
def test_equals_the_loop_over_patches(pool: str, levels: int, weights: list[float]) -> None:
    found = pyramid(SOFT, (5, 6), levels=levels, pool=pool, norm="none")
    torch.testing.assert_close(found, by_hand(SOFT, levels, pool, weights))
    plain = pyramid(SOFT, (5, 6), levels=levels, pool=pool, norm="none", weighted=False)
    torch.testing.assert_close(plain, by_hand(SOFT, levels, pool, [1.0] * levels))


@pytest.mark.parametrize("pool", ["sum", "mean", "max"])
def test_codes_for_all_words_and_several_grids(pool: str) -> None:
    every = Codes(torch.arange(6).expand(3, 60, 6), torch.rand(3, 60, 6, generator=GENERATOR), 6, "made", in_order=True)
    found = pyramid(every, [(5, 6), (5, 6)], levels=3, pool=pool, norm="none")
    torch.testing.assert_close(found, by_hand(every, 3, pool, [0.25, 0.25, 0.5]))
    named = Codes(every.words, every.weights, 6, "made")
    torch.testing.assert_close(found, pyramid(named, [(5, 6), (5, 6)], levels=3, pool=pool, norm="none"))
    swapped = pyramid(Codes(SOFT.words[:, :18], SOFT.weights[:, :18], 6, "made"), [(2, 3), (4, 3)], levels=2, pool=pool)
    assert swapped.shape == (3, 5 * 6)


def test_hard_sums_are_counts_and_each_level_counts_every_patch() -> None:
    found = pyramid(HARD, (5, 6), levels=3, norm="none", weighted=False)
    assert found.shape == (3, 21 * 6)
    for first, last in ((0, 1), (1, 5), (5, 21)):
        assert (found[:, first * 6 : last * 6].sum(dim=1) == 30).all()
    counts = torch.stack([torch.bincount(image[:, 0], minlength=6) for image in HARD.words])
    torch.testing.assert_close(found[:, :6], counts.float())


def test_norms() -> None:
    rows = pyramid(HARD, (5, 6), levels=1, norm="none")
    torch.testing.assert_close(pyramid(HARD, (5, 6), levels=1, norm="l1"), rows / 30)
    torch.testing.assert_close(pyramid(HARD, (5, 6), levels=1), rows / rows.norm(dim=1, keepdim=True))
    root = pyramid(HARD, (5, 6), levels=1, norm="root")
    torch.testing.assert_close(root, (rows / 30).sqrt())
    torch.testing.assert_close(root.norm(dim=1), torch.ones(3))


def test_the_null_word_may_be_dropped() -> None:
    whole = pyramid(HARD, (5, 6), levels=2, norm="none").view(3, 5, 6)
    assert torch.equal(pyramid(HARD, (5, 6), levels=2, norm="none", null=False), whole[..., :-1].flatten(1))
    flat = Codes(torch.full((1, 30, 1), 5), torch.ones(1, 30, 1), 6, "made")
    assert not pyramid(flat, (5, 6), null=False).any()


def test_one_word_and_the_null_word_count_patches() -> None:
    codes = Codes((torch.arange(30) % 3 == 0).long().view(1, 30, 1), torch.ones(1, 30, 1), 2, "made")
    assert pyramid(codes, (5, 6), levels=1, norm="none").tolist() == [[20, 10]]


def test_refuses() -> None:
    with pytest.raises(ValueError, match="size must be rows and columns of the 30 patches, got 4 x 6"):
        pyramid(HARD, (4, 6))
    with pytest.raises(ValueError, match="levels must leave each part a patch, got 4 for 5 x 6 patches"):
        pyramid(HARD, (5, 6), levels=4)
    with pytest.raises(ValueError, match="pool must be one of sum, mean, max, got 'min'"):
        pyramid(HARD, (5, 6), pool="min")
    with pytest.raises(ValueError, match="norm must be one of l2, l1, root, none, got 'l3'"):
        pyramid(HARD, (5, 6), norm="l3")
    with pytest.raises(ValueError, match="levels must be at least 1, got 0"):
        pyramid(HARD, (5, 6), levels=0)
