import re

import pytest
import torch

from pellucid import report
from pellucid.report import Field

GRID = torch.linspace(-1, 1, 9)
RISING = Field(GRID, GRID, (GRID[None] + GRID[:, None] + 2) / 4)
POINTS, CLASSES = torch.tensor([[0.0, 0.0], [0.5, 0.5]]), torch.tensor([0, 1])


def test_shades_take_the_pages_colours_and_have_a_scale() -> None:
    svg = report.surface(
        RISING, "a <plane>", unit="chance", parting=0.5, points=POINTS, classes=CLASSES, names=("no", "yes")
    )
    assert 'aria-label="a &lt;plane&gt;"' in svg
    for word in (">chance<", ">no<", ">yes<", ">x1<", "var(--tone-1)", "var(--tone-2)", "var(--ink)"):
        assert word in svg
    assert "#0" not in svg
    assert {"0.0", "1.0"} <= set(re.findall(r">([\d.]+)</text>", svg)), "the scale goes from end to end"


def test_the_scale_is_the_same_whatever_is_shown() -> None:
    low, high = (
        report.surface(Field(GRID, GRID, torch.full((9, 9), value)), "flat", unit="u", high=0.5) for value in (0.0, 0.4)
    )
    assert high.count("var(--tone-3)") > low.count("var(--tone-3)") > 0, "the scale alone where nothing is shaded"
    one, other = (re.findall(r">([\d.−]+)</text>", svg)[-6:] for svg in (low, high))
    assert one == other


def test_one_colour_without_a_parting_and_a_mark() -> None:
    plain, marked = (report.surface(RISING, "p", unit="u", marked=mark) for mark in (None, (0.1, 0.2)))
    assert "var(--tone-3)" in plain
    assert "var(--tone-2)" not in plain
    assert len(marked) > len(plain)


def test_refuses_a_scale_without_length() -> None:
    with pytest.raises(ValueError, match=r"high must be above low 0\.0, got 0"):
        report.surface(RISING, "p", unit="u", high=0.0)
