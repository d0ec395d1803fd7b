import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from filelock import FileLock
from torch import Tensor

from pellucid.data import ImageSet, gather, open_images
from pellucid.data.image_set import Item
from pellucid.data.sources import Array
from pellucid.features import Column, Filled, Store, _file_keys, extract

from .nets import model, write_picture, write_pictures
from .toys import MEAN, PIXELS, Toy, filled, images_of, is_right, leftovers, made

NAMES = [f"{label}/{number}.png" for label in ("cat", "dog") for number in range(5)]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    write_pictures(folder, NAMES, side=4)
    return folder


def test_a_models_rows_are_those_of_extract(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", NAMES)
    images, asked = open_images(tmp_path / "pictures"), model()
    store = Store(tmp_path / "store")
    assert store.fill(asked, images, ["0", "5"], batch_size=4) == Filled(10, 0, 0, ())
    wanted = extract(asked, images_of(images, asked.geometry), ["0", "5"])
    for layer in ("0", "5"):
        torch.testing.assert_close(store.tensor(layer), wanted[layer], atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(store.tensor(layer, torch.tensor([7, 2])), wanted[layer][[7, 2]])
    assert store.columns == {Column("0"): 6, Column("5"): 12}
    assert store.fill(asked, images, ["5"], pool="gap", post="relu").computed == 10
    torch.testing.assert_close(store.tensor("5", post="relu"), wanted["5"].relu(), atol=1e-6, rtol=1e-5)
    with pytest.raises(ValueError, match=r"pool and post must name one of 5 \(auto\), 5 \(gap, relu\), got None"):
        store.read("5")
    about = store.about
    assert about["name"] == "small"
    assert len(about["weights"]) == 64
    assert about["preprocessing"]["size"] == [8, 8]
    assert about["preprocessing"]["mean"] == pytest.approx([0.5, 0.4, 0.3])
    assert "pellucid" in json.loads((store.folder / "store.json").read_text())["record"]["versions"]


def test_a_second_filling_costs_nothing(tmp_path: Path, pictures: Path) -> None:
    store = Store(tmp_path / "store")
    assert filled(store, pictures).computed == 10
    before = {path.name: path.stat().st_mtime_ns for path in store.folder.iterdir()}
    toy = Toy()
    assert filled(Store(store.folder), pictures, toy) == Filled(0, 10, 0, ())
    assert toy.given == 0
    assert {path.name: path.stat().st_mtime_ns for path in store.folder.iterdir()} == before
    is_right(store, open_images(pictures))
    assert not leftovers(store.folder)


def test_untouched_files_are_not_even_read(tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_file_keys, "SETTLED", 0)  # else files made a moment ago are read again
    store = Store(tmp_path / "store")
    filled(store, pictures)
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("a file was read"))
    assert filled(store, pictures).kept == 10


def test_a_changed_an_added_and_a_removed_file_cost_themselves_only(tmp_path: Path, pictures: Path) -> None:
    store, toy = Store(tmp_path / "store"), Toy()
    filled(store, pictures, toy, "mean,pixels")
    write_picture(pictures / "cat/3.png", 77, 4)  # as many bytes as before, or nearly
    assert filled(store, pictures, toy, "mean,pixels") == Filled(1, 9, 0, ())
    is_right(store, open_images(pictures), "mean,pixels")
    write_picture(pictures / "cat/2b.png", 78, 4)
    assert filled(store, pictures, toy) == Filled(1, 10, 0, ())  # the other column is brought up too
    is_right(store, open_images(pictures), "mean,pixels")
    (pictures / "dog/0.png").unlink()
    assert filled(store, pictures, toy) == Filled(0, 10, 1, ())
    is_right(store, open_images(pictures), "mean,pixels")
    (pictures / "dog/1.png").rename(pictures / "dog/0.png")  # the same bytes under another name
    assert filled(store, pictures, toy) == Filled(0, 10, 1, ())
    is_right(store, open_images(pictures), "mean,pixels")
    assert toy.given == 12
    assert not leftovers(store.folder)


@pytest.mark.parametrize("settled", [0, 10**18])
def test_a_change_that_keeps_size_and_time_is_seen(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch, settled: int
) -> None:
    """By the time at which the file's own times were changed; and a young file has no stamp to be believed."""
    monkeypatch.setattr(_file_keys, "SETTLED", settled)
    path = pictures / "cat/0.png"
    store, toy = Store(tmp_path / "store"), Toy()
    filled(store, pictures, toy)
    assert (store._state.lines[0].key.stamp == "") == (settled > 0)
    before, size = path.stat().st_mtime_ns, path.stat().st_size
    for seed in range(100, 200):
        write_picture(path, seed, 4)
        if path.stat().st_size == size:
            break
    assert path.stat().st_size == size
    os.utime(path, ns=(before, before))
    assert filled(store, pictures, toy).computed == 1
    is_right(store, open_images(pictures))


def test_another_layer_is_added_to_those_there(tmp_path: Path, pictures: Path) -> None:
    store, toy = Store(tmp_path / "store"), Toy()
    filled(store, pictures, toy)
    first = (store.folder / store._state.columns[MEAN].file).stat().st_mtime_ns
    assert filled(store, pictures, toy, "pixels").computed == 10
    assert (store.folder / store._state.columns[MEAN].file).stat().st_mtime_ns == first
    assert {layer for layer, _ in toy.asked[-4:]} == {"pixels"}
    is_right(store, open_images(pictures), "mean,pixels")


def test_sets_in_archives_and_in_memory(tmp_path: Path, pictures: Path) -> None:
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        for name in NAMES:
            archive.write(pictures / name, name)
    zipped, toy = open_images(tmp_path / "pictures.zip"), Toy()
    store = Store(tmp_path / "store")
    store.fill_from(toy, zipped, [MEAN])
    is_right(store, zipped)
    assert store.fill_from(toy, zipped, [MEAN]).computed == 0
    assert filled(store, pictures, toy).computed == 0  # the same bytes outside the archive
    write_picture(pictures / "cat/1.png", 99, 4)
    changed = Store(tmp_path / "changed")
    changed.fill_from(toy, zipped, [MEAN])
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        for name in NAMES:
            archive.write(pictures / name, name)
    assert changed.fill_from(toy, open_images(tmp_path / "pictures.zip"), [MEAN]).computed == 1
    is_right(changed, open_images(tmp_path / "pictures.zip"))
    zipped = open_images(tmp_path / "pictures.zip")
    pixels = images_of(zipped).mul(255).byte().permute(0, 2, 3, 1).numpy()
    items = tuple(Item(item.file, item.target, str(place)) for place, item in enumerate(zipped.items))
    arrays = ImageSet("memory", zipped.labels, items, (Array(pixels),))
    packed = Store(tmp_path / "packed")
    assert packed.fill_from(toy, arrays, [MEAN]).computed == 10
    assert packed.fill_from(toy, arrays, [MEAN]).computed == 0
    pixels[4] = 255 - pixels[4]
    assert packed.fill_from(toy, arrays, [MEAN]).computed == 1
    is_right(packed, arrays)


def test_twins_and_subsets(tmp_path: Path, pictures: Path) -> None:
    shutil.copyfile(pictures / "cat/1.png", pictures / "dog/9.png")
    images, store, toy = open_images(pictures), Store(tmp_path / "store"), Toy()
    store.fill_from(toy, images, [MEAN])
    is_right(store, images)
    assert store.hashes[1] == store.hashes[10]
    assert len(set(store.hashes)) == 10
    some = images.subset([10, 3, 1])
    assert store.rows(some).tolist() == [10, 3, 1]
    assert store.rows(["dog/0.png"]).tolist() == [5]
    with pytest.raises(ValueError, match=r"holds no row of cat/99.png: was it left out as unreadable"):
        store.rows(["cat/99.png"])
    assert store.fill_from(toy, some, [MEAN]) == Filled(0, 3, 8, ())
    is_right(store, some)


def test_sets_side_by_side(tmp_path: Path, pictures: Path) -> None:
    write_pictures(tmp_path / "more", ["cat/new.png", "eel/0.png"], seed=5, side=4)
    images, more = open_images(pictures), open_images(tmp_path / "more")
    store, toy = Store(tmp_path / "store"), Toy()
    store.fill_from(toy, images, [MEAN])
    assert store.fill_from(toy, more, [MEAN], keep_others=True) == Filled(2, 10, 0, ())
    assert store.files == (*(item.file for item in images.items), "cat/new.png", "eel/0.png")
    assert store.classes == ("cat", "dog", "eel")
    assert store.targets.tolist() == [0] * 5 + [1] * 5 + [0, 2]
    for some in (images, more):
        np.testing.assert_array_equal(store.tensor("mean", store.rows(some)), made(images_of(some), "mean"))
    before = store._state
    for some in (images, more, images):
        assert store.fill_from(toy, some, [MEAN], keep_others=True).computed == 0
    assert store._state == before
    with pytest.raises(ValueError, match=r"10 rows of other pictures have no pixels \(flat\)"):
        store.fill_from(toy, more, [PIXELS], keep_others=True)


def test_other_labels_cost_nothing(tmp_path: Path, pictures: Path) -> None:
    store, toy = Store(tmp_path / "store"), Toy()
    filled(store, pictures, toy)
    (pictures / "dog").rename(pictures / "wolf")
    assert filled(store, pictures, toy).computed == 0
    is_right(store, open_images(pictures))
    assert store.fill_from(toy, gather([pictures / "cat"]), [MEAN]).computed == 0
    assert store.targets.tolist() == [-1] * 5


def test_unreadable_files_are_told_and_have_no_row(tmp_path: Path, pictures: Path) -> None:
    (pictures / "cat/2.png").write_bytes(b"no picture")
    images = open_images(pictures)
    (pictures / "cat/4.png").unlink()  # after the set was opened
    store = Store(tmp_path / "store")
    done = store.fill_from(Toy(), images, [MEAN])
    assert (done.computed, done.kept) == (8, 0)
    assert {error.file: error.reason for error in done.errors} == {
        "cat/2.png": "not a picture of a known format",
        "cat/4.png": "No such file or directory",
    }
    is_right(store, images.subset([0, 1, 3, 5, 6, 7, 8, 9]))
    again = store.fill_from(Toy(), images, [MEAN])
    assert (again.computed, again.kept, len(again.errors)) == (0, 8, 2)
    with pytest.raises(ValueError, match="none of its 1 pictures could be read"):
        Store(tmp_path / "other").fill_from(Toy(), images.subset([2]), [MEAN])


def test_another_models_store_is_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", NAMES)
    images = open_images(tmp_path / "pictures")
    store = Store(tmp_path / "store")
    with pytest.raises(ValueError, match="layer '99' is not part of the model"):
        store.fill(model(), images, ["99"])
    store.fill(model(seed=1, name="runs/first"), images, ["5"])  # a name mistyped binds the store to nothing
    with pytest.raises(
        ValueError,
        match=r"store: holds features of runs/first \(weights \w{8}\), got runs/second \(weights \w{8}\), which "
        "differs in weights: features of two sources never mix",
    ):
        store.fill(model(seed=2, name="runs/second"), images, ["5"])
    with pytest.raises(ValueError, match="differs in preprocessing"):
        store.check(model(seed=1, size=9))
    other = model(seed=1)
    other.std *= 2
    with pytest.raises(ValueError, match="differs in preprocessing"):
        store.check(other)
    same = model(seed=1)
    same.network.add_module("1", torch.nn.ReLU().eval())  # not in place, with the same weights
    with pytest.raises(ValueError, match="differs in modules"):
        store.check(same)
    store.check(model(seed=1, name="by another path"))
    assert store.fill(model(seed=1, name="by another path"), images, ["5"]).computed == 0
    with pytest.raises(ValueError, match=r"got toy .*, which differs in kind, weights, modules, preprocessing, size"):
        store.fill_from(Toy(), images, [MEAN])
    with pytest.raises(ValueError, match=r"model must be a pellucid.models.Model, .* got a Sequential"):
        store.fill(model().network, images, ["5"])  # type: ignore[arg-type]


def test_features_that_are_not_finite_are_told_by_file(tmp_path: Path, pictures: Path) -> None:
    images = open_images(pictures)
    bad = int((images_of(images)[:, 0, 0, 0] > 0.5).nonzero()[0, 0])
    with pytest.raises(ValueError, match=f"NaN or infinity in row {bad} \\({NAMES[bad]}\\), layer 'nan'"):
        Store(tmp_path / "store").fill_from(Toy(), images, [Column("nan", "flat")])


def test_a_source_that_gives_other_rows_is_refused(tmp_path: Path, pictures: Path) -> None:
    class Odd(Toy):
        """Rows of another width, or too few of them."""

        width, less = 3, 0

        def rows(self, images: Tensor, columns: Sequence[Column]) -> dict[Column, Tensor]:
            return {column: torch.zeros(len(images) - self.less, self.width) for column in columns}

    store, odd = Store(tmp_path / "store"), Odd()
    filled(store, pictures, odd)
    write_picture(pictures / "cat/8.png", 60, 4)
    odd.width = 4
    with pytest.raises(ValueError, match=r"mean \(flat\) must have 3 values an image as before, got 4"):
        filled(store, pictures, odd)
    odd.less = 1
    with pytest.raises(ValueError, match=r"mean \(flat\) must be float32 \(1, D\), got \(0, 4\) torch.float32"):
        filled(store, pictures, odd)
    assert len(Store(store.folder)) == 10


def test_two_fillings_at_once_are_refused(tmp_path: Path, pictures: Path) -> None:
    store = Store(tmp_path / "store")
    filled(store, pictures)
    with (
        FileLock(store.folder / ".lock"),
        pytest.raises(ValueError, match="store: another process is filling this store"),
    ):
        filled(Store(store.folder), pictures)
    assert filled(Store(store.folder), pictures).computed == 0


def test_no_room_is_told_before_anything_is_written(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=119))
    with pytest.raises(ValueError, match=r"needs 120 bytes for 10 rows of 3 values, and the disk has 119 free: pool"):
        filled(Store(tmp_path / "store"), pictures)
    assert not [*(tmp_path / "store").glob("*.npy")]


