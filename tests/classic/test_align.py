import math

import pytest
import torch

from pellucid.classic import align

PLACES = torch.rand(60, 2, generator=torch.Generator().manual_seed(0)).double() * 200


def moved(scale: float, angle: float, shift: tuple[float, float]) -> torch.Tensor:
    """Clockwise where rows run downwards, by the matrix of the books."""
    turn = math.radians(angle)
    across = scale * (math.cos(turn) * PLACES[:, 1] - math.sin(turn) * PLACES[:, 0]) + shift[1]
    down = scale * (math.sin(turn) * PLACES[:, 1] + math.cos(turn) * PLACES[:, 0]) + shift[0]
    return torch.stack([down, across], dim=1)


@pytest.mark.parametrize(
    ("scale", "angle", "shift"), [(1, 0, (5, -7)), (1.3, 30, (0, 40)), (0.7, -170, (100, 3)), (2, 90, (-1, 0))]
)
def test_finds_the_similarity_among_wrong_matches(scale: float, angle: float, shift: tuple[float, float]) -> None:
    there = moved(scale, angle, shift)
    there[::2] = torch.rand(30, 2, generator=torch.Generator().manual_seed(1)).double() * 200  # half are wrong
    found = align(PLACES, there, tolerance=1.0)
    assert found.scale == pytest.approx(scale)
    assert found.angle == pytest.approx(angle)
    assert found.shift == pytest.approx(shift)
    assert found.error == pytest.approx(0, abs=1e-6)
    assert found.agreed[1::2].all()
    assert found.agreed[::2].sum() <= 2
    torch.testing.assert_close(found.move(PLACES[1::2]), there[1::2])


def test_fits_in_least_squares() -> None:
    noise = torch.randn(60, 2, generator=torch.Generator().manual_seed(2)).double()
    there = moved(1.1, 10, (3, 4)) + noise
    found = align(PLACES, there, tolerance=10.0)
    assert found.agreed.all()
    ones, zeros = torch.ones(60).double(), torch.zeros(60).double()
    down, across = PLACES.unbind(dim=1)  # across' = a across - b down + c, down' = b across + a down + d
    matrix = torch.cat([torch.stack([across, -down, ones, zeros], 1), torch.stack([down, across, zeros, ones], 1)])
    a, b, c, d = torch.linalg.lstsq(matrix, torch.cat([there[:, 1], there[:, 0]])).solution.tolist()
    assert found.scale == pytest.approx(math.hypot(a, b))
    assert found.angle == pytest.approx(math.degrees(math.atan2(b, a)))
    assert found.shift == pytest.approx((d, c))
    assert found.error == pytest.approx(float((found.move(PLACES) - there).square().sum(dim=1).mean().sqrt()))


def test_agreed_are_those_within_the_tolerance_of_what_is_returned() -> None:
    there = moved(1.1, 10, (3, 4)) + torch.randn(60, 2, generator=torch.Generator().manual_seed(2)).double()
    for tolerance in (1.0, 1.5, 2.0):
        found = align(PLACES, there, tolerance=tolerance)
        off = (found.move(PLACES) - there).norm(dim=1)
        assert torch.equal(found.agreed, off <= tolerance)
        assert 0 < found.agreed.sum() < 60


def test_a_translation_neither_turns_nor_scales() -> None:
    there = PLACES + torch.tensor([4.0, -9.0])
    there[:40] = torch.rand(40, 2, generator=torch.Generator().manual_seed(3)).double() * 200
    found = align(PLACES, there, kind="translation", tolerance=0.5)
    assert (found.scale, found.angle) == (1, 0)
    assert found.shift == pytest.approx((4, -9))
    assert found.agreed[40:].all()
    assert align(PLACES[:1], there[:1], kind="translation").agreed.tolist() == [True]


def test_draws_only_from_its_generator() -> None:
    there = torch.rand(60, 2, generator=torch.Generator().manual_seed(4)).double() * 200
    state = torch.get_rng_state()
    one, two = (align(PLACES, there, trials=3) for _ in range(2))
    assert torch.equal(one.agreed, two.agreed)
    assert torch.equal(torch.get_rng_state(), state)
    other = align(PLACES, there, trials=3, generator=torch.Generator().manual_seed(9))
    assert (other.scale, other.angle) != (one.scale, one.angle)


def test_wild_scales_are_not_asked_for() -> None:
    there = PLACES * 0.01  # all on nearly one place: everything would agree with that
    with pytest.raises(ValueError, match=r"scale by at most 4.0, got none that do"):
        align(PLACES, there)
    assert align(PLACES, there, largest_scale=200.0).scale == pytest.approx(0.01)


def test_refuses() -> None:
    with pytest.raises(ValueError, match="matches must be at least 2 to fix a similarity, got 1"):
        align(PLACES[:1], PLACES[:1])
    with pytest.raises(ValueError, match="matches must lie at two places at least"):
        align(PLACES[:1].expand(3, -1), PLACES[:3])
    with pytest.raises(ValueError, match=r"first and second must both be \(M, 2\), got \(60, 2\) and \(59, 2\)"):
        align(PLACES, PLACES[1:])
    with pytest.raises(ValueError, match="kind must be one of similarity, translation, got 'affine'"):
        align(PLACES, PLACES, kind="affine")
    with pytest.raises(ValueError, match="tolerance must be above 0 and finite, got 0"):
        align(PLACES, PLACES, tolerance=0)
    with pytest.raises(ValueError, match="trials must be at least 1, got 0"):
        align(PLACES, PLACES, trials=0)
    with pytest.raises(ValueError, match=r"largest_scale must be at least 1 and finite, got 0.5"):
        align(PLACES, PLACES, largest_scale=0.5)
