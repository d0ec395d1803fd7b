"""A time limit stops a run behind an epoch; it then goes on as if nothing had happened."""

import json
from pathlib import Path
from typing import Any

import pytest

from pellucid.cli import main
from pellucid.training import Run, resume, start

NET: dict[str, Any] = {"model": "digits_cnn,width=4", "limit": 40, "batch_size": 20, "epochs": 3, "device": "cpu"}
SHORT = 1e-9


def learned(folder: Path) -> tuple[list[dict[str, Any]], bytes]:
    lines = [{name: line[name] for name in line if name != "seconds"} for line in Run(folder).records()]
    return lines, (folder / "weights.safetensors").read_bytes()


def test_each_call_trains_an_epoch_and_the_end_is_the_same(tmp_path: Path) -> None:
    list(start("classify", "digits", tmp_path / "whole", **NET))
    folder = tmp_path / "run"
    told = [line.text for line in start("classify", "digits", folder, minutes=SHORT, **NET)]
    assert told[-1] == f"{folder}: stopped after 0.0 s, its time limit; go on with --resume"
    assert len(Run(folder).records()) == 2
    assert not Run(folder).is_finished
    assert "minutes" not in Run(folder).config
    assert "stopped" in list(resume(folder, minutes=SHORT))[-1].text
    assert not Run(folder).is_finished
    list(resume(folder, minutes=SHORT))  # the last epoch is not worth stopping behind
    assert Run(folder).is_finished
    assert learned(folder) == learned(tmp_path / "whole")
    assert "limit" not in json.loads((folder / "record.json").read_text())
    assert "time limit" not in (folder / "index.html").read_text()


def test_the_page_and_the_command_say_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    words = ["train", "classify", "digits", "-o", str(folder), "--minutes", "0.0001", "--limit", "40"]
    words += ["--batch-size", "20", "--model", "digits_cnn,width=4", "--device", "cpu"]
    assert main(words) == 0
    assert "its time limit; go on with --resume" in capsys.readouterr().out
    assert "Its time limit, 0.0 s, stopped it; --resume goes on." in (folder / "index.html").read_text()
    assert main(["runs", "show", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "time limit     0.0 s, which stopped it; --resume goes on" in shown
    assert "It stopped at epoch 1 of 20." in shown
    assert main(["train", "classify", "-o", str(folder), "--resume", "--minutes", "0.0001"]) == 0
    assert len(Run(folder).records()) == 3


@pytest.mark.parametrize("minutes", [0, -1.0, float("nan"), float("inf")])
def test_a_limit_of_nothing_is_refused(tmp_path: Path, minutes: float) -> None:
    with pytest.raises(ValueError, match="minutes must be above 0, got"):
        list(start("classify", "digits", tmp_path / "run", minutes=minutes, **NET))
    assert not (tmp_path / "run").exists()


def test_folds_and_rungs_stop_too(tmp_path: Path) -> None:
    options: dict[str, Any] = {"estimate": "kfold", "folds": 3, "epochs": 2, "device": "cpu"}
    list(start("tabular", "iris", tmp_path / "whole", **options))
    list(start("tabular", "iris", tmp_path / "folds", minutes=SHORT, **options))
    assert not Run(tmp_path / "folds").is_finished
    calls = 1
    while not Run(tmp_path / "folds").is_finished:
        list(resume(tmp_path / "folds", minutes=SHORT))
        calls += 1
    assert 3 <= calls <= 6
    assert Run(tmp_path / "folds").results["test"] == Run(tmp_path / "whole").results["test"]
    climb: dict[str, Any] = {
        "steps": "base",
        "size": 8,
        "limit": 100,
        "epochs": 2,
        "lr": 0.01,
        "batch_size": 50,
        "device": "cpu",
    }
    list(start("ladder", "digits", tmp_path / "rungs", minutes=SHORT, **climb))
    assert not Run(tmp_path / "rungs").is_finished
    list(resume(tmp_path / "rungs"))
    assert Run(tmp_path / "rungs").is_finished
