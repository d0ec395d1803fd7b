import pytest

from pellucid.report import Range, ranges


def test_names_axis_and_label_are_told() -> None:
    rows = [Range("base", 70.0, 69.0, 71.0), Range("norm $x$", 75.8, is_marked=True)]
    drawn = str(ranges(rows, "how good each is", x="accuracy, %"))
    assert 'aria-label="how good each is"' in drawn
    assert all(f">{text}</text>" in drawn for text in ("base", "norm $x$", "accuracy, %"))
    assert "var(--accent)" in drawn  # the marked one


def test_a_line_at_zero_is_drawn_when_asked_for() -> None:
    rows = [Range("a", 1.0, 0.5, 1.5)]
    assert "stroke-dasharray" in str(ranges(rows, "gain", x="points", zero=True))
    assert "stroke-dasharray" not in str(ranges(rows, "gain", x="points"))


def test_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="rows must be at least one"):
        ranges([], "none", x="points")
