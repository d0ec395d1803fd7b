"""pellucid train tabular, then pellucid predict of rows."""

import json
from pathlib import Path

import pytest
import torch

from pellucid.models import load_table_model
from pellucid.training import start

from .calling import Call, pictures

ROWS = (
    "note,petal width (cm),petal length (cm),sepal length (cm),sepal width (cm)\nx,0.2,1.4,5.1,3.5\ny,2.3,5.9,6.8,3.2\n"
)
OWN_ORDER = torch.tensor([[5.1, 3.5, 1.4, 0.2], [6.8, 3.2, 5.9, 2.3]], dtype=torch.float64)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "iris"
    list(start("tabular", "iris", folder, epochs=20, lr=0.05, device="cpu"))
    return folder


def test_train_from_the_command_line(call: Call, place: Path) -> None:
    said = call("train", "tabular", "iris", "--epochs", "3", "--every", "2", "-o", "run")
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0].startswith("110 train, 20 val, 20 test rows; 4 columns, 3 classes; chance is 1.099 nats")
    assert [line.partition(":")[0] for line in lines[1:]] == ["epoch 2/3", "epoch 3/3", "run", "page"]
    assert (place / "run" / "model.json").is_file()
    again = call("train", "tabular", "iris", "-o", "run")
    assert again.code == 2
    assert "holds a run already" in again.err


def test_columns_are_found_by_name(call: Call, place: Path, run: Path) -> None:
    (place / "rows.csv").write_text(ROWS)
    said = call("predict", run, "rows.csv", "--json", "--top", "3")
    assert (said.code, said.err) == (0, "")
    told = json.loads(said.out)["rows"]
    with torch.inference_mode():
        probabilities = load_table_model(run)(OWN_ORDER).double().softmax(dim=1)
    assert [(one["file"], one["row"]) for one in told] == [("rows.csv", 1), ("rows.csv", 2)]
    for one, wanted in zip(told, probabilities, strict=True):
        assert [said["index"] for said in one["predictions"]] == wanted.argsort(descending=True).tolist()
        assert [said["probability"] for said in one["predictions"]] == pytest.approx(
            wanted.sort(descending=True).values
        )
    assert [one["predictions"][0]["class"] for one in told] == ["setosa", "virginica"]


def test_the_table(call: Call, place: Path, run: Path) -> None:
    (place / "rows.csv").write_text(ROWS)
    said = call("predict", run, "rows.csv")
    words = [line.split() for line in said.out.splitlines() if line.strip() and "─" not in line]
    assert words[0] == ["row", "species"]
    assert [word[:2] for word in words[1:]] == [["1", "setosa"], ["2", "virginica"]]
    both = call("predict", run, "rows.csv", "rows.csv", "--top", "2")
    assert both.out.split()[:4] == ["file", "row", "species", "2."]
    assert both.out.count("rows.csv") == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("width", "breadth"), "rows.csv: has no column 'sepal width (cm)', has note, petal"),
        (("1.4", ""), "rows.csv: row 1, column 'petal length (cm)': a value is missing"),
        (("1.4", "long"), "row 1, column 'petal length (cm)': must be a number, got 'long'"),
    ],
)
def test_refuses_rows(call: Call, place: Path, run: Path, change: tuple[str, str], message: str) -> None:
    (place / "rows.csv").write_text(ROWS.replace(*change))
    said = call("predict", run, "rows.csv")
    assert (said.code, len(said.err.splitlines())) == (2, 1)
    assert message in said.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("a.png", "a.png: the model is one of tables; give a .csv file with sepal length (cm), "),
        ("rows.csv --top 4", "top must be in [1, 3], got 4"),
        ("rows.csv --weights x.pt", "weights cannot be given to a model of tables"),
        ("row.csv", "row.csv: no such table; did you mean rows.csv?"),
    ],
)
def test_refuses_words(call: Call, place: Path, run: Path, words: str, message: str) -> None:
    (place / "rows.csv").write_text(ROWS)
    said = call("predict", run, *words.split())
    assert (said.code, len(said.err.splitlines())) == (2, 1)
    assert message in said.err


@pytest.mark.parametrize("verb", ["explain", "audit", "describe", "layers", "visualize filters"])
def test_verbs_of_pictures_say_so_in_a_line(call: Call, place: Path, run: Path, verb: str) -> None:
    pictures(place, "set/cat/a.png", "set/dog/b.png")
    more = [] if verb in {"describe", "layers"} else ["-o", "out"]
    asked = ["set"] if verb in {"explain", "audit"} else []
    said = call(*verb.split(), run, *asked, *more)
    assert (said.code, len(said.err.splitlines())) == (2, 1)
    assert "is a model of tables, not of pictures" in said.err
