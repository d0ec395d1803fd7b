import hashlib
import json
import shutil
import signal
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from pellucid.data import gather, open_images
from pellucid.features import ImageIndex, Index, last_features
from pellucid.models import Model

from .forks import forks
from .nets import model, write_picture, write_pictures
from .toys import Toy, images_of

HERE = str(Path(__file__).parent)
NAMES = [f"{label}/{number}.png" for label in ("cat", "dog") for number in range(6)]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    write_pictures(folder, NAMES)
    return folder


@pytest.mark.parametrize("kind", ["exact", "ivf", "hnsw"])
def test_an_indexed_picture_finds_itself_first(tmp_path: Path, pictures: Path, kind: str) -> None:
    images, asked = open_images(pictures), model()
    made = ImageIndex(tmp_path / "index")
    assert made.fill(asked, images, kind=kind, cells=2, probes=2).computed == 12
    assert made.column.layer == "6"  # what the last linear layer reads
    for index in (made, ImageIndex(tmp_path / "index")):  # as it is read anew
        for given in (images, images_of(images, asked.geometry), gather([pictures])):
            found = index.search(asked, given, k=4)
            assert found.rows[:, 0].tolist() == found.itself.tolist() == list(range(12))
            assert found.distances[:, 0].eq(0).all()
            assert found.distances[:, 1].gt(0).all()
            without = index.search(asked, given, k=3, exclude_self=True)
            assert without.rows.equal(found.rows[:, 1:])
            assert without.distances.equal(found.distances[:, 1:])
    by_hand = Index(kind=kind, cells=2, probes=2).fit(made.store.tensor("6")).search(made.store.tensor("6"), k=4)
    assert by_hand.rows.equal(found.rows)
    if kind == "exact":
        only = index.search(asked, images, k=12)
        assert only.rows.sort(dim=1).values.equal(torch.arange(12).expand(12, 12))


def test_added_changed_and_removed_files_cost_themselves_only(tmp_path: Path, pictures: Path) -> None:
    index, toy = ImageIndex(tmp_path / "index"), Toy()
    index.fill_from(toy, open_images(pictures), layer="mean", pool="flat", kind="hnsw", distance="l1")
    first = (tmp_path / "index/index.json").read_bytes()
    assert index.fill_from(toy, open_images(pictures)).computed == 0
    assert (tmp_path / "index/index.json").read_bytes() == first
    write_picture(pictures / "cat/9.png", 99)
    write_picture(pictures / "dog/0.png", 98)
    (pictures / "dog/5.png").unlink()
    again = ImageIndex(tmp_path / "index")
    filled = again.fill_from(toy, open_images(pictures))
    assert (filled.computed, filled.kept, filled.dropped) == (2, 10, 1)
    assert (again.options["kind"], again.options["distance"]) == ("hnsw", "l1")
    new = gather([pictures / "cat/9.png"])
    assert again.store.files[int(again.search(toy, new, k=1).rows[0, 0])] == "cat/9.png"
    assert len(list((tmp_path / "index").glob("structure.*"))) == 1
    again.fill_from(toy, open_images(pictures), kind="exact")
    assert not list((tmp_path / "index").glob("structure.*"))
    assert ImageIndex(tmp_path / "index").search(toy, new, k=1).distances[0, 0] == 0


def test_copies_are_found_beside_the_picture_itself(tmp_path: Path, pictures: Path) -> None:
    shutil.copyfile(pictures / "cat/1.png", pictures / "dog/twin.png")
    index, asked = ImageIndex(tmp_path / "index"), model()
    index.fill(asked, open_images(pictures))
    found = index.search(asked, gather([pictures / "dog/twin.png"]), k=2)
    assert [index.store.files[row] for row in found.rows[0].tolist()] == ["cat/1.png", "dog/twin.png"]
    assert found.distances[0].tolist() == [0, 0]
    without = index.search(asked, gather([pictures / "dog/twin.png"]), k=1, exclude_self=True)
    assert index.store.files[int(without.rows[0, 0])] == "cat/1.png"


