"""`pellucid index` and `pellucid search`, from pictures to pages."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from pellucid import data, features, models

from .calling import Call, content, pictures, zipped

FAST = ("--map", "pca")
NAMES = [f"{'ab'[number % 2]}/{number:02d}.png" for number in range(14)]


@pytest.fixture
def index(call: Call, place: Path, model_folder: Path) -> Path:
    """14 pictures in two classes, and a copy of one."""
    shutil.copyfile(pictures(place / "set", *NAMES) / "a/00.png", place / "set/b/copy.png")
    said = call("index", model_folder, "set", "-o", "set.index", *FAST)
    assert (said.code, said.err) == (0, "")
    return place / "set.index"


def test_indexing_tells_what_it_did_and_makes_a_page(call: Call, place: Path, model_folder: Path, index: Path) -> None:
    page = (index / "index.html").read_text()
    assert "<script" not in page
    assert page.count('type="radio"') == 15
    assert "the same file, two labels" in page
    told = json.loads((index / "index.json").read_text())
    assert told["source"]["images"] == str(place / "set")
    again = call("index", model_folder, "set", "-o", "set.index", *FAST)
    assert again.out.startswith("15 pictures: 0 computed, 15 known, 0 gone; ")
    assert "1 pair of pictures are nearly the same: 2 pictures in 1 group" in again.out
    pictures(place / "set", *NAMES, "a/new.png")
    added = call("index", model_folder, "set", "-o", "set.index", "--kind", "hnsw", "--map", "none")
    assert added.out.startswith("16 pictures: 1 computed, 15 known, 0 gone; ")
    assert "The search (hnsw) finds 100.0 % of the 10 truly nearest." in added.out
    assert 'class="map"' not in (index / "index.html").read_text()


def test_the_page_tells_what_bounds_its_numbers(
    call: Call, place: Path, model_folder: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = call("index", model_folder, "set", "-o", "set.index", *FAST)
    share = (7 * 6 + 8 * 7) / 15 / 10  # of classes of 7 and 8 pictures, with ten asked for
    assert f", at most {100 * share:.1f} %, for some classes have fewer)" in first.out
    assert "were compared" not in first.out
    monkeypatch.setattr("pellucid.cli._index_page.MOST", 2)
    again = call("index", model_folder, "set", "-o", "set.index", *FAST, "--duplicates", "2")
    (near,) = re.findall(r"; of (\d+) pairs near in features the 2 nearest were compared", again.out)
    assert 15 * 5 / 2 <= int(near) <= 15 * 5
    assert f"of {near} pairs near in features" in (index / "index.html").read_text()


def test_a_picture_is_found(call: Call, place: Path, model_folder: Path, index: Path) -> None:
    said = call("search", index, "set/a/02.png", "-k", "3", "-o", "found")
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0] == "set/a/02.png"
    assert re.fullmatch(r" +0  a/02.png  \(a\)", lines[1])
    assert lines[-1] == f"page: {place / 'found/index.html'}"
    (told,) = json.loads((place / "found/found.json").read_text())["images"]
    model = models.load(model_folder)
    asked = data.read_image("set/a/02.png", model.geometry)
    files = features.Store(index / "features").files
    by_hand = features.ImageIndex(index).search(model, asked, k=3)
    assert [one["file"] for one in told["found"]] == [files[row] for row in by_hand.rows[0]]
    torch.testing.assert_close(torch.tensor([one["distance"] for one in told["found"]]).double(), by_hand.distances[0])
    page = (place / "found/index.html").read_text()
    assert page.count("<img") == 4
    assert "not to be read" not in page
    record = json.loads((place / "found/record.json").read_text())
    assert (record["command"], record["options"]["k"]) == ("search", 3)
    assert "found exists already" in call("search", index, "set/a/02.png", "-o", "found").err


def test_json_without_itself_and_with_what_could_not_be_read(call: Call, place: Path, index: Path) -> None:
    pictures(place, *NAMES, "new.png")
    (place / "no.png").write_text("no")
    said = call("search", index, "new.png", "set/b/copy.png", "no.png", "-k", "2", "--exclude-self", "--json")
    assert said.code == 1
    assert said.err == "pellucid: no.png: not a picture of a known format\n"
    told = json.loads(said.out)
    new, copy = told["images"]
    assert (new["file"], new["itself"], new["label"]) == ("new.png", "", "")
    assert new["found"][0]["distance"] > 0
    assert (copy["itself"], copy["label"], copy["found"][0]["file"]) == ("b/copy.png", "b", "a/00.png")
    assert (new["same_file"], copy["same_file"]) == (False, True)
    assert copy["found"][0]["distance"] == 0
    assert told["unreadable"] == [{"file": "no.png", "reason": "not a picture of a known format"}]


def test_a_picture_saved_anew_is_not_said_to_be_in_the_index(call: Call, place: Path, index: Path) -> None:
    Image.open(place / "set/a/02.png").save(place / "anew.png", compress_level=0)
    said = call("search", index, "anew.png", "set/a/02.png", "-k", "2", "-o", "found")
    assert (said.code, said.err) == (0, "")
    page = (place / "found/index.html").read_text()
    assert "another file, but to the network the same as a/02.png" in page
    assert "1 of the 2 pictures asked about are in the index themselves" in page
    anew, own = json.loads((place / "found/found.json").read_text())["images"]
    assert (anew["itself"], anew["same_file"], anew["label"]) == ("a/02.png", False, "")
    assert (own["itself"], own["same_file"], own["label"]) == ("a/02.png", True, "a")


def test_pictures_that_were_moved_are_told_by_name(call: Call, place: Path, index: Path) -> None:
    pictures(place, "asked.png")
    (place / "set").rename(place / "elsewhere")
    assert call("search", index, "asked.png", "-k", "2", "-o", "found").code == 0
    assert (place / "found/index.html").read_text().count("not to be read") == 2


def test_zips_without_labels(call: Call, place: Path, model_folder: Path) -> None:
    zipped(place / "flat.zip", "1.png", "2.png", "3.png")
    said = call("index", model_folder, "flat.zip", "-o", "flat.index")
    assert (said.code, said.err) == (0, "")
    assert call("search", "flat.index", "flat.zip", "-k", "1").out.count(" 0  ") == 3


def test_code_is_run_only_when_it_is_named(call: Call, place: Path) -> None:
    pictures(place, *NAMES)
    model = "tests_code_for_search:build"
    (place / "tests_code_for_search.py").write_text(
        "from torch import nn\nfrom pellucid.models import Model\n"
        "def build():\n"
        "    net = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 2)).eval()\n"
        "    nn.init.constant_(net[2].weight, 1)\n    nn.init.zeros_(net[2].bias)\n"
        "    return Model(net, mean=[0.0] * 3, std=[1.0] * 3, classes=['r', 'g'], size=8)\n"
    )
    assert call("index", model, "a", "-o", "x", "--map", "none").code == 0
    refused = call("search", "x", "a/00.png", "-k", "1")
    assert (refused.code, refused.err) == (2, f"pellucid: x: was made with {model}; name it with --model\n")
    assert call("search", "x", "a/00.png", "-k", "1", "--model", model).code == 0


REFUSED = {
    "search nowhere set/a/00.png": "nowhere: holds no index; make one with pellucid index MODEL IMAGES -o nowhere",
    "search set.index nowhere.png": "nowhere.png: no such file or folder",
    "search set.index set/a/00.png -k 0": "k must be in [1, 15], got 0",
    "search set.index set/a/00.png -k 16": "k must be in [1, 15], got 16",
    "search set.index set/a/00.png --model zoo:digits_cnn@none,classes=6": "features of two sources never mix",
    "search set.index set/a/00.png --weights nope.pt": "nope.pt",
    "index MODEL nowhere -o x": "nowhere: no such file or folder",
    "index MODEL set -o set": "set: is no index (it has no index.json), and not empty: name a new folder",
    "index MODEL set -o x --layer nope": "'nope' is not part of the model",
    "index MODEL set -o set.index --layer 3": "rows of two layers never mix, so name another folder",
    "index MODEL set -o x --map mds": "map must be one of tsne, pca, umap, none, got 'mds'",
    "index MODEL set -o x --kind flat": "kind must be one of exact, ivf, hnsw, got 'flat'",
}


def test_wrong_words_are_one_line(call: Call, place: Path, model_folder: Path, index: Path) -> None:
    before = {name for name in content(place) if not name.startswith("x")}
    for words, said in REFUSED.items():
        found = call(*(str(model_folder) if word == "MODEL" else word for word in words.split()))
        assert (found.code, found.out) == (2, "")
        assert said in found.err
        assert found.err.count("\n") == 1
    assert {name for name in content(place) if not name.startswith("x")} == before


def test_a_map_that_is_not_installed_is_told(
    call: Call, place: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures(place, *NAMES)
    monkeypatch.setitem(sys.modules, "umap", None)
    said = call("index", model_folder, "a", "-o", "x", "--map", "umap")
    assert (said.code, said.out) == (2, "")
    assert "how=umap needs the package umap-learn" in said.err
