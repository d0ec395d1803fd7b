from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pellucid import report

FRAMES = torch.linspace(0, 1, 4)[:, None, None, None].expand(4, 1, 8, 8)


@pytest.mark.parametrize(("form", "name"), [("gif", "GIF"), ("apng", "PNG")])
def test_every_frame_is_there_in_order(tmp_path: Path, form: str, name: str) -> None:
    path = tmp_path / f"a{report.FORMATS[form]}"
    report.save_frames(FRAMES, path, form=form, seconds=0.1, hold=1.0)
    with Image.open(path) as picture:
        assert (picture.format, picture.n_frames, picture.size) == (name, 4, (112, 112))  # type: ignore[attr-defined]
        for number, gray in enumerate((0, 85, 170, 255)):
            picture.seek(number)
            assert np.abs(np.asarray(picture.convert("RGB")).astype(int) - gray).max() <= 2
            assert picture.info["duration"] == (1000 if number == 3 else 100)
        assert picture.info["loop"] == 0


def test_apng_keeps_every_colour(tmp_path: Path) -> None:
    image = torch.rand(2, 3, 120, 120, generator=torch.Generator().manual_seed(0))
    report.save_frames(image, tmp_path / "a.png", form="apng")
    with Image.open(tmp_path / "a.png") as picture:
        picture.seek(1)
        assert np.array_equal(np.asarray(picture.convert("RGB")), report.pixels(image[1]))


def test_one_frame_is_fine_and_none_is_not(tmp_path: Path) -> None:
    report.save_frames(FRAMES[:1], tmp_path / "a.gif")
    with pytest.raises(ValueError, match="frames must be at least one, got none"):
        report.save_frames(FRAMES[:0], tmp_path / "b.gif")
    with pytest.raises(ValueError, match="form must be one of gif, apng, got 'mp4'"):
        report.save_frames(FRAMES, tmp_path / "b.mp4", form="mp4")
    with pytest.raises(ValueError, match=r"seconds must be at least 0.02"):
        report.save_frames(FRAMES, tmp_path / "b.gif", seconds=0.001)
