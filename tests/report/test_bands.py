"""Shares with their bands."""

import re

import pytest

from pellucid.metrics import Interval
from pellucid.report import bands

FALLING = ([0.0, 1.0, 2.0], [Interval(1.0, 0.9, 1.0), Interval(0.5, 0.4, 0.6), Interval(0.0, 0.0, 0.1)])


def test_the_line_lies_in_its_band_and_the_axis_is_percent() -> None:
    drawn = bands({"net": FALLING}, "how it falls", x="epsilon", y="still right")
    assert 'aria-label="how it falls"' in drawn
    assert "still right (%)" in drawn
    assert "epsilon" in drawn
    fill = re.search(r'<path[^>]* d="([^"]+)"', drawn[drawn.index("FillBetween") :])
    assert fill is not None
    heights = {round(float(y), 1) for _, y in re.findall(r"(-?[\d.]+) (-?[\d.]+) *\n?", fill[1])}
    assert len(heights) >= 5, "90 and 100, 40 and 60, 0 and 10"


def test_names_are_told_where_there_are_several_and_nothing_is_markup() -> None:
    drawn = bands({"<b>one</b> $x$": FALLING, "two": FALLING}, "<i>both</i>", x="$e$", y="right")
    assert "<b>" not in drawn
    assert "<i>" not in drawn
    assert "&lt;b&gt;one&lt;/b&gt; $x$" in drawn
    assert "two" in drawn
    assert "two" not in bands({"one": FALLING}, "one", x="e", y="right")


def test_refusals() -> None:
    with pytest.raises(ValueError, match="curves must be 1 to 6 in one figure, got 0"):
        bands({}, "nothing", x="e", y="right")
    with pytest.raises(ValueError, match="a: places and shares must be as many, at least 1: 2 and 3"):
        bands({"a": ([0.0, 1.0], FALLING[1])}, "a", x="e", y="right")
