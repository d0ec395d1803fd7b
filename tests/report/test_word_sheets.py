from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pellucid.report import word_map_sheet, word_sheet

IMAGE = torch.rand(3, 64, 80, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.4
WORDS = torch.full((7, 9), 4)
WORDS[2:4, 3:6] = 1


def opened(path: Path) -> "np.ndarray":
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def share(picture: "np.ndarray", tone: tuple[int, int, int]) -> float:
    return float((np.abs(picture - np.array(tone)).sum(axis=2) < 60).mean())


def test_words_are_shown_with_their_patches(tmp_path: Path) -> None:
    patches = torch.zeros(2, 3, 1, 16, 16)
    patches[0] = 1.0
    distances = torch.tensor([[0.1, 0.2, 0.3], [0.1, float("inf"), float("inf")]])
    word_sheet(patches, ["word 3", "word 5"], tmp_path / "some.png", distances=distances, title="$ two words")
    word_sheet(patches, ["word 3", "word 5"], tmp_path / "all.png")
    black = (0, 0, 0)
    assert 2 < share(opened(tmp_path / "all.png"), black) / share(opened(tmp_path / "some.png"), black) < 5
    with pytest.raises(ValueError, match=r"patches must be \(U, k, C, S, S\), U of them named"):
        word_sheet(patches, ["one"], tmp_path / "no.png")


def test_the_most_frequent_words_are_outlined(tmp_path: Path) -> None:
    word_map_sheet(IMAGE, WORDS, tmp_path / "map.png", count=5, patch=16, stride=8, title="an image")
    word_map_sheet(IMAGE, WORDS, tmp_path / "one.png", count=5, patch=16, stride=8, most=1)
    second = (28, 126, 214)  # blue: the second most frequent word
    assert share(opened(tmp_path / "map.png"), second) > 0.002
    assert share(opened(tmp_path / "one.png"), second) < 0.0002
    with pytest.raises(ValueError, match=r"words must be \(rows, columns\) in \[0, 4\), got \(7, 9\) up to 4"):
        word_map_sheet(IMAGE, WORDS, tmp_path / "no.png", count=4, patch=16, stride=8)
    with pytest.raises(ValueError, match=r"most must be in \[1, 6\], got 7"):
        word_map_sheet(IMAGE, WORDS, tmp_path / "no.png", count=5, patch=16, stride=8, most=7)