def test_damaged_stores_are_told(tmp_path: Path, pictures: Path) -> None:
    store = Store(tmp_path / "store")
    filled(store, pictures)
    rows = store.folder / store._state.columns[MEAN].file
    os.truncate(rows, 200)
    with pytest.raises(ValueError, match=r"rows.npy: not readable"):
        store.read("mean")
    rows.unlink()
    with pytest.raises(ValueError, match=r"rows.npy: not readable .*No such file"):
        store.read("mean")
    with pytest.raises(ValueError, match=r"holds no layer 'means', but mean; did you mean mean\?"):
        store.read("means")
    index = next(store.folder.glob("index.*"))
    whole = index.read_bytes()
    lines = pq.read_table(index)
    for name, value in (("label", "wolf"), ("hash", None), ("file", 3)):
        changed = lines.set_column(lines.schema.get_field_index(name), name, pa.array([value] * len(lines)))
        pq.write_table(changed, index)
        with pytest.raises(
            ValueError, match=r"is damaged \(index.0001.parquet: its lines must be words, and the labels"
        ):
            Store(store.folder)
    index.write_bytes(whole[:50])
    with pytest.raises(ValueError, match=r"store.json: is damaged \(index.0001.parquet: "):
        Store(store.folder)
    told = json.loads((store.folder / "store.json").read_text())
    changes: list[dict[str, object]] = [{"format": 2}, {"index": "../index.parquet"}, {"columns": [{}]}, {"about": 3}]
    for change in changes:
        (store.folder / "store.json").write_text(json.dumps({**told, **change}))
        with pytest.raises(ValueError, match=r"store.json: is damaged"):
            Store(store.folder)
    index.write_bytes(whole)
    for column in ({"pool": None}, {"layer": 3}):
        wrong = {**told, "columns": [{**told["columns"][0], **column}]}
        (store.folder / "store.json").write_text(json.dumps(wrong))
        with pytest.raises(ValueError, match=r"is damaged \(its layers, poolings and classes must be words\)"):
            Store(store.folder)
    told["columns"][0]["file"] = "../rows.npy"
    (store.folder / "store.json").write_text(json.dumps({**told, "index": ""}))
    with pytest.raises(ValueError, match=r"store.json: is damaged \(it names files outside the store\)"):
        Store(store.folder)
    (store.folder / "store.json").write_text("{")
    with pytest.raises(ValueError, match=r"store.json: not readable"):
        Store(store.folder)


def test_other_folders_are_left_alone(tmp_path: Path, pictures: Path) -> None:
    with pytest.raises(ValueError, match=r"pictures: is no store of features \(it has no store.json\), and not empty"):
        Store(pictures)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="file: is no store of features"):
        Store(tmp_path / "file")
    store = Store(tmp_path / "store")
    assert (len(store), store.files, dict(store.about), store.columns) == (0, (), {}, {})
    with pytest.raises(ValueError, match="holds no layer 'mean', but none"):
        store.read("mean")
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        store.fill_from(Toy(), open_images(pictures), [MEAN], batch_size=0)
    with pytest.raises(ValueError, match="layers: must hold at least one, got none"):
        store.fill(model(), open_images(pictures), [])
    assert not store.folder.exists()
    filled(store, pictures)
    (store.folder / "notes.txt").write_text("mine")
    filled(store, pictures, layers="pixels")
    assert leftovers(store.folder) == ["notes.txt"]
