import re

import pytest
import torch

from pellucid import report
from pellucid.report import PointPicture
from pellucid.report._marks import tones

POINTS = torch.tensor([[0.0, 0.0], [4.0, 0.0], [4.0, 2.0], [1.0, 1.0]])
TARGETS = torch.tensor([0, 1, 1, -1])
NAMES = ["cats", "<dogs>"]


def pictures(*rows: int) -> list[PointPicture]:
    return [PointPicture(row, torch.full((1, 4, 6), 0.5), f"{row} & co.png") for row in rows]


def test_points_lie_where_their_pictures_come_up() -> None:
    made = str(report.point_map(POINTS, TARGETS, NAMES, "Two kinds", pictures=pictures(0, 1, 2, 3)))
    spots = re.findall(r'aria-label="([^"]+)" style="left:([\d.]+)%;top:([\d.]+)%">', made)
    places = {name: (float(x), float(y)) for name, x, y in spots}
    assert places == {
        "cats: 0 &amp; co.png": (4, 92.59),
        "&lt;dogs&gt;: 1 &amp; co.png": (96, 92.59),
        "&lt;dogs&gt;: 2 &amp; co.png": (96, 7.41),
        "no class: 3 &amp; co.png": (27, 50),
    }
    assert 'viewBox="0 0 1000 540.0"' in made, "no higher than the points need"
    for x, y in places.values():
        assert f"M{10 * x:.1f} {5.4 * y:.1f}m" in made
    assert made.count('type="radio"') == 4
    assert len(set(re.findall(r'name="(map-\w+)"', made))) == 1  # one stop for the keys
    assert made.count("data:image/jpeg") == 1
    assert "i{background-image:url(data:image/jpeg;base64," in made
    assert "<script" not in made


def test_a_map_without_pictures_is_a_figure_alone() -> None:
    made = str(report.point_map(POINTS, TARGETS, NAMES, "Two kinds"))
    assert "<input" not in made
    assert 'aria-label="Two kinds: 4 points of 2 classes"' in made
    legend = re.findall(r"</svg>([^<]+) <small>(\d+)</small>", made)
    assert legend == [("cats", "1"), ("&lt;dogs&gt;", "2"), ("no class", "1")]


def test_any_number_of_classes_differ_in_colour_or_mark() -> None:
    count = 100
    targets = torch.arange(count)
    made = str(report.point_map(torch.rand(count, 2), targets, [str(n) for n in range(count)], "Many"))
    drawn = re.findall(r'fill="(#\w{6})" style="[^"]+" d="M0 0([^"]+)"', made)
    assert len(drawn) == len(set(drawn)) == count
    for night in (0, 1):
        first = torch.tensor([[int(tones(n)[night][i : i + 2], 16) for i in (1, 3, 5)] for n in range(10)]).double()
        apart = torch.cdist(first, first) + 999 * torch.eye(10, dtype=torch.float64)
        assert apart.min() > 25
        luminance = (first / 255) ** 2.2 @ torch.tensor([0.2126, 0.7152, 0.0722], dtype=torch.float64)
        paper = 0.95 if night == 0 else 0.008
        contrast = (luminance.clamp(min=paper) + 0.05) / (luminance.clamp(max=paper) + 0.05)
        assert contrast.min() > 3


def test_the_file_of_its_own_has_both_dresses_and_all_names() -> None:
    made = report.point_picture(POINTS, TARGETS, NAMES, "Two <kinds>")
    assert made.startswith("<svg xmlns=")
    assert "prefers-color-scheme:dark" in made
    assert "&lt;dogs&gt;" in made
    from xml.etree import ElementTree as ET

    assert ET.fromstring(made).tag.endswith("svg")


def test_points_on_one_spot_are_drawn() -> None:
    assert "M500.0 250.0m" in str(report.point_map(torch.ones(2, 2), torch.zeros(2).long(), ["x"], "one"))


def test_refuses() -> None:
    with pytest.raises(ValueError, match=r"points must be \(N, 2\), N at least 1, and finite, got \(4, 1\)"):
        report.point_map(POINTS[:, :1], TARGETS, NAMES, "")
    with pytest.raises(ValueError, match=r"targets must be \(4,\) numbers of the 1 classes, or -1"):
        report.point_map(POINTS, TARGETS, NAMES[:1], "")
    with pytest.raises(ValueError, match=r"pictures must be at most 2,500, each of one of the 4 points"):
        report.point_map(POINTS, TARGETS, NAMES, "", pictures=pictures(4))


def test_retrieved_pictures() -> None:
    uri = report.thumbnail(torch.rand(3, 8, 8))
    asked = report.Picture(uri, "a<b>.png", "asked")
    found = [report.Picture(uri, "x.png", "0.1", is_marked=True), report.Picture("", "y.png", "0.2")]
    made = str(report.retrieved([(asked, found)]))
    assert made.count("<img") == 2
    assert "a&lt;b&gt;.png" in made
    assert made.count('class="marked"') == 1
    assert "not to be read" in made
    with pytest.raises(ValueError, match="a picture in a page must be a data URI"):
        report.retrieved([(report.Picture("https://x/y.png", "x", ""), [])])
