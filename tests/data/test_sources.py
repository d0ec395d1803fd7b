"""Folders and zips with everything in them that must not be followed, opened or believed."""

import io
import os
import pickle
import random
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pellucid.data import open_images
from pellucid.data.sources import Array, Folder, Zip


def png(value: int = 7) -> bytes:
    file = io.BytesIO()
    Image.new("L", (4, 4), value).save(file, "PNG")
    return file.getvalue()


def put(path: Path, content: bytes | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png() if content is None else content)
    return path


def zipped(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_a_folder_is_listed_sorted_without_hidden_files(tmp_path: Path) -> None:
    for name in ("b/2.png", "b/10.png", "a/1.png", ".git/1.png", "a/.hidden.png", "__MACOSX/a/1.png", "a/Thumbs.db"):
        put(tmp_path / name)
    listing = Folder(tmp_path).listing
    assert listing.files == ("a/1.png", "b/10.png", "b/2.png")
    assert listing.folders == ("a", "b")
    assert listing.refused == ()


def test_links_pipes_and_loops_in_a_folder_are_refused_with_the_reason(tmp_path: Path) -> None:
    outside = put(tmp_path / "outside" / "secret.png")
    root = tmp_path / "root"
    put(root / "cat" / "real.png")
    (root / "cat" / "inside.png").symlink_to("real.png")
    (root / "cat" / "outside.png").symlink_to(outside)
    (root / "cat" / "above.png").symlink_to("../../outside/secret.png")
    (root / "cat" / "nothing.png").symlink_to("nowhere.png")
    (root / "cat" / "loop.png").symlink_to("loop.png")
    (root / "cat" / "again").symlink_to(root)
    (root / "dog").symlink_to(outside.parent)
    os.mkfifo(root / "cat" / "pipe.png")
    listing = Folder(root).listing
    assert listing.files == ("cat/inside.png", "cat/real.png")
    assert dict(listing.refused) == {
        "cat/outside.png": "is a link that leaves the folder",
        "cat/above.png": "is a link that leaves the folder",
        "cat/nothing.png": "is a link to nothing",
        "cat/loop.png": "is a link to nothing",
        "cat/again": "is a link to a folder; not followed",
        "dog": "is a link to a folder; not followed",
        "cat/pipe.png": "is not a regular file",
    }


def test_a_folder_may_itself_be_a_link(tmp_path: Path) -> None:
    put(tmp_path / "real" / "cat" / "1.png")
    (tmp_path / "link").symlink_to("real")
    assert Folder(tmp_path / "link").listing.files == ("cat/1.png",)


def test_a_name_that_is_not_utf8_is_refused_and_shown_escaped(tmp_path: Path) -> None:
    put(tmp_path / "cat" / "good.png")
    put(Path(os.fsdecode(os.fsencode(tmp_path) + b"/cat/bad\xff.png")))
    put(Path(os.fsdecode(os.fsencode(tmp_path) + b"/dog\xff/1.png")))
    listing = Folder(tmp_path).listing
    assert (listing.files, listing.folders) == (("cat/good.png",), ("cat",))
    assert dict(listing.refused) == {
        "cat/bad\\udcff.png": "its name is not UTF-8",
        "dog\\udcff": "its name is not UTF-8",
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_told(tmp_path: Path) -> None:
    put(tmp_path / "cat" / "1.png").chmod(0)
    put(tmp_path / "dog" / "1.png")
    (tmp_path / "dog").chmod(0)
    source = Folder(tmp_path)
    assert dict(source.listing.refused) == {"dog": "Permission denied"}
    with pytest.raises(ValueError, match=r"^Permission denied$"):
        source.read("cat/1.png")
    (tmp_path / "dog").chmod(stat.S_IRWXU)


def test_a_file_that_went_away_is_a_reason_not_a_crash(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    source = Folder(tmp_path)
    assert source.listing.files == ("a.png",)
    (tmp_path / "a.png").unlink()
    with pytest.raises(ValueError, match=r"^No such file or directory$"):
        source.read("a.png")


def test_a_zip_refuses_names_that_leave_it(tmp_path: Path) -> None:
    names = ["../evil.png", "cat/../../evil.png", "/etc/evil.png", "C:/evil.png", "cat\\evil.png", "../folder/"]
    path = zipped(tmp_path / "a.zip", {name: png() for name in ["cat/1.png", *names]})
    listing = Zip(path).listing
    assert listing.files == ("cat/1.png",)
    assert {reason for _, reason in listing.refused} == {"its name leaves the archive"}
    assert sorted(name for name, _ in listing.refused) == sorted(name.rstrip("/") for name in names)


def test_a_zip_refuses_links_and_encrypted_members(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("cat/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cat/1.png", png())
        archive.writestr(link, "/etc/passwd")
        archive.writestr("cat/locked.png", png())
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\x01\x02")  # the last member's entry in the directory
    content[entry + 8] |= 1
    path.write_bytes(content)
    assert Zip(path).listing.files == ("cat/1.png",)
    assert dict(Zip(path).listing.refused) == {"cat/link.png": "is a link", "cat/locked.png": "is encrypted"}


def test_a_zip_hides_what_a_mac_adds(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {n: png() for n in ("cat/1.png", "__MACOSX/cat/._1.png", "cat/.DS_Store")})
    assert Zip(path).listing.files == ("cat/1.png",)


def test_a_zip_member_is_read_in_place(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"cat/1.png": png(99)}, zipfile.ZIP_DEFLATED)
    assert np.asarray(Zip(path).read("cat/1.png")).tolist() == [[99] * 4] * 4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip"]


def test_a_wrong_checksum_is_told(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"cat/1.png": png(), "cat/2.png": png()})
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") + 6] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^damaged archive member \(Bad CRC-32 for file 'cat/1.png'\)$"):
        Zip(path).read("cat/1.png")
    assert Zip(path).read("cat/2.png").size == (4, 4)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04" + bytes(100)])
def test_what_is_no_zip_is_refused(tmp_path: Path, content: bytes) -> None:
    put(tmp_path / "a.zip", content)
    with pytest.raises(ValueError, match=r"a\.zip: not a readable zip archive"):
        _ = Zip(tmp_path / "a.zip").listing


def test_a_zip_cut_short_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {f"cat/{i}.png": png() for i in range(20)})
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ValueError, match=r"a\.zip: not a readable zip archive"):
        _ = Zip(path).listing


