"""pellucid runs: what lies in folders, one run, several side by side."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pellucid import training

from .calling import Call, content


def test_a_list_tells_every_run_below_a_folder(call: Call, place: Path, trained: Path) -> None:
    said = call("runs", "list", trained)
    assert (said.code, said.err) == (0, "")
    rows = [line.split() for line in said.out.splitlines() if "classify" in line]
    assert [Path(row[0]).name for row in rows] == ["a", "b", "c"]
    results = training.Run(trained / "a").results
    assert rows[0][1:6] == ["classify", "digits", "digits_cnn,width=4", "2/2", "finished"]
    assert f"{results['test']['accuracy']:.2%}" in rows[0]
    assert f"{results['test']['low']:.2%}" in rows[0]
    assert rows[2][4:6] == ["1/3", "stopped"]
    assert call("runs", "list", trained / "a", trained).out == said.out, "a run is listed once"


def test_a_list_as_json_has_what_the_runs_say(call: Call, trained: Path) -> None:
    told = json.loads(call("runs", "list", trained, "--json").out)
    assert told["broken"] == []
    first, _, last = told["runs"]
    results = training.Run(trained / "a").results
    records = training.Run(trained / "a").records()
    assert first["accuracy"] == results["test"]["accuracy"]
    assert (first["judged_on"], first["count"], first["parameters"]) == ("test", 360, results["parameters"])
    assert first["val_accuracy"] == records[results["best_epoch"]]["val_accuracy"]
    assert first["val_accuracy"] == max(line["val_accuracy"] for line in records[1:])
    assert (last["state"], last["accuracy"], last["epochs"], last["wanted"]) == ("stopped", None, 1, 3)
    assert last["best_epoch"] == 1


@pytest.mark.parametrize("sort", ["accuracy", "val", "time", "made", "name"])
def test_a_list_can_be_sorted(call: Call, trained: Path, sort: str) -> None:
    runs = json.loads(call("runs", "list", trained, "--json", "--sort", sort).out)["runs"]
    if sort in {"accuracy", "val"}:
        key = {"accuracy": "accuracy", "val": "val_accuracy"}[sort]
        values = [-1 if one[key] is None else one[key] for one in runs]
        assert values == sorted(values, reverse=True)
    else:
        values = [one[{"time": "seconds", "made": "made", "name": "folder"}[sort]] for one in runs]
        assert values == sorted(values)


@pytest.mark.parametrize(
    "broken",
    [
        ("config.yaml", "recipe: [", "config.yaml: not readable"),
        ("config.yaml", "epochs: 3", "config.yaml: must name a recipe"),
        ("results.json", "{", "results.json: not readable"),
        ("metrics.jsonl", "{}\nno\n{}\n", "metrics.jsonl: line 2 is damaged"),
        ("metrics.jsonl", "1\n", "metrics.jsonl: line 1 is damaged"),
        ("record.json", "[]", "record.json: must hold an object"),
        ("model.json", "\xff", "model.json"),
    ],
)
def test_a_broken_run_is_named_and_the_others_are_told(
    call: Call, place: Path, trained: Path, broken: tuple[str, str, str]
) -> None:
    file, text, reason = broken
    for name in "ab":
        shutil.copytree(trained / name, place / name)
    if file == "model.json":  # it is looked at only where the configuration names no network
        config = (place / "b" / "config.yaml").read_text().replace("model: digits_cnn,width=4", "model: ''")
        (place / "b" / "config.yaml").write_text(config)
    (place / "b" / file).write_bytes(text.encode("latin-1"))
    said = call("runs", "list", ".")
    assert said.code == 0
    assert " a " in said.out
    assert said.err.startswith("pellucid: b: broken: ")
    assert reason in said.err
    assert said.err.count("\n") == 1
    assert json.loads(call("runs", "list", ".", "--json").out)["broken"][0]["folder"] == "b"
    assert call("runs", "show", "b").code == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("list", "nowhere"), "nowhere: no such folder"),
        (("list", "empty"), "empty: holds no run; make one with pellucid train"),
        (("list", "empty", "--sort", "acuracy"), "sort must be one of name, made, val, accuracy, time, got 'acuracy'"),
        (("show", "empty"), "empty: is not a run (it has no config.yaml and record.json)"),
        (("show", "a", "--last", "-1"), "last must be at least 0, got -1"),
        (("show", "a", "-o", "empty/.."), "output folder must have a name of its own"),
        (("compare", "a"), "runs to compare must be at least two different ones, got a"),
        (("compare", "a", "./a"), "runs to compare must be at least two different ones, got a, ./a"),
        (("compare", "a", "empty"), "empty: is not a run"),
        (
            ("lits", "a"),
            "argument KIND: invalid choice: 'lits' (choose from 'list', 'show', 'compare'); did you mean list?",
        ),
    ],
)
def test_refusals(call: Call, place: Path, trained: Path, words: tuple[str, ...], message: str) -> None:
    (place / "empty").mkdir()
    shutil.copytree(trained / "a", place / "a")
    said = call("runs", *words)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"pellucid: {message}")


def test_a_run_is_shown_with_what_differs_from_the_recipe(call: Call, trained: Path) -> None:
    said = call("runs", "show", trained / "b", "--last", "1")
    assert (said.code, said.err) == (0, "")
    told = dict(line.split("  ", 1) for line in said.out.splitlines() if "  " in line and line[0].isalpha())
    assert (
        told["options"].strip() == "device cpu, model digits_cnn,width=4, limit 200, epochs 2, batch-size 16, lr 0.03"
    )
    test = training.Run(trained / "b").results["test"]
    assert told["test"].strip().startswith(f"accuracy {test['accuracy']:.2%} of 360 (95 % interval ")
    last = training.Run(trained / "b").records()[-1]
    rows = [line.split() for line in said.out.splitlines() if line.startswith("     ") and line.strip()]
    assert [row[0] for row in rows] == ["2"]
    assert f"{last['val_loss']:.4f}" in rows[0]


def test_the_page_of_a_run_is_refreshed_in_place_or_written_elsewhere(call: Call, place: Path, trained: Path) -> None:
    shutil.copytree(trained / "c", place / "run")
    before = content(place / "run")
    assert "index.html" not in before, "it has not finished"
    assert call("runs", "show", "run", "-o", "run").code == 0
    after = content(place / "run")
    page = after.pop("index.html")
    assert page is not None
    assert after == before
    assert "not finished, epoch 1 of 3" in page.decode()
    assert "pellucid train classify -o run --resume" in page.decode()
    assert call("runs", "show", "run", "-o", "page").code == 0
    assert sorted(content(place / "page")) == ["index.html", "record.json"]
    assert call("runs", "show", "run", "-o", "page").code == 2
    assert call("runs", "show", "run", "-o", "page", "--force").code == 0
    assert call("runs", "show", "run", "-o", str(trained / "a"), "--force").code == 2, "a run is no page"


def test_a_table_runs_own_page_is_not_replaced(call: Call, place: Path) -> None:
    assert call("train", "tabular", "iris", "--epochs", "3", "-o", "run").code == 0
    before = content(place / "run")
    said = call("runs", "show", "run", "-o", "run")
    assert said.err == "pellucid: the page of a tabular run is drawn by its training; name another folder\n"
    assert content(place / "run") == before
    said = call("runs", "show", "run", "-o", "page")
    assert (said.code, said.err) == (0, "")
    assert " rows, " in (place / "page" / "index.html").read_text()
    said = call("runs", "list", ".")
    assert (said.code, said.err) == (0, "")
    assert "tabular" in said.out


def test_runs_are_compared_by_what_differs(call: Call, place: Path, trained: Path) -> None:
    said = call("runs", "compare", trained / "b", trained / "a", "-o", "both")
    assert (said.code, said.err) == (0, "")
    printed = [line.split("   ") for line in said.out.splitlines() if line.strip()]
    head, _, first, second = ([cell.strip() for cell in row if cell.strip()] for row in printed[:4])
    assert head == ["run", "accuracy", "95 % interval", "val accuracy", "val loss", "best epoch", "time", "lr"]
    assert (first[0], first[-1], second[0], second[-1]) == ("b", "0.03", "a", "0.003")
    assert sorted(content(place / "both")) == ["comparison.json", "curves.png", "index.html", "record.json"]
    told = json.loads((place / "both" / "comparison.json").read_text())
    assert [one["options"] for one in told["runs"]] == [{"lr": "0.03"}, {"lr": "0.003"}]
    best = max(told["runs"], key=lambda one: one["val_accuracy"])
    assert told["best_by_val"] == best["name"]
    assert f"“{best['name']}” is best by val" in said.out
    page = (place / "both" / "index.html").read_text()
    assert page.count("<svg") == 4
    with Image.open(place / "both" / "curves.png") as picture:
        assert picture.width > 1000
    assert call("runs", "compare", trained / "a", trained / "c").code == 0
    said = call("runs", "compare", trained / "a", trained / "c", "-o", "both")
    assert said.err == "pellucid: both exists already; choose another folder, or replace it with --force\n"


def test_runs_of_two_recipes_are_compared_line_by_line(call: Call, place: Path, trained: Path) -> None:
    """Dozens of options differ: they stand below one another, and no run is called better on other data."""
    assert call("train", "tabular", "iris", "--epochs", "2", "-o", "table").code == 0
    said = call("runs", "compare", trained / "a", "table")
    assert (said.code, said.err) == (0, "")
    assert re.search(r"^ *run +a +table *$", said.out, re.MULTILINE)
    assert re.search(r"^ *label-smoothing +0\.0 +– *$", said.out, re.MULTILINE)
    assert re.search(r"^ *model +digits_cnn,width=4 +mlp *$", said.out, re.MULTILINE)
    assert "But they learned from different data" in said.out


def test_a_ladder_is_told_by_the_epochs_of_all_its_trainings(call: Call, place: Path) -> None:
    options: dict[str, Any] = {
        "steps": "base,norm",
        "size": 8,
        "limit": 100,
        "epochs": 2,
        "lr": 0.01,
        "batch_size": 50,
        "repeats": 2,
    }
    list(training.start("ladder", "digits", place / "steps", device="cpu", **options))
    rows = [line.split() for line in call("runs", "list", "steps").out.splitlines() if "steps" in line]
    assert rows[0][0] == "steps"
    assert "8/8" in rows[0]
    for words in (("predict", "steps", "a.png"), ("audit", "steps", "digits", "-o", "out")):
        (place / "a.png").write_bytes(b"")
        said = call(*words)
        assert said.code == 2
        inside = "steps/base-0, steps/base-1, steps/norm-0, ..."
        assert (
            said.err.splitlines()[0]
            == f"pellucid: steps: is no model itself but holds 4 runs, each a model: name one, {inside}"
        )
