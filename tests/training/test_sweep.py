import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest

from pellucid.cli import main
from pellucid.training import Run, sweep
from pellucid.training.sweep import combinations
from pellucid.training.sweep_results import results_of, sweep_rows

module = sys.modules[sweep.__module__]

SMALL: dict[str, Any] = {"limit": 200, "epochs": 1, "device": "cpu", "model": "digits_cnn,width=4"}
GRID: dict[str, list[Any]] = {"lr": [0.01, -1.0], "batch_size": [20, 50]}


class Done:
    """A child that has ended."""

    stdin = None

    def __init__(self, code: int) -> None:
        self.returncode = code

    def poll(self) -> int:
        return self.returncode


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """Children run here, one after the other; what they were asked."""
    asked: list[list[str]] = []

    def spawn(words: list[str], environment: Any, log: IO[bytes]) -> Done:
        assert words[:4] == [sys.executable, "-m", "pellucid.cli", "train"]
        asked.append(words[3:])
        capsys.readouterr()
        code = main(words[3:])
        told = capsys.readouterr()
        log.write((told.out + told.err).encode())
        return Done(code)

    monkeypatch.setattr(module, "_spawn", spawn)
    return asked


def swept(folder: Path, grid: dict[str, list[Any]], **options: Any) -> list[str]:
    return [told.text for told in sweep("classify", "digits", folder, grid, **{**SMALL, **options})]


def test_every_combination_once_the_last_option_first() -> None:
    found = combinations({"lr": [0.1, 0.01], "batch_size": [10, 50]}, seed=3)
    assert [one.name for one in found] == [
        "lr=0.1,batch_size=10",
        "lr=0.1,batch_size=50",
        "lr=0.01,batch_size=10",
        "lr=0.01,batch_size=50",
    ]
    assert found[1].setting == "lr 0.1, batch-size 50"
    assert found[1].options == {"lr": 0.1, "batch_size": 50, "seed": 3}


def test_repeats_have_seeds_of_their_own() -> None:
    found = combinations({"lr": [0.1]}, repeats=2, seed=7)
    assert [(one.name, one.options["seed"]) for one in found] == [("lr=0.1,seed=7", 7), ("lr=0.1,seed=8", 8)]
    assert len({one.setting for one in found}) == 1


def test_names_are_names_of_folders() -> None:
    found = combinations({"augmentation": ["crop=4/x", "crop=4\\x"], "patience": [None]})
    assert [one.name for one in found] == [
        "augmentation=crop=4-x,patience=null",
        "augmentation=crop=4-x,patience=null-1",
    ]


@pytest.mark.parametrize(
    ("grid", "options", "told"),
    [
        ({}, {}, "grid must name an option with its values"),
        ({"lr": []}, {}, "grid must give lr at least one value"),
        ({"lr": [0.1, 0.1]}, {}, "each once, got"),
        ({"seed": [1, 2]}, {"repeats": 2}, "repeats must be 1 where the grid gives seeds"),
        ({"lr": [0.1]}, {"jobs": 0}, "jobs must be at least 1, got 0"),
        ({"lr": [0.1]}, {"repeats": 0}, "repeats must be at least 1, got 0"),
        ({"rl": [0.1]}, {}, "classify has no option 'rl'; did you mean"),
    ],
)
def test_refused_before_anything_is_made(
    grid: dict[str, list[Any]], options: dict[str, Any], told: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=told):
        swept(tmp_path / "a", grid, **options)
    assert not (tmp_path / "a").exists()


def test_an_unknown_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"recipe must be one of .* got 'clasify'; did you mean classify"):
        list(sweep("clasify", "digits", tmp_path / "a", {"lr": [0.1]}))


