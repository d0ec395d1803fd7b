"""A run that is killed, stopped or runs out of disk at any moment goes on as if nothing had happened, bit for bit."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from pellucid import models
from pellucid.models._folder import read_told, weights_file
from pellucid.training import Run

from .forking import Child, Forks, forks

TRAIN = ["train", "classify", "digits", "--model", "digits_cnn,width=4", "--limit", "200", "--device", "cpu"]
OPTIONS = {
    "plain": ["--epochs", "3", "--batch-size", "16", "--every", "3", "--seed", "4"],
    "everything": [
        *("--epochs", "3", "--batch-size", "12", "--every", "2", "--seed", "5", "--accumulate", "2"),
        *("--average", "0.9", "--augmentation", "crop=1,rotate=10", "--mixup", "0.3", "--cutmix", "0.3"),
        *(
            "--schedule",
            "plateau",
            "--optimizer",
            "momentum",
            "--lr",
            "0.05",
            "--clip-norm",
            "1",
            "--eval-train",
            "true",
        ),
    ],
}
"""Dropout is on in both."""

KILL = """
import os, signal, io, shutil, torch
from pathlib import Path
left = [{moment}]

def counted(kept, amid=None):
    def step(*given, **more):
        left[0] -= 1
        if left[0] == 0:
            if amid is not None:
                amid(kept, *given, **more)
            os.kill(os.getpid(), signal.SIGKILL)
        return kept(*given, **more)
    return step

def half(kept, value, path, *rest, **more):
    whole = io.BytesIO()
    kept(value, whole)
    Path(path).write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])

torch.save = counted(torch.save, half)
os.fsync, Path.replace, Path.unlink = counted(os.fsync), counted(Path.replace), counted(Path.unlink)
torch.optim.AdamW.step, torch.optim.SGD.step = counted(torch.optim.AdamW.step), counted(torch.optim.SGD.step)
"""
"""Kill the process at its n-th step, write or rename; when that is a checkpoint's write, amid it."""


