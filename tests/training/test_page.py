"""The page of a run and of several, from runs written by hand: every number on it is one of theirs."""

import json
from pathlib import Path
from typing import Any

import pytest

from pellucid.training import Run, compared, comparison_rows, find_runs, lasted, run_page, said, write_comparison

LINES = [
    {"epoch": 0, "steps": 0, "val_loss": 2.3, "val_accuracy": 0.1},
    {
        "epoch": 1,
        "steps": 9,
        "lr": 0.1,
        "loss": 2.0,
        "accuracy": 0.3,
        "val_loss": 1.5,
        "val_accuracy": 0.4,
        "seconds": 2.0,
    },
    {
        "epoch": 2,
        "steps": 18,
        "lr": 0.1,
        "loss": 1.0,
        "accuracy": 0.7,
        "val_loss": 0.9,
        "val_accuracy": 0.625,
        "seconds": 3.0,
    },
]
RESULTS = {
    "judged_on": "test",
    "test": {"accuracy": 0.5, "low": 0.4, "high": 0.6, "loss": 1.0, "count": 1234},
    "classes": 8,
    "best_epoch": 2,
    "epochs": 2,
    "parameters": 93_322,
    "training_seconds": 5.0,
    "images_per_second": 321.4,
    "notes": ["2 pictures <left> out"],
}


def made(folder: Path, *, best: int = 2, results: dict[str, Any] | None = None, **options: Any) -> Path:
    config = {"recipe": "classify", "data": "<b>set</b>", "model": "net & net", "epochs": 2, "lr": 0.003, **options}
    run = Run.create(folder, config)
    for line in LINES:
        run.log({**line, **({"best": line["epoch"] == best} if line["epoch"] else {})})
    if results != {}:
        run.finish(RESULTS | {"best_epoch": best} | (results or {}))
    return folder


def test_the_page_says_what_the_run_says_and_escapes_it(tmp_path: Path) -> None:
    page = run_page(Run(made(tmp_path / "run", lr=0.5)))
    for text in (
        "<h1>net &amp; net on b&gt;</h1>",
        "<strong>50.0%</strong>",
        "of 1,234 test images, which no choice was made by, are right: 95 % interval 40.0% to 60.0%; chance is 12.5%.",
        "of 2 done: val accuracy 62.5%, val loss 0.9; its weights are the ones that are kept.",
        "<strong>5.0 s</strong>",
        "of training, 321 images a second; 93,322 trained numbers.",
        "2 pictures &lt;left&gt; out",
        ">best epoch<",
        "the last, and was still falling",
        "3 options differ from what recipe classify does when nothing is said.",
    ):
        assert text in page, text
    assert "<left>" not in page
    assert page.count("<svg") == 3
    assert "NaN" not in page


def test_a_page_can_be_made_before_the_first_epoch_and_of_an_unknown_recipe(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", {"recipe": "of tomorrow", "data": "x", "depth": 3})
    page = run_page(run)
    assert "No epoch is done yet." in page
    assert '<td class="whole">3</td>' in page
    assert "<svg" not in page


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.04, "0.0 s"), (59.94, "59.9 s"), (250, "4 min 10 s"), (7500, "2 h 5 min")]
)
def test_times_are_said_as_people_do(seconds: float, told: str) -> None:
    assert lasted(seconds) == told


def test_runs_are_found_below_and_named_apart(tmp_path: Path) -> None:
    for name in ("one/a", "two/a", "two/b", "two/a/rung"):
        made(tmp_path / name)
    found = find_runs([tmp_path / "two", tmp_path])
    assert [str(path.relative_to(tmp_path)) for path in found] == ["two/a", "two/a/rung", "two/b", "one/a"]
    assert compared(found).names == ("two/a", "a/rung", "two/b", "one/a")
    assert compared(found[1:3]).names == ("rung", "b")


def test_the_best_is_chosen_by_val_and_test_is_only_told(tmp_path: Path) -> None:
    folders = [
        made(
            tmp_path / "a", best=1, lr=1.0, results={"test": {"accuracy": 0.9, "low": 0.8, "high": 0.95, "count": 10}}
        ),
        made(tmp_path / "b", lr=2.0),
        made(tmp_path / "c", lr=3.0, results={"test": {"accuracy": 0.55, "low": 0.45, "high": 0.65, "count": 10}}),
        made(tmp_path / "d", lr=3.0, results={}),
    ]
    found = compared(folders)
    assert found.best == 1, "of equal ones the first"
    assert found.options == ("lr",)
    assert said(found) == (
        "“b” is best by val: 62.50% of the val part right. On test it has 50.00% (40.00% to 60.00%). The test "
        "intervals of c overlap with its own: those differences may be chance."
    )
    head, rows = comparison_rows(found)
    assert head[0] == "run"
    assert head[-1] == "lr"
    assert rows[0] == ["a", "90.00%", "80.00% to 95.00%", "40.00%", "1.5000", "1 of 2", "5.0 s", "1.0"]
    assert rows[3][1:3] == ["stopped", "–"]
    epochs, values = found.curves["val_loss"]["a"]
    assert (epochs.tolist(), values.tolist()) == ([1, 2], [1.5, 0.9])


def test_many_runs_share_a_figure_up_to_twelve(tmp_path: Path) -> None:
    found = compared([made(tmp_path / f"{number:02d}", lr=float(number)) for number in range(14)])
    write_comparison(found, tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text()
    assert "The first 12 of 14." in page
    assert page.count('<th scope="row"') == 14
    assert '<td class="whole">13.0</td>' in page, "numbers are not broken over lines"
    assert len(json.loads((tmp_path / "out" / "comparison.json").read_text())["runs"]) == 14


def test_runs_without_a_val_part_have_no_best(tmp_path: Path) -> None:
    for name in "ab":
        run = Run.create(tmp_path / name, {"recipe": "classify", "data": name})
        run.log({"epoch": 1, "steps": 1, "lr": 0.1, "loss": 1.0, "seconds": 1.0})
    found = compared([tmp_path / "a", tmp_path / "b"])
    assert found.best is None
    assert said(found) == "None of these runs has val values yet: there is nothing to choose by."
    assert found.options == ("data",)
