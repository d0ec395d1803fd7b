"""pellucid transfer --classic: the same pictures without any network."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pellucid import data
from pellucid.classic import BagOfWords
from pellucid.cli._transfer_trials import Fit, Trial, Trials
from pellucid.data import ImageSet
from pellucid.features.probes import LinearSVM, grid_search
from pellucid.metrics import proportion

from .calling import Call
from .test_transfer import FEW, scenes, summary, table

WORDS: dict[str, Any] = {
    "words": 6,
    "side": 160,
    "scales": 2,
    "stride": 6,
    "orientation": "linear",
    "cells": "linear",
    "levels": 3,
    "norm": "root",
    "sample": 50_000,
    "starts": 1,
}
CLASSIC = (*FEW, "--classic", "--words", "6")


@pytest.fixture
def both(place: Path) -> Path:
    return scenes(place / "both", {"train": 4, "test": 3})


def learned(train: ImageSet, seed: int = 0) -> BagOfWords:
    return BagOfWords(**WORDS).fit(train, generator=torch.Generator().manual_seed(seed), workers=0)


def told(bag: BagOfWords, train: ImageSet, test: ImageSet) -> tuple[float, torch.Tensor]:
    """The cross-validated score, and which test pictures are told right."""
    rows, asked = (bag.features(some, workers=0).rows for some in (train, test))
    search = grid_search(LinearSVM(), rows, train.targets, splits=data.k_folds(train.targets, folds=2))
    return search.score, search.probe.predict(asked) == test.targets


def test_words_are_learned_from_training_pictures_and_told_by_the_same_probe(
    call: Call, place: Path, both: Path, model_folder: Path
) -> None:
    said = call("transfer", model_folder, both, *CLASSIC, "-o", "out")
    assert (said.code, said.err) == (0, "")
    train, test = (data.open_images(both, split=split) for split in ("train", "test"))
    bag = learned(train)
    score, right = told(bag, train, test)
    deep, row = table(place / "out/layers.csv")
    assert (row["layer"], row["probe"], row["best"], deep["best"]) == ("visual words", "svm", "0", "1")
    assert int(row["dimension"]) == 7 * 21
    assert float(row["cross_validated"]) == pytest.approx(score)
    assert float(row["test_accuracy"]) == pytest.approx(float(right.double().mean()))
    found = summary(place / "out")
    classic = found["classic"]
    assert (classic["hash"], classic["learned_from"], classic["computed"]) == (bag.hash, 12, 21)
    network = [one["correct"] == "1" for one in table(place / "out/predictions.csv")]
    pairs = list(zip(network, right.tolist(), strict=True))
    assert classic["told_right_by"] == {
        "both": pairs.count((True, True)),
        "only_network": pairs.count((True, False)),
        "only_words": pairs.count((False, True)),
        "neither": pairs.count((False, False)),
    }
    gain = sum(network) / 9 - float(right.double().mean())
    assert classic["gain_of_the_network"]["value"] == pytest.approx(gain)
    assert "Without any network, by 6 visual words and linear SVM, " in said.out
    page = (place / "out/index.html").read_text()
    assert 'id="classic"' in page
    assert "never chosen as best" in page
    assert found["record"]["options"]["words"] == 6
    assert found["record"]["options"]["layers"] == ["3"]


def test_visual_words_are_never_chosen() -> None:
    def trial(layer: str, score: float, *, is_classic: bool) -> Trial:
        fit = Fit(LinearSVM(), "", score)
        none = torch.zeros(10, dtype=torch.int64)
        return Trial(layer, 8, "svm", "l2", fit, none, proportion(9, 10), 0.0, (), is_classic)

    rows = (trial("a", 0.7, is_classic=False), trial("w", 0.9, is_classic=True), trial("v", 0.8, is_classic=True))
    trials = Trials(rows, 20, 10)
    assert trials.best.layer == "a"
    assert trials.classic is rows[1]
    assert Trials(rows[:1], 20, 10).classic is None


def test_a_second_run_costs_nothing_and_a_changed_test_picture_only_itself(
    call: Call, place: Path, both: Path, model_folder: Path
) -> None:
    words = ("transfer", model_folder, both, *CLASSIC, "-o", "out")
    assert call(*words).code == 0
    first = summary(place / "out")["classic"]
    assert call(*words, "--force").code == 0
    second = summary(place / "out")["classic"]
    assert (second["computed"], second["seconds"]) == (0, 0)
    assert {**first, "computed": 0, "seconds": 0} == second
    shutil.copy(both / "test/dark/0.png", both / "test/light/0.png")
    assert call(*words, "--force").code == 0
    third = summary(place / "out")["classic"]
    assert (third["computed"], third["hash"], third["folders"]) == (0, first["hash"], first["folders"])  # a known file
    noise = np.random.default_rng(5).integers(0, 256, (8, 8), dtype=np.uint8)
    Image.fromarray(noise).save(both / "test/light/0.png")
    assert call(*words, "--force").code == 0
    assert summary(place / "out")["classic"]["computed"] == 1
    Image.fromarray(noise).save(both / "train/light/0.png")
    assert call(*words, "--force").code == 0
    other = summary(place / "out")["classic"]
    assert other["hash"] != first["hash"]
    assert other["computed"] == 21


def test_words_are_learned_anew_for_each_drawn_split(call: Call, place: Path, both: Path, model_folder: Path) -> None:
    said = call("transfer", model_folder, both, *CLASSIC, "--repeats", "2", "-o", "out")
    assert (said.code, said.err) == (0, "")
    found = summary(place / "out")
    (shares,) = [one["drawn_splits"] for one in found["trials"] if one["is_classic"]]
    assert len(set(found["classic"]["folders"])) == 3
    train, test = (data.open_images(both, split=split) for split in ("train", "test"))
    files = [*train.items, *test.items]
    targets = torch.cat([train.targets, test.targets])
    whole = data.open_images(both, split="all")
    number = {item.file: place for place, item in enumerate(whole.items)}
    for seed, (share, kept) in enumerate(zip(shares, found["classic"]["folders"][1:], strict=True)):
        source = torch.Generator().manual_seed(seed)
        own = [(targets == one).nonzero()[:, 0] for one in range(3)]
        rows = torch.cat([some[torch.randperm(7, generator=source)[:4]] for some in own]).sort().values.tolist()
        rest = [row for row in range(21) if row not in rows]
        drawn, asked = (whole.subset([number[files[row].file] for row in some]) for some in (rows, rest))
        bag = learned(drawn, seed)
        assert BagOfWords.load(Path(kept, "words")).hash == bag.hash
        _, right = told(bag, drawn, asked)
        assert share == pytest.approx(float(right.double().mean()))


def test_a_part_that_is_held_out_teaches_no_words(call: Call, place: Path, model_folder: Path) -> None:
    scenes(place / "flat", {"": 6})
    assert call("transfer", model_folder, "flat", *CLASSIC, "--held", "0.5", "-o", "out").code == 0
    asked = {row["file"] for row in table(place / "out/predictions.csv")}
    some = data.open_images(place / "flat")
    train = some.subset([number for number, item in enumerate(some.items) if item.file not in asked])
    assert len(train) == 9
    assert summary(place / "out")["classic"]["hash"] == learned(train).hash


def test_two_sets_may_name_their_files_alike(call: Call, place: Path, model_folder: Path) -> None:
    scenes(place / "one", {"": 4})
    scenes(place / "whole", {"": 4, "other": 2})
    (place / "whole/other").rename(place / "two")
    (place / "two/dark/0.png").write_bytes(b"no picture")
    said = call("transfer", model_folder, "one", "two", *CLASSIC, "-o", "out")
    assert said.code == 1
    assert said.err.count("\n") == 1
    train, test = data.open_images(place / "one"), data.open_images(place / "two")
    _, right = told(learned(train), train, test.subset([1, 2, 3, 4, 5]))
    row = table(place / "out/layers.csv")[-1]
    assert float(row["test_accuracy"]) == pytest.approx(float(right.double().mean()))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--words", "6"), "words needs --classic, which learns them; leave --words out or add --classic"),
        (("--classic", "--words", "1"), "words must be in [2, 5000], got 1"),
        (("--classic", "--words", "5001"), "words must be in [2, 5000], got 5001"),
        (("--classic", "--words", "many"), "words must be "),
    ],
)
def test_refuses(call: Call, both: Path, model_folder: Path, words: tuple[str, ...], message: str) -> None:
    said = call("transfer", model_folder, both, *FEW, *words, "-o", "out")
    assert (said.code, said.out) == (2, "")
    assert message in said.err
    assert not Path("out").exists()


def test_flat_pictures_have_no_words(call: Call, place: Path, model_folder: Path) -> None:
    for number in range(12):
        path = place / f"flat/{'ab'[number % 2]}/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 20 * number).save(path)
    said = call("transfer", model_folder, "flat", *CLASSIC, "-o", "out")
    assert (said.code, said.out) == (2, "")
    assert "no visual words: descriptors must not all be zeros: the images are flat" in said.err
    assert "change --words, or leave --classic out" in said.err


def test_colour_and_sizes_of_all_kinds_become_one_frame(call: Call, place: Path, model_folder: Path) -> None:
    source = np.random.default_rng(0)
    for number in range(12):
        path = place / f"mixed/{'ab'[number % 2]}/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (5 + 9 * number, 12 + number, 3) if number % 3 else (40, 30)
        Image.fromarray(source.integers(0, 256, shape, dtype=np.uint8)).save(path)
    said = call("transfer", model_folder, "mixed", *CLASSIC, "-o", "out")
    assert (said.code, said.err) == (0, "")
    assert summary(place / "out")["classic"]["patches"] == 625 + 529
