"""pellucid words."""

import csv
import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pellucid import data
from pellucid.classic import BagOfWords, word_patches
from pellucid.cli._words_found import words_found

from .calling import Call, content

FAST = ("--words", "5", "--side", "48", "--stride", "8", "--maps", "1", "--shown", "3")


@pytest.fixture
def place(place: Path) -> Path:
    """Six pictures, each half flat and half texture."""
    for number in range(6):
        noise = np.random.default_rng(number).integers(0, 256, (12, 6), dtype=np.uint8)
        whole = Image.new("L", (48, 48), 100)
        whole.paste(Image.fromarray(noise).resize((24, 48), Image.Resampling.BICUBIC), (0, 0))
        (place / "set").mkdir(exist_ok=True)
        whole.save(place / f"set/{number}.png")
    return place


def test_words_are_the_librarys_and_everything_is_written(call: Call, place: Path) -> None:
    said = call("words", "set", *FAST, "-o", "out")
    assert (said.code, said.err) == (0, "")
    names = {"index.html", "words.png", "map-1.png", "pictures.csv", "summary.json", "record.json", "words"}
    assert {name for name in content(place / "out") if "/" not in name} == names
    pictures = data.gather(["set"])
    options = {"words": 5, "side": 48, "stride": 8, "orientation": "linear", "cells": "linear", "norm": "l1"}
    bag = BagOfWords(**options, sample=50_000, starts=1)  # type: ignore[arg-type]
    bag.fit(pictures, generator=torch.Generator().manual_seed(0), workers=0)
    rows = bag.features(pictures, workers=0).rows
    assert BagOfWords.load(place / "out/words").hash == bag.hash
    with (place / "out/pictures.csv").open(newline="") as file:
        head, *lines = list(csv.reader(file))
    assert head == ["file", "word_0", "word_1", "word_2", "word_3", "word_4", "null"]
    assert [line[0] for line in lines] == [f"set/{number}.png" for number in range(6)]
    told = torch.tensor([[float(share) for share in line[1:]] for line in lines])
    torch.testing.assert_close(told, rows, atol=1e-6, rtol=0)
    found = json.loads((place / "out/summary.json").read_text())
    shares = rows.double().mean(dim=0)
    assert found["shares"] == pytest.approx(shares.tolist())
    ranked = shares[:-1].argsort(descending=True, stable=True).tolist()
    assert found["shown"] == [ranked[0], ranked[2], ranked[4]]
    counts = word_patches(bag, pictures, [0], workers=0).counts
    torch.testing.assert_close(shares, counts.double() / counts.sum())
    even = np.exp(-sum(p * np.log(p) for p in (shares[:-1] / shares[:-1].sum()).tolist() if p))
    assert f"as many as {even:.0f} words that are equally frequent" in said.out
    assert f"{100 * float(shares[-1]):.1f} % of the patches are flat: the null word." in said.out
    assert said.out.splitlines()[-1] == f"page: {place / 'out/index.html'}"
    page = (place / "out/index.html").read_text()
    assert (page.count("<img"), "<script" in page, 'id="choice"' in page) == (2, False, False)


def test_numbers_of_words_are_tried(call: Call, place: Path) -> None:
    said = call("words", "set", *FAST, "--maps", "0", "--choose", "-o", "out")
    assert (said.code, said.err) == (0, "")
    found = json.loads((place / "out/summary.json").read_text())["choices"]
    assert set(found) == {"elbow", "silhouette", "gap"}
    for choice in found.values():
        assert choice["counts"] == [2, 4, 8, 16, 32, 64]  # of the 90 patches that are not flat
        assert choice["best"] in choice["counts"]
    assert found["elbow"]["values"] == sorted(found["elbow"]["values"], reverse=True)
    assert f"Of 2 to 64 words the elbow speaks for {found['elbow']['best']}" in said.out
    assert 'id="choice"' in (place / "out/index.html").read_text()
    assert not (place / "out/map-1.png").exists()


def test_what_cannot_be_read_is_left_out(call: Call, place: Path) -> None:
    (place / "set/3.png").write_text("no picture")
    said = call("words", "set", *FAST, "--maps", "2", "-o", "out")
    assert said.code == 1
    assert said.err == "pellucid: set/3.png: not a picture of a known format\n"
    assert json.loads((place / "out/summary.json").read_text())["pictures"] == 5
    page = (place / "out/index.html").read_text()
    assert "set/3.png: not a picture of a known format" in page
    assert "The most frequent words of set/5.png" in page
    options = {"words": 5, "side": 48, "patch": 16, "stride": 8, "shown": 3, "choose": False, "seed": 0}
    found = words_found(Namespace(images=["set"], **options))
    shown = torch.from_numpy(np.array(Image.open(place / "set/5.png")))[None].float() / 255
    torch.testing.assert_close(found.image(4), shown)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("nowhere -o out", "nowhere: no such file or folder"),
        ("set -o out --words 1", "words must be in [2, 5000], got 1"),
        ("set -o out --words 999 --side 48", "words must be at most the "),
        ("set -o out --side 8", "16"),
        ("set -o out --patch 10", "patch must be "),
        ("set -o out --stride 0", "stride must be at least 1, got 0"),
        ("set -o out --shown 0", "shown must be in [1, 60], got 0"),
        ("set -o out --maps 21", "maps must be in [0, 20], got 21"),
        ("set -o set", "set exists already"),
        ("flat.png -o out", "descriptors must not all be zeros: the images are flat"),
        ("set", "missing: -o OUT"),
    ],
)
def test_refuses(call: Call, place: Path, words: str, message: str) -> None:
    Image.new("L", (30, 30), 9).save(place / "flat.png")
    before = content(place)
    said = call("words", *words.split())
    assert (said.code, said.out) == (2, "")
    assert message in said.err
    assert said.err.count("\n") == 1
    assert content(place) == before
