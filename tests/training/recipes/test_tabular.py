"""The recipe for tables: what it estimates, what it keeps, and that it can be gone on with."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from pellucid.data import Table, builtin
from pellucid.models import load_table_model
from pellucid.training import Run, resume, start
from pellucid.training.recipes._trials import Trial, Trials
from pellucid.training.recipes.tabular import _trials
from pellucid.training.tabular import TableTraining

IRIS = builtin("iris", split="all")
SHORT: dict[str, Any] = {"epochs": 4, "lr": 0.02, "every": 3, "device": "cpu"}


def trained(folder: Path, data: str = "iris", **options: Any) -> dict[str, Any]:
    """Results of a short run."""
    told = list(start("tabular", data, folder, **{**SHORT, **options}))
    assert str(folder) in told[-1].text
    return Run(folder).results


@pytest.fixture(scope="module")
def kfold(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "kfold"
    trained(folder, estimate="kfold", folds=5, epochs=10, lr=0.3)
    return folder


def test_a_run_of_iris(tmp_path: Path) -> None:
    results = trained(tmp_path / "a")
    assert sorted(path.name for path in (tmp_path / "a").iterdir() if path.name != ".lock") == [
        "config.yaml",
        "index.html",
        "last.pt",
        "metrics.csv",
        "metrics.jsonl",
        "model.json",
        "record.json",
        "results.json",
        next((tmp_path / "a").glob("weights*.safetensors")).name,
    ]
    fold = results["folds"][0]
    assert (fold["train"], fold["val"], fold["test"]) == (110, 20, 20)
    assert len(Run(tmp_path / "a").records()) == 4
    page = (tmp_path / "a" / "index.html").read_text()
    assert all(word in page for word in ("setosa", "true ↓ predicted →", "How it learned", "macro", "weighted"))
    model = load_table_model(tmp_path / "a")
    assert (model.columns, model.classes) == (IRIS.columns, IRIS.classes)


def test_the_kept_model_gives_what_the_run_says(tmp_path: Path) -> None:
    results = trained(tmp_path / "a", seed=5, epochs=6)
    split = _trials(IRIS, "holdout", folds=5, repeats=1, test=0.1333, val=0.1333, seed=5)[0].split
    targets = IRIS.targets[split.test].numpy()
    predicted = load_table_model(tmp_path / "a")(IRIS.values[split.test]).argmax(dim=1).numpy()
    assert results["test"]["accuracy"] == pytest.approx(accuracy_score(targets, predicted))
    np.testing.assert_array_equal(results["confusion"], confusion_matrix(targets, predicted, labels=range(3)))
    for name in ("macro", "weighted", "micro"):
        wanted = precision_recall_fscore_support(targets, predicted, average=name, zero_division=0.0, labels=range(3))
        assert list(results[name].values()) == pytest.approx(wanted[:3])
    best = min(Run(tmp_path / "a").records(), key=lambda line: line["val_loss"])
    assert results["best_epoch"] == best["epoch"]
    wrong = {one["row"] for one in results["wrong"]}
    assert wrong
    assert wrong == set(IRIS.rows[split.test][torch.from_numpy(predicted != targets)].tolist())


def test_folds_are_judged_once_each_and_the_model_is_refitted_on_all(kfold: Path) -> None:
    results = Run(kfold).results
    assert [fold["test"] for fold in results["folds"]] == [30, 30, 30, 30, 30, 0]
    assert results["folds"][-1]["train"] == 150
    assert results["test"]["count"] == sum(map(sum, results["confusion"])) == 150
    assert [sum(row) for row in results["confusion"]] == [50, 50, 50]
    assert results["error_mean_of_folds"] == pytest.approx(results["error_pooled"])  # equal folds
    assert results["error_pooled"] == pytest.approx(1 - results["test"]["accuracy"])
    best = sorted(fold["best_epoch"] for fold in results["folds"][:-1])
    assert results["folds"][-1]["epochs"] == best[2] < best[4]
    scaler = load_table_model(kfold).scaler
    assert torch.equal(scaler.shift_, IRIS.values.amin(dim=0))


def test_refit_learns_from_train_and_val_for_the_best_number_of_epochs(tmp_path: Path) -> None:
    results = trained(tmp_path / "a", final="refit", lr=0.3, epochs=12)
    first, second = results["folds"]
    assert (first["train"], first["val"], first["test"]) == (110, 20, 0)
    assert (second["train"], second["val"], second["test"]) == (130, 0, 20)
    assert second["epochs"] == first["best_epoch"] < 12
    split = _trials(IRIS, "holdout", folds=5, repeats=1, test=0.1333, val=0.1333, seed=0)[0].split
    model = load_table_model(tmp_path / "a")
    together = torch.cat([split.train, split.val])
    assert torch.equal(model.scaler.shift_ + model.scaler.scale_, IRIS.values[together].amax(dim=0))
    assert not torch.equal(model.scaler.shift_ + model.scaler.scale_, IRIS.values.amax(dim=0))
    predicted = model(IRIS.values[split.test]).argmax(dim=1)
    assert results["test"]["accuracy"] == pytest.approx(float((predicted == IRIS.targets[split.test]).double().mean()))


def test_the_best_of_the_folds_is_chosen_by_val_never_by_test(tmp_path: Path) -> None:
    results = trained(tmp_path / "a", estimate="kfold", folds=3, final="best", epochs=6)
    best = min(range(3), key=lambda number: results["folds"][number]["val_loss"])
    assert len(results["folds"]) == 3
    trials = _trials(IRIS, "kfold", folds=3, repeats=1, test=0.1333, val=0.1333, seed=0)
    scaler = load_table_model(tmp_path / "a").scaler
    assert torch.equal(
        scaler.scale_, torch.stack([*IRIS.values[trials[best].split.train].aminmax(dim=0)]).diff(dim=0)[0]
    )


def test_repeats_have_other_splits_and_a_mean(tmp_path: Path) -> None:
    results = trained(tmp_path / "a", repeats=3, epochs=8)
    shares = [fold["test_accuracy"] for fold in results["folds"][:3]]
    assert results["test"]["accuracy"] == pytest.approx(np.mean(shares))
    half = 4.302652729911275 * np.std(shares, ddof=1) / 3**0.5  # Student's t, 2 degrees of freedom
    assert results["test"]["low"] == pytest.approx(np.mean(shares) - half)
    assert results["test"]["high"] == pytest.approx(min(1, np.mean(shares) + half))
    single = trained(tmp_path / "b", seed=1, epochs=8)
    assert single["test"]["accuracy"] == pytest.approx(shares[1]), "a repeat is the run of the next seed"


def test_leave_one_out(tmp_path: Path) -> None:
    path = tmp_path / "small.csv"
    rows = [(0.0, "a"), (0.1, "a"), (0.2, "a"), (0.9, "b"), (1.0, "b"), (1.1, "b"), (1.1, "b")]
    path.write_text("x,kind\n" + "\n".join(f"{x},{kind}" for x, kind in rows))
    results = trained(tmp_path / "a", str(path), estimate="loo", val=0, epochs=30, lr=0.1)
    judged = [fold for fold in results["folds"] if fold["test"]]
    assert [fold["test"] for fold in judged] == [1, 1, 1, 1, 1, 2], "equal rows go together"
    assert results["test"]["count"] == 7


def test_every_row_is_held_out_once_and_no_twin_is_learned_from() -> None:
    for estimate in ("kfold", "loo"):
        trials = _trials(IRIS, estimate, folds=5, repeats=1, test=0.1, val=0.1333, seed=3)
        assert sorted(row for trial in trials for row in trial.split.test.tolist()) == list(range(150))
        for trial in trials:
            parts = [set(map(tuple, IRIS.values[part].tolist())) for part in vars(trial.split).values()]
            assert not parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2]
            assert len(trial.split.val) == 20


@pytest.mark.parametrize(
    ("options", "checkpoints"),
    [
        ({"dropout": 0.2, "epochs": 8}, 0),
        ({"dropout": 0.2, "epochs": 10}, 2),
        ({"estimate": "kfold", "folds": 2, "epochs": 4}, 1),
        ({"estimate": "kfold", "folds": 2, "epochs": 4}, 3),
        ({"estimate": "kfold", "folds": 2, "epochs": 4, "dropout": 0.2}, 4),
        ({"final": "refit", "epochs": 7}, 4),
    ],
)
def test_resumed_equals_uninterrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], checkpoints: int
) -> None:
    whole = trained(tmp_path / "whole", **options)
    written, left = Run.checkpoint, iter(range(checkpoints))

    def die(run: Run, *parts: Any) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        written(run, *parts)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "checkpoint", die)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / "cut", **options)
    assert (tmp_path / "cut" / "last.pt").is_file() == bool(checkpoints)
    list(resume(tmp_path / "cut"))
    again = Run(tmp_path / "cut").results
    for results in (whole, again):
        results.pop("training_seconds")
    assert again == whole
    one, other = (load_table_model(tmp_path / name).state_dict() for name in ("whole", "cut"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    lines = [Run(tmp_path / name).records() for name in ("whole", "cut")]
    for line in (*lines[0], *lines[1]):
        line.pop("seconds", None)
    assert lines[0] == lines[1]
    assert "right" in next(iter(resume(tmp_path / "cut"))).text, "a finished run is told again"


def test_a_training_amid_others_goes_on_at_its_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint, left = Run.checkpoint, iter(range(3))

    def die(run: Run, *parts: Any) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        checkpoint(run, *parts)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "checkpoint", die)
        with pytest.raises(KeyboardInterrupt):  # the last checkpoint is that of the second fold's third epoch
            trained(tmp_path / "a", estimate="kfold", folds=2)
    judged, epochs = TableTraining._judged, list[int]()

    def counted(training: TableTraining) -> dict[str, float]:
        epochs.append(training.state.epoch)
        return judged(training)

    monkeypatch.setattr(TableTraining, "_judged", counted)
    list(resume(tmp_path / "a"))
    assert epochs == [4]


def test_what_is_nothing_over_nothing_is_flagged(tmp_path: Path) -> None:
    results = trained(tmp_path / "a", epochs=1, lr=1e-9)
    lacking = [one["name"] for one in results["classes"] if "precision" in one["undefined"]]
    assert lacking == [one["name"] for one in results["classes"] if not one["predicted"]]
    assert lacking
    page = (tmp_path / "a" / "index.html").read_text()
    assert page.count('<td class="n">0/0</td>') == len(lacking)
    assert "0/0 marks a share of nothing" in page


def written(folder: Path, text: str) -> str:
    (folder / "t.csv").write_text(text)
    return str(folder / "t.csv")


ROWS = "".join(f"{n},{n % 7},7,{'uv'[n % 2]}\n" for n in range(30))


def test_a_constant_column_is_named(tmp_path: Path) -> None:
    data = written(tmp_path, f"a,b,year,kind\n{ROWS}")
    with pytest.warns(UserWarning, match="column year is constant in training and becomes 0"):
        trained(tmp_path / "a", data)


def test_missing_values(tmp_path: Path) -> None:
    data = written(tmp_path, f"a,b,year,kind\n1,,2,u\n{ROWS}")
    with pytest.raises(ValueError, match="row 1, column 'b': a value is missing"):
        trained(tmp_path / "a", data, ignore="year")
    assert not (tmp_path / "a").exists(), "nothing is left of what was refused"
    dropped = trained(tmp_path / "b", data, ignore="year", missing="drop")
    assert (dropped["rows"], dropped["notes"]) == (30, ["1 rows lack a value and are left out"])
    filled = trained(tmp_path / "c", data, ignore="year", missing="mean")
    assert (filled["rows"], filled["columns"]) == (31, ["a", "b"])
    model = load_table_model(tmp_path / "c")
    assert model.scaler.fills
    assert model(torch.tensor([[1.0, torch.nan]], dtype=torch.float64)).isfinite().all()


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ("iris", {"test": 151}, "test must not be larger than the set, got 151 of 150 rows"),
        ("iris", {"test": 0}, "test must be above 0 with holdout"),
        ("iris", {"estimate": "kfold", "folds": 51}, "folds must be at most the rows of the smallest class, got 51"),
        (
            "iris",
            {"estimate": "k-fold"},
            r"estimate must be one of holdout, kfold, loo, got 'k-fold'; did you mean kfold",
        ),
        ("iris", {"estimate": "loo", "repeats": 2}, "repeats must be 1 with loo"),
        ("iris", {"monitor": "val_f1"}, "monitor must be one of val_loss, val_accuracy, loss, accuracy, got 'val_f1'"),
        ("iris", {"target": "species"}, "target is for .csv files; iris is built in"),
        ("iris", {"missing": "zero"}, "missing must be one of error, drop, mean, got 'zero'"),
        ("iri", {}, r"iri: no such table; give a .csv file, or iris, circles, moons; did you mean iris\?"),
        ("iris", {"devices": 1, "patients": 3}, r"has no option 'patients'; did you mean patience"),
    ],
)
def test_refuses(tmp_path: Path, data: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        trained(tmp_path / "a", data, **options)
    assert not (tmp_path / "a").exists()


def test_cells_that_are_no_numbers_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"t\.csv: row 2, column 'b': must be a number, got 'tall'"):
        trained(tmp_path / "a", written(tmp_path, "a,b,kind\n1,2,u\n1,tall,v\n"))


def test_circles_are_learned(tmp_path: Path) -> None:
    results = trained(tmp_path / "a", "circles", epochs=15, test=0.5, batch_size=32, lr=0.05)
    assert results["test"]["accuracy"] > 0.9


def test_results_are_plain_json_and_classes_without_rows_are_flagged(kfold: Path) -> None:
    told = json.loads((kfold / "results.json").read_text())
    assert [one["name"] for one in told["classes"]] == list(IRIS.classes)
    assert isinstance(IRIS, Table)
    for one in told["classes"]:
        assert ("precision" in one["undefined"]) == (one["predicted"] == 0)


def test_the_page_draws_the_folds_over_each_other(kfold: Path, tmp_path: Path) -> None:
    page = (kfold / "index.html").read_text()
    assert "Loss of each training on its val rows" in page
    options: dict[str, Any] = {"estimate": "kfold", "folds": 12, "epochs": 2, "device": "cpu"}
    list(start("tabular", "iris", tmp_path / "run", **options))
    page = (tmp_path / "run" / "index.html").read_text()
    assert "The first 10 of 12." in page


def test_a_folds_curve_goes_on_where_it_was_cut(tmp_path: Path) -> None:
    """Stopped amid the second fold: its curve has every epoch once."""
    table = builtin("iris", split="all")
    config = {"recipe": "tabular", "data": "iris"}
    trials = _trials(table, "kfold", folds=2, repeats=1, test=0.1, val=20, seed=0)

    def make(trial: Trial) -> TableTraining:
        return TableTraining(table, trial.split, epochs=7, patience=None, seed=trial.seed)

    whole = Trials(Run.create(tmp_path / "whole", config), table, trials, None, make, 3)
    list(whole())
    run, saves = Run.create(tmp_path / "cut", config), []
    kept = run.checkpoint

    def checkpoint(parts: Any) -> None:
        kept(parts)
        saves.append(1)
        if len(saves) == 4:  # two of each fold, and one between them
            raise KeyboardInterrupt

    run.checkpoint = checkpoint  # type: ignore[method-assign,assignment]
    with pytest.raises(KeyboardInterrupt):
        list(Trials(run, table, trials, None, make, 3)())
    again = Trials(Run(tmp_path / "cut"), table, trials, None, make, 3)
    list(again())
    assert [len(curve) for curve in again.done.curves] == [7, 7]
    assert again.done.curves == whole.done.curves
