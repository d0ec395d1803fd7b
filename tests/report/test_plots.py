import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from pellucid import report
from pellucid.report import Field, Matrix

X = torch.linspace(0, 1, 5)
POINTS = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
CLASSES = torch.tensor([0, 1, 1, 0])


def ids(svg: str) -> set[str]:
    return set(re.findall(r'\bid="([^"]+)"', svg))


def test_curves_take_the_pages_colours_and_are_named() -> None:
    svg = report.lines({"a & b": (X, X), "$c$": (X, X**2)}, "two <curves>", x="t", y="u", dots={"top": (1.0, 1.0)})
    assert 'aria-label="two &lt;curves&gt;"' in svg
    for word in (
        "a &amp; b",
        ">$c$<",
        ">top<",
        ">t<",
        ">u<",
        "var(--tone-1)",
        "var(--tone-2)",
        "var(--ink)",
        "--wide:",
    ):
        assert word in svg
    assert "#0" not in svg
    assert "stroke-dasharray" in svg, "they differ without colour"


def test_whole_numbers_are_counted_in_whole_steps() -> None:
    svg = report.lines({"mistakes": (torch.arange(1, 4), torch.tensor([2, 1, 0]))}, "mistakes", x="epoch", y="mistakes")
    ticks = re.findall(r">([\d.−]+)</text>", svg)
    assert {"0", "1", "2", "3"} <= set(ticks)
    assert not [tick for tick in ticks if "." in tick]
    alone = report.lines({"loss": (torch.ones(1), torch.tensor([0.5]))}, "loss", x="epoch", y="nats")
    assert "1" in re.findall(r">([\d.−]+)</text>", alone), "of a single epoch too"
    assert "0.96" not in alone


def test_figures_of_one_page_share_no_id() -> None:
    one, two = (report.lines({"a": (X, X)}, label, x="x", y="y") for label in ("one", "two"))
    assert ids(one)
    assert not ids(one) & ids(two)
    assert one == report.lines({"a": (X, X)}, "one", x="x", y="y"), "the same again"


def test_points_with_their_line_their_field_and_rings() -> None:
    grid = torch.linspace(-1, 2, 16)
    field = Field(grid, grid, grid[:, None] + grid[None, :] - 1)
    svg = report.scatter(
        POINTS,
        CLASSES,
        "xor",
        names=("no", "yes"),
        field=field,
        boundaries=[(-0.5, 1.0, 0.0), (0.0, 0.0, 0.0), (-0.5, 0.0, 1.0)],
        circled=CLASSES == 1,
    )
    for word in (">no<", ">yes<", "var(--tone-1)", "var(--tone-2)", ">x1<", ">x2<"):
        assert word in svg
    assert "#0" not in svg


def test_the_tinted_side_is_that_of_class_one() -> None:
    """Right of x = 0.5 is class 1: its tint lies right of the other's."""
    grid = torch.linspace(0, 1, 11)
    svg = report.scatter(
        POINTS, CLASSES, "halves", names=("l", "r"), field=Field(grid, grid, (grid - 0.5).expand(11, 11))
    )
    tints = re.findall(r'<path d="([^"]*)"[^>]*style="fill: var\(--tone-([12])\); fill-opacity: 0.14', svg)
    middle = {
        tone: sum(xs) / len(xs)
        for path, tone in tints
        for xs in [[float(x) for x in re.findall(r"[ML] ([\d.]+)", path)]]
    }
    assert middle["1"] < middle["2"]


def test_matrices_are_written_out() -> None:
    values = torch.tensor([[1.0, -2.5], [0.0, 1 / 3]])
    shown = [Matrix("x <1>", values, marked=values < 0), Matrix("y", values.T, sign="=")]
    svg = report.matrices(shown, "a matrix & its transpose")
    assert svg.count("<rect") == 4 + 1 + 4
    for word in ("x &lt;1&gt;", ">−2.5<", ">0.333<", ">=<", "a matrix &amp; its transpose", "rgba(var(--bad), 0.550)"):
        assert word in svg
    plain = report.matrices(shown, "colours", numbers=False)
    assert ">−2.5<" not in plain


def test_drawings_and_steps_escape_what_is_said() -> None:
    svg = report.matrices([Matrix("a", torch.ones(1, 1))], "one")
    assert "<figcaption>1 &lt; 2</figcaption>" in report.drawings([(svg, "1 < 2")])
    told = report.worked_steps(["first <b>\n1 & 2\n3", "second"])
    assert told == (
        '<ol class="steps"><li><strong>first &lt;b&gt;</strong><pre tabindex="0">1 &amp; 2\n3</pre></li>'
        "<li><strong>second</strong></li></ol>"
    )


def test_twelve_curves_differ_in_stroke_or_colour() -> None:
    svg = report.lines({f"run {number}": (X, X + number) for number in range(12)}, "twelve", x="x", y="y")
    styles = re.findall(
        r'style="(fill: none; stroke-[^"]*stroke: var\(--tone[^"]+|fill: none; stroke: var\(--tone[^"]+)', svg
    )
    assert len(set(styles)) >= 12


def test_a_place_on_the_x_axis_is_marked_over_the_figure() -> None:
    svg = report.lines({"loss": (X, X)}, "marked", x="epoch", y="loss", upright={"best": 0.25})
    assert ">best<" in svg


def test_a_sheet_of_curves_is_one_picture(tmp_path: Path) -> None:
    shown = [report.Curves(f"{name} $", {"a_b": (X, X), "c": (X, X**2)}, "epoch", name) for name in ("loss", "lr", "x")]
    report.line_sheet(shown, tmp_path / "sheet.png", "two runs")
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > 1200


def test_refusals() -> None:
    with pytest.raises(ValueError, match="curves must be 1 to 12 in one figure, got 0"):
        report.lines({}, "none", x="x", y="y")
    with pytest.raises(ValueError, match="classes must be 1 to 6 in one figure, got 7"):
        report.scatter(POINTS, CLASSES, "many", names=list("abcdefg"))
    with pytest.raises(ValueError, match="matrices must be at least one, got none"):
        report.matrices([], "none")
