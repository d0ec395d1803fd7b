from pathlib import Path

import pytest
from PIL import Image

from pellucid import report
from pellucid.report import NamedPoint
from pellucid.report.named_points import _free, _merged, _overlap

POINTS = [NamedPoint("small", "a", 1e6, 10), NamedPoint("large", "a", 1e9, 50), NamedPoint("$odd_{", "b", 1e7, 30)]


def test_every_name_stands_in_the_figure_and_its_colours_are_the_pages() -> None:
    drawn = str(report.named_points(POINTS, "what <it> shows", x="cost", y="share (%)", log="x"))
    assert drawn.startswith("<svg")
    assert 'aria-label="what &lt;it&gt; shows"' in drawn
    for text in ("small", "large", "$odd_{", "cost", "share (%)", "1 M"):
        assert f">{text}<" in drawn
    assert "var(--accent)" in drawn
    assert "#010203" not in drawn


def test_the_picture_alone_is_on_white(tmp_path: Path) -> None:
    report.save_named_points(POINTS, tmp_path / "a.png", "title", x="cost", y="share", log="xy")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (1536, 1024)
        assert picture.convert("RGB").getpixel((2, 2)) == (255, 255, 255)
        colours = {colour for _, colour in picture.convert("RGB").getcolors(10**7)}  # type: ignore[union-attr]
    assert (0x0B, 0x6E, 0x8F) in colours
    assert (1, 2, 3) not in colours


def test_spots_that_lie_on_each_other_share_their_text() -> None:
    assert _merged({"a": (0, 0), "b": (2, 0), "c": (9, 0)}, 3) == {"a, b": (0, 0), "c": (9, 0)}


def test_a_name_takes_the_nearest_free_side() -> None:
    frame = (0.0, 0.0, 200.0, 200.0)
    right = _free((100, 100), (30, 10), 1, frame, taken=[], lines=[])
    assert right == (105, 95, 135, 105)
    left = _free((100, 100), (30, 10), 1, frame, taken=[(106, 90, 110, 110)], lines=[])
    assert left == (65, 95, 95, 105)
    above = _free((100, 100), (30, 10), 1, frame, taken=[(106, 96, 110, 104)], lines=[(80, 96, 90, 104)])
    assert above == (85, 105, 115, 115), "a line is kept clear of too where there is room near by"
    assert _free((198, 100), (30, 10), 1, frame, taken=[], lines=[]) == (163, 95, 193, 105), "inside the frame"
    assert _free((100, 100), (30, 10), 1, frame, taken=[frame], lines=[]) is None
    assert _overlap((0, 0, 2, 2), (1, 1, 3, 3))
    assert not _overlap((0, 0, 2, 2), (2, 0, 3, 2))


def test_refuses_none() -> None:
    with pytest.raises(ValueError, match="points must be at least one, got none"):
        report.named_points([], "", x="", y="")
