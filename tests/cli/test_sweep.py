"""`pellucid sweep`, with real children."""

import json
from pathlib import Path

import pytest

from .calling import Call

WORDS = ["sweep", "classify", "digits", "--limit", "200", "--device", "cpu", "--model", "digits_cnn,width=4"]


def test_runs_in_parallel_a_table_and_a_page(call: Call, place: Path) -> None:
    words = [*WORDS, "--epochs", "1", "--grid", "batch-size=20,0", "lr=0.01", "-o", "sweeps/a"]
    said = call(*words)
    assert said.code == 1  # one failed
    assert "2 runs; 2 at a time" in said.out
    assert "failed: batch_size must be at least 1, got 0" in said.out
    assert "batch-size 20, lr 0.01 (best by val)" in said.out
    assert f"page: {place / 'sweeps/a/index.html'}" in said.out
    table = json.loads((place / "sweeps/a/table.json").read_text())
    assert [row["setting"] for row in table["rows"]] == ["batch-size 20, lr 0.01", "batch-size 0, lr 0.01"]
    assert call("predict", "sweeps/a/batch_size=20,lr=0.01", "--help").code == 0


@pytest.mark.parametrize(
    ("grid", "told"),
    [
        (["rl=0.1"], "--grid takes option=value, got 'rl=0.1'; did you mean lr"),
        (["lr"], "--grid takes option=value,value,..., got 'lr'"),
        (["lr=fast"], "--grid lr cannot be 'fast'; see --help for what it takes"),
        (["epochs=1.5"], "--grid epochs cannot be '1.5'"),
        (["lr=0.1,0.1"], "grid must give lr at least one value, each once"),
    ],
)
def test_a_grid_that_is_none(grid: list[str], told: str, call: Call, place: Path) -> None:
    said = call(*WORDS, "--grid", *grid, "-o", "a")
    assert said.code == 2
    assert told in said.err
    assert not (place / "a").exists()


def test_values_with_commas_are_parted_by_semicolons(call: Call, place: Path) -> None:
    said = call(*WORDS, "--grid", "augmentation=none;crop=1,hflip;crop=1,hflip", "-o", "a")
    assert said.code == 2
    assert "['none', 'crop=1,hflip', 'crop=1,hflip']" in said.err


def test_help_teaches(call: Call) -> None:
    said = call("sweep", "--help")
    assert said.code == 0
    assert said.out.count("--grid") >= 4
    said = call("sweep", "tabular", "--help")
    assert "runs of each combination" in said.out
    assert said.out.count("--repeats") == 1
    assert said.out.startswith("usage: pellucid sweep tabular DATA --grid OPTION=VALUE,VALUE ... -o OUT [options]")
