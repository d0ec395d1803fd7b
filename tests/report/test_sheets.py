from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pellucid import report
from pellucid.report.sheets import scaled_maps


def test_a_mosaic_places_its_tiles_along_the_rows() -> None:
    tiles = torch.zeros(5, 3, 2, 3)
    for number in range(5):
        tiles[number, 0] = number / 5
    found = report.mosaic(tiles, least=4)  # each pixel becomes 2 x 2
    assert found.shape == (2 * 6 - 2, 3 * 8 - 2, 3), "3 columns, 2 rows, a gap of 2"
    corners = [found[6 * (n // 3), 8 * (n % 3), 0] for n in range(5)]
    assert corners == [round(255 * n / 5) for n in range(5)]
    assert (found[:, 6:8] == 255).all()
    assert (found[6:, 16:] == 255).all(), "no sixth tile"


def test_maps_are_scaled_alone_together_or_not() -> None:
    maps = torch.tensor([[[0.0, 1]], [[2.0, 4]], [[3.0, 3]]])
    assert scaled_maps(maps, "map")[:, 0].tolist() == [[0, 1], [0, 1], [0, 0]]
    assert scaled_maps(maps, "layer")[:, 0].tolist() == [[0, 0.25], [0.5, 1], [0.75, 0.75]]
    assert scaled_maps(maps, "unit")[:, 0].tolist() == [[0, 1], [1, 1], [1, 1]]
    with pytest.raises(ValueError, match="scale must be one of map, layer, unit, got 'x'"):
        scaled_maps(maps, "x")
    with pytest.raises(ValueError, match="maps must be finite"):
        scaled_maps(maps / 0, "map")


@pytest.mark.parametrize(("most", "shown"), [(256, 5), (4, 4)])
def test_a_channel_sheet_says_how_many_of_how_many(tmp_path: Path, most: int, shown: int) -> None:
    assert report.channel_sheet(torch.rand(5, 4, 4), tmp_path / "a.png", "conv", most=most) == shown
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.format == "PNG"
        assert picture.width >= 240


def test_a_shared_scale_looks_at_the_shown_channels_only(tmp_path: Path) -> None:
    maps = torch.stack([torch.tensor([[0.0, 1]]), torch.tensor([[0.0, 100]])])
    for name, some in (("all", maps), ("one", maps[:1])):
        report.channel_sheet(some, tmp_path / name, "", most=1, scale="layer")
    every, alone = (np.asarray(Image.open(tmp_path / name))[-20:] for name in ("all", "one"))
    assert not np.array_equal(every, alone), "one range over the whole layer, also over what is not shown"


def test_a_contact_sheet_is_as_square_as_it_gets_and_takes_any_text(tmp_path: Path) -> None:
    pictures = [np.full((8, 8, 3), 40 * n, dtype=np.uint8) for n in range(5)]
    sizes = []
    for columns in (0, 5):
        report.contact_sheet(pictures, ["$x$_{", "", "b", "é", "_"], tmp_path / "a.png", "title", columns=columns)
        with Image.open(tmp_path / "a.png") as picture:
            sizes.append(picture.size)
    assert sizes[1][0] > sizes[0][0] > sizes[1][1]
    with pytest.raises(ValueError, match="pictures must be at least one, with a title each, got 0 and 0"):
        report.contact_sheet([], [], tmp_path / "b.png")


def test_text_is_broken_and_the_picture_kept(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (30, 300, 3), dtype=np.uint8)
    found = np.asarray(report.captioned(picture, "a word " * 30))
    assert found.shape[1] == 300
    assert np.array_equal(found[-30:], picture)
    assert (found[:-30] < 255).any()


def test_bars_and_curves_are_drawn(tmp_path: Path) -> None:
    report.bar_chart(torch.rand(12), tmp_path / "bars.png", "fc $1")
    report.curves(torch.rand(9, 2), ["a$", "_b"], tmp_path / "curves.png", axis="step", label="score")
    for name in ("bars.png", "curves.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.width > picture.height > 100


@pytest.mark.parametrize("title", ["", "short", "a title that is much too long for one line of so small a panel " * 3])
def test_a_panel_ends_with_its_pictures_and_shows_whole_titles(tmp_path: Path, title: str) -> None:
    picture = np.full((100, 160, 3), 90, dtype=np.uint8)
    name = "a name that is much too long for one line over so small a picture " * 2
    report.panel([[picture], [picture]], [[name], ["b"]], tmp_path / "a.png", title)
    with Image.open(tmp_path / "a.png") as file:
        found = np.asarray(file.convert("L"))
    margin = 14  # pixels
    assert (found[-margin:] < 255).any(), "no blank strip below"
    assert (found[: margin + 12] < 255).any()
    assert (found[:, :4] == 255).all(), "nothing is cut"
    assert (found[:, -4:] == 255).all()
    assert found.shape[1] < 1.3 * 2.5 * 150, "titles are broken"
    assert (found == 90).any(axis=0).sum() > 0.9 * 2.5 * 150, "long titles leave the pictures as large"
