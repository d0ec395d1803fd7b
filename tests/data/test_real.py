"""Every real set opens as it stands, with the numbers its README states."""

from pathlib import Path

import pytest

from pellucid.data import ImageSet, open_images

pytestmark = pytest.mark.real

SETS = [  # name, split, pictures, classes
    ("att-faces", "all", 400, 40),
    ("bccd", "train", 205, 3),
    ("bccd", "val", 87, 3),
    ("bccd", "test", 72, 3),
    ("camvid", "train", 367, 0),
    ("camvid", "val", 101, 0),
    ("camvid", "test", 233, 0),
    ("cifar10", "train", 50_000, 10),
    ("cifar10", "test", 10_000, 10),
    ("dsb2018-nuclei", "all", 664, 0),
    ("fifteen-scene", "train", 1_500, 15),
    ("fifteen-scene", "test", 2_985, 15),
    ("imagenet-sample", "all", 1_000, 1_000),
    ("kangaroo-raccoon", "train", 292, 2),
    ("kangaroo-raccoon", "test", 72, 2),
    ("mnist", "train", 60_000, 10),
    ("mnist", "test", 10_000, 10),
    ("omniglot", "images_background_small1", 2_720, 28),
    ("omniglot", "images_background_small2", 3_120, 28),
    ("omniglot", "one_shot_all_runs", 800, 28),
]
SIZES = {  # (H, W) of the first picture, where the README states one for all
    "att-faces": (112, 92),
    "bccd": (240, 320),
    "camvid": (180, 240),
    "cifar10": (32, 32),
    "fifteen-scene": (160, 160),
    "mnist": (28, 28),
    "omniglot": (105, 105),
}


def check_ends(images: ImageSet, size: tuple[int, int] | None) -> None:
    for index in (0, len(images) - 1):
        image = images.read(index)
        assert image.shape[0] == 3
        assert size is None or tuple(image.shape[1:]) == size
        assert image.min() < image.max()


@pytest.mark.parametrize(("name", "split", "pictures", "classes"), SETS)
def test_opens_as_it_stands(data_folder: Path, name: str, split: str, pictures: int, classes: int) -> None:
    images = open_images(data_folder / name, split=split)
    assert (len(images), len(images.classes)) == (pictures, classes)
    assert len({item.file for item in images.items}) == pictures
    assert all(error.file.endswith("class_labels.txt") for error in images.errors)
    check_ends(images, SIZES.get(name))


@pytest.mark.parametrize("name", ["dialogue", "eng-ita", "ett", "har", "multi30k", "text", "wordsim"])
def test_a_set_without_pictures_is_refused(data_folder: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"no pictures found$"):
        open_images(data_folder / name)


def test_every_folder_of_pictures_is_tried(data_folder: Path) -> None:
    holding = {
        place.name
        for place in data_folder.iterdir()
        if place.is_dir() and any(file.suffix == ".zip" or "idx3" in file.name for file in place.iterdir())
    }
    assert holding == {name for name, *_ in SETS}


def test_mnist_digits_are_counted_as_published(data_folder: Path) -> None:
    images = open_images(data_folder / "mnist", split="test")
    counts = images.targets.bincount().tolist()
    assert counts == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_imagenet_classes_keep_the_standard_numbers(data_folder: Path) -> None:
    images = open_images(data_folder / "imagenet-sample")
    label = images.labels[207]
    assert (label.index, label.id, label.name) == (207, "n02099601", "golden retriever")
    assert [label.index for label in images.labels if label.name == "crane"] == [134, 517]


def test_omniglot_characters_are_classes_at_level_two(data_folder: Path) -> None:
    place = data_folder / "omniglot" / "images_background_small1.zip"
    images = open_images(place, class_level=2)
    assert len(images.classes) == 136
    assert images.classes[0] == "Balinese/character01"
    assert images.targets.bincount().tolist() == [20] * 136
