"""pellucid transfer."""

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pellucid import data, models
from pellucid.cli._transfer_trials import Fit, Trial, Trials
from pellucid.features import extract
from pellucid.features.probes import LinearSVM, NearestNeighbours, about_probe, grid_search, load_probe
from pellucid.metrics import proportion

from .calling import Call, content

NAMES = ("dark", "light", "left")
FILES = {"index.html", "layers.csv", "predictions.csv", "summary.json", "record.json"}
FEW = ("--layers", "3", "--folds", "2", "--map", "none")


def picture(number: int, seed: int) -> Image.Image:
    """8 x 8: dark, light, or light on the left, with noise."""
    base = np.full((8, 8), (60, 190, 60)[number], dtype=np.float64)
    base[:, :4] += 130 * (number == 2)
    noise = np.random.default_rng(seed).normal(0, 12, (8, 8))
    return Image.fromarray((base + noise).clip(0, 255).astype(np.uint8))


def scenes(folder: Path, splits: dict[str, int]) -> Path:
    """Pictures of three kinds, so many of each kind in each split; "" for none."""
    seed = 0
    for split, count in splits.items():
        for number, name in enumerate(NAMES):
            for each in range(count):
                seed += 1
                path = folder / split / name / f"{each}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                picture(number, seed).save(path)
    return folder


@pytest.fixture
def both(place: Path) -> Path:
    return scenes(place / "both", {"train": 6, "test": 4})


