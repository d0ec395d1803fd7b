"""CIFAR-10's own files, written byte by byte; a pickle that is not the published one is never opened."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10

from pellucid.data import open_images

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)
LABELS = [3, 0, 9, 3, 5, 1]


def write_binary(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, part in (("data_batch_1", slice(0, 2)), ("data_batch_3", slice(2, 4)), ("test_batch", slice(4, 6))):
        records = [bytes([label]) + image.tobytes() for label, image in zip(LABELS[part], PIXELS[part], strict=True)]
        (folder / f"{name}.bin").write_bytes(b"".join(records))
    return folder


def write_python(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The Python layout, with its own checksums as the published ones."""
    folder.mkdir(parents=True)
    lists = {}
    for kind, names, part in (
        ("train_list", [f"data_batch_{number}" for number in range(1, 6)], slice(0, 2)),
        ("test_list", ["test_batch"], slice(4, 6)),
    ):
        content = pickle.dumps({"data": PIXELS[part].reshape(2, -1), "labels": LABELS[part]})
        for name in names:
            (folder / name).write_bytes(content)
        lists[kind] = [[name, hashlib.md5(content).hexdigest()] for name in names]
        monkeypatch.setattr(CIFAR10, kind, lists[kind])
    told = pickle.dumps({"label_names": list("abcdefghij")})
    (folder / "batches.meta").write_bytes(told)
    meta = {"filename": "batches.meta", "key": "label_names", "md5": hashlib.md5(told).hexdigest()}
    monkeypatch.setattr(CIFAR10, "meta", meta)
    return folder


@pytest.mark.parametrize("below", ["", "cifar-10-batches-bin"])
def test_binary_files_come_out_as_stored(tmp_path: Path, below: str) -> None:
    write_binary(tmp_path / "set" / below)
    images = open_images(tmp_path / "set", split="train")
    assert images.splits == ("train", "test")
    assert [images.classes[target] for target in images.targets] == ["cat", "airplane", "truck", "cat"]
    for place in range(4):
        assert torch.equal(images.read(place), torch.from_numpy(PIXELS[place]))
    test = open_images(tmp_path / "set", split="test")
    assert test.classes == images.classes
    assert torch.equal(test.read(1), torch.from_numpy(PIXELS[5]))


@pytest.mark.parametrize("name", ["cifar-10-batches-py", "renamed"])
def test_python_files_with_the_published_checksums_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = write_python(tmp_path / "root" / name, monkeypatch)
    for place in (folder, folder.parent):
        images = open_images(place, split="test")
        assert torch.equal(images.read(0), torch.from_numpy(PIXELS[4]))
        assert [images.classes[target] for target in images.targets] == ["dog", "automobile"]


class Trap:
    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (Path(TRAP),)


TRAP = ""


@pytest.mark.parametrize("file", ["data_batch_2", "test_batch", "batches.meta"])
def test_a_foreign_pickle_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    folder, sprung = write_python(tmp_path / "set", monkeypatch), tmp_path / "sprung"
    monkeypatch.setitem(globals(), "TRAP", str(sprung))
    (folder / file).write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ValueError, match=r"set: its files are Python pickles .* take the binary version \(cifar-10-b"):
        open_images(folder)
    assert not sprung.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "test_batch.bin: must hold whole pictures of 3,073 bytes, got 0 bytes"),
        (bytes(3074), "must hold whole pictures of 3,073 bytes, got 3,074 bytes"),
        (bytes([10]) + bytes(3072), r"test_batch.bin: classes must be in \[0, 9\], got 10"),
    ],
)
def test_broken_binary_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "test_batch.bin").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        open_images(tmp_path)


def test_a_folder_of_several_sets_asks_which(tmp_path: Path) -> None:
    write_binary(tmp_path / "a")
    write_binary(tmp_path / "b")
    with pytest.raises(ValueError, match=r"holds several sets \(a, b\): name one of them"):
        open_images(tmp_path)
