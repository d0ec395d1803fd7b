"""MNIST's files, written byte by byte."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from pellucid.data import open_images

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 5, 4), dtype=np.uint8)
IMAGES = struct.pack(">4I", 0x803, 3, 5, 4) + PIXELS.tobytes()
LABELS = struct.pack(">2I", 0x801, 3) + bytes([7, 0, 7])


def write(root: Path, images: bytes = IMAGES, labels: bytes = LABELS, prefix: str = "t10k") -> Path:
    (root / f"{prefix}-images-idx3-ubyte").write_bytes(images)
    (root / f"{prefix}-labels-idx1-ubyte").write_bytes(labels)
    return root


def test_pixels_and_numbers_come_out_as_stored(tmp_path: Path) -> None:
    images = open_images(write(tmp_path))
    assert (images.classes, images.targets.tolist(), images.split) == (("0", "7"), [1, 0, 1], "test")
    assert [label.index for label in images.labels] == [0, 7]
    for position in range(3):
        expected = torch.from_numpy(PIXELS[position]).expand(3, 5, 4)
        assert torch.equal(images.read(position), expected)


def test_gzipped_and_plain_files_make_splits(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(IMAGES))
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(LABELS))
    images = open_images(write(tmp_path), split="all")
    assert images.splits == ("train", "test")
    assert len({item.file for item in images.items}) == 6


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES[:-1], LABELS, "images-idx3-ubyte: cut short, 59 of 60 bytes"),
        (IMAGES, LABELS[:-1], "labels-idx1-ubyte: cut short, 2 of 3 bytes"),
        (IMAGES[:7], LABELS, "images-idx3-ubyte: not a readable idx file"),
        (b"", LABELS, "images-idx3-ubyte: not a readable idx file"),
        (LABELS + bytes(9), LABELS, "images-idx3-ubyte: not an idx file of bytes with 3 dimensions"),
        (IMAGES, IMAGES, "labels-idx1-ubyte: not an idx file of bytes with 1 dimensions"),
        (struct.pack(">4I", 0x803, *[2**32 - 1] * 3), LABELS, "not an idx file of bytes with 3 dimensions"),
        (struct.pack(">4I", 0x803, 3, 0, 4), LABELS, "not an idx file of bytes with 3 dimensions"),
        (IMAGES, struct.pack(">2I", 0x801, 2) + bytes(2), "holds 3 images, but .* 2 labels"),
        (struct.pack(">4I", 0x803, 0, 5, 4), struct.pack(">2I", 0x801, 0), "no pictures found"),
    ],
)
def test_broken_files_are_refused_in_one_line(tmp_path: Path, images: bytes, labels: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        open_images(write(tmp_path, images, labels))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [gzip.compress(IMAGES, mtime=0)[:-20], b"no gzip at all", b""], ids=["cut", "other", "empty"]
)
def test_broken_gzip_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(content)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(LABELS))
    with pytest.raises(ValueError, match=r"images-idx3-ubyte\.gz: (not a readable idx file|cut short)"):
        open_images(tmp_path)


@pytest.mark.parametrize("below", ["raw", "MNIST/raw"])
def test_torchvisions_folders_are_found(tmp_path: Path, below: str) -> None:
    (tmp_path / below).mkdir(parents=True)
    write(tmp_path / below)
    assert open_images(tmp_path).targets.tolist() == [1, 0, 1]
    (tmp_path / "KMNIST/raw").mkdir(parents=True)
    write(tmp_path / "KMNIST/raw")
    if below == "MNIST/raw":
        with pytest.raises(ValueError, match=r"holds several sets \(KMNIST/raw, MNIST/raw\): name one of them"):
            open_images(tmp_path)