def summary(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return told


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def by_hand(model: models.Model, folder: Path, split: str, layer: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and targets, without any store."""
    some = data.open_images(folder, split=split)
    images = torch.stack([some.read(place, model.geometry) for place in range(len(some))]).float() / 255
    return extract(model, images, [layer])[layer], some.targets


def test_the_numbers_are_the_librarys_and_everything_is_written(
    call: Call, place: Path, both: Path, model_folder: Path
) -> None:
    words = ("--layers", "3,11", "--probe", "svm,knn", "--folds", "3")
    said = call("transfer", model_folder, both, *words, "--map", "none", "-o", "out")
    assert (said.code, said.err) == (0, "")
    assert {name for name in content(place / "out") if "/" not in name} == {*FILES, "probe", "model"}
    told = summary(place / "out")
    assert (told["train"], told["test"], told["computed"]) == (18, 12, 30)
    model = models.load(model_folder)
    rows = table(place / "out/layers.csv")
    assert [(row["layer"], row["probe"]) for row in rows] == [("3", "svm"), ("3", "knn"), ("11", "svm"), ("11", "knn")]
    splits = None
    for row, layer in zip(rows[::2], ("3", "11"), strict=True):
        x, y = by_hand(model, both, "train", layer)
        asked, wanted = by_hand(model, both, "test", layer)
        splits = data.k_folds(y, folds=3)
        search = grid_search(LinearSVM(), x, y, splits=splits)
        share = proportion(int((search.probe.predict(asked) == wanted).sum()), len(wanted))
        assert row["chosen"] == f"C = {search.cost:g}"
        assert float(row["cross_validated"]) == pytest.approx(search.score)
        assert [float(row[name]) for name in ("test_accuracy", "low", "high")] == pytest.approx(
            [share.value, share.low, share.high]
        )
    assert splits is not None
    x, y = by_hand(model, both, "train", "3")
    scores = {}
    for k in (1, 3, 5, 10):
        hits = [
            (NearestNeighbours(neighbours=k).fit(x[f.train], y[f.train]).predict(x[f.held]) == y[f.held])
            .double()
            .mean()
            for f in splits
        ]
        scores[k] = float(sum(hits)) / 3
    k = max(scores, key=lambda one: (scores[one], -one))
    assert rows[1]["chosen"] == f"k = {k}"
    assert float(rows[1]["cross_validated"]) == pytest.approx(scores[k])
    best = max(rows, key=lambda row: float(row["cross_validated"]))
    assert [row["best"] for row in rows].index("1") == rows.index(best)
    assert told["best"]["cross_validated"] == float(best["cross_validated"])


def test_the_best_is_chosen_by_cross_validation_and_never_by_test_accuracy() -> None:
    def trial(layer: str, score: float, right: int) -> Trial:
        fit = Fit(LinearSVM(), "", score)
        return Trial(layer, 8, "svm", "l2", fit, torch.zeros(10, dtype=torch.int64), proportion(right, 10), 0.0, ())

    rows = (trial("a", 0.7, 10), trial("b", 0.9, 5), trial("c", 0.9, 8), trial("d", 0.8, 9))
    assert Trials(rows, 20, 10).best.layer == "b"


def test_the_saved_probe_says_what_the_table_of_predictions_says(
    call: Call, place: Path, both: Path, model_folder: Path
) -> None:
    assert call("transfer", model_folder, both, *FEW, "-o", "out").code == 0
    probe, about = load_probe(place / "out/probe"), about_probe(place / "out/probe")
    asked, wanted = by_hand(models.load(model_folder), both, "test", about["column"]["layer"])
    rows = table(place / "out/predictions.csv")
    predicted = probe.predict(asked).tolist()
    assert [int(row["predicted"]) for row in rows] == predicted
    assert [row["predicted_name"] for row in rows] == [about["classes"][one] for one in predicted]
    assert [int(row["label"]) for row in rows] == wanted.tolist()
    assert [row["correct"] == "1" for row in rows] == (torch.tensor(predicted) == wanted).tolist()
    assert about["classes"] == sorted(NAMES)


def test_a_second_run_passes_no_picture_and_a_changed_one_only_itself(
    call: Call, place: Path, both: Path, model_folder: Path
) -> None:
    words = ("transfer", model_folder, both, *FEW, "-o", "out")
    assert call(*words).code == 0
    first = summary(place / "out")
    again = call(*words, "--force")
    assert "Features of 30 of 30 pictures were there already." in again.out
    second = summary(place / "out")
    assert second["computed"] == 0
    assert second["best"] | {"seconds": 0} == first["best"] | {"seconds": 0}
    picture(0, 999).save(both / "train/dark/0.png")
    assert call(*words, "--force").code == 0
    assert summary(place / "out")["computed"] == 1


def test_pictures_on_both_sides_are_told_and_judged_without(
    call: Call, place: Path, both: Path, model_folder: Path
) -> None:
    shutil.copy(both / "train/dark/2.png", both / "test/dark/1.png")
    shutil.copy(both / "train/left/3.png", both / "test/light/0.png")  # labelled otherwise: never right
    said = call("transfer", model_folder, both, *FEW, "--near", "0", "-o", "out")
    told = summary(place / "out")
    found = {(one["train"], one["test"]) for one in told["twins"]["listed"]}
    assert found == {("train/dark/2.png", "test/dark/1.png"), ("train/left/3.png", "test/light/0.png")}
    assert (told["twins"]["pairs"], told["twins"]["same_files"]) == (2, 2)
    rows = table(place / "out/predictions.csv")
    right = [row["correct"] == "1" for row in rows if row["file"] not in {"test/dark/1.png", "test/light/0.png"}]
    assert told["twins"]["accuracy_without"]["value"] == pytest.approx(sum(right) / len(right))
    assert "2 pairs of a training and a test picture are the same but for size, crop or compression" in said.out
    page = (place / "out/index.html").read_text()
    assert "the same file, “left” and “light”" in page
    assert "learned from: train/dark/2.png" in page


def test_equal_files_are_told_even_where_near_ones_are_too_many(
    call: Call, place: Path, both: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pellucid.audit import neighbours

    def refuse(*_rows: object, **_options: object) -> None:
        raise ValueError("pairs must be fewer")

    monkeypatch.setattr(neighbours, "near_duplicates", refuse)
    shutil.copy(both / "train/dark/2.png", both / "test/dark/1.png")
    said = call("transfer", model_folder, both, *FEW, "-o", "out")
    assert "1 test picture is the same file as a training picture" in said.out
    assert "pictures on both sides could not be listed: pairs must be fewer" in said.out
    assert summary(place / "out")["twins"]["same_files"] == 1


def test_equal_files_are_told_whatever_is_near(
    call: Call, place: Path, both: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pellucid.audit import neighbours
    from pellucid.features import Pairs

    none = torch.zeros(0, dtype=torch.int64)
    monkeypatch.setattr(neighbours, "near_duplicates", lambda *_rows, **_options: Pairs(none, none, none.double(), 0.0))
    shutil.copy(both / "train/dark/2.png", both / "test/dark/1.png")
    assert call("transfer", model_folder, both, *FEW, "-o", "out").code == 0
    (pair,) = summary(place / "out")["twins"]["listed"]
    assert pair == {"train": "train/dark/2.png", "test": "test/dark/1.png", "distance": 0.0, "same_file": True}


def test_mistakes_stand_beside_the_nearest_training_pictures(
    call: Call, place: Path, both: Path, model_folder: Path
) -> None:
    shutil.move(both / "test/left/0.png", both / "test/dark/wrong.png")
    assert call("transfer", model_folder, both, *FEW, "-o", "out").code == 0
    model = models.load(model_folder)
    x, y = by_hand(model, both, "train", "3")
    asked, wanted = by_hand(model, both, "test", "3")
    predicted = load_probe(place / "out/probe").predict(asked)
    some, test = data.open_images(both, split="train"), data.open_images(both, split="test")
    wrong = [row for row in range(len(test)) if predicted[row] != wanted[row]]
    assert "test/dark/wrong.png" in {test.items[row].file for row in wrong}
    page = (place / "out/index.html").read_text()
    for row in wrong:
        away = 1 - torch.cosine_similarity(asked[row].double(), x.double(), dim=1)
        for number in (int(predicted[row]), int(wanted[row])):
            least = float(away[y == number].min())
            assert f"“{some.classes[number]}”, {least:.3f} away" in page


def test_drawn_splits_learn_from_as_many_and_choose_anew(
    call: Call, place: Path, both: Path, model_folder: Path
) -> None:
    said = call("transfer", model_folder, both, *FEW, "--repeats", "3", "-o", "out")
    told = summary(place / "out")["best"]["drawn_splits"]
    assert len(told) == 3
    model = models.load(model_folder)
    parts = [by_hand(model, both, split, "3") for split in ("train", "test")]
    x, y = (torch.cat([part[side] for part in parts]) for side in (0, 1))
    for seed, share in enumerate(told):
        source = torch.Generator().manual_seed(seed)
        train = []
        for number in range(3):
            own = (y == number).nonzero()[:, 0]
            train += own[torch.randperm(len(own), generator=source)[:6]].tolist()
        rest = [row for row in range(len(y)) if row not in train]
        learned = torch.tensor(sorted(train))
        search = grid_search(LinearSVM(), x[learned], y[learned], splits=data.k_folds(y[learned], folds=2))
        assert share == pytest.approx(float((search.probe.predict(x[rest]) == y[rest]).double().mean()))
    mean, deviation = 100 * np.mean(told), 100 * np.std(told, ddof=1)
    assert f"right in {mean:.1f} ± {deviation:.1f} %" in said.out


def test_copies_of_what_a_drawn_split_learns_from_are_not_judged_on(
    call: Call, place: Path, both: Path, model_folder: Path
) -> None:
    for number in range(4):  # every test picture of a class is one picture, which stands in the training part too
        shutil.copy(both / "train/dark/2.png", both / f"test/dark/{number}.png")
    said = call("transfer", model_folder, both, *FEW, "--repeats", "1", "-o", "out")
    assert said.code == 0
    model = models.load(model_folder)
    parts = [by_hand(model, both, split, "3") for split in ("train", "test")]
    x, y = (torch.cat([part[side] for part in parts]) for side in (0, 1))
    source = torch.Generator().manual_seed(0)
    train = []
    for number in range(3):
        own = (y == number).nonzero()[:, 0]
        train += own[torch.randperm(len(own), generator=source)[:6]].tolist()
    learned = torch.tensor(sorted(train))
    equal = (x[:, None] - x[learned]).abs().amax(dim=2).amin(dim=1) < 1e-5
    rest = (~equal).nonzero()[:, 0]
    assert len(rest) < len(y) - len(train)
    (share,) = summary(place / "out")["best"]["drawn_splits"]
    assert round(share * len(rest), 6) == round(share * len(rest))  # so many were judged on


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("flat", "--test-split", "val"), "test-split names 'val', but flat has no splits: leave it out"),
        (("both", "--split", "all", "--test-split", "test"), "test-split names 'test', but --split all leaves none"),
        (("rare",), "held must leave every class pictures to learn from and to judge on: .*the rarest class is dark"),
    ],
)
def test_a_split_that_is_not_there_is_refused(
    call: Call, both: Path, model_folder: Path, words: tuple[str, ...], message: str
) -> None:
    place = both.parent
    scenes(place / "flat", {"": 6})
    scenes(place / "rare", {"": 2})
    (place / "rare/dark/1.png").unlink()
    said = call("transfer", model_folder, *words, *FEW, "-o", "out")
    assert (said.code, said.out) == (2, "")
    assert re.search(message, said.err)


def test_another_size_is_what_the_network_is_shown(call: Call, place: Path, both: Path, model_folder: Path) -> None:
    own = models.load(model_folder).geometry.size[0]
    assert call("transfer", model_folder, both, *FEW, "--size", str(own), "-o", "same").code == 0
    assert json.loads((place / "same/record.json").read_text())["options"]["size"] == own
    assert models.load(place / "same/model").geometry.size == (own, own)
    said = call("transfer", model_folder, both, *FEW, "--size", "1", "-o", "other")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("pellucid: size must be one that ")


def test_a_folder_without_splits_is_held_out_in_part(call: Call, place: Path, model_folder: Path) -> None:
    scenes(place / "flat", {"": 6})
    assert call("transfer", model_folder, "flat", *FEW, "--held", "0.5", "-o", "out").code == 0
    told = summary(place / "out")
    assert (told["train"], told["test"]) == (9, 9)
    assert json.loads((place / "out/record.json").read_text())["data"]["test"]["split"] == "held out, 0.5"


def test_another_test_set_is_matched_by_class_names(call: Call, place: Path, model_folder: Path) -> None:
    scenes(place / "one", {"": 4})
    scenes(place / "two", {"": 2})
    (place / "two/left").rename(place / "two/LEFT")
    shutil.rmtree(place / "two/dark")
    assert call("transfer", model_folder, "one", "two", *FEW, "-o", "out").code == 0
    rows = table(place / "out/predictions.csv")
    assert [row["label_name"] for row in rows] == ["left", "left", "light", "light"]


def test_the_page_has_its_parts(call: Call, place: Path, both: Path, model_folder: Path) -> None:
    words = ("--layers", "3", "--folds", "2", "--map", "pca", "--origins", "2", "--repeats", "2")
    said = call("transfer", model_folder, both, *words, "-o", "out")
    assert (said.code, said.err) == (0, "")
    page = (place / "out/index.html").read_text()
    for part in ("layers", "confusion", "map", "origins", "classes"):
        assert f'id="{part}"' in page
    assert "<script" not in page
    scores = summary(place / "out")["origins"]["scores"]
    assert set(scores) == {"pretrained", "pixels", "random"}
    assert (len(scores["random"]["draws"]), scores["pixels"]["dimension"]) == (2, 64)
    model = models.load(model_folder)
    images = [
        torch.stack([some.read(n, model.geometry) for n in range(len(some))]).flatten(1).float()
        for some in (data.open_images(both, split=split) for split in ("train", "test"))
    ]
    y, wanted = (data.open_images(both, split=split).targets for split in ("train", "test"))
    known, asked = (torch.nn.functional.normalize(one) for one in images)
    nearest = torch.cdist(asked, known).argmin(dim=1)
    assert scores["pixels"]["draws"][0]["value"] == pytest.approx(float((y[nearest] == wanted).double().mean()))


def test_an_unreadable_picture_is_left_out_and_told(call: Call, place: Path, both: Path, model_folder: Path) -> None:
    (both / "test/dark/0.png").write_bytes(b"no picture")
    said = call("transfer", model_folder, both, *FEW, "-o", "out")
    assert said.code == 1
    assert "test/dark/0.png" in said.err
    assert summary(place / "out")["test"] == 11


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--probe", "swm"), "probe must be one of svm, rbf, logistic, knn, mlp, got 'swm'; did you mean svm?"),
        (("--probe", ""), "probe must name at least one of svm, rbf, logistic, knn, mlp"),
        (("--normalise", "l3"), "normalise must be one of none, l2, standard, minmax, got 'l3'; did you mean l2?"),
        (("--costs", "1,a"), "costs must be numbers between commas, got '1,a'"),
        (("--costs", "0"), "costs must be positive and finite, got 0"),
        (("--folds", "1"), "folds must be at least 2, got 1"),
        (("--folds", "7"), "folds must be at most the pictures of the smallest class, got 7 for 'dark' with 6"),
        (("--repeats", "101"), "repeats must be in [0, 100], got 101"),
        (("--held", "1"), "held must be between 0 and 1, such as 0.3, got 1.0"),
        (("--layers", "fc9"), "layer"),
        (
            ("--split", "train", "--test-split", "train"),
            "test-split must be another than the split learned from, got 'train'",
        ),
        (("--map", "som"), "map must be one of tsne, pca, none, got 'som'"),
    ],
)
def test_refuses(call: Call, both: Path, model_folder: Path, words: tuple[str, ...], told: str) -> None:
    said = call("transfer", model_folder, both, "--map", "none", *words, "-o", "out")
    assert said.code == 2
    assert told in said.err
    assert not Path("out").exists()


def test_refuses_sets_that_do_not_fit(call: Call, place: Path, model_folder: Path) -> None:
    scenes(place / "one", {"": 4})
    scenes(place / "two", {"": 2})
    (place / "two/left").rename(place / "two/right")
    said = call("transfer", model_folder, "one", "two", *FEW, "-o", "out")
    assert "two: every class must be learned, but 'right' is not among the 3 of one" in said.err
    said = call("transfer", model_folder, "one", "one", *FEW, "-o", "out")
    assert "test must be other pictures than those learned from, but both are one" in said.err
    scenes(place / "bare", {"": 2})
    shutil.copy(place / "bare/dark/0.png", place / "alone.png")
    shutil.rmtree(place / "bare")
    (place / "bare").mkdir()
    shutil.move(place / "alone.png", place / "bare/a.png")
    assert "has no labels" in call("transfer", model_folder, "bare", *FEW, "-o", "out").err


def test_refuses_a_store_of_another_model(
    call: Call, place: Path, both: Path, model_folder: Path, tmp_path: Path
) -> None:
    assert call("transfer", model_folder, both, *FEW, "-o", "out").code == 0
    torch.manual_seed(5)
    other = models.create("digits_cnn", classes=("a", "b"), width=4)
    (tmp_path / "other").mkdir()
    models.save(other.eval(), tmp_path / "other")
    said = call("transfer", tmp_path / "other", both, *FEW, "--store", "out-features", "-o", "new")
    assert said.code == 2
    assert "features of two sources never mix" in said.err


def said_of(call: Call, model: str, pictures: Path) -> dict[str, str]:
    """The class that `predict` tells of each picture, by its name."""
    told = json.loads(call("predict", model, pictures, "--json", "--top", "1").out)["images"]
    return {one["file"].rpartition("both/")[2]: one["predictions"][0]["class"] for one in told}


@pytest.mark.parametrize("probe", ["svm", "logistic", "mlp"])
def test_the_model_that_is_left_says_what_the_table_says(
    call: Call, place: Path, both: Path, model_folder: Path, probe: str
) -> None:
    said = call("transfer", model_folder, both, *FEW, "--probe", probe, "-o", "out")
    rows = table(place / "out/predictions.csv")
    predicted = said_of(call, "out/model", both / "test")
    assert {row["file"]: row["predicted_name"] for row in rows} == predicted
    model = models.load("out/model")
    assert (model.classes, model.geometry.channels) == (tuple(sorted(NAMES)), 1)
    told = summary(place / "out")
    assert (told["model"]["layer"], told["model"]["probe"], told["model"]["is_best"]) == ("3", probe, True)
    whole, own = (sum(one.numel() for one in net.parameters()) for net in (models.load(model_folder), model))
    assert (told["model"]["weights"], told["model"]["network_weights"]) == (own, whole)
    assert "OUT/model answers with the" in said.out
    assert "pellucid predict OUT/model PICTURES asks it" in (place / "out/index.html").read_text()
    layers = call("layers", "out/model").out
    assert "probe.head" in layers
    assert " 11 " not in layers
    audited = call("audit", "out/model", both / "test", "--methods", "saliency", "-o", "audit")
    assert audited.code == 0
    right = sum(row["correct"] == "1" for row in rows)
    assert f"right on {100 * right / len(rows):.1f} % of 12 images" in audited.out


def test_an_svm_has_the_temperature_of_its_held_out_scores(
    call: Call, place: Path, both: Path, model_folder: Path
) -> None:
    from pellucid.features.probes import held_out
    from pellucid.uncertainty import TemperatureScaling

    for one, other in (("dark", "light"), ("light", "left"), ("left", "dark")):  # so that held-out ones are told wrong
        shutil.move(both / f"train/{one}/0.png", both / f"train/{other}/wrong.png")
    said = call("transfer", model_folder, both, "--layers", "3", "--folds", "3", "--map", "none", "-o", "out")
    x, y = by_hand(models.load(model_folder), both, "train", "3")
    probe = load_probe(place / "out/probe")
    held = held_out(probe, x, y, splits=data.k_folds(y, folds=3))
    temperature = TemperatureScaling().fit(held.scores, held.targets).temperature_
    assert summary(place / "out")["model"]["temperature"] == pytest.approx(temperature)
    assert f"divided by {temperature:.3g}" in said.out
    asked, _ = by_hand(models.load(model_folder), both, "test", "3")
    test = data.open_images(both, split="test")
    model = models.load("out/model")
    images = torch.stack([test.read(one, model.geometry) for one in range(len(test))]).float() / 255
    torch.testing.assert_close(model(images) * temperature, probe.scores(asked), rtol=1e-4, atol=1e-5)


def test_margins_without_a_temperature_are_told(call: Call, place: Path, both: Path, model_folder: Path) -> None:
    for name in NAMES:
        shutil.rmtree(both / "train" / name)
        (both / "train" / name).mkdir()
        for each in range(4):
            Image.new("L", (8, 8), {"dark": 10, "light": 250, "left": 120}[name] + each).save(
                both / f"train/{name}/{each}.png"
            )
    said = call("transfer", model_folder, both, *FEW, "--layers", "6", "--near", "0", "-o", "out")
    assert summary(place / "out")["model"]["temperature"] is None
    assert "softmax of bare margins and say little" in said.out


def test_the_best_that_can_stand_in_a_network_is_left_where_the_best_cannot(
    call: Call, place: Path, both: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("transfer", model_folder, both, *FEW)
    said = call(*words, "--probe", "knn,rbf", "-o", "out")
    assert said.code == 0
    assert not (place / "out/model").exists()
    assert summary(place / "out")["model"] is None
    name = {"knn": "nearest neighbours", "rbf": "RBF SVM"}[summary(place / "out")["best"]["probe"]]
    assert f"There is no OUT/model: {name} cannot be written as layers of a network; name svm, logistic" in said.out
    monkeypatch.setattr(Trials, "best", property(lambda all_: next(one for one in all_.rows if one.kind == "rbf")))
    said = call(*words, "--probe", "rbf,svm", "-o", "both-out")
    one = summary(place / "both-out")
    assert (one["best"]["probe"], one["model"]["probe"], one["model"]["is_best"]) == ("rbf", "svm", False)
    svm = next(trial for trial in one["trials"] if trial["probe"] == "svm")["test_accuracy"]["value"]
    assert f"the best that layers of a network can be: it tells {100 * svm:.1f} % right" in said.out


def test_of_a_network_of_ones_own_only_the_probe_is_kept(
    call: Call, place: Path, both: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "own_net.py").write_text(
        "from pellucid import models\n\n\ndef make():\n"
        f"    model = models.load({str(model_folder)!r})\n    model.build = None\n    return model\n"
    )
    monkeypatch.syspath_prepend(str(place))
    said = call("transfer", "own_net:make", both, *FEW, "-o", "out")
    assert said.code == 0
    assert not (place / "out/model").exists()
    assert "There is no OUT/model: the network is built by code of its own, which no file can name" in said.out
    assert load_probe(place / "out/probe")


def test_a_model_that_was_left_can_be_transferred_again(
    call: Call, place: Path, both: Path, model_folder: Path
) -> None:
    assert call("transfer", model_folder, both, "--layers", "6", "--folds", "2", "--map", "none", "-o", "out").code == 0
    assert call("transfer", "out/model", both, *FEW, "-o", "again").code == 0
    rows = table(place / "again/predictions.csv")
    assert {row["file"]: row["predicted_name"] for row in rows} == said_of(call, "again/model", both / "test")
    said = call("transfer", "out/model", both, "--layers", "probe.rows", "--folds", "2", "--map", "none", "-o", "third")
    assert "There is no OUT/model: layer must lie before the probe" in said.out
