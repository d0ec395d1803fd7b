"""Every layout, found by looking; every trap in one, told."""

import io
import os
import zipfile
from pathlib import Path

import pytest
import torch
from PIL import Image

from pellucid.data import open_images


def png(value: int = 7) -> bytes:
    file = io.BytesIO()
    Image.new("L", (4, 4), value).save(file, "PNG")
    return file.getvalue()


def make(root: Path, *names: str) -> Path:
    """Pictures of those names in a folder; the i-th has gray value i."""
    for value, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(png(value))
    return root


def zipped(path: Path, *names: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for value, name in enumerate(names):
            archive.writestr(name, png(value))
    return path


def told(path: Path) -> dict[str, str]:
    return {error.file: error.reason for error in open_images(path).errors}


def test_class_folders(tmp_path: Path) -> None:
    images = open_images(make(tmp_path, "dog/1.png", "cat/2.png", "cat/1.PNG"))
    assert images.classes == ("cat", "dog")
    assert [item.file for item in images.items] == ["cat/1.PNG", "cat/2.png", "dog/1.png"]
    assert images.targets.tolist() == [0, 0, 1]
    assert (images.split, images.splits, images.errors) == ("", (), ())
    assert torch.equal(images.read(2), torch.zeros(3, 4, 4, dtype=torch.uint8))
    assert (images.read(0) == 2).all()


def test_flat_pictures_have_no_labels(tmp_path: Path) -> None:
    images = open_images(make(tmp_path, "b.png", "a.png"))
    assert (images.classes, images.targets.tolist()) == ((), [-1, -1])


def test_numbered_classes_count_up_and_wnids_are_keys(tmp_path: Path) -> None:
    images = open_images(make(tmp_path, "10/a.png", "9/a.png", "n01440764/a.png"))
    assert [(label.name, label.id, label.index) for label in images.labels] == [
        ("9", "", 9),
        ("10", "", 10),
        ("", "n01440764", None),
    ]


def test_splits_of_class_folders(tmp_path: Path) -> None:
    names = ("train/cat/1.png", "train/dog/1.png", "valid/cat/2.png", "testing/dog/3.png")
    root = make(tmp_path, *names)
    assert open_images(root).splits == ("train", "val", "test")
    for split, files in [
        (None, ["testing/dog/3.png"]),
        ("TEST", ["testing/dog/3.png"]),
        ("val", ["valid/cat/2.png"]),
        ("validation", ["valid/cat/2.png"]),
        ("train", ["train/cat/1.png", "train/dog/1.png"]),
        ("all", sorted(names)),
    ]:
        assert sorted(item.file for item in open_images(root, split=split).items) == files
    assert open_images(root, split="test").targets.tolist() == [1]  # the classes are those of every split


def test_splits_are_known_in_upper_case(tmp_path: Path) -> None:
    images = open_images(make(tmp_path, "Train/cat/1.png", "Test/cat/1.png"))
    assert (images.splits, images.classes) == (("train", "test"), ("cat",))


def test_a_flat_test_split_beside_a_labelled_train_split(tmp_path: Path) -> None:
    root = make(tmp_path, "train/cat/1.png", "train/stray.png", "test/1.png", "logo.png")
    assert open_images(root, split="test").targets.tolist() == [-1]
    assert open_images(root, split="train").targets.tolist() == [0]
    assert told(root) == {
        "train/stray.png": "lies outside every class folder",
        "logo.png": "lies outside every split folder",
    }


def test_a_split_without_labels_does_not_hide_one_that_has_some(tmp_path: Path) -> None:
    root = make(tmp_path / "some", "train/cat/1.png", "val/cat/1.png", "test/1.png")
    assert open_images(root).split == "val"
    assert open_images(make(tmp_path / "none", "train/1.png", "test/1.png")).split == "test"
    zipped(tmp_path / "zips" / "fold.zip", "cat/1.png")
    zipped(tmp_path / "zips" / "test.zip", "1.png")
    assert open_images(tmp_path / "zips").split == "fold"


@pytest.mark.parametrize("class_level", [1, 2])
def test_splits_beside_other_folders_are_refused(tmp_path: Path, class_level: int) -> None:
    below = "cat/1.png" if class_level == 1 else "cat/big/1.png"
    root = make(tmp_path, f"train/{below}", f"Val/{below}", f"extra/{below}", "more/1.png")
    message = r"top folders mix splits \(Val, train\) and others \(extra, more\): move the others elsewhere"
    with pytest.raises(ValueError, match=message):
        open_images(root, class_level=class_level)


def test_a_class_of_two_levels_may_begin_with_train(tmp_path: Path) -> None:
    root = make(tmp_path, "train/steam/1.png", "car/red/1.png")
    assert open_images(root, class_level=2).classes == ("car/red", "train/steam")


def test_what_another_split_leaves_out_is_not_told(tmp_path: Path) -> None:
    root = make(tmp_path / "top", "train/cat/1.png", "train/stray.png", "test/cat/1.png", "logo.png")
    for folder in ("train", "test"):
        (root / folder / "cat" / f"{folder}.txt").write_text("x")
    (root / "val").mkdir()
    common = {"logo.png", "val/"}
    assert {error.file for error in open_images(root).errors} == common | {"test/cat/test.txt"}
    train = {"train/stray.png", "train/cat/train.txt"}
    assert {error.file for error in open_images(root, split="train").errors} == common | train
    every = common | train | {"test/cat/test.txt"}
    assert {error.file for error in open_images(root, split="all").errors} == every


def test_what_lies_above_the_splits_is_told(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", "data/train/cat/1.png", "data/test/cat/1.png", "../x.png", "/y.png")
    assert told(path) == {"../x.png": "its name leaves the archive", "/y.png": "its name leaves the archive"}
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("a\\b.png", png())
    assert told(path)["a\\b.png"] == "its name leaves the archive"


def test_what_another_zip_leaves_out_is_not_told(tmp_path: Path) -> None:
    zipped(tmp_path / "train.zip", "cat/1.png", "cat/train.txt")
    zipped(tmp_path / "test.zip", "cat/1.png", "cat/test.txt")
    assert told(tmp_path) == {"cat/test.txt": "not a picture"}


@pytest.mark.parametrize("other", ["car", "trainer", "train_station"])
def test_a_class_called_train_stays_a_class(tmp_path: Path, other: str) -> None:
    images = open_images(make(tmp_path, "train/1.png", f"{other}/1.png"))
    assert images.classes == tuple(sorted(["train", other]))
    assert images.splits == ()


@pytest.mark.parametrize("beside", ["trainannot", "train_masks", "train-labels"])
def test_annotations_beside_a_split_are_no_pictures_of_it(tmp_path: Path, beside: str) -> None:
    images = open_images(make(tmp_path, "train/1.png", f"{beside}/1.png", "test/2.png"), split="all")
    assert [item.file for item in images.items] == ["test/2.png", "train/1.png"]


def test_masks_beside_images_are_no_pictures_to_classify(tmp_path: Path) -> None:
    images = open_images(make(tmp_path, "images/1.png", "masks/1.png"))
    assert [item.file for item in images.items] == ["images/1.png"]
    assert images.classes == ()


@pytest.mark.parametrize("top", ["", "data/", "a/b/"])
def test_a_single_top_folder_in_a_zip_is_skipped(tmp_path: Path, top: str) -> None:
    path = zipped(tmp_path / "set.zip", f"{top}cat/1.png", f"{top}dog/1.png", "__MACOSX/cat/._1.png")
    images = open_images(path)
    assert (images.classes, images.targets.tolist(), images.errors) == (("cat", "dog"), [0, 1], ())


def test_a_single_top_folder_above_splits_is_skipped(tmp_path: Path) -> None:
    images = open_images(zipped(tmp_path / "set.zip", "data/train/cat/1.png", "data/train/dog/1.png"))
    assert (images.classes, images.splits) == (("cat", "dog"), ("train",))


def test_two_levels_of_folders_make_a_class(tmp_path: Path) -> None:
    path = zipped(tmp_path / "set.zip", "top/Greek/alpha/1.png", "top/Greek/beta/1.png")
    assert open_images(path, class_level=2).classes == ("Greek/alpha", "Greek/beta")


def test_zips_named_like_splits_are_splits(tmp_path: Path) -> None:
    zipped(tmp_path / "train.zip", "cat/1.png", "dog/1.png")
    zipped(tmp_path / "Val.ZIP", "dog/1.png")
    images = open_images(tmp_path)
    assert (images.split, images.splits, images.targets.tolist()) == ("val", ("train", "val"), [1])
    files = [item.file for item in open_images(tmp_path, split="all").items]
    assert files == ["val/dog/1.png", "train/cat/1.png", "train/dog/1.png"]


def test_a_split_named_after_its_zip_is_found_in_any_case(tmp_path: Path) -> None:
    zipped(tmp_path / "FoldA.zip", "cat/1.png")
    zipped(tmp_path / "FoldB.zip", "cat/1.png", "cat/2.png")
    assert len(open_images(tmp_path, split="foldb")) == 2


def test_two_zips_for_one_split_are_refused(tmp_path: Path) -> None:
    zipped(tmp_path / "val.zip", "cat/1.png")
    zipped(tmp_path / "valid.zip", "cat/1.png")
    with pytest.raises(ValueError, match=r"val\.zip and valid\.zip both mean the split val"):
        open_images(tmp_path)


def test_an_unknown_split_names_those_there_are(tmp_path: Path) -> None:
    root = make(tmp_path, "train/cat/1.png", "val/cat/1.png")
    with pytest.raises(ValueError, match=r"split must be one of train, val, all; got 'dev2'"):
        open_images(root, split="dev2")


def test_a_set_without_splits_has_only_all(tmp_path: Path) -> None:
    root = make(tmp_path, "cat/1.png")
    with pytest.raises(ValueError, match=r"has no splits, got split 'test'"):
        open_images(root, split="test")
    images = open_images(root, split="all")
    assert (len(images), images.split) == (1, "")


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    root = make(tmp_path, "cat/1.png", "stray.png", "cat/.hidden.png")
    (root / "empty" / "below").mkdir(parents=True)
    (root / "cat" / "notes.txt").write_text("x")
    (root / "README.md").write_text("x")
    (root / "cat" / "link.png").symlink_to("/etc/hostname")
    images = open_images(root)
    assert [item.file for item in images.items] == ["cat/1.png"]
    assert told(root) == {
        "cat/link.png": "is a link that leaves the folder",
        "stray.png": "lies outside every class folder",
        "empty/": "holds no picture",
        "empty/below/": "holds no picture",
        "cat/notes.txt": "not a picture",
    }


def test_a_class_may_have_any_name(tmp_path: Path) -> None:
    name = "<script>alert(1)<⁄script> \"'&"  # what looks like a slash is none
    assert open_images(make(tmp_path, f"{name}/1.png", "b/1.png")).classes == (name, "b")


def test_a_class_folder_that_is_a_script_in_a_zip(tmp_path: Path) -> None:
    images = open_images(zipped(tmp_path / "a.zip", "<script>alert(1)</script>/1.png", "b/1.png"))
    assert images.classes == ("<script>alert(1)<", "b")


def test_nothing_there_names_what_is_near(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    with pytest.raises(ValueError, match=r"picture: no such file or folder; did you mean pictures\?"):
        open_images(tmp_path / "picture")


def test_what_holds_no_pictures_is_refused_with_the_reasons(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no pictures found$"):
        open_images(tmp_path)
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "notes.txt").write_text("x")
    with pytest.raises(ValueError, match=r"no pictures found \(cat/: holds no picture; cat/notes.txt: not a picture\)"):
        open_images(tmp_path)


def test_what_is_neither_folder_nor_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    os.mkfifo(tmp_path / "pipe.zip")
    (tmp_path / "loop").symlink_to("loop")
    for name, message in [
        ("a.png", r"must be a folder or a \.zip of pictures"),
        ("pipe.zip", r"must be a folder or a \.zip of pictures"),
        ("a.png/below", "no such file or folder"),
        ("loop", "no such file or folder|symbolic links"),
        ("x" * 300, "too long"),
    ]:
        with pytest.raises(ValueError, match=message):
            open_images(tmp_path / name)


def test_a_pipe_named_like_a_table_or_a_zip_blocks_nothing(tmp_path: Path) -> None:
    for name in ("labels.csv", "annotations.json", "train.zip", "images.zip"):
        os.mkfifo(tmp_path / name)
    assert open_images(make(tmp_path, "cat/1.png")).classes == ("cat",)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0)
    with pytest.raises(ValueError, match="Permission denied"):
        open_images(tmp_path / "a")


def test_a_broken_zip_among_good_ones_is_named(tmp_path: Path) -> None:
    zipped(tmp_path / "train.zip", "cat/1.png")
    (tmp_path / "test.zip").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"test\.zip: not a readable zip archive"):
        open_images(tmp_path)


def test_class_level_is_checked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="class_level must be at least 1, got 0"):
        open_images(tmp_path, class_level=0)


def test_a_subset_keeps_classes_and_order(tmp_path: Path) -> None:
    images = open_images(make(tmp_path, "cat/1.png", "dog/1.png", "dog/2.png"))
    few = images.subset([2, 0])
    assert [item.file for item in few.items] == ["dog/2.png", "cat/1.png"]
    assert (few.classes, few.targets.tolist()) == (images.classes, [1, 0])
