from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pellucid.report import matched_pictures

FIRST, SECOND = torch.zeros(3, 60, 80), torch.ones(1, 40, 50)
STARTS = torch.tensor([[10.0, 10.0], [30.0, 40.0], [50.0, 70.0]])
ENDS = torch.tensor([[5.0, 5.0], [20.0, 25.0], [35.0, 45.0]])


def seen(path: Path, colour: str) -> "np.ndarray":
    """Places (n, 2), as shares of the sheet, where a colour is, nearly."""
    array = np.asarray(Image.open(path).convert("RGB")).astype(int)
    wanted = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
    return np.argwhere((abs(array - wanted) < 24).all(axis=2)) / array.shape[:2]


def test_lines_go_from_place_to_place(tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    matched_pictures(FIRST, SECOND, STARTS[:1], ENDS[:1], path)
    mint = seen(path, "#50ffa0")
    drawn = mint[mint[:, 0] < 0.7]  # above the legend
    wide = 80 + 4 + 50
    left, right = drawn[drawn[:, 1].argmin()], drawn[drawn[:, 1].argmax()]
    assert left[1] == pytest.approx(10.5 / wide, abs=0.02)
    assert right[1] == pytest.approx((80 + 4 + 5.5) / wide, abs=0.02)
    assert left[0] > right[0]  # from row 10 up to row 5


def test_those_that_disagree_are_gray_and_at_most_so_many_are_drawn(tmp_path: Path) -> None:
    agreed = torch.tensor([False, False, True])
    for most, name in ((3, "all"), (1, "one")):
        matched_pictures(FIRST, SECOND, STARTS, ENDS, tmp_path / name, agreed=agreed, title="$two$", most=most)
    matched_pictures(FIRST, SECOND, STARTS, ENDS, tmp_path / "right")
    gray, mint = (len(seen(tmp_path / "all", colour)) for colour in ("#9aa3b5", "#50ffa0"))
    assert gray > 500
    assert mint > 500
    assert len(seen(tmp_path / "one", "#50ffa0")) < mint / 2  # the first alone, which is gray
    assert len(seen(tmp_path / "right", "#9aa3b5")) < gray / 2  # but for blurred edges


def test_no_match_is_drawn_too(tmp_path: Path) -> None:
    matched_pictures(FIRST, SECOND, STARTS[:0], ENDS[:0], tmp_path / "none.png")
    assert (tmp_path / "none.png").stat().st_size > 0


def test_refuses(tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    with pytest.raises(ValueError, match=r"starts and ends must both be \(M, 2\), got \(3, 2\) and \(2, 2\)"):
        matched_pictures(FIRST, SECOND, STARTS, ENDS[:2], path)
    with pytest.raises(ValueError, match=r"agreed must be \(3,\), one for each match, got \(2,\)"):
        matched_pictures(FIRST, SECOND, STARTS, ENDS, path, agreed=torch.ones(2, dtype=torch.bool))
    with pytest.raises(ValueError, match="most must be at least 1, got 0"):
        matched_pictures(FIRST, SECOND, STARTS, ENDS, path, most=0)
    assert not path.exists()