def test_a_failed_run_is_told_and_stops_no_other(tmp_path: Path, in_process: list[list[str]]) -> None:
    folder = tmp_path / "a"
    lines = swept(folder, GRID)
    assert len(in_process) == 4
    assert in_process[0][:3] == ["train", "classify", "digits"]
    assert {"--resume", "--lr=0.01", "--batch-size=20", "--limit=200", "--seed=0"} <= set(in_process[0])
    assert "lr=-1,batch_size=20: failed: lr must be positive, got -1.0" in lines[3]
    assert "2 failed: lr=-1,batch_size=20, lr=-1,batch_size=50." in lines[-1]
    run = Run(folder)
    assert not run.is_finished
    assert "lr must be positive" in (folder / "index.html").read_text()
    assert Run(folder / "lr=0.01,batch_size=50").is_finished
    assert (folder / "figures" / "comparison.png").stat().st_size > 10_000

    in_process.clear()
    swept(folder, GRID, resume=True)
    assert [words for words in in_process if "--lr=0.01" in words] == []  # only what failed is tried again
    assert len(in_process) == 2


def test_a_sweep_is_repeated_gone_on_with_and_replaced(tmp_path: Path, in_process: list[list[str]]) -> None:
    folder, grid = tmp_path / "a", {"lr": [0.01, 0.003]}
    swept(folder, grid, repeats=2)
    results = Run(folder).results
    assert [row["runs"] for row in results["rows"]] == [
        ["lr=0.01,seed=0", "lr=0.01,seed=1"],
        ["lr=0.003,seed=0", "lr=0.003,seed=1"],
    ]
    shares = [Run(folder / f"lr=0.01,seed={seed}").results["test"]["accuracy"] for seed in (0, 1)]
    assert results["rows"][0]["value"] == pytest.approx(sum(shares) / 2)
    assert results["rows"][0]["high"] - results["rows"][0]["value"] == pytest.approx(
        12.706204736 * abs(shares[0] - shares[1]) / 2
    )
    vals = {row["setting"]: row["val_accuracy"] for row in results["rows"]}
    assert results["best_by_val"] == max(vals, key=lambda name: vals[name])
    in_process.clear()
    assert swept(folder, grid, repeats=2, resume=True)[-1] == results["said"]
    assert in_process == []
    with pytest.raises(ValueError, match="holds a run already: go on with --resume"):
        swept(folder, grid)
    with pytest.raises(ValueError, match=r"was begun with grid .* use a new -o"):
        swept(folder, {"lr": [0.1]}, repeats=2, resume=True)
    with pytest.raises(ValueError, match="was begun with shared"):
        swept(folder, grid, repeats=2, resume=True, epochs=2)
    swept(folder, {"lr": [0.01]}, force=True)
    assert not (folder / "lr=0.003,seed=0").exists()


def test_a_choice_is_made_by_val_and_never_by_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = combinations({"lr": [0.1, 0.2]})
    told = {"lr=0.1": (0.9, 0.5), "lr=0.2": (0.8, 0.7)}  # val, test

    class Summary:
        def __init__(self, name: str) -> None:
            self.val_accuracy, self.accuracy = told[name]
            self.val_loss, self.low, self.high, self.best_epoch, self.seconds = 1.0, 0.4, 0.6, 1, 1.0

    results_module = sys.modules[results_of.__module__]
    monkeypatch.setattr(results_module, "is_run", lambda _: True)
    monkeypatch.setattr(results_module, "Run", lambda folder: folder)
    monkeypatch.setattr(results_module, "summarised", lambda folder: Summary(folder.name))
    results = results_of(tmp_path, found, {})
    assert results["best_by_val"] == "lr 0.1"
    assert "Best by val: lr 0.1 (val accuracy 90.00%). On test it has 50.00% (40.00% to 60.00%)." in results["said"]
    assert "another setting overlap" in results["said"]
    assert sweep_rows(results)[0][:4] == ("lr 0.1 (best by val)", "90.00%", "50.00%", "40.00% to 60.00%")


