"""annotations.json: one category makes a class; anything broken is told."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pellucid.data import open_images


def png() -> bytes:
    file = io.BytesIO()
    Image.new("L", (4, 4)).save(file, "PNG")
    return file.getvalue()


def content(files: dict[str, list[int]], **more: Any) -> dict[str, Any]:
    """COCO's form: the categories of the boxes of each file."""
    return {
        "categories": [{"id": 5, "name": "raccoon"}, {"id": 2, "name": "kangaroo"}],
        "images": [{"id": key, "file_name": file, **more} for key, file in enumerate(files)],
        "annotations": [
            {"image_id": key, "category_id": category, "bbox": [0, 0, 1, 1]}
            for key, categories in enumerate(files.values())
            for category in categories
        ],
    }


def write(root: Path, value: Any, *pictures: str) -> Path:
    (root / "annotations.json").write_text(value if isinstance(value, str) else json.dumps(value))
    for name in pictures:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(png())
    return root


def test_an_image_of_one_category_has_its_class_and_others_none(tmp_path: Path) -> None:
    files = {"a.png": [5, 5], "b.png": [2], "c.png": [2, 5], "d.png": []}
    images = open_images(write(tmp_path, content(files), "a.png", "images/b.png", "c.png", "d.png"))
    assert images.classes == ("kangaroo", "raccoon")
    assert images.targets.tolist() == [1, 0, -1, -1]


@pytest.mark.parametrize(("split", "splits"), [("Train", ("train",)), ("validation", ("val",)), (None, ()), ("", ())])
def test_splits_of_images(tmp_path: Path, split: str | None, splits: tuple[str, ...]) -> None:
    assert open_images(write(tmp_path, content({"a.png": [5]}, split=split), "a.png")).splits == splits


def test_files_that_are_not_there_or_come_twice_are_told(tmp_path: Path) -> None:
    value = content({"a.png": [5], "none.png": [5], "../a.png": [5]})
    value["images"].append({"id": 99, "file_name": "a.png"})
    images = open_images(write(tmp_path, value, "a.png"))
    assert [item.file for item in images.items] == ["a.png"]
    assert [(error.file, error.reason) for error in images.errors] == [
        ("none.png", "listed in annotations.json, but not there"),
        ("../a.png", "listed in annotations.json, but not there"),
        ("a.png", "listed twice in annotations.json"),
    ]


def test_annotations_inside_a_zip_count(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("set/annotations.json", json.dumps(content({"1.png": [5]})))
        archive.writestr("set/images/1.png", png())
    assert open_images(tmp_path / "a.zip").classes == ("raccoon",)


GOOD = content({"a.png": [5]})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "JSONDecodeError"),
        ("{", "JSONDecodeError"),
        ("[" * 100_000, "RecursionError"),
        ([], "TypeError"),
        ("null", "TypeError"),
        ({}, "KeyError: 'categories'"),
        ({**GOOD, "categories": None}, "TypeError"),
        ({**GOOD, "categories": ["cat"]}, "TypeError"),
        ({**GOOD, "categories": [{"id": [], "name": "cat"}]}, "TypeError"),
        ({**GOOD, "categories": []}, "KeyError: 5"),
        ({**GOOD, "annotations": [{"image_id": [], "category_id": 5}]}, "TypeError"),
        ({**GOOD, "images": [{"id": {}, "file_name": "a.png"}]}, "TypeError"),
        ({**GOOD, "images": [{"id": 1}]}, "KeyError: 'file_name'"),
        ({**GOOD, "images": ["a.png"]}, "TypeError"),
    ],
)
def test_broken_annotations_are_refused_in_one_line(tmp_path: Path, value: Any, reason: str) -> None:
    write(tmp_path, value, "a.png")
    with pytest.raises(ValueError, match=rf"annotations\.json: not annotations in COCO's form \({reason}") as caught:
        open_images(tmp_path)
    assert "\n" not in str(caught.value)


def test_annotations_not_in_utf8_are_refused(tmp_path: Path) -> None:
    (tmp_path / "annotations.json").write_bytes(b'{"categories": "\xff"}')
    with pytest.raises(ValueError, match=r"annotations\.json: .*invalid start byte at byte 16"):
        open_images(tmp_path)
