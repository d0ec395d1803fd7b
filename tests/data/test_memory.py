"""Sets in memory: the same pixels as read one by one, refusals that name the file, and pictures kept for next time."""

import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pellucid import progress
from pellucid.data import ClassLabel, ImageSet, Item, _decoded, builtin, in_memory, memory, open_images
from pellucid.data.sources import Array
from pellucid.geometry import Geometry

GEOMETRY = Geometry((6, 6), 7)


@pytest.fixture
def images(tmp_path: Path) -> ImageSet:
    """Ten pictures of different sizes."""
    random = np.random.default_rng(0)
    for index, name in enumerate([f"{kind}/{i:02d}.png" for kind in ("cat", "dog") for i in range(5)]):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (9 + index, 12, 3), dtype=np.uint8)).save(tmp_path / "set" / name)
    return open_images(tmp_path / "set")


def test_pixels_targets_and_names_are_the_sets(images: ImageSet) -> None:
    pixels = in_memory(images, GEOMETRY)
    assert pixels.pixels.dtype == torch.uint8
    assert torch.equal(pixels.pixels, torch.stack([images.read(place, GEOMETRY) for place in range(10)]))
    assert torch.equal(pixels.targets, images.targets)
    assert (pixels.classes, pixels.files[7]) == (("cat", "dog"), "dog/02.png")
    torch.testing.assert_close(pixels.images(), pixels.pixels.float() / 255)


@pytest.mark.parametrize("channels", [1, 3])
def test_sets_in_memory_are_taken_as_they_are(channels: int) -> None:
    geometry = Geometry((8, 8), channels=channels)
    digits = builtin("digits", split="all").subset(list(range(50, 90)))
    pixels = in_memory(digits, geometry)
    assert torch.equal(pixels.pixels, torch.stack([digits.read(place, geometry) for place in range(40)]))


@pytest.mark.parametrize("channels", [1, 3])
def test_colour_sets_in_memory_are_taken_as_they_are(channels: int) -> None:
    random = np.random.default_rng(0)
    array = Array(random.integers(0, 256, (5, 4, 4, 3), dtype=np.uint8))
    items = tuple(Item(f"{place}", 0, str(place)) for place in (4, 1, 2))
    images = ImageSet("set", (ClassLabel("a"),), items, (array,))
    geometry = Geometry((4, 4), channels=channels)
    pixels = in_memory(images, geometry)
    assert torch.equal(pixels.pixels, torch.stack([images.read(place, geometry) for place in range(3)]))


@pytest.mark.parametrize("geometry", [Geometry((7, 7)), Geometry((8, 8), 10), Geometry((6, 6), 8)])
def test_sets_in_memory_are_resized_where_asked(geometry: Geometry) -> None:
    digits = builtin("digits").subset([3, 1])
    pixels = in_memory(digits, geometry)
    assert torch.equal(pixels.pixels, torch.stack([digits.read(place, geometry) for place in range(2)]))


def test_a_subset_keeps_what_belongs_together(images: ImageSet) -> None:
    pixels = in_memory(images, GEOMETRY)
    for chosen in ([9, 0], torch.tensor([9, 0])):
        some = pixels.subset(chosen)
        assert torch.equal(some.pixels, pixels.pixels[[9, 0]])
        assert (some.targets.tolist(), some.files, len(some)) == ([1, 0], ("dog/04.png", "cat/00.png"), 2)
    assert pixels.to("cpu").targets.tolist() == pixels.targets.tolist()


def test_a_broken_picture_is_named(images: ImageSet) -> None:
    for name in ("dog/01.png", "cat/03.png"):
        (Path(images.path) / name).write_bytes(b"broken")
    message = r"set: 2 images cannot be read, the first cat/03.png: not a picture of a known format"
    with pytest.raises(ValueError, match=message):
        in_memory(images, GEOMETRY)


