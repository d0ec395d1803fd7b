"""pellucid demo."""

import io
import json
import shutil
from contextlib import chdir, redirect_stdout
from pathlib import Path

import pytest

from pellucid import data, models
from pellucid.cli import main

from .calling import Call, Said, content

WORDS = ("demo", "--epochs", "2", "--seed", "3")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Said]:
    """A demo, made once, and what it said."""
    folder, told = tmp_path_factory.mktemp("demo"), io.StringIO()
    with chdir(folder), redirect_stdout(told):
        code = main([*WORDS])
    return folder, Said(code, told.getvalue(), "")


def test_one_command_from_nothing_to_a_report(made: tuple[Path, Said]) -> None:
    folder, said = made
    assert said.code == 0
    lines = said.out.splitlines()
    assert [line.partition(" ")[0] for line in lines] == [*(f"{number}." for number in range(1, 11)), "page:"]
    assert lines[-1] == f"page: {folder / 'demo' / 'report' / 'index.html'}"
    assert [path.name for path in folder.iterdir()] == ["demo"]
    report = {f"report/{name}" for name in ("index.html", "predictions.parquet", "record.json", "summary.json")}
    names = ("config.yaml", "index.html", "last.pt", "metrics.csv", "metrics.jsonl", "model.json", "record.json")
    run = {f"run/{name}" for name in (*names, "results.json", "weights.safetensors", ".lock")}
    assert set(content(folder / "demo")) == {"record.json", "report", "run"} | report | run
    epochs = [json.loads(line) for line in (folder / "demo" / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in epochs] == [0, 1, 2]
    assert epochs[2]["loss"] < epochs[1]["loss"]
    summary = json.loads((folder / "demo" / "report" / "summary.json").read_text())
    assert summary["facts"] == [line.partition(" ")[2].strip() for line in lines[:-1]]
    assert summary["images"] == 360
    assert summary["model"]["spec"] == "demo/run"
    assert json.loads((folder / "demo" / "record.json").read_text())["options"] == {"epochs": 2}


def test_the_report_is_of_the_model_and_of_unseen_digits(made: tuple[Path, Said]) -> None:
    model = models.load(made[0] / "demo" / "run")
    test = data.builtin("digits", split="test")
    (batch,) = data.batches(test, model.geometry, batch_size=1000, workers=0)
    right = (models.predict(model, batch.images(), top=1).indices[:, 0] == test.targets).double().mean()
    summary = json.loads((made[0] / "demo" / "report" / "summary.json").read_text())
    assert summary["accuracy"]["top1"]["value"] == float(right)
    assert summary["record"]["model"]["hash"] == models.weights_hash(model.network)


def test_force_makes_the_same_demo_again(call: Call, place: Path, made: tuple[Path, Said]) -> None:
    shutil.copytree(made[0] / "demo", place / "demo")
    before = content(place)
    refused = call(*WORDS)
    assert (refused.code, refused.out) == (2, "")
    assert content(place) == before
    assert call(*WORDS, "--force").code == 0
    after = content(place)
    assert set(before) == set(after)
    assert after["demo/run/weights.safetensors"] == before["demo/run/weights.safetensors"]
    assert after["demo/run/metrics.jsonl"] != before["demo/run/metrics.jsonl"], "it ran again, in another time"


def test_an_audit_does_not_take_the_place_of_the_model_it_asks(
    call: Call, place: Path, made: tuple[Path, Said]
) -> None:
    shutil.copytree(made[0] / "demo", place / "demo")
    before = content(place)
    said = call("audit", "demo/run", "digits", "-o", "demo", "--force")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("pellucid: demo was not made by pellucid audit (")
    assert content(place) == before
