"""A sheet of pairs: one picture above, what was made of it below."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from pellucid import report


def test_before_stands_over_after(tmp_path: Path) -> None:
    before, after = torch.zeros(3, 3, 8, 8), torch.zeros(3, 3, 6, 6)
    before[:, 0], after[:, 2] = 1, 1  # red, blue
    report.pair_sheet(before, after, ["a", "b", "c"], ["crop", "hflip", "as it is"], tmp_path / "pairs.png", title="t")
    with Image.open(tmp_path / "pairs.png") as picture:
        shown = picture.convert("RGB")
    for column in (1, 3, 5):
        x = shown.width * column // 6
        assert shown.getpixel((x, shown.height * 3 // 10)) == (255, 0, 0)
        assert shown.getpixel((x, shown.height * 8 // 10)) == (0, 0, 255)


def test_refuses_what_does_not_pair(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must be as many, at least 1, got \[2, 2, 2, 1\]"):
        report.pair_sheet(torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4), ["a", "b"], ["c"], tmp_path / "pairs.png")
