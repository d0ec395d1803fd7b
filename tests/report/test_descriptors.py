from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pellucid.report import descriptor_sheet

PATCH = torch.zeros(1, 16, 16)
PATCH[:, 8:] = 1
GRADIENTS = torch.zeros(2, 16, 16)
GRADIENTS[1, 7:9] = 1
DOWN, UP, ORANGE = "#3f7d20", "#6d3fc0", "#c2410c"


def count(path: Path, colour: str) -> int:
    array = np.asarray(Image.open(path).convert("RGB")).astype(int)
    wanted = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
    return int((abs(array - wanted) < 16).all(axis=2).sum())


def test_a_direction_has_one_colour_throughout(tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    values = torch.zeros(4, 4, 8)
    values[1:3, :, 2] = 8**-0.5  # a horizontal edge, brighter below
    descriptor_sheet(PATCH, GRADIENTS, values.flatten(), path, title="An edge", sigma=8.0)
    assert count(path, DOWN) > 10 * count(path, UP)  # which is in the legend alone
    descriptor_sheet(PATCH, GRADIENTS, values.roll(4, dims=2).flatten(), tmp_path / "up.png")
    assert count(tmp_path / "up.png", UP) > 5 * count(path, UP)  # its rays and bars; the arrows stay as they are


def test_other_counts_of_directions_and_nothing_at_all_are_drawn(tmp_path: Path) -> None:
    descriptor_sheet(PATCH, GRADIENTS, torch.ones(16 * 5) / 80**0.5, tmp_path / "five.png")
    descriptor_sheet(PATCH * 0, GRADIENTS * 0, torch.zeros(128), tmp_path / "flat.png")
    assert count(tmp_path / "five.png", ORANGE) > 1000
    assert count(tmp_path / "flat.png", ORANGE) < 1000


def test_refuses(tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    with pytest.raises(ValueError, match=r"patch and gradients must be \(C, S, S\) and \(2, S, S\), got \(1, 16, 16\)"):
        descriptor_sheet(PATCH, GRADIENTS[:, 1:], torch.ones(128), path)
    with pytest.raises(ValueError, match=r"descriptor must be \(16 \* bins,\), got \(100,\)"):
        descriptor_sheet(PATCH, GRADIENTS, torch.ones(100), path)
    assert not path.exists()
