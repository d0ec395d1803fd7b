import math

import pytest
import torch
from torch import Tensor

from pellucid.metrics.explanation import pointing_game

BOX = torch.tensor([[4, 6, 9, 10]])  # columns 4 to 8, rows 6 to 9


def at(row: int, column: int) -> Tensor:
    heat = torch.zeros(1, 20, 24)
    heat[0, row, column] = 1
    return heat


@pytest.mark.parametrize(
    ("row", "column", "hit"), [(6, 4, True), (9, 8, True), (10, 8, False), (9, 9, False), (5, 4, False), (6, 3, False)]
)
def test_a_box_is_half_open(row: int, column: int, hit: bool) -> None:
    found = pointing_game(at(row, column), [BOX], tolerance=0)
    assert found.hit.tolist() == [hit]
    assert found.point.tolist() == [[row, column]]
    assert found.energy.tolist() == [float(hit)]
    assert found.area.item() == found.chance.item() == pytest.approx(20 / 480)


def test_the_tolerance_is_a_straight_distance_to_the_nearest_pixel() -> None:
    inside = [(row, column) for row in range(6, 10) for column in range(4, 9)]
    for tolerance in (1, 2.5, 5):
        near = 0
        for row in range(20):
            for column in range(24):
                expected = min(math.dist((row, column), pixel) for pixel in inside) <= tolerance
                near += expected
                assert pointing_game(at(row, column), [BOX], tolerance=tolerance).hit.item() == expected
        assert pointing_game(at(0, 0), [BOX], tolerance=tolerance).chance.item() == pytest.approx(near / 480)


def test_the_paper_allows_fifteen_pixels() -> None:
    heat = torch.zeros(2, 40, 40)
    heat[0, 25, 0] = heat[1, 26, 0] = 1
    boxes = [torch.tensor([[0, 0, 40, 11]])] * 2  # down to row 10
    found = pointing_game(heat, boxes)
    assert found.hit.tolist() == [True, False]
    assert found.accuracy == 0.5


def test_any_box_will_do_and_overlaps_count_once() -> None:
    boxes = torch.tensor([[0, 0, 4, 4], [2, 2, 6, 6], [20, 15, 24, 20]])
    found = pointing_game(torch.ones(1, 20, 24), [boxes], tolerance=0)
    assert found.area.item() == found.energy.item() == pytest.approx((16 + 16 - 4 + 20) / 480)
    assert found.is_flat.tolist() == [True]
    assert pointing_game(at(17, 21), [boxes], tolerance=0).hit.item()


def test_energy_is_of_the_positive_heat() -> None:
    heat = torch.full((1, 20, 24), -5.0)
    heat[0, 7, 5], heat[0, 0, 0], heat[0, 0, 1] = 3, 4, 1
    assert pointing_game(heat, [BOX]).energy.item() == pytest.approx(3 / 8)
    assert pointing_game(heat - 100, [BOX]).energy.item() == 0, "nothing is positive"


def test_the_first_of_equal_pixels_is_the_point_and_fractions_of_pixels_are_read_as_promised() -> None:
    heat = at(6, 4) + at(6, 5)
    assert pointing_game(heat, [BOX]).point.tolist() == [[6, 4]]
    box = torch.tensor([[3.5, 6.0, 4.5, 7.0]])  # from column 4 to before 4.5
    assert [pointing_game(at(6, column), [box], tolerance=0).hit.item() for column in (3, 4, 5)] == [False, True, False]


def test_refuses() -> None:
    for boxes, message in (
        ([], "boxes must be one tensor for each of 1 maps, got 0"),
        ([torch.zeros(0, 4)], r"boxes must have shape \(B, 4\), B at least 1, got \(0, 4\) for map 0"),
        ([BOX[0]], r"boxes must have shape \(B, 4\), B at least 1, got \(4,\) for map 0"),
        ([BOX[:, [2, 1, 0, 3]]], r"boxes must have x0 < x1 and y0 < y1, got \[\[9, 6, 4, 10\]\] for map 0"),
    ):
        with pytest.raises(ValueError, match=message):
            pointing_game(at(0, 0), boxes)
    with pytest.raises(ValueError, match="tolerance must be at least 0, got -1"):
        pointing_game(at(0, 0), [BOX], tolerance=-1)
    with pytest.raises(ValueError, match="heat must be finite"):
        pointing_game(at(0, 0) * torch.nan, [BOX])