@pytest.fixture
def sleeping(monkeypatch: pytest.MonkeyPatch) -> list["subprocess.Popen[bytes]"]:
    """Children that would sleep for a minute."""
    children: list[subprocess.Popen[bytes]] = []

    def spawn(words: list[str], environment: dict[str, str], log: IO[bytes]) -> "subprocess.Popen[bytes]":
        assert environment["OMP_NUM_THREADS"] == "3"
        assert environment[module.WITH_STDIN] == "1"
        children.append(
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True, stdout=log)
        )
        return children[-1]

    monkeypatch.setattr(module, "_spawn", spawn)
    monkeypatch.setattr("os.cpu_count", lambda: 7)
    return children


def stopped_after(count: int, children: list[Any]) -> Callable[[float], None]:
    """A sleep that is interrupted once, when so many children are there."""
    wait, done = time.sleep, list[int]()

    def sleep(seconds: float) -> None:
        if len(children) == count and not done:
            done.append(1)
            raise KeyboardInterrupt
        wait(seconds)

    return sleep


def test_an_interrupt_ends_the_children(
    tmp_path: Path, sleeping: list["subprocess.Popen[bytes]"], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", stopped_after(2, sleeping))
    with pytest.raises(KeyboardInterrupt):
        swept(tmp_path / "a", {"lr": [0.1, 0.01, 0.001]}, jobs=2)
    assert len(sleeping) == 2  # two at a time
    assert [child.poll() for child in sleeping] == [-15, -15]


@pytest.mark.parametrize(
    ("recipe", "data", "options", "told"),
    [
        ("classify", "digitz", {}, "digitz: no such file or folder, and no built-in set; did you mean digits"),
        ("ladder", "nowhere/at/all", {}, "nowhere/at/all"),
        ("tabular", "irys", {}, "irys: no such table; .* did you mean iris"),
        ("tabular", "iris", {"target": "kind"}, r"target is for \.csv files; iris is built in"),
    ],
)
def test_data_that_cannot_be_opened_are_refused_before_the_first_run(
    tmp_path: Path, recipe: str, data: str, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        list(sweep(recipe, data, tmp_path / "a", {"lr": [0.1]}, **options))
    assert not (tmp_path / "a").exists()


def test_data_that_some_settings_can_read_are_not_refused(tmp_path: Path, in_process: list[list[str]]) -> None:
    (tmp_path / "some.csv").write_text("x,kind\n" + "".join(f"{n},{'ab'[n % 2]}\n" for n in range(40)) + ",a\n")
    data, grid = str(tmp_path / "some.csv"), {"missing": ["error", "drop"]}
    lines = [told.text for told in sweep("tabular", data, tmp_path / "a", grid, epochs=1, device="cpu")]
    assert len(in_process) == 2
    assert "1 failed: missing=error" in lines[-1]


def test_a_sweep_that_is_killed_takes_its_children_along(tmp_path: Path) -> None:
    child = "from pellucid.cli.train import _end_with_stdin as watch; import threading, time; "
    child += "threading.Thread(target=watch, daemon=True).start(); time.sleep(60)"
    parent = (
        "import os, signal, sys, time; from pathlib import Path; from pellucid.training.sweep import _spawn; "
        f"child = _spawn([sys.executable, '-c', {child!r}], dict(os.environ), open({str(tmp_path / 'log')!r}, 'wb')); "
        "print(child.pid, flush=True); time.sleep(0.5); assert child.poll() is None; "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", parent], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    status = Path(f"/proc/{int(done.stdout)}/status")
    until = time.monotonic() + 20
    while status.exists() and "(zombie)" not in status.read_text() and time.monotonic() < until:
        time.sleep(0.05)
    assert not status.exists() or "(zombie)" in status.read_text()


def test_a_child_of_a_sweep_watches_its_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched: list[int] = []
    monkeypatch.setenv(module.WITH_STDIN, "1")
    monkeypatch.setattr("pellucid.cli.train._end_with_stdin", lambda: watched.append(1))
    assert main(["train", "classify", "digits", "-o", str(tmp_path / "a"), "--lr", "-1"]) == 2
    assert watched == [1]