def test_another_file_that_looks_the_same_is_not_the_same_file(tmp_path: Path, pictures: Path) -> None:
    for name, side in (("pictures/cat/blank.png", 9), ("pictures/dog/white.png", 10), ("other.png", 12)):
        Image.new("RGB", (side, side), "white").save(tmp_path / name)
    shutil.copyfile(pictures / "dog/white.png", tmp_path / "renamed.png")
    index, asked = ImageIndex(tmp_path / "index"), model()
    index.fill(asked, open_images(pictures))
    found = index.search(asked, gather([tmp_path / "other.png", tmp_path / "renamed.png"]), k=2)
    assert found.distances.eq(0).all()
    assert [index.store.files[row] for row in found.itself.tolist()] == ["cat/blank.png", "dog/white.png"]
    assert found.same_file.tolist() == [False, True]
    assert index.search(asked, images_of(open_images(pictures), asked.geometry), k=1).same_file.tolist() == [False] * 14


def test_what_is_not_said_stays_as_it_was(tmp_path: Path, pictures: Path) -> None:
    index, toy = ImageIndex(tmp_path / "index"), Toy()
    index.fill_from(toy, open_images(pictures), layer="mean", pool="flat", kind="ivf", cells=3, probes=2)
    structure = (tmp_path / "index/structure.0001.faiss").read_bytes()
    again = ImageIndex(tmp_path / "index")
    again.fill_from(toy, open_images(pictures), effort=10**30)
    assert (again.options["cells"], again.options["probes"], again.options["links"]) == (3, 2, 32)
    assert (tmp_path / "index/structure.0001.faiss").read_bytes() == structure
    again.fill_from(toy, open_images(pictures), kind="hnsw")
    assert (again.options["cells"], again.options["effort"]) == (3, 10**30)
    assert (
        again.search(toy, open_images(pictures), k=1).distances.eq(0).all()
    )  # no more are kept in view than there are


def test_another_model_layer_or_size_is_refused(tmp_path: Path, pictures: Path) -> None:
    index, images = ImageIndex(tmp_path / "index"), open_images(pictures)
    index.fill(model(name="first"), images)
    other = model(seed=1, name="second")
    for ask in (lambda: index.search(other, images, k=1), lambda: index.fill(other, images)):
        with pytest.raises(
            ValueError, match=r"holds features of first \(weights .*got second .*which differs in weights"
        ):
            ask()
    with pytest.raises(ValueError, match=r"indexes 6 \(auto\), got 5 \(auto\): rows of two layers never mix"):
        index.fill(model(), images, layer="5")
    for k in (0, 13):
        with pytest.raises(ValueError, match=rf"k must be in \[1, 12\], got {k}"):
            index.search(model(), images, k=k)
    with pytest.raises(ValueError, match=r"k must be in \[1, 11\], got 12"):
        index.search(model(), images, k=12, exclude_self=True)
    with pytest.raises(ValueError, match="kind must be one of exact, ivf, hnsw, got 'flat'"):
        ImageIndex(tmp_path / "other").fill(model(), images, kind="flat")
    assert not (tmp_path / "other").exists()
    with pytest.raises(ValueError, match="holds no index: index pictures first"):
        ImageIndex(tmp_path / "other").search(model(), images)


def test_unreadable_files_are_told(tmp_path: Path, pictures: Path) -> None:
    index = ImageIndex(tmp_path / "index")
    index.fill(model(), open_images(pictures))
    (tmp_path / "no.png").write_text("no")
    found = index.search(model(), gather([tmp_path / "no.png", pictures / "cat/2.png"]), k=1)
    assert found.asked.tolist() == [1]
    assert found.rows.tolist() == [[2]]
    assert [error.reason for error in found.errors] == ["not a picture of a known format"]
    none = index.search(model(), gather([tmp_path / "no.png"]), k=1)
    assert none.rows.shape == (0, 1)


