"""Models of tables: what they are, and as folders."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pellucid import models
from pellucid.cli import main
from pellucid.models import Scaler, TableModel, create_table_model, load_table_model, save_table_model

ROWS = torch.randn(30, 4, generator=torch.Generator().manual_seed(0)) * 10 + 100
COLUMNS = ("a", "b", "c", "d")


@pytest.fixture
def model() -> TableModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        scaler = Scaler().fit(ROWS)
        return create_table_model(COLUMNS, scaler=scaler, classes=["x", "y", "z"], target="kind").eval()


@pytest.fixture
def folder(model: TableModel, tmp_path: Path) -> Path:
    save_table_model(model, tmp_path / "model", record={"command": "test"})
    return tmp_path / "model"


def test_the_net_of_the_iris_has_131_weights(model: TableModel) -> None:
    assert sum(p.numel() for p in model.parameters()) == 131
    kinds = [type(part).__name__ for part in model.network.children()]
    assert kinds == ["Linear", "ReLU", "Linear"]


def test_rows_are_scaled_before_the_network(model: TableModel) -> None:
    low, high = ROWS.amin(dim=0), ROWS.amax(dim=0)
    torch.testing.assert_close(model(ROWS), model.network((ROWS - low) / (high - low)))
    assert model(ROWS.double()).dtype == torch.float32
    torch.testing.assert_close(model(ROWS.double()), model(ROWS), rtol=1e-4, atol=1e-5)


def test_dropout_and_layers() -> None:
    scaler = Scaler().fit(ROWS)
    net = create_table_model(COLUMNS, scaler=scaler, classes=["x", "y"], hidden=5, layers=2, dropout=0.25)
    kinds = [type(part).__name__ for part in net.network.children()]
    assert kinds == ["Linear", "ReLU", "Dropout", "Linear", "ReLU", "Dropout", "Linear"]
    flat = create_table_model(COLUMNS, scaler=scaler, classes=["x", "y"], layers=0)
    assert [type(part).__name__ for part in flat.network.children()] == ["Linear"]


@pytest.mark.parametrize("kind", models.SCALERS)
def test_saved_and_loaded_it_answers_the_same(kind: str, tmp_path: Path) -> None:
    made = create_table_model(COLUMNS, scaler=Scaler(kind, fills=True).fit(ROWS), classes=["x", "y"], dropout=0.5)
    save_table_model(made, tmp_path / "m")
    assert made.training, "saving changes no mode"
    again = load_table_model(tmp_path / "m")
    assert torch.equal(again(ROWS.double()), made.eval()(ROWS.double()))
    assert not again.training
    assert (again.columns, again.classes, again.target) == (made.columns, made.classes, made.target)
    assert again.build == made.build
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == ["model.json", "weights.safetensors"]


def test_what_model_json_says(folder: Path) -> None:
    told = json.loads((folder / "model.json").read_text())
    assert (told["format"], told["architecture"]) == (1, "mlp")
    assert told["arguments"] == {"inputs": 4, "classes": 3, "hidden": 16, "layers": 1, "dropout": 0.0}
    assert (told["input"]["columns"], told["input"]["target"]) == (list(COLUMNS), "kind")
    assert told["record"] == {"command": "test"}


def change(folder: Path, alter: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "model.json"
    told = json.loads(path.read_text())
    alter(told)
    path.write_text(json.dumps(told))


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (lambda t: t["input"].update(scale=1), r"input must give columns, target, scaler.*did you mean scaler\?"),
        (lambda t: t["input"].pop("target"), "input must give columns, target, scaler, got columns, scaler"),
        (lambda t: t["arguments"].update(width=1), "arguments must give inputs, classes, hidden, layers, dropout"),
        (lambda t: t["arguments"].update(hidden="16"), "hidden must be a whole number, got '16'"),
        (lambda t: t["arguments"].update(hidden=99_999), "more parameters than its weights file can hold"),
        (lambda t: t["arguments"].update(dropout=1), r"dropout must be in \[0, 1\), got 1"),
        (lambda t: t["arguments"].update(inputs=5), "arguments must fit 4 columns and 3 classes, got inputs 5"),
        (lambda t: t["input"].update(columns=["a", "b", "c", 4]), "columns and classes must be lists of strings"),
        (lambda t: t["input"].update(columns="abcd"), "columns and classes must be lists of strings"),
        (
            lambda t: t["input"].update(columns=["a", "b", "c", "a"]),
            "columns must be a list of at least one name, each",
        ),
        (lambda t: t["input"]["scaler"].update(kind=3), "scaler must be an object whose kind is a string"),
        (lambda t: t["input"]["scaler"]["shift"].append(1), "shift must be 4 finite numbers"),
        (lambda t: t["input"]["scaler"]["scale"].__setitem__(0, 5.0), "does not answer as when it was saved"),
        (lambda t: t["fingerprint"].update(input="x"), "fingerprint must give input ramp-v1"),
        (lambda t: t.update(code="x"), "unknown key 'code'"),
        (lambda t: t["weights"].update(sha256="0" * 64), "its sha256 is not the one in model.json"),
    ],
)
def test_everything_in_it_is_checked(folder: Path, alter: Callable[[dict[str, Any]], object], message: str) -> None:
    change(folder, alter)
    with pytest.raises(ValueError, match=message):
        load_table_model(folder)


def test_pictures_are_told_apart(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert models.is_table_model(folder)
    assert not models.is_table_model(tmp_path)
    with pytest.raises(ValueError, match="is a model of tables, not of pictures"):
        models.load(folder)
    assert main(["explain", str(folder), "x.png", "-o", str(tmp_path / "out")]) == 2
    assert main(["describe", str(folder)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert "is a model of tables, not of pictures" in said[1]
    models.save(models.create("digits_cnn", classes=["a", "b"], width=2), tmp_path / "pictures")
    assert not models.is_table_model(tmp_path / "pictures")
    with pytest.raises(ValueError, match=r"is a model of pictures \(digits_cnn\), not of tables"):
        load_table_model(tmp_path / "pictures")
    with pytest.raises(ValueError, match="is not a model"):
        load_table_model(tmp_path)


def test_only_what_can_be_built_again_is_saved(model: TableModel, tmp_path: Path) -> None:
    bare = TableModel(model.network, columns=COLUMNS, scaler=model.scaler, classes=model.classes)
    with pytest.raises(ValueError, match="only if it was built by name"):
        save_table_model(bare, tmp_path / "m")
    assert isinstance(model.network, torch.nn.Sequential)
    model.network[0] = torch.nn.Linear(4, 8)
    with pytest.raises(ValueError, match=r"is not the one that mlp with inputs=4.* builds"):
        save_table_model(model, tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_refuses(model: TableModel) -> None:
    with pytest.raises(ValueError, match=r"rows must be float numbers \(N, 4\)"):
        model(ROWS[:, :3])
    with pytest.raises(ValueError, match="scaler must be fitted on 4 columns"):
        create_table_model(COLUMNS, scaler=Scaler(), classes=["x", "y"])
    with pytest.raises(ValueError, match="classes must be a list of at least one name, each another"):
        create_table_model(COLUMNS, scaler=model.scaler, classes=["x", "x"])
    with pytest.raises(ValueError, match=r"classes must be in \[2, 1000000\], got 1"):
        create_table_model(COLUMNS, scaler=model.scaler, classes=["x"])
