"""labels.csv: what it may say, and how each mistake in it is told."""

import io
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from pellucid.data import ClassLabel, Unreadable, open_images


def png() -> bytes:
    file = io.BytesIO()
    Image.new("L", (4, 4)).save(file, "PNG")
    return file.getvalue()


def table(root: Path, text: str | bytes, *pictures: str) -> Path:
    """A folder with that labels.csv and those pictures."""
    root.mkdir(exist_ok=True)
    (root / "labels.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    for name in pictures:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(png())
    return root


def test_every_column_lands_where_it_belongs(tmp_path: Path) -> None:
    text = (
        "filename,wnid,class_index,name,split,photographer\n"
        "b.png,n2,7,dog,test,Ann\n"
        "a.png,n1,3,cat,Training,Bob\n"
        "c.png,n1,3,cat,test,\n"
    )
    images = open_images(table(tmp_path, text, "a.png", "images/b.png", "c.png"), split="all")
    assert images.labels == (ClassLabel("cat", "n1", 3), ClassLabel("dog", "n2", 7))
    assert [(i.file, i.name, i.target) for i in images.items] == [
        ("b.png", "images/b.png", 1),
        ("a.png", "a.png", 0),
        ("c.png", "c.png", 0),
    ]
    assert images.splits == ("train", "test")
    assert [dict(i.details) for i in images.items] == [{"photographer": name} for name in ("Ann", "Bob", "")]


@pytest.mark.parametrize("file_column", ["filename", "path", "file"])
@pytest.mark.parametrize("class_column", ["class_name", "name"])
def test_the_names_a_column_may_have(tmp_path: Path, file_column: str, class_column: str) -> None:
    images = open_images(table(tmp_path, f" {file_column} ,{class_column}\na.png,cat\n", "a.png"))
    assert images.classes == ("cat",)


def test_one_name_with_two_numbers_is_two_classes(tmp_path: Path) -> None:
    text = "filename,name,class_index\na.png,crane,134\nb.png,crane,517\n"
    images = open_images(table(tmp_path, text, "a.png", "b.png"))
    assert [label.index for label in images.labels] == [134, 517]
    assert images.targets.tolist() == [0, 1]


def test_a_byte_order_mark_and_windows_line_ends_are_no_trouble(tmp_path: Path) -> None:
    images = open_images(table(tmp_path, b"\xef\xbb\xbffilename,name\r\na.png,cat\r\n", "a.png"))
    assert (images.classes, len(images)) == (("cat",), 1)


def test_a_row_without_class_is_a_picture_without_label(tmp_path: Path) -> None:
    images = open_images(table(tmp_path, "filename,name\na.png,cat\nb.png,\nc.png\n", "a.png", "b.png", "c.png"))
    assert images.targets.tolist() == [0, -1, -1]


def test_a_row_without_split_among_rows_with_one_is_told(tmp_path: Path) -> None:
    text = "filename,name,split\na.png,cat,train\nb.png,cat,\nc.png,cat,val\nd.png,cat\n"
    root = table(tmp_path, text, *(f"{letter}.png" for letter in "abcd"))
    images = open_images(root)
    assert [item.file for item in images.items] == ["c.png"]
    assert images.errors == (Unreadable("b.png", "has no split"), Unreadable("d.png", "has no split"))
    every = open_images(root, split="all")
    assert (len(every), every.errors) == (4, ())


def test_a_row_without_split_is_told_also_beside_one_split(tmp_path: Path) -> None:
    images = open_images(table(tmp_path, "filename,name,split\na.png,cat,test\nb.png,cat,\n", "a.png", "b.png"))
    assert images.errors == (Unreadable("b.png", "has no split"),)


def test_only_what_the_chosen_split_leaves_out_is_told(tmp_path: Path) -> None:
    text = "filename,name,split\na.png,cat,train\nno.png,cat,training\nb.png,cat,test\nnil.png,cat,test\nx.png,cat,\n"
    root = table(tmp_path, text, "a.png", "b.png")
    assert [error.file for error in open_images(root).errors] == ["nil.png", "x.png"]
    assert [error.file for error in open_images(root, split="train").errors] == ["no.png", "x.png"]
    assert len(open_images(root, split="all").errors) == 3


def test_rows_that_lead_nowhere_are_told(tmp_path: Path) -> None:
    root = tmp_path / "root"
    files = ["a.png", "a.png", "./a.png", "none.png", "../x.png", "/etc/hostname", "", "l.png"]
    table(root, "filename,name\n" + "".join(f"{file},cat\n" for file in files), "a.png", "../x.png")
    (root / "l.png").symlink_to("../x.png")
    images = open_images(root)
    assert [(item.file, item.target) for item in images.items] == [("a.png", 0)]
    assert [(error.file, error.reason) for error in images.errors] == [
        ("a.png", "listed twice in labels.csv"),
        ("./a.png", "listed twice in labels.csv"),
        ("none.png", "listed in labels.csv, but not there"),
        ("../x.png", "listed in labels.csv, but not there"),
        ("/etc/hostname", "listed in labels.csv, but not there"),
        ("(line 8)", "listed in labels.csv, but not there"),
        ("l.png", "listed in labels.csv, but is a link that leaves the folder"),
    ]


def test_pictures_in_images_zip(tmp_path: Path) -> None:
    table(tmp_path, "filename,name\ncat/1.png,cat\nnone.png,cat\n")
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        archive.writestr("cat/1.png", png())
    images = open_images(tmp_path)
    assert ([item.file for item in images.items], len(images.errors)) == (["cat/1.png"], 1)
    assert images.read(0).shape == (3, 4, 4)


@pytest.mark.parametrize("top", ["", "data/"])
def test_a_table_inside_a_zip_counts(tmp_path: Path, top: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(f"{top}labels.csv", "filename,name\n1.png,cat\n2.png,dog\n")
        archive.writestr(f"{top}1.png", png())
        archive.writestr(f"{top}images/2.png", png())
    images = open_images(tmp_path / "a.zip")
    assert (images.classes, images.targets.tolist()) == (("cat", "dog"), [0, 1])
    assert images.read(1).shape == (3, 4, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"needs a column filename, path or file, has \[\]"),
        ("a,b\n1,2\n", r"needs a column filename, path or file, has \['a', 'b'\]"),
        ("filename;name\na.png;cat\n", r"needs a column filename, path or file, has \['filename;name'\]"),
        ("filename,b\n", r"needs one of the columns class_index, class_name, wnid, name, has \['filename', 'b'\]"),
        ("filename,class_index\na.png,-1\n", "line 2: class_index must be a whole number from 0, got '-1'"),
        ("filename,class_index\na.png,1\nb.png,1.5\n", "line 3: class_index must be a whole number .* got '1.5'"),
        ("filename,class_index\na.png,٣\n", "line 2: class_index must be a whole number"),
        (f"filename,class_index\na.png,{'9' * 5000}\n", "line 2: class_index must be a whole number .* got '9{40}'$"),
        (b"filename,name\na.png,\xff\xfe\n", r"not a CSV table in UTF-8 \(invalid start byte at byte 20\)"),
        ("filename,name\na.png," + "x" * 200_000, r"not a CSV table in UTF-8 \(field larger than field limit"),
        ("filename,name\n", "no pictures found$"),
        ("filename,name\nnone.png,cat\n", r"no pictures found \(none.png: listed in labels.csv, but not there\)"),
    ],
)
def test_a_bad_table_is_refused_in_one_line(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        open_images(table(tmp_path, text, "a.png", "b.png"))
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