def test_refuses_no_labels_no_pictures_and_too_much(images: ImageSet) -> None:
    some = replace(images, items=(*images.items[:3], replace(images.items[3], target=None)))
    with pytest.raises(ValueError, match=r"set: 1 image without a label, the first cat/03.png"):
        in_memory(some, GEOMETRY)
    with pytest.raises(ValueError, match="set: holds no picture"):
        in_memory(images.subset([]), GEOMETRY)
    with pytest.raises(ValueError, match=r"10 images of 3 x 6 x 6 need 1,080 bytes, the budget is 1,079: make them sm"):
        in_memory(images, GEOMETRY, budget=1079)
    in_memory(images, GEOMETRY, budget=1080)


def test_progress_reaches_the_end(images: ImageSet) -> None:
    class Display:
        total, done = 0, 0

        def start(self, label: str, total: int) -> int:
            self.total = total
            return 0

        def advance(self, key: int, steps: int) -> None:
            self.done += steps

        def finish(self, key: int) -> None: ...

    display = Display()
    with progress.shown_on(display):
        in_memory(images, GEOMETRY)
    assert display.done == display.total == 10


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, in which ten pictures are worth keeping."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(_decoded, "LEAST", 10)
    return tmp_path / "cache" / "pellucid" / "pixels"


def test_decoded_pictures_are_kept_and_taken_up(images: ImageSet, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = in_memory(images, GEOMETRY)
    (file,) = cache.iterdir()
    assert file.stat().st_mode & 0o077 == 0  # nobody else's to read
    monkeypatch.setattr(memory, "batches", None)  # nothing is decoded again
    again = in_memory(images, GEOMETRY)
    assert torch.equal(again.pixels, first.pixels)
    assert again.files == first.files


def test_whatever_changes_the_pixels_changes_the_file(images: ImageSet, cache: Path) -> None:
    in_memory(images, GEOMETRY)
    in_memory(images, Geometry((5, 5), 7))
    in_memory(images.subset([1, 0, *range(2, 10)]), GEOMETRY)
    assert len(list(cache.iterdir())) == 3
    Image.new("RGB", (40, 40), "red").save(Path(images.path) / "cat/00.png")
    changed = in_memory(images, GEOMETRY)
    assert len(list(cache.iterdir())) == 4
    assert changed.pixels[0, 0].min() == 255


def test_a_zip_counts_by_its_time_and_the_names_chosen(images: ImageSet, cache: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for item in images.items:
            archive.write(Path(images.path) / item.file, item.file)
    zipped = open_images(tmp_path / "set.zip")
    first = in_memory(zipped, GEOMETRY)
    turned = in_memory(zipped.subset(list(range(9, -1, -1))), GEOMETRY)
    assert torch.equal(turned.pixels, first.pixels.flip(0))
    os.utime(tmp_path / "set.zip", (1, 1))
    in_memory(zipped, GEOMETRY)
    assert len(list(cache.iterdir())) == 3


def test_a_damaged_file_is_made_anew_and_a_full_disk_costs_nothing(images: ImageSet, cache: Path) -> None:
    first = in_memory(images, GEOMETRY)
    (file,) = cache.iterdir()
    file.write_bytes(file.read_bytes()[:-50])
    assert torch.equal(in_memory(images, GEOMETRY).pixels, first.pixels)
    assert _decoded.load(file, tuple(first.pixels.shape)) is not None
    file.unlink()
    cache.rmdir()
    cache.write_text("a file where the folder should be")
    assert torch.equal(in_memory(images, GEOMETRY).pixels, first.pixels)


def test_small_sets_and_those_asked_not_to_leave_no_file(
    images: ImageSet, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory(images, GEOMETRY, cache=False)
    monkeypatch.setattr(_decoded, "LEAST", 11)
    in_memory(images, GEOMETRY)
    assert not cache.exists()


def test_the_oldest_files_go_when_there_are_too_many(
    images: ImageSet, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_decoded, "MOST_BYTES", 2400)
    for side in (5, 6, 4):
        in_memory(images, Geometry((side, side), 7))
    sizes = sorted(file.stat().st_size for file in cache.iterdir())
    assert len(sizes) == 2
    assert sum(sizes) <= 2400