def test_a_member_that_declares_too_much_is_refused_unread(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"cat/1.png": png()})
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = (2**31).to_bytes(4, "little")  # the uncompressed size
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^larger than 512 MiB$"):
        Zip(path).read("cat/1.png")


METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


@pytest.mark.parametrize("compression", METHODS)
def test_no_damage_to_a_zip_raises_anything_but_value_error(tmp_path: Path, compression: int) -> None:
    path = zipped(tmp_path / "a.zip", {"cat/a.png": png(), "dog/é.png": png()}, compression)
    whole, choose = path.read_bytes(), random.Random(0)
    reasons = []
    for _ in range(300):
        content = bytearray(whole)
        for _ in range(choose.randint(1, 4)):
            content[choose.randrange(len(content))] = choose.randrange(256)
        path.write_bytes(content)
        try:
            images = open_images(path)
            for index in range(len(images)):
                images.read(index)
        except UnicodeError as error:  # a ValueError, but of no use to a reader
            pytest.fail(f"bare {error}")
        except ValueError as error:
            reasons.append(str(error))
    assert len(reasons) > 30
    assert any("damaged archive member" in reason for reason in reasons)


def test_a_source_goes_to_another_process_unopened(tmp_path: Path) -> None:
    source = Zip(zipped(tmp_path / "a.zip", {"cat/1.png": png(5)}))
    source.read("cat/1.png")
    program = "import pickle, sys; print(pickle.load(sys.stdin.buffer).read('cat/1.png').getpixel((0, 0)))"
    told = subprocess.run([sys.executable, "-c", program], input=pickle.dumps(source), capture_output=True, check=True)
    assert told.stdout.split() == [b"5"]


def test_a_forked_process_opens_the_zip_for_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Zip(zipped(tmp_path / "a.zip", {"cat/1.png": png(5)}))
    parent = source._archive()
    assert source._archive() is parent
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert source._archive() is not parent


def test_an_array_is_read_by_position() -> None:
    pixels = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    np.testing.assert_array_equal(np.asarray(Array(pixels).read("1")), pixels[1])