@pytest.fixture(scope="module")
def fork(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with forks(tmp_path_factory.mktemp("forks")) as found:
        yield found


@pytest.fixture(scope="module")
def whole(fork: Forks, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Uninterrupted runs, one of them by the command line as people start it."""
    place = tmp_path_factory.mktemp("whole")
    command = [sys.executable, "-m", "pellucid.cli", *TRAIN, *OPTIONS["plain"], "-o", str(place / "plain")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as alone:
        assert fork.start(*TRAIN, *OPTIONS["everything"], "-o", place / "everything").wait() == 0
        assert alone.wait() == 0
    return {name: place / name for name in OPTIONS}


def told(folder: Path) -> dict[str, Any]:
    """All that must be the same in two runs: nothing of time, and nothing of where they stand."""
    results = Run(folder).results
    timed = {"seconds", "training_seconds", "images_per_second"}
    checkpoint = torch.load(folder / "last.pt", weights_only=True)
    checkpoint["parts"]["state"].pop("seconds")
    checkpoint.pop("lines")  # bytes, which the digits of the seconds change
    return {
        "weights": (folder / "weights.safetensors").read_bytes(),
        "metrics": [{k: v for k, v in line.items() if k not in timed} for line in Run(folder).records()],
        "rows": len((folder / "metrics.csv").read_text().splitlines()),
        "results": {name: value for name, value in results.items() if name not in timed},
        "epoch": read_told(folder)["record"]["epoch"],
        "checkpoint": plain(checkpoint),
        "files": sorted(path.name for path in folder.iterdir()),
    }


def plain(value: Any) -> Any:
    """Tensors as bytes, so that == compares them."""
    if isinstance(value, torch.Tensor):
        return (str(value.dtype), tuple(value.shape), value.numpy().tobytes())
    if isinstance(value, dict):
        return {key: plain(inside) for key, inside in value.items()}
    return [plain(inside) for inside in value] if isinstance(value, list | tuple) else value


def is_readable(folder: Path) -> None:
    """At every moment: the lines can be read, and model.json names a file that is there and sound."""
    if not (folder / "config.yaml").is_file():
        return
    Run(folder).records()
    if (folder / "model.json").is_file():
        assert weights_file(folder, read_told(folder)["weights"]).is_file()


def resumed(fork: Forks, folder: Path) -> Child:
    return fork.start("train", "classify", "digits", "-o", folder, "--resume")


@pytest.mark.parametrize("name", OPTIONS)
def test_killed_anywhere_twice_in_a_row_it_ends_as_if_nothing_had_happened(
    tmp_path: Path, fork: Forks, whole: dict[str, Path], name: str
) -> None:
    """The moments are drawn by seed over all that the training does; some fall into the write of a checkpoint."""
    drawn = random.Random(name)
    kills = 0
    for number in range(3):
        folder = tmp_path / str(number)
        first = KILL.format(moment=drawn.randint(5, 70))
        code = fork.start(*TRAIN, *OPTIONS[name], "-o", folder, before=first).wait()
        for _ in range(2):
            assert code in {-signal.SIGKILL, 0}
            kills += code != 0
            is_readable(folder)
            again = KILL.format(moment=drawn.randint(3, 40))
            code = fork.start("train", "classify", "digits", "-o", folder, "--resume", before=again).wait()
        is_readable(folder)
        last = resumed(fork, folder)
        assert last.wait() == 0, last.err
        assert told(folder) == told(whole[name])
        assert (folder / "index.html").is_file()
    assert kills >= 4


def test_killed_amid_the_write_of_a_checkpoint(tmp_path: Path, fork: Forks, whole: dict[str, Path]) -> None:
    """Half of the second checkpoint is on the disk; the first one counts, and the half goes."""
    before = KILL.format(moment=2).replace("os.fsync, Path", "_, _, _ = counted(os.fsync), 0, 0 #")
    before = before.replace("torch.optim.AdamW.step, ", "_, _ = 0, 0 #")
    assert fork.start(*TRAIN, *OPTIONS["plain"], "-o", tmp_path / "run", before=before).wait() == -signal.SIGKILL
    assert len([*(tmp_path / "run").glob(".last.pt.*.part")]) == 1
    saved = torch.load(tmp_path / "run" / "last.pt", weights_only=True)
    assert saved["parts"]["state"]["steps"] == 3
    assert resumed(fork, tmp_path / "run").wait() == 0
    assert told(tmp_path / "run") == told(whole["plain"])


def test_what_a_checkpoint_lacked_would_be_seen(tmp_path: Path, fork: Forks, whole: dict[str, Path]) -> None:
    """Going on without the random state gives another run: the comparison is a sharp one."""
    first = KILL.format(moment=40)
    assert fork.start(*TRAIN, *OPTIONS["plain"], "-o", tmp_path / "run", before=first).wait() == -signal.SIGKILL
    forget = "import torch; torch.set_rng_state = lambda state: None"
    words = ("train", "classify", "digits", "-o", tmp_path / "run", "--resume")
    assert fork.start(*words, before=forget).wait() == 0
    assert told(tmp_path / "run")["weights"] != told(whole["plain"])["weights"]


def test_killed_by_the_clock(tmp_path: Path, fork: Forks, whole: dict[str, Path]) -> None:
    """From outside, at moments nobody chose."""
    drawn = random.Random(0)
    folder = tmp_path / "run"
    child = fork.start(*TRAIN, *OPTIONS["plain"], "-o", folder)
    for _ in range(4):
        time.sleep(drawn.uniform(0.1, 0.7))
        child.send(signal.SIGKILL)
        assert child.wait() in {0, -signal.SIGKILL}
        is_readable(folder)
        is_begun = (folder / "record.json").is_file() and (folder / "config.yaml").is_file()
        child = resumed(fork, folder) if is_begun else fork.start(*TRAIN, *OPTIONS["plain"], "-o", folder)
    assert child.wait() == 0
    assert told(folder) == told(whole["plain"])


def test_ctrl_c_leaves_a_readable_run_and_says_how_to_go_on(
    tmp_path: Path, fork: Forks, whole: dict[str, Path]
) -> None:
    for attempt in range(3):  # on a busy machine the training may be over before the signal is sent
        folder = tmp_path / f"a run {attempt}"
        child = fork.start(*TRAIN, *OPTIONS["plain"], "-o", folder)
        while not (folder / "model.json").is_file():
            time.sleep(0.01)
        child.send(signal.SIGINT)
        code = child.wait()
        if code != 0:
            break
    assert code == 130
    assert child.out.endswith(f"pellucid: interrupted; go on with: pellucid train classify -o '{folder}' --resume\n")
    assert child.err == ""
    assert not Run(folder).is_finished
    assert not Run(folder).is_held
    models.load(folder)
    child = fork.start("runs", "show", folder)
    assert child.wait() == 0
    assert "stopped" in child.out
    assert resumed(fork, folder).wait() == 0
    assert told(folder) == told(whole["plain"])


@pytest.mark.parametrize(
    ("what", "limit"),
    [("checkpoint", 20_000), ("log", 500), ("finish", 400), ("save_best", 3_000)],
)
def test_a_full_disk_is_told_in_a_line_and_what_was_there_is_kept(
    tmp_path: Path, fork: Forks, whole: dict[str, Path], what: str, limit: int
) -> None:
    """No file may grow beyond a limit, in bytes, from a call on of what writes it."""
    before = f"""
import resource
from pellucid.training import Run
from pellucid.training.recipes import _following
owner, name = (_following, "save") if {what!r} == "save_best" else (Run, {what!r})
kept, calls = getattr(owner, name), []

def full(*given, **more):
    calls.append(1)
    if len(calls) == {3 if what in {"checkpoint", "log"} else 1}:
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))
    return kept(*given, **more)

setattr(owner, name, full)
"""
    folder = tmp_path / "run"
    child = fork.start(*TRAIN, *OPTIONS["plain"], "-o", folder, before=before)
    assert child.wait() == 1, child.err
    assert child.err.count("\n") == 1
    assert child.err.startswith("pellucid: OSError: ")
    assert "is the disk full?" in child.err
    assert str(folder) in child.err
    is_readable(folder)
    torch.load(folder / "last.pt", weights_only=True)
    assert not [*folder.glob(".*.part")]
    assert resumed(fork, folder).wait() == 0
    assert told(folder) == told(whole["plain"])


def test_a_run_that_is_trained_is_left_alone(tmp_path: Path, fork: Forks, whole: dict[str, Path]) -> None:
    """By a second process that would go on with it, and by one that would replace it."""
    folder = tmp_path / "run"
    first = fork.start(*TRAIN, *OPTIONS["plain"], "-o", folder, before="import time; time.sleep(0)")
    assert first.wait() == 0
    with Run(folder).held():
        assert Run(folder).is_held
        second = resumed(fork, folder)
        assert second.wait() == 2
        assert second.err == f"pellucid: {folder}: another process is training this run\n"
        third = fork.start(*TRAIN, "-o", folder, "--force")
        assert third.wait() == 2
        assert "another process is training this run; --force does not replace it" in third.err
    assert not Run(folder).is_held
    assert told(folder) == told(whole["plain"])
    (folder / "index.html").unlink()  # as if it had been killed before the page
    assert resumed(fork, folder).wait() == 0  # a finished one is told again, and nothing else of it changes
    assert told(folder) == told(whole["plain"])
