"""A model's folder is whole at every moment, also while a better model is saved into it."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pellucid.files import write_json
from pellucid.models import create, load, save, settle, weights_hash
from pellucid.models._folder import read_told, weights_file


class Killed(BaseException):
    """Nothing runs after it, no clean-up either."""


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def saved(folder: Path, times: int) -> str:
    """Save so many nets, one after the other; the hash of the last."""
    model = create("digits_cnn", classes=["a", "b"], width=1)
    for _ in range(times):
        model = create("digits_cnn", classes=["a", "b"], width=1)
        save(model, folder)
    return weights_hash(model.network)


@pytest.mark.parametrize("times", [1, 2, 3, 4])
def test_the_weights_file_alternates_and_settles(tmp_path: Path, times: int) -> None:
    kept = saved(tmp_path, times)
    assert len(files(tmp_path)) == 2
    assert ("weights.safetensors" in files(tmp_path)) == (times % 2 == 1)
    (tmp_path / "weights-0123456789abcdef.safetensors").write_bytes(b"of a save that was killed")
    (tmp_path / "weights-mine.safetensors").write_bytes(b"of somebody else")
    settle(tmp_path)
    assert files(tmp_path) == ["model.json", "weights-mine.safetensors", "weights.safetensors"]
    assert load(tmp_path).source["hash"] == kept


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("what", ["save", "settle"])
def test_a_kill_at_any_moment_leaves_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, what: str
) -> None:
    """Every step that changes the folder is the last one once; model.json names a file that is there, and sound."""
    acts: dict[str, Callable[[Path], object]] = {"save": lambda folder: saved(folder, 1), "settle": settle}
    moments = 0
    for moment in range(20):
        folder = tmp_path / str(moment)
        before = saved(folder, times)
        steps = 0

        def killing(kept: Callable[..., Any], moment: int = moment) -> Callable[..., Any]:
            def step(*given: Any, **more: Any) -> Any:
                nonlocal steps
                steps += 1
                if steps > moment:
                    raise Killed
                return kept(*given, **more)

            return step

        with monkeypatch.context() as patch:
            patch.setattr("pellucid.models._folder.write_json", killing(write_json))
            patch.setattr(shutil, "copyfile", killing(shutil.copyfile))
            for name in ("replace", "unlink", "touch", "chmod"):
                patch.setattr(Path, name, killing(getattr(Path, name)))
            try:
                acts[what](folder)
                was_killed = False
            except Killed:
                was_killed = True
        assert weights_file(folder, read_told(folder)["weights"]).is_file()
        if what == "settle":
            assert load(folder).source["hash"] == before
        else:
            load(folder)
        settle(folder)
        left = [name for name in files(folder) if not name.endswith(".part")]
        assert left == ["model.json", "weights.safetensors"]
        moments += was_killed
        if not was_killed:
            break
    assert moments >= {("save", 1): 7, ("save", 2): 7, ("settle", 1): 0, ("settle", 2): 5}[what, times]


def test_others_may_read_what_others_may_read(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        saved(tmp_path, 2)
        settle(tmp_path)
    finally:
        os.umask(before)
    assert {name: (tmp_path / name).stat().st_mode & 0o777 for name in files(tmp_path)} == {
        "model.json": 0o640,
        "weights.safetensors": 0o640,
    }


def test_settling_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not readable JSON"):
        settle(tmp_path)


def test_a_model_is_on_the_disk_before_it_takes_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    sync, replace = os.fsync, Path.replace

    def fsync(file: int) -> None:
        done.append(f"fsync {Path(f'/proc/self/fd/{file}').readlink().name}")
        sync(file)

    def renamed(self: Path, target: Path) -> Path:
        done.append(f"to {target.name}")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", renamed)
    saved(tmp_path / "model", 1)
    kinds = [re.sub(r"\.(.*)\.[0-9a-f]{8}\.part", r"\1", line) for line in done]
    assert kinds == [
        *("fsync weights.safetensors", "to weights.safetensors", "fsync model"),
        *("fsync model.json", "to model.json", "fsync model"),
    ]
