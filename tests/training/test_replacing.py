"""A run that is to be replaced is gone only once the new one has learned something."""

import json
import shutil
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from pellucid.cli import main
from pellucid.training import Run, resume, start, sweep
from pellucid.training._clearing import set_aside
from pellucid.training.summaries import find_runs

NET: dict[str, Any] = {"model": "digits_cnn,width=4", "limit": 40, "batch_size": 20, "epochs": 2, "device": "cpu"}


def content(folder: Path) -> dict[str, bytes]:
    """All files below a folder, hidden ones too; locks, which say nothing, apart."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "run"
    list(start("classify", "digits", folder, **{**NET, "epochs": 1}))
    return folder


@pytest.fixture
def run(tmp_path: Path, made: Path) -> Path:
    shutil.copytree(made, tmp_path / "run")
    return tmp_path / "run"


def test_a_run_comes_back_when_the_new_one_is_refused(run: Path) -> None:
    before = content(run.parent)
    for options in ({"lr": -1.0}, {"model": "digits_cn"}, {"val": 0.0, "patience": 3}):
        with pytest.raises(ValueError, match="must be"):
            list(start("classify", "digits", run, force=True, **{**NET, **options}))
        assert content(run.parent) == before


def test_it_comes_back_when_the_first_epoch_is_refused(run: Path) -> None:
    before = content(run.parent)
    wild = {"optimizer": "sgd", "lr": 1e38, "schedule": "constant", "epochs": 1, "limit": 100, "batch_size": 90}
    with pytest.raises(ValueError, match="lower lr"):
        list(start("classify", "digits", run, force=True, **{**NET, **wild}))
    assert content(run.parent) == before


def test_it_comes_back_when_the_new_one_is_stopped_too_early(run: Path) -> None:
    before = content(run.parent)
    told = start("classify", "digits", run, force=True, **NET)
    next(told)  # the untrained network was judged
    assert Run(run).config["epochs"] == 2
    told.close()  # type: ignore[attr-defined]
    assert content(run.parent) == before


def test_it_goes_once_the_new_one_has_learned(run: Path) -> None:
    told = start("classify", "digits", run, force=True, **NET)
    list(islice(told, 2))
    assert [path.name for path in run.parent.iterdir()] == ["run"]
    told.close()  # type: ignore[attr-defined]
    list(resume(run))
    assert Run(run).results["epochs"] == 2
    assert [path.name for path in run.parent.iterdir()] == ["run"]


def test_a_process_that_was_killed_while_it_replaced_a_run_leaves_it_to_the_next_one(run: Path) -> None:
    before = content(run.parent)
    config = {"recipe": "classify", "data": "digits", **NET}
    Run.create(run, config, force=True)  # and killed
    assert len(find_runs([run.parent])) == 1, "the old one is hidden"
    with pytest.raises(ValueError, match="run holds a run already"):
        Run.create(run, config)
    assert content(run.parent) == before
    set_aside(run, force=True)  # and killed, before there was a new one
    with pytest.raises(ValueError, match="run holds a run already"):
        Run.create(run, config)
    assert content(run.parent) == before


def test_a_process_that_was_killed_once_the_new_one_had_learned_leaves_that(run: Path) -> None:
    config = {"recipe": "classify", "data": "digits", **NET}
    Run.create(run, config, force=True).checkpoint({})  # and killed
    with pytest.raises(ValueError, match="run holds a run already"):
        Run.create(run, config)
    assert (run / "last.pt").is_file()
    assert not (run / "results.json").exists()
    assert [path.name for path in run.parent.iterdir()] == ["run"]


def test_what_is_not_ours_is_not_taken_away_with_the_new_one(run: Path) -> None:
    config = {"recipe": "classify", "data": "digits", **NET}
    Run.create(run, config, force=True)  # and killed
    (run / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"run holds notes\.txt, which pellucid did not make"):
        Run.create(run, config, force=True)
    assert (run / "notes.txt").read_text() == "mine"


def test_a_run_that_the_new_one_would_have_gone_on_with_comes_back(run: Path) -> None:
    before = content(run.parent)
    with pytest.raises(ValueError, match="run: is not a model"):
        list(start("classify", "digits", run, force=True, **{**NET, "model": str(run)}))
    assert content(run.parent) == before


def test_the_command_line_says_that_it_is_back(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = content(run.parent)

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    recipe = sys.modules["pellucid.training.recipes.classify"]
    monkeypatch.setattr(recipe, "open_sets", interrupted)
    assert main(["train", "classify", "digits", "-o", str(run), "--force", "--device", "cpu"]) == 130
    assert (
        f"interrupted; nothing was learned yet, so the run that was in {run} before is back" in capsys.readouterr().out
    )
    assert content(run.parent) == before


def test_a_ladder_comes_back_too(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "steps": "base",
        "size": 8,
        "limit": 100,
        "epochs": 1,
        "lr": 0.01,
        "batch_size": 50,
        "device": "cpu",
    }
    list(start("ladder", "digits", tmp_path / "run", **options))
    before = content(tmp_path)
    with pytest.raises(ValueError, match="lr must be positive"):
        list(start("ladder", "digits", tmp_path / "run", force=True, **{**options, "lr": -1.0}))
    assert content(tmp_path) == before


def test_a_sweep_comes_back_when_all_its_runs_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Ended:
        returncode, stdin = 2, None

        def poll(self) -> int:
            return self.returncode

    def spawn(_words: list[str], _environment: Any, log: Any) -> Ended:
        log.write(b"pellucid: lr must be positive, got -1\n")
        return Ended()

    monkeypatch.setattr(sys.modules[sweep.__module__], "_spawn", spawn)
    run = Run.create(tmp_path / "run", {"recipe": "sweep", "of": "classify", "data": "digits", "seed": 0})
    run.finish({"recipe": "sweep"})
    before = content(tmp_path)
    with pytest.raises(ValueError, match="all runs failed, so the sweep that was there before is back: lr must be"):
        list(sweep("classify", "digits", tmp_path / "run", {"lr": [-1.0]}, force=True))
    assert content(tmp_path) == before
    with pytest.raises(ValueError, match="no such file or folder, and no built-in set; did you mean digits"):
        list(sweep("classify", "digitz", tmp_path / "run", {"lr": [-1.0]}, force=True))
    assert content(tmp_path) == before
    assert json.loads((tmp_path / "run" / "results.json").read_text()) == {"recipe": "sweep"}
