"""Batches: in order, complete, the same with and without worker processes."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pellucid.data import Batch, ImageSet, Unreadable, batches, builtin, loading, open_images
from pellucid.geometry import Geometry

GEOMETRY = Geometry((6, 6), 7)
BROKEN = ("cat/03.png", "dog/01.png")


@pytest.fixture(params=["folder", "zip"])
def images(request: pytest.FixtureRequest, tmp_path: Path) -> ImageSet:
    """Ten pictures of different sizes, two of them damaged."""
    random = np.random.default_rng(0)
    root = tmp_path / "set"
    for index, name in enumerate([f"{kind}/{i:02d}.png" for kind in ("cat", "dog") for i in range(5)]):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (9 + index, 12, 3), dtype=np.uint8)).save(root / name)
        if name in BROKEN:
            (root / name).write_bytes(b"broken")
    if request.param == "folder":
        return open_images(root)
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for file in sorted(root.rglob("*.png")):
            archive.write(file, file.relative_to(root))
    return open_images(tmp_path / "set.zip")


def gathered(images: ImageSet, size: int, workers: int) -> list[Batch]:
    return list(batches(images, GEOMETRY, batch_size=size, workers=workers))


def test_workers_change_nothing(images: ImageSet) -> None:
    alone, together = (gathered(images, 3, workers) for workers in (0, 2))
    assert len(alone) == len(together) == 4
    for one, other in zip(alone, together, strict=True):
        assert torch.equal(one.pixels, other.pixels)
        assert torch.equal(one.indices, other.indices)
        assert one.errors == other.errors


@pytest.mark.parametrize("workers", [0, 1])
def test_everything_is_covered_once_and_in_order(images: ImageSet, workers: int) -> None:
    read = gathered(images, 4, workers)
    indices = torch.cat([batch.indices for batch in read]).tolist()
    assert indices == [0, 1, 2, 4, 5, 7, 8, 9]
    errors = [error for batch in read for error in batch.errors]
    assert errors == [Unreadable(file, "not a picture of a known format") for file in BROKEN]
    pixels = torch.cat([batch.pixels for batch in read])
    for index, image in zip(indices, pixels, strict=True):
        assert torch.equal(image, images.read(index, GEOMETRY))


def test_a_batch_of_which_nothing_can_be_read_is_empty(images: ImageSet) -> None:
    read = gathered(images.subset([3, 6, 0]), 2, 0)
    assert [len(batch.indices) for batch in read] == [0, 1]
    assert [len(batch.pixels) for batch in read] == [0, 1]
    assert len(read[0].errors) == 2
    assert len(read[0].images()) == 0


def test_images_are_in_zero_one_and_pixels_stay(images: ImageSet) -> None:
    batch = gathered(images, 10, 0)[0]
    before = batch.pixels.clone()
    torch.testing.assert_close(batch.images(), before / 255)
    assert torch.equal(batch.pixels, before)


def test_a_set_in_memory_starts_no_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def noted(reader: object, *, num_workers: int, **options: object) -> list[Batch]:
        asked.append(num_workers)
        return []

    monkeypatch.setattr(loading, "DataLoader", noted)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    for images in (builtin("digits"), open_images(tmp_path).subset([0] * 64), open_images(tmp_path)):
        list(batches(images, GEOMETRY))
    assert asked == [0, 3, 0]


def test_an_empty_set_has_no_batches(images: ImageSet) -> None:
    assert gathered(images.subset([]), 4, 0) == []


@pytest.mark.parametrize(("size", "workers", "message"), [(0, 0, "batch_size must be at least 1"), (1, -1, "workers")])
def test_refuses(images: ImageSet, size: int, workers: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gathered(images, size, workers)


def test_a_thread_of_a_picture_is_an_error_not_a_crash(tmp_path: Path) -> None:
    Image.new("L", (20_000, 1)).save(tmp_path / "long.png")
    Image.new("L", (8, 8)).save(tmp_path / "good.png")
    batch = gathered(open_images(tmp_path), 2, 0)[0]
    assert batch.indices.tolist() == [0]
    assert [error.file for error in batch.errors] == ["long.png"]
