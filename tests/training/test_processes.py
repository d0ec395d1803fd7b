"""Two processes over gloo train as one does with the same global batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RECIPE = ["train", "classify", "digits", "--batch-size", "30", "--lr", "0.003", "--seed", "5"]
NET = ["--model", "digits_cnn,width=8,dropout=0", "--device", "cpu", "--optimizer", "adam"]


def trained(
    folder: Path, epochs: int, *more: str, start: tuple[str, ...] = (sys.executable, "-m", "pellucid.cli")
) -> str:
    """What the command prints."""
    command = [*start, *RECIPE, *NET, "--epochs", str(epochs), "-o", str(folder), *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def lines(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, float]]:
    folder = tmp_path_factory.mktemp("one") / "run"
    trained(folder, 4)
    assert lines(folder)[-1]["loss"] < 2.2  # it learns
    return lines(folder)


def same(found: list[dict[str, float]], expected: list[dict[str, float]]) -> None:
    """Every loss and accuracy to a thousandth: only the order of float32 sums differs."""
    assert len(found) == len(expected) == 5
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        for name in one.keys() - {"seconds"}:
            assert one[name] == pytest.approx(other[name], rel=1e-3), name


def test_two_processes_equal_one(tmp_path: Path, alone: list[dict[str, float]]) -> None:
    told = trained(tmp_path / "two", 4, "--devices", "2", "--strategy", "ddp")
    same(lines(tmp_path / "two"), alone)
    assert told.count("epoch 4/4") == 1  # only the first process speaks


def test_torchrun_starts_them_too(tmp_path: Path, alone: list[dict[str, float]]) -> None:
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "pellucid.cli")
    trained(tmp_path / "run", 4, "--devices", "2", start=torchrun)
    same(lines(tmp_path / "run"), alone)


def test_a_refusal_reaches_every_process(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("x")
    command = [sys.executable, "-m", "pellucid.cli", *RECIPE, *NET, "-o", str(tmp_path / "run"), "--devices", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 2
    assert f"{tmp_path / 'run'} exists already" in done.stderr
    assert (tmp_path / "run" / "mine.txt").read_text() == "x"


def test_what_two_processes_judge_is_what_they_keep(tmp_path: Path) -> None:
    """Batch norm's running statistics differ from process to process until the first one's are taken by all."""
    options = ["--model", "lenet5_bn", "--limit", "200", "--average", "0.5", "--val", "60"]
    trained(tmp_path / "run", 2, *options, "--devices", "2")
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    told = lines(tmp_path / "run")[results["best_epoch"]]
    assert results["val"]["loss"] == pytest.approx(told["val_loss"], rel=1e-6)
    assert results["val"]["accuracy"] == told["val_accuracy"]
