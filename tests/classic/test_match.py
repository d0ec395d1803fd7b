import sys

import pytest
import torch
import torch.nn.functional as F

from pellucid.classic import match

GENERATOR = torch.Generator().manual_seed(0)
FIRST = F.normalize(torch.rand(40, 12, generator=GENERATOR).double(), dim=1)
SECOND = F.normalize(torch.rand(50, 12, generator=GENERATOR).double(), dim=1)


def by_hand(*, ratio: float, mutual: bool) -> dict[int, tuple[int, float]]:
    """first to (second, distance ratio), one pair at a time."""
    far = [[float((a - b).norm()) for b in SECOND] for a in FIRST]
    found = {}
    for i, row in enumerate(far):
        j = min(range(len(row)), key=row.__getitem__)
        runner_up = min(value for k, value in enumerate(row) if k != j)
        is_mutual = min(range(len(far)), key=lambda k: far[k][j]) == i
        if row[j] <= ratio * runner_up and (is_mutual or not mutual):
            found[i] = (j, row[j] / runner_up)
    return found


@pytest.mark.parametrize("ratio", [0.7, 0.9, 1.0])
@pytest.mark.parametrize("mutual", [True, False])
def test_equals_the_loop_over_pairs(ratio: float, mutual: bool) -> None:
    found, slow = match(FIRST, SECOND, ratio=ratio, mutual=mutual), by_hand(ratio=ratio, mutual=mutual)
    assert {int(a): int(b) for a, b in zip(found.first, found.second, strict=True)} == {
        a: b for a, (b, _) in slow.items()
    }
    assert len(slow) > 1
    torch.testing.assert_close(found.ratio, torch.tensor([slow[int(a)][1] for a in found.first]).double())
    torch.testing.assert_close(found.distance, (FIRST[found.first] - SECOND[found.second]).norm(dim=1))
    assert (found.ratio.diff() >= 0).all()  # the surest first


def test_a_picture_matches_itself() -> None:
    found = match(FIRST, FIRST)
    assert torch.equal(found.first.sort().values, torch.arange(40))
    assert torch.equal(found.first, found.second)
    assert found.distance.max() < 1e-6


def test_zeros_match_nothing() -> None:
    first = FIRST.clone()
    first[::2] = 0
    found = match(first, torch.cat([torch.zeros(3, 12).double(), FIRST]))
    assert set(found.first.tolist()) == set(range(1, 40, 2))
    assert torch.equal(found.second, found.first + 3)
    assert len(match(first * 0, FIRST)) == 0


def test_two_equally_near_are_no_match() -> None:
    twice = torch.cat([FIRST, FIRST])
    assert len(match(FIRST, twice)) == 0
    assert len(match(FIRST, twice, ratio=1.0)) == 40


def test_neighbours_of_the_nearest_are_no_rivals() -> None:
    beside = torch.cat([FIRST, FIRST + 1e-3])
    places = torch.cat([torch.arange(40), torch.arange(40)])[:, None] * torch.tensor([[10, 0]])
    places[40:, 1] = 3
    assert len(match(FIRST + 5e-4, beside)) == 0  # as near to one as to the other
    found = match(FIRST + 5e-4, beside, places, apart=3.0)
    assert torch.equal(found.first.sort().values, torch.arange(40))
    assert torch.equal(found.second % 40, found.first)
    torch.testing.assert_close(found.distance, torch.full((40,), 5e-4 * 12**0.5).double())
    assert len(match(FIRST + 5e-4, beside, places, apart=2.9)) == 0  # 3 pixels off is elsewhere now


def test_the_block_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = match(FIRST, SECOND, ratio=0.9)
    monkeypatch.setattr(sys.modules["pellucid.classic.match"], "BLOCK_BYTES", 50 * 8 * 7)
    parts = match(FIRST, SECOND, ratio=0.9)
    assert torch.equal(whole.first, parts.first)
    assert torch.equal(whole.second, parts.second)


def test_refuses() -> None:
    with pytest.raises(ValueError, match=r"first must be float descriptors \(P, D\) of one picture, got .*1, 40, 12"):
        match(FIRST[None], SECOND)
    with pytest.raises(ValueError, match="first and second must be equally wide, got 12 and 11"):
        match(FIRST, SECOND[:, 1:])
    with pytest.raises(ValueError, match="second must be finite, got NaN or infinity"):
        match(FIRST, SECOND / 0)
    with pytest.raises(ValueError, match=r"ratio must be in \(0, 1\], got 1.2"):
        match(FIRST, SECOND, ratio=1.2)
    with pytest.raises(ValueError, match="places must be given with apart"):
        match(FIRST, SECOND, apart=8)
    with pytest.raises(ValueError, match=r"places must be \(50, 2\), one for each of second, got \(40, 2\)"):
        match(FIRST, SECOND, torch.zeros(40, 2), apart=8)
