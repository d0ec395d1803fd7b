"""The sheet of images before and after a change."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pellucid.report import change_sheet, magnified


def test_three_pictures_an_image_and_two_images_a_row_where_many(tmp_path: Path) -> None:
    before = list(torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.25)
    after = [image + 0.01 for image in before]
    sizes = {}
    for count in (1, 3, 5):
        captions = [("before: cat", "after: dog")] * count
        change_sheet(before[:count], after[:count], captions, tmp_path / "a.png", "PGD on net")
        with Image.open(tmp_path / "a.png") as file:
            sizes[count] = file.size
    assert sizes[3][1] > 2.5 * sizes[1][1]
    assert sizes[3][0] == pytest.approx(sizes[1][0], rel=0.05)
    assert sizes[5][0] == pytest.approx(2 * sizes[3][0], rel=0.05)


def test_no_change_is_the_middle_grey(tmp_path: Path) -> None:
    image = torch.zeros(1, 8, 8)
    change_sheet([image], [image], [("before", "after")], tmp_path / "a.png", "nothing")
    with Image.open(tmp_path / "a.png") as file:
        picture = np.asarray(file.convert("L"))
    middle = picture[picture.shape[0] // 2]
    assert (middle[-100:-50] == 128).all()
    assert (middle[50:100] == 0).all()


def test_a_change_that_just_fits_takes_the_whole_range() -> None:
    _, factor = magnified(torch.zeros(1, 2, 2), torch.full((1, 2, 2), 0.1))
    assert factor == 5


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"before, after and captions must be as many, at least 1, got \[1, 0, 1\]"):
        change_sheet([torch.zeros(1, 2, 2)], [], [("a", "b")], tmp_path / "a.png", "")
