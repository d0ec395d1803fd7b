import pytest

from pellucid.geometry import Geometry, sides


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (100, 200, (64, 128)),
        (200, 100, (128, 64)),
        (100, 100, (64, 64)),
        (64, 65, (64, 65)),
        (3, 7, (64, 149)),  # 64 * 7 / 3 = 149.33: cut, as torchvision does
        (480, 641, (64, 85)),
        (1, 1, (64, 64)),
    ],
)
def test_the_shorter_side_becomes_resize(height: int, width: int, expected: tuple[int, int]) -> None:
    assert Geometry((32, 32), 64).resized(height, width) == expected


def test_fixed_sizes_ignore_the_picture() -> None:
    assert Geometry((32, 40)).resized(5, 500) == (32, 40)
    assert Geometry((32, 40), (50, 60)).resized(5, 500) == (50, 60)


def test_sides() -> None:
    assert sides(7) == (7, 7)
    assert sides([3, 4]) == (3, 4)
    with pytest.raises(ValueError, match=r"size must be one number or \(height, width\), got \(1, 2, 3\)"):
        sides((1, 2, 3))


@pytest.mark.parametrize("resize", [31, (31, 32), (64, 31)])
def test_a_resize_below_the_crop_is_refused(resize: int | tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"resize must not be smaller than the crop \(32, 32\), got"):
        Geometry((32, 32), resize)


def test_a_number_to_resize_to_must_reach_the_longer_side_of_the_crop() -> None:
    with pytest.raises(ValueError, match=r"resize must not be smaller than the crop \(10, 40\), got 39"):
        Geometry((10, 40), 39)
    assert Geometry((10, 40), (10, 40)).resized(9, 9) == (10, 40)


@pytest.mark.parametrize("size", [(0, 5), (5, -1), (16_385, 5)])
def test_a_size_out_of_range_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"size must be in \[1, 16384\], got"):
        Geometry(size)


def test_channels_and_interpolation_are_checked() -> None:
    with pytest.raises(ValueError, match="channels must be 1 or 3 to read pictures, got 4"):
        Geometry((5, 5), channels=4)
    with pytest.raises(ValueError, match=r"interpolation must be one of .*, got 'cubic'; did you mean bicubic"):
        Geometry((5, 5), interpolation="cubic")
