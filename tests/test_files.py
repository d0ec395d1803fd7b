import json
import os
from pathlib import Path

import pytest

from pellucid.files import check_new_folder, new_folder, write_json, written


def make(path: Path, text: str = "new", *, force: bool = False) -> None:
    with new_folder(path, force=force) as place:
        assert not path.exists() or path.is_dir()
        write_json(place / "record.json", {"command": text, "versions": {"pellucid": "1"}})


def told(folder: Path) -> str:
    return str(json.loads((folder / "record.json").read_text())["command"])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    make(tmp_path / "a" / "b")
    assert told(tmp_path / "a" / "b") == "new"
    assert names(tmp_path / "a") == ["b"]


def test_a_folder_that_failed_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with new_folder(tmp_path / "out") as place:
            (place / "record.json").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert names(tmp_path) == []


def test_a_failed_replacement_keeps_what_was_there(tmp_path: Path) -> None:
    make(tmp_path / "out", "old")

    def fail() -> None:
        with new_folder(tmp_path / "out", force=True) as place:
            (place / "record.json").write_text("half")
            raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="disk on fire"):
        fail()
    assert names(tmp_path) == ["out"]
    assert told(tmp_path / "out") == "old"


@pytest.mark.parametrize("reason", [OSError("no"), KeyboardInterrupt("no")])
def test_a_rename_that_fails_puts_the_old_folder_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: BaseException
) -> None:
    make(tmp_path / "out", "old")
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.suffix == ".part":
            raise reason
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(type(reason), match="no"):
        make(tmp_path / "out", force=True)
    assert names(tmp_path) == ["out"]
    assert told(tmp_path / "out") == "old"


def test_force_replaces_a_folder_of_ours(tmp_path: Path) -> None:
    make(tmp_path / "out", "old")
    make(tmp_path / "out", "new", force=True)
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["record.json"]
    assert told(tmp_path / "out") == "new"


def test_force_refuses_while_something_else_lies_in_a_folder_of_ours(tmp_path: Path) -> None:
    make(tmp_path / "out", "old")
    (tmp_path / "out" / "notes.md").write_text("mine")
    with pytest.raises(
        ValueError, match=r"out holds notes\.md, which pellucid did not make; move it away before --force"
    ):
        make(tmp_path / "out", "new", force=True)
    assert names(tmp_path / "out") == ["notes.md", "record.json"]
    assert told(tmp_path / "out") == "old"


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    make(tmp_path / "out")
    assert names(tmp_path / "out") == ["record.json"]


def test_nothing_foreign_is_replaced(tmp_path: Path) -> None:
    foreign = tmp_path / "thesis"
    foreign.mkdir()
    (foreign / "chapter.tex").write_text("x")
    with pytest.raises(ValueError, match="thesis exists already; choose another folder, or replace it with --force"):
        make(foreign)
    with pytest.raises(ValueError, match=r"was not made by pellucid \(it has no record.json of it\)"):
        make(foreign, force=True)
    assert names(foreign) == ["chapter.tex"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"versions": {}}', '{"versions": 1}', '{"record": {"command": "audit"}}']
)
def test_a_record_of_another_program_is_foreign(tmp_path: Path, text: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "record.json").write_text(text)
    with pytest.raises(ValueError, match="was not made by pellucid"):
        make(tmp_path / "out", force=True)
    assert (tmp_path / "out" / "record.json").read_text() == text


def test_a_folder_of_another_command_is_kept(tmp_path: Path) -> None:
    make(tmp_path / "out", "demo")
    with pytest.raises(ValueError, match=r"out was not made by pellucid audit \(it has no record.json of it\)"):
        check_new_folder(tmp_path / "out", force=True, command="audit")
    check_new_folder(tmp_path / "out", force=True, command="demo")


def test_files_and_links_are_not_folders(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "home").mkdir()
    (tmp_path / "link").symlink_to("home")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("file", "link", "dangling"):
        with pytest.raises(ValueError, match=f"{name} exists and is not a folder; choose another name"):
            make(tmp_path / name, force=True)


def test_a_folder_below_a_file_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file" / "out", tmp_path / "file" / "a" / "out"):
        with pytest.raises(ValueError, match=r"out cannot be made, for .*file is not a folder"):
            check_new_folder(path)


def test_a_folder_that_cannot_be_made_is_a_value_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot be made \(.*too long\)"):
        make(tmp_path / ("x" * 254))


@pytest.mark.parametrize("path", ["", ".", "..", "a/..", "/"])
def test_a_folder_needs_a_name_of_its_own(path: str) -> None:
    with pytest.raises(ValueError, match="output folder must have a name of its own"):
        check_new_folder(path)


def test_a_relative_folder_is_made_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make(Path("out"))
    assert names(tmp_path) == ["out"]


def test_json_is_readable_utf8_without_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"name": "<é>", "value": [1.5, None]})
    assert json.loads((tmp_path / "a.json").read_bytes()) == {"name": "<é>", "value": [1.5, None]}
    assert "é".encode() in (tmp_path / "a.json").read_bytes()
    write_json(tmp_path / "c.json", os.fsdecode(b"caf\xe9"))
    assert os.fsencode(json.loads((tmp_path / "c.json").read_bytes())) == b"caf\xe9"
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "b.json", float("nan"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_where_nothing_may_be_written_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ValueError, match=r"cannot be made \(Permission denied\)"):
        make(tmp_path / "out")
    tmp_path.chmod(0o700)


def test_a_file_takes_its_place_whole_or_not_at_all(tmp_path: Path) -> None:
    def write(text: str, *, fails: bool = False) -> None:
        with written(tmp_path / "a.txt") as new:
            new.write_text(text)
            if fails:
                raise OSError("no room")

    write("old")
    with pytest.raises(OSError, match=r"a.txt could not be written \(no room\); is the disk full\? What was there is"):
        write("half", fails=True)
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["a.txt"]