def test_damaged_indexes_are_told(tmp_path: Path, pictures: Path) -> None:
    folder = tmp_path / "index"
    ImageIndex(folder).fill(model(), open_images(pictures), kind="hnsw")
    images = open_images(pictures)
    structure = folder / "structure.0001.faiss"
    content = structure.read_bytes()
    for bad in (content[:-9], content[:40] + bytes([content[40] ^ 1]) + content[41:], b""):
        structure.write_bytes(bad)
        with pytest.raises(
            ValueError, match=r"structure.0001.faiss: is damaged \(its hash is not the one in index.json"
        ):
            ImageIndex(folder).search(model(), images, k=1)
    told = json.loads((folder / "index.json").read_text())
    structure.write_bytes(b"no structure at all")
    forged = {**told, "structure_hash": hashlib.sha256(structure.read_bytes()).hexdigest()}
    (folder / "index.json").write_text(json.dumps(forged))
    with pytest.raises(ValueError, match=r"structure.0001.faiss: is damaged; index the pictures again"):
        ImageIndex(folder).search(model(), images, k=1)
    structure.unlink()
    with pytest.raises(ValueError, match=r"structure.0001.faiss: not readable \(No such file"):
        ImageIndex(folder).search(model(), images, k=1)
    changes: list[dict[str, object]] = [
        {"format": 2},
        {"structure": "../x"},
        {"options": {"kind": "no"}},
        {"options": {**told["options"], "kind": None}},
        {"options": {**told["options"], "distance": []}},
        {"options": {**told["options"], "wings": 2}},
        {"source": 3},
        {"source": {}},
        {"source": {**told["source"], "images": None}},
        {"source": {**told["source"], "model": "torchvision:vgg11"}},
    ]
    for change in changes:
        (folder / "index.json").write_text(json.dumps({**told, **change}))
        with pytest.raises(ValueError, match=r"index.json: is damaged"):
            ImageIndex(folder)
    (folder / "index.json").write_text("{")
    with pytest.raises(ValueError, match=r"index.json: not readable"):
        ImageIndex(folder)
    (folder / "index.json").write_text(json.dumps(told))
    structure.write_bytes(content)
    rows = next((folder / "features").glob("*.npy"))
    rows.write_bytes(rows.read_bytes()[:-1] + b"?")
    with pytest.raises(ValueError, match="its features are not those it was made of: indexing was not finished, or"):
        ImageIndex(folder).search(model(), images, k=1)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/diary.txt").write_text("x")
    with pytest.raises(ValueError, match=r"mine: is no index \(it has no index.json\), and not empty"):
        ImageIndex(tmp_path / "mine")


KILLED = """
import os, signal, sys
sys.path.insert(0, {here!r})
from toys import Toy
from pellucid.data import open_images
from pellucid.features import ImageIndex
class Killed(Toy):
    def rows(self, images, columns):
        if self.given >= {limit}:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().rows(images, columns)
ImageIndex({folder!r}).fill_from(Killed(), open_images({pictures!r}), layer="mean", pool="flat")
"""


def test_a_killed_run_loses_at_most_a_batch(tmp_path: Path, pictures: Path) -> None:
    script = KILLED.format(here=HERE, limit=6, folder=str(tmp_path / "index"), pictures=str(pictures))
    with forks() as fork:
        assert fork(script) == -signal.SIGKILL
    with pytest.raises(ValueError, match="holds no index"):
        ImageIndex(tmp_path / "index").search(Toy(), open_images(pictures))
    toy, index = Toy(), ImageIndex(tmp_path / "index")
    index.fill_from(toy, open_images(pictures), layer="mean", pool="flat")
    assert toy.given == 6  # of 12; batches are of 3
    assert index.search(toy, open_images(pictures), k=1).itself.tolist() == list(range(12))


class Functions(nn.Module):
    """A head behind functions: no module puts out what it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.head(self.body(images).relu().mean(dim=(2, 3)))
        return found


def wrapped(net: nn.Module) -> Model:
    return Model(net.eval(), mean=[0.5] * 3, std=[0.5] * 3, classes=["a", "b"], size=8)


def test_the_last_features_are_what_the_last_linear_layer_reads() -> None:
    flat = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(4, 2))
    assert last_features(wrapped(flat)) == "3"
    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    nested = nn.Sequential(body, nn.AvgPool2d(6), nn.Sequential(nn.Flatten(), nn.Linear(4, 2)))
    assert last_features(wrapped(nested)) == "2.0"
    assert last_features(wrapped(Functions())) == "body"
    convolved = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert last_features(wrapped(convolved)) == "1"
    with pytest.raises(ValueError, match="has no layer before a last linear one: name the layer"):
        last_features(wrapped(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())))
