"""pellucid match."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pellucid.cli._matched import Side, enlarged

from .calling import Call, content

FAST = ("--turns", "1", "--zooms", "1")


def texture(seed: int, wide: int = 120, tall: int = 90) -> Image.Image:
    """Smooth colour noise, no two places alike."""
    noise = np.random.default_rng(seed).integers(0, 256, (tall // 5, wide // 5, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((wide, tall), Image.Resampling.BICUBIC)


@pytest.fixture
def place(place: Path) -> Path:
    """Two textures, a part of the first, the first on its side and twice as large, and what is no picture."""
    first = texture(0)
    first.save(place / "a.png")
    texture(1).save(place / "b.png")
    first.crop((30, 10, 110, 80)).save(place / "part.png")
    first.transpose(Image.Transpose.ROTATE_270).resize((180, 240), Image.Resampling.BICUBIC).save(place / "turned.png")
    Image.new("L", (40, 50), 90).save(place / "flat.png")
    first.crop((0, 0, 12, 60)).save(place / "thin.png")
    first.resize((600, 20)).save(place / "long.png")
    (place / "no.png").write_text("no picture")
    return place


def told(call: Call, *words: str) -> dict[str, Any]:
    said = call("match", *words, "--json")
    assert (said.code, said.err) == (0, "")
    found: dict[str, Any] = json.loads(said.out)
    return found


def test_a_part_is_found_where_it_was_cut(call: Call, place: Path) -> None:
    said = call("match", "a.png", "part.png", *FAST, "-o", "out")
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    found = json.loads((place / "out/summary.json").read_text())
    agreeing, total = found["agreeing"], found["matches"]
    assert lines[0] == f"the same scene or object: {agreeing} of {total} matches agree on one turn, scale and shift"
    assert lines[1].startswith("the second shows it upright and ")
    assert "; the middle of the first lies at row 34." in lines[1]
    assert lines[-1] == f"page: {place / 'out/index.html'}"
    assert set(content(place / "out")) == {
        *("index.html", "matches.png", "aligned.png"),
        *("matches.csv", "summary.json", "record.json"),
    }
    moved = found["alignment"]
    assert moved["shift"] == pytest.approx({"down": -10, "across": -30}, abs=1)
    assert moved["middle_lands_at"] == pytest.approx({"row": 34.5, "column": 29.5}, abs=0.5)
    assert moved["angle"] == pytest.approx(0, abs=0.2)
    assert moved["scale"] == pytest.approx(1, abs=0.02)
    with (place / "out/matches.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == total
    assert sum(row["agrees"] == "1" for row in rows) == agreeing
    ratios = [float(row["ratio"]) for row in rows]
    assert ratios == sorted(ratios)
    for row in rows:
        if row["agrees"] == "1":
            assert float(row["first_row"]) - float(row["second_row"]) == pytest.approx(10, abs=4)
            assert float(row["first_column"]) - float(row["second_column"]) == pytest.approx(30, abs=4)
    page = (place / "out/index.html").read_text()
    assert page.count("<img") == 2
    assert "<script" not in page
    record = json.loads((place / "out/record.json").read_text())
    assert (record["command"], record["options"]["turns"], record["options"]["side"]) == ("match", 1, 400)


def test_places_are_those_of_the_files_also_where_pictures_were_reduced(call: Call, place: Path) -> None:
    found = told(call, "a.png", "turned.png", "--side", "120", "--turns", "4", "--zooms", "1")
    assert found["verdict"] == "same"
    assert (found["second"]["height"], found["second"]["width"]) == (240, 180)
    moved = found["alignment"]
    assert moved["angle"] == pytest.approx(90, abs=0.5)
    assert moved["scale"] == pytest.approx(2, abs=0.02)
    assert moved["middle_lands_at"] == pytest.approx({"row": 119.5, "column": 89.5}, abs=1)
    assert moved["shift"] == pytest.approx({"down": 0.5, "across": 178.5}, abs=2)
    assert "turned 90.0° clockwise and 2 times as large" in found["told"][1]


def test_the_border_of_a_reduced_picture_is_that_of_its_file() -> None:
    side = Side("a.png", (200, 300), torch.zeros(3, 50, 60))
    found = enlarged(torch.tensor([[-0.5, -0.5], [49.5, 59.5], [0.0, 0.0]]), side)
    assert found.tolist() == [[-0.5, -0.5], [199.5, 299.5], [1.5, 2.0]]


def test_unrelated_and_flat_pictures_have_nothing_in_common(call: Call, place: Path) -> None:
    said = call("match", "a.png", "b.png", *FAST, "-o", "out")
    assert said.code == 0
    assert said.out.startswith("no common part found: only ")
    assert not (place / "out/aligned.png").exists()
    assert json.loads((place / "out/summary.json").read_text())["alignment"] is None
    assert "That is no proof" in (place / "out/index.html").read_text()
    found = told(call, "flat.png", "a.png", *FAST)
    assert (found["matches"], found["agreeing"], found["verdict"]) == (0, 0, "none")
    assert call("match", "flat.png", "a.png", *FAST, "-o", "none").code == 0


def test_a_few_that_agree_are_told_with_doubt(call: Call, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pellucid.cli import _matched

    agreeing = told(call, "a.png", "part.png", *FAST)["agreeing"]
    monkeypatch.setattr(_matched, "least", lambda _matches: agreeing + 1)
    assert told(call, "a.png", "part.png", *FAST)["verdict"] == "perhaps"
    monkeypatch.setattr(_matched, "CHANCE", agreeing)
    assert told(call, "a.png", "part.png", *FAST)["verdict"] == "none"


@pytest.mark.parametrize(
    ("scale", "agreeing", "verdict"),
    [
        (1.0, 16, "same"),
        (2.9, 16, "same"),
        (0.22, 21, "none"),
        (3.1, 40, "none"),
        (1.0, 14, "perhaps"),
        (1.0, 13, "none"),
    ],
)
def test_what_agrees_at_sizes_too_far_apart_is_not_believed(scale: float, agreeing: int, verdict: str) -> None:
    from pellucid.classic import Alignment
    from pellucid.cli._matched import verdict_of

    agreed = torch.arange(60) < agreeing
    assert verdict_of(Alignment(scale=scale, angle=0.0, shift=(0.0, 0.0), agreed=agreed, error=1.0), 60) == verdict
    assert verdict_of(None, 60) == "none"


def test_out_is_replaced_only_by_force(call: Call, place: Path) -> None:
    words = ("match", "a.png", "part.png", *FAST, "-o", "out")
    assert call(*words).code == 0
    before = content(place)
    said = call(*words)
    assert (said.code, said.out) == (2, "")
    assert "out exists already" in said.err
    assert content(place) == before
    assert call(*words, "--force").code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("a.png nowhere.png", "nowhere.png: no such file or folder"),
        ("no.png a.png", "no.png: not a picture of a known format"),
        ("*.png a.png", "*.png: must be one picture, got 8; name a file"),
        (". a.png", ".: must be one picture, got 8; name a file"),
        (
            "a.png thin.png",
            "thin.png: must be at least a patch wide and high, 16, got 12 x 60; a smaller --patch may do",
        ),
        ("long.png a.png", "16, got 400 x 13 (reduced from 600 x 20: see --side)"),
        ("a.png b.png --side 10", "side must be in [32, 2000], got 10"),
        ("a.png b.png --patch 10", "patch must be "),
        ("a.png b.png --ratio 2", "ratio must be in (0, 1], got 2"),
        ("a.png b.png --turns 0", "turns must be in [1, 360], got 0"),
        ("a.png b.png --zooms 4", "zooms must be odd"),
        ("a.png b.png --tolerance 0", "tolerance must be above 0 and finite, got 0"),
        ("a.png b.png --lines 0", "lines must be in [1, 1000], got 0"),
        ("a.png", "missing: second"),
    ],
)
def test_refuses(call: Call, place: Path, words: str, message: str) -> None:
    said = call("match", *words.split(), "-o", "out")
    assert (said.code, said.out) == (2, "")
    assert message in said.err
    assert said.err.count("\n") == 1
    assert not (place / "out").exists()
