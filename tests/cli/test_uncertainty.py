"""pellucid uncertainty."""

import csv
import json
import re
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from pellucid import data, models, uncertainty
from pellucid.cli import _uncertain_answers, _uncertain_samplers
from pellucid.cli import uncertainty as verb
from pellucid.cli._reading import Read
from pellucid.methods import options
from pellucid.metrics import cross_entropy, expected_calibration_error, reliability
from pellucid.metrics.ranking import auroc, failure_table
from pellucid.uncertainty import ood

from .calling import CLASSES, Call, content, pictures

FILES = {"index.html", "images.csv", "arrays.npz", "most-uncertain.png", "summary.json", "record.json"}
FEW = ("--samples", "8", "--shown", "2")


@pytest.fixture
def model(model_folder: Path) -> models.Model:
    return models.load(model_folder)


def summary(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return told


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "images.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def arrays(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "arrays.npz", allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def by_hand(model: models.Model, names: list[str]) -> torch.Tensor:
    return torch.cat([data.read_image(name, model.geometry) for name in names])


def test_the_files_and_the_numbers_are_the_librarys(
    call: Call, place: Path, model: models.Model, model_folder: Path
) -> None:
    names = [f"{letter}.png" for letter in "abcdefg"]
    pictures(place, *names)
    said = call("uncertainty", model_folder, *names, *FEW, "-o", "out")
    assert (said.code, said.err) == (0, "")
    samples = uncertainty.mc_dropout(model, by_hand(model, names), samples=8)
    expected = uncertainty.summary(samples)
    order = expected.mutual_information.argsort(descending=True)
    rows = table(place / "out")
    assert [row["file"] for row in rows] == [names[index] for index in order.tolist()]
    assert [row["rank"] for row in rows] == [str(rank) for rank in range(1, 8)]
    assert [row["predicted_name"] for row in rows] == [CLASSES[i] for i in expected.predicted[order].tolist()]
    assert [int(row["voted"]) for row in rows] == expected.voted[order].tolist()
    assert [row["disagrees"] == "1" for row in rows] == expected.disagrees[order].tolist()
    shares = expected.vote_counts.amax(dim=1)[order] / 8
    assert [float(row["vote_share"]) for row in rows] == pytest.approx(shares.tolist())
    for name in _uncertain_answers.SCORES:
        assert [float(row[name]) for row in rows] == pytest.approx(getattr(expected, name)[order].tolist(), abs=1e-6)
    plain = model(by_hand(model, names)).softmax(dim=1).max(dim=1)
    assert [float(row["plain_probability"]) for row in rows] == pytest.approx(plain.values[order].tolist(), rel=1e-5)
    assert "label" not in rows[0]
    found = arrays(place / "out")
    np.testing.assert_allclose(found["mean"], expected.mean[order], atol=1e-6)
    assert np.array_equal(found["votes"], expected.votes[order].numpy())
    assert found["shown"][:2].tolist() == [0, 1]
    assert len({*found["shown"].tolist()}) == 4
    np.testing.assert_allclose(found["shown_samples"], samples[:, order][:, found["shown"]], atol=1e-6)
    assert "samples" not in found
    assert set(content(place / "out")) == FILES
    told = summary(place / "out")
    assert (told["sampler"], told["samples"], told["images"], told["labels"]) == ("mc_dropout", 8, 7, False)
    assert told["disagree"] == int(expected.disagrees.sum())
    assert (told["failure"], told["probabilities"], told["detection"], told["calibration"]) == (None, {}, None, None)
    page = (place / "out/index.html").read_text()
    assert "finds its errors" not in page
    assert "can be trusted" not in page
    assert said.out.endswith(f"page: {(place / 'out/index.html').resolve()}\n")


def test_all_samples_are_written_where_they_are_asked_for(
    call: Call, place: Path, model: models.Model, model_folder: Path
) -> None:
    pictures(place, "a.png", "b.png")
    assert call("uncertainty", model_folder, "a.png", "b.png", *FEW, "--keep-samples", "-o", "out").code == 0
    files = [row["file"] for row in table(place / "out")]
    samples = uncertainty.mc_dropout(model, by_hand(model, files), samples=8)
    np.testing.assert_allclose(arrays(place / "out")["samples"], samples, atol=1e-6)


def test_blocks_of_pictures_change_nothing(
    call: Call, place: Path, model_folder: Path, labelled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("uncertainty", model_folder, labelled, *FEW)
    assert call(*words, "-o", "whole").code == 0
    monkeypatch.setattr(_uncertain_answers, "AT_ONCE", 4 * 8 * 8 * 3)
    assert call(*words, "-o", "parts").code == 0
    assert [row["file"] for row in table(place / "whole")] == [row["file"] for row in table(place / "parts")]
    whole, parts = arrays(place / "whole"), arrays(place / "parts")
    for name in whole:
        np.testing.assert_allclose(whole[name], parts[name], atol=1e-6)


def test_the_record_says_how_it_was_made(call: Call, place: Path, model_folder: Path) -> None:
    pictures(place, "a.png")
    words = ("uncertainty", model_folder, "a.png", *FEW, "--mc_dropout.rate", "0.2", "--seed", "7", "--by", "entropy")
    assert call(*words, "-o", "out").code == 0
    told = json.loads((place / "out/record.json").read_text())
    assert (told["command"], told["seed"], told["data"]["read"]) == ("uncertainty", 7, 1)
    assert told["options"]["mc_dropout"] == {"rate": 0.2}
    assert (told["options"]["samples"], told["options"]["by"]) == (8, "entropy")
    assert "arrays.npz" in told["files"]
    assert "Ordered by entropy" in (place / "out/index.html").read_text()


def half_right(folder: Path, model: models.Model, count: int = 12) -> Path:
    """Pictures of which every other one is labelled as the mean of 8 samples has it, the rest as the class after."""
    pictures(folder / "all", *(f"{number:02d}.png" for number in range(count)))
    images = by_hand(model, [str(folder / "all" / f"{number:02d}.png") for number in range(count)])
    said = uncertainty.mc_dropout(model, images, samples=8).mean(dim=0).argmax(dim=1).tolist()
    for number, predicted in enumerate(said):
        name = CLASSES[(predicted + number % 2) % len(CLASSES)].partition(",")[0]
        (folder / "set" / name).mkdir(parents=True, exist_ok=True)
        (folder / "all" / f"{number:02d}.png").rename(folder / "set" / name / f"{number:02d}.png")
    return folder / "set"


def test_a_labelled_set_is_judged(call: Call, place: Path, model: models.Model, model_folder: Path) -> None:
    judged = half_right(place, model)
    said = call("uncertainty", model_folder, judged, *FEW, "-o", "out")
    assert (said.code, said.err) == (0, "")
    rows = table(place / "out")
    images = by_hand(model, [str(judged / row["file"]) for row in rows])
    samples = uncertainty.mc_dropout(model, images, samples=8)
    labels = torch.tensor([int(row["label"]) for row in rows])
    assert [CLASSES[label].partition(",")[0] for label in labels] == [Path(row["file"]).parent.name for row in rows]
    correct = samples.mean(dim=0).argmax(dim=1) == labels
    assert [row["correct"] == "1" for row in rows] == correct.tolist()
    told = summary(place / "out")
    assert told["failure"]["errors"] == int((~correct).sum()) == 6
    entropy = uncertainty.entropy(samples)
    expected = failure_table({"entropy": entropy}, correct).rows[0]
    found = told["failure"]["scores"]["entropy"]
    assert found["auroc"]["value"] == pytest.approx(auroc(entropy, ~correct), abs=1e-6)
    assert found["aupr_error"]["value"] == pytest.approx(expected.aupr_error.value, abs=1e-6)
    plain = told["failure"]["scores"]["plain max_probability"]
    stated = model(images).softmax(dim=1).amax(dim=1)
    assert plain["auroc"]["value"] == pytest.approx(auroc(1 - stated.double(), ~correct), abs=1e-6)
    before, after = told["probabilities"].values()
    assert list(told["probabilities"]) == ["the model as it is", "mean of 8 samples"]
    assert before["nll"]["value"] == pytest.approx(
        float(cross_entropy(model(images).detach(), labels).mean()), rel=1e-5
    )
    assert after["accuracy"]["value"] == 0.5
    means = samples.mean(dim=0).amax(dim=1)
    assert after["ece"]["value"] == pytest.approx(expected_calibration_error(reliability(means, correct)), abs=1e-6)
    page = (place / "out/index.html").read_text()
    assert "Whether it finds its errors" in page
    assert "Whether its confidence can be trusted" in page
    assert page.count("labelled “") >= 1
    assert "told from the model" in page or "largest probability does (" in page


def test_without_errors_nothing_is_claimed(call: Call, place: Path, model: models.Model, model_folder: Path) -> None:
    pictures(place, "a.png")
    name = CLASSES[int(uncertainty.mc_dropout(model, by_hand(model, ["a.png"]), samples=8).mean(dim=0).argmax())]
    pictures(place / "set", f"{name.partition(',')[0]}/a.png")
    said = call("uncertainty", model_folder, "set", *FEW, "-o", "out")
    assert (said.code, said.err) == (0, "")
    assert "Not to be told: 0 errors among 1 images: without both, no score can rank them." in said.out
    assert "underconfident" not in (place / "out/index.html").read_text(), "of one image nothing of the kind is known"
    assert summary(place / "out")["failure"]["scores"]["entropy"]["auroc"]["value"] is None


def test_of_two_errors_no_score_is_called_better(
    call: Call, place: Path, model: models.Model, model_folder: Path
) -> None:
    said = call("uncertainty", model_folder, half_right(place, model, 4), *FEW, "-o", "out")
    assert said.code == 0
    told = "2 wrong answers and 2 right ones are too few to compare scores by"
    assert told in said.out
    page = (place / "out/index.html").read_text()
    assert f"{told}: mutual information cannot be told from the model&#39;s own largest probability here." in page
    assert "probability does (" not in page


def test_those_shown_are_asked_about_together(model: models.Model) -> None:
    seen: list[int] = []

    def draw(images: torch.Tensor) -> torch.Tensor:
        seen.append(len(images))
        return uncertainty.mc_dropout(model, images, samples=4)

    pixels = torch.randint(256, (9, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    pictures = Read("", "", tuple("abcdefghi"), pixels, None, ())
    found = _uncertain_answers.answered(model, pictures, draw, by="entropy", shown=3, seed=0, is_kept=True)
    assert seen == [1, 8, 6], "networks that are drawn anew for each call are drawn three times"
    assert found.samples is not None
    assert set(found.drawn) == {*found.shown, *found.others}
    for place, samples in found.drawn.items():
        torch.testing.assert_close(samples, found.samples[:, place])


def test_a_sample_of_the_images_is_drawn_by_its_seed(
    call: Call, place: Path, model_folder: Path, labelled: Path
) -> None:
    def files(seed: int) -> set[str]:
        words = (
            "uncertainty",
            model_folder,
            labelled,
            *FEW,
            "--limit",
            "9",
            "--seed",
            seed,
            "--by",
            "margin",
            "-o",
            "out",
            "--force",
        )
        assert call(*map(str, words)).code == 0
        return {row["file"] for row in table(place / "out")}

    first = files(0)
    assert len(first) == 9
    assert files(1) != first


def test_every_sampler_of_the_face_is_there_with_its_options(call: Call) -> None:
    known = _uncertain_samplers.samplers()
    assert {"mc_dropout", "ensemble", "snapshots", "test_time_augmentation"} <= set(known)
    assert {one.kind for one in known.values()} == {"one", "several", "kept", "fitted"}
    listed = " ".join(call("uncertainty", "--help").out.split())
    assert f"one of {', '.join(known)}" in listed
    for name, one in known.items():
        for option in options(one.made):
            if option.name != "samples":
                assert f"--{name}.{option.name.replace('_', '-')} " in listed
    assert "--vector.penalty" in listed


def test_several_models_answer_as_an_ensemble(call: Call, place: Path, trained: Path) -> None:
    words = ("uncertainty", trained / "a", "digits", "--limit", "20", "--sampler", "ensemble")
    said = call(*words, "--with", f"{trained / 'b'},{trained / 'c'}", "-o", "out")
    assert (said.code, said.err) == (0, "")
    told = summary(place / "out")
    assert told["members"] == [str(trained / name) for name in "abc"]
    together = [models.load(trained / name) for name in "abc"]
    rows = table(place / "out")
    every = data.builtin("digits")
    spots = [[item.file for item in every.items].index(row["file"]) for row in rows]
    images = next(iter(data.batches(every.subset(spots), together[0].geometry))).images()
    np.testing.assert_allclose(
        arrays(place / "out")["mean"], uncertainty.ensemble(together, images).mean(dim=0), atol=1e-5
    )
    said = call(*words, "--with", trained / "b", trained / "a", "-o", "same")
    assert "have the same weights" in said.err


def test_what_must_learn_is_fitted_on_the_training_images(call: Call, place: Path, trained: Path) -> None:
    kinds = [name for name, one in _uncertain_samplers.samplers().items() if one.kind == "fitted"]
    quick = {
        "swag": ("--swag.epochs", "2", "--swag.rank", "0", "--samples", "3"),
        "variational_last_layer": ("--variational_last_layer.epochs", "2"),
    }
    for name in kinds:
        words = ("uncertainty", trained / "a", "digits", "--limit", "20", "--sampler", name, "--on", "digits")
        said = call(*words, "--on-limit", "200", *quick.get(name, ()), "--shown", "2", "-o", name)
        assert said.code == 0, said.err
        told = summary(place / name)
        assert told["fitted_on"] == {"path": "digits", "split": "train", "images": 200, "also_asked_about": 0}
        assert told["sampler"] == name
        made = getattr(uncertainty, "".join(part.capitalize() for part in name.split("_")))
        again = made.load(place / name / "fitted", models.load(trained / "a"))
        every = data.builtin("digits")
        rows = table(place / name)
        spots = [[item.file for item in every.items].index(row["file"]) for row in rows]
        images = next(iter(data.batches(every.subset(spots), models.load(trained / "a").geometry))).images()
        samples = again(images, samples=told["samples"])
        np.testing.assert_allclose(arrays(place / name)["mean"], samples.mean(dim=0), atol=1e-4)
        assert "It was fitted on 200 images of digits, split train" in (place / name / "index.html").read_text()


def test_a_calibrated_model_is_one_that_predict_takes(call: Call, place: Path, trained: Path) -> None:
    words = ("uncertainty", trained / "a", "digits", "--limit", "30", *FEW, "--on", "digits", "--calibrate")
    said = call(*words, "temperature", "-o", "out")
    assert (said.code, said.err) == (0, "")
    fitted = uncertainty.TemperatureScaling.load(place / "out/calibration")
    model = models.load(trained / "a")
    train = data.in_memory(data.builtin("digits", split="train"), model.geometry)
    expected = uncertainty.TemperatureScaling().fit(model(train.images()).detach(), train.targets)
    assert fitted.temperature_ == pytest.approx(expected.temperature_, rel=1e-4)
    scaled = models.load(place / "out/calibrated")
    some = train.images(slice(10))
    torch.testing.assert_close(scaled(some), model(some) / fitted.temperature_, atol=1e-4, rtol=1e-4)
    pictures(place, "a.png")
    assert call("predict", place / "out/calibrated", "a.png").code == 0
    told = summary(place / "out")
    assert list(told["probabilities"])[-1] == f"calibrated: temperature {fitted.temperature_:.3g}"
    assert (
        told["probabilities"]["the model as it is"]["accuracy"] == list(told["probabilities"].values())[-1]["accuracy"]
    )
    page = (place / "out/index.html").read_text()
    assert "was fitted on 1,437 images of digits, split train, none of which is judged here." in page
    assert "A model that was trained on these is surer of them" in page


def test_vector_scaling_takes_its_options_and_isotonic_no_model(call: Call, place: Path, trained: Path) -> None:
    words = (
        "uncertainty",
        trained / "a",
        "digits",
        "--limit",
        "30",
        *FEW,
        "--on",
        "digits",
        "--on-limit",
        "300",
        "--calibrate",
    )
    assert call(*words, "vector", "--vector.penalty", "0.01", "-o", "vector").code == 0
    assert uncertainty.VectorScaling.load(place / "vector/calibration").penalty == 0.01
    assert (place / "vector/calibrated/model.json").is_file()
    said = call(*words, "isotonic", "-o", "isotonic")
    assert said.code == 0
    assert "No model can hold it: see OUT/calibration." in said.out
    assert not (place / "isotonic/calibrated").exists()
    uncertainty.IsotonicCalibration.load(place / "isotonic/calibration")


def test_a_calibration_that_finds_nothing_is_refused(call: Call, place: Path, trained: Path) -> None:
    model = models.load(trained / "a")
    every = data.builtin("digits", split="train")
    images = next(iter(data.batches(every.subset(list(range(32))), model.geometry)))
    said = model(images.images()).argmax(dim=1).tolist()
    for number, (pixels, digit) in enumerate(zip(images.pixels, said, strict=True)):
        (place / "held" / str(digit)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[0].numpy()).save(place / "held" / str(digit) / f"{number}.png")
    words = ("uncertainty", trained / "a", "digits", "--limit", "9", *FEW, "--on", "held", "--calibrate")
    said_of = call(*words, "temperature", "-o", "out")
    assert said_of.code == 2
    assert "calibrate temperature finds nothing on held: the likelihood only grows" in said_of.err
    assert "32 of 32 images are right" in said_of.err
    assert not (place / "out").exists()


def test_images_that_were_fitted_on_are_told(call: Call, place: Path, model_folder: Path, labelled: Path) -> None:
    shutil.copytree(labelled, place / "copy")
    (place / "copy/Goldfish/00.png").unlink()
    words = ("uncertainty", model_folder, labelled, *FEW, "--on", "copy", "--calibrate", "isotonic", "-o", "out")
    assert call(*words, "--ood", "inversion").code == 0
    assert summary(place / "out")["fitted_on"]["also_asked_about"] == 23
    assert (
        "23 of which are judged here as well: what is shown of it is too good."
        in (place / "out/index.html").read_text()
    )
    told = "23 of the known images were fitted on as well: detectors that are fitted look too good here."
    assert told in (place / "out/index.html").read_text()
    said = call(*words[:5], "--on", labelled, "--calibrate", "temperature", "-o", "other")
    assert "on must be other pictures than those asked about" in said.err


def test_pictures_from_elsewhere_are_told_from_the_known(
    call: Call, place: Path, model: models.Model, model_folder: Path, labelled: Path
) -> None:
    pictures(place / "others", *(f"{number}.png" for number in range(60, 72)))
    for number in range(12):  # noise of other seeds than the known
        pictures(place / "more" / str(number), *(f"{seed}.png" for seed in range(30)))
    shutil.copy(place / "more/0/29.png", place / "others/60.png")
    for seed in range(24, 30):
        shutil.copy(place / f"more/0/{seed}.png", place / f"others/{seed + 40}.png")
    names = [f"others/{number}.png" for number in (60, *range(64, 70))]
    (place / "elsewhere").mkdir()
    for name in dict.fromkeys(names):
        if name != "others/60.png":
            shutil.copy(place / name, place / "elsewhere")
    said = call("uncertainty", model_folder, labelled, *FEW, "--ood", "elsewhere", "-o", "out")
    assert (said.code, said.err) == (0, "")
    told = summary(place / "out")["detection"]
    assert (told["elsewhere"], told["known"], told["others"]) == ("elsewhere", 6, 6)
    expected = {"max_probability", "max_logit", "energy", "entropy", "odin"}
    expected |= {"mc_dropout mutual_information", "mc_dropout entropy"}
    assert set(told["detectors"]) == expected
    every = data.open_images(labelled)
    known = by_hand(model, [str(labelled / item.file) for item in every.items])
    others = by_hand(model, sorted(str(path) for path in (place / "elsewhere").iterdir()))
    detectors = {"energy": partial(ood.energy, model)}
    by_library = ood.compare(detectors, known, others, generator=torch.Generator().manual_seed(0))
    assert told["detectors"]["energy"]["auroc"]["value"] == pytest.approx(by_library.table.rows[0].auroc.value)
    page = (place / "out/index.html").read_text()
    assert "Whether it knows what it does not know" in page
    assert "From elsewhere, but trusted by" in page


def test_pictures_from_elsewhere_can_be_made_and_detectors_fitted(call: Call, place: Path, trained: Path) -> None:
    words = ("uncertainty", trained / "a", "digits", "--limit", "30", *FEW, "--ood", "uniform_noise", "--on", "digits")
    said = call(*words, "--on-limit", "40", "-o", "out")
    assert (said.code, said.err) == (0, "")
    told = summary(place / "out")["detection"]
    assert (told["elsewhere"], told["known"], told["others"], told["fitted_on"]) == ("uniform_noise", 30, 30, 40)
    assert {"mahalanobis", "react"} & set(told["detectors"])
    (line,) = [line for line in told["not_among_them"] if line.startswith("knn ")]
    assert "must be in [1, 40], got 50" in line
    assert "could not be asked" in (place / "out/index.html").read_text()


class NoDropout(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(64, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.last(images.flatten(1))
        return logits


def no_dropout() -> models.Model:
    torch.manual_seed(0)
    return models.Model(NoDropout().eval(), mean=[0.5], std=[0.5], classes=["x", "y", "z"], size=8)


def test_a_network_that_does_not_suit_is_refused_before_anything_is_read(call: Call, place: Path) -> None:
    pictures(place, "a.png")
    spec = f"{__name__}:no_dropout"
    said = call("uncertainty", spec, "a.png", "-o", "out")
    assert said.code == 2
    assert "the network has no dropout that is called in its forward pass" in said.err
    assert "test_time_augmentation" in said.err
    assert not (place / "out").exists()
    pictures(place / "set", "x/a.png", "y/b.png")
    said = call(
        "uncertainty",
        spec,
        "a.png",
        "--sampler",
        "test_time_augmentation",
        "--on",
        "set",
        "--calibrate",
        "temperature",
        "-o",
        "out",
    )
    assert "calibrate writes a model, which must be one built by name" in said.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--sampler mc_droput", "sampler must be one of"),
        ("--sampler mc_droput", "did you mean mc_dropout"),
        ("--by doubt", "by must be one of mutual_information"),
        ("--samples 0", "samples must be at least 1, got 0"),
        ("--limit -1", "limit must be at least 0, got -1"),
        ("--shown 0", "shown must be in [1, 100], got 0"),
        ("--memory 0", "memory must be at least 0.0001, got 0.0"),
        ("--sampler ensemble", "ensemble asks several models: name those beside MODEL with --with RUN,RUN"),
        ("--with other", "with was given, but mc_dropout asks MODEL alone: take --sampler ensemble"),
        ("--sampler ensemble --with other --samples 3", "samples was given, but ensemble asks each of its models once"),
        ("--sampler test_time_augmentation --samples 7", "samples was given, but test_time_augmentation with these op"),
        ("--split train", "split was given, but pictures named one by one have none: a.png"),
        ("--class-map a.csv", "class-map was given, but a.png has no labels"),
        ("--ood a.png", "ood must be other pictures than those asked about, but 1 are both in a.png"),
        ("--sampler snapshots", "is not a run"),
        ("--sampler swag", "swag is fitted on the training images: name them with --on FOLDER"),
        ("--calibrate temperature", "calibrate fits on labelled images that were not trained on: name them with --on"),
        ("--calibrate warmth --on set", "calibrate must be one of temperature, vector, isotonic, got 'warmth'"),
        ("--calibrate temperature --on a.png", "a.png"),
        ("--sampler swag --calibrate temperature --on set", "calibrate needs images that the model was not trained on"),
        ("--on set", "on was given, but nothing is fitted: add --calibrate, --ood or a --sampler that learns"),
        ("--on-split train", "on-split was given without --on"),
        ("--ood nothing", "nothing: no such file or folder"),
        ("--mc_dropout.rate 2", "rate must be in [0, 1], got 2"),
        ("--mc_dropout.rate 0", "every sample would be the same"),
        ("--swag.epochs 3", "swag.epochs was given, but the sampler is mc_dropout"),
        ("--vector.penalty 3", "vector.penalty was given, but the calibration is none"),
        ("--test_time_augmentation.policy odd --sampler test_time_augmentation", "odd"),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    call: Call, place: Path, model_folder: Path, words: str, message: str
) -> None:
    pictures(place, "a.png", "set/goldfish/a.png", "set/cock/b.png")
    before = content(place)
    said = call("uncertainty", model_folder, "a.png", "-o", "out", *words.split())
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("pellucid: ")
    assert message in said.err
    assert said.err.count("\n") == 1
    assert content(place) == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--limit 0 --samples 2 --memory 0.0003", "1,797 pictures of 8 x 8 x 1 need 0.0.* fewer with --(limit) "),
        ("--limit 10 --keep-samples --samples 100000", "100000 samples of 10 x 10 .* need 0.04.* with --(samples) "),
        (
            "--limit 1 --on digits --on-split train --ood inversion --samples 2 --memory 0.0003",
            "1,437 pictures to learn from need 0.0004.* fewer with --(on-limit) ",
        ),
    ],
)
def test_too_much_for_the_memory_is_refused_with_the_option_that_makes_it_fit(
    call: Call, place: Path, trained: Path, words: str, told: str
) -> None:
    asked = ("uncertainty", trained / "a", "digits", "--split", "all", "--memory", "0.001", *words.split(), "-o", "out")
    said = call(*asked)
    assert said.code == 2
    found = re.search(rf"{told}(\d+), or raise --memory", said.err)
    assert found, said.err
    assert not list(place.iterdir())
    if found[1] != "limit":  # fewer images take fewer samples as well: that much fits and a little more
        assert call(*asked, f"--{found[1]}", str(int(1.03 * int(found[2])) + 1)).code == 2
    assert call(*asked, "--shown", "1", f"--{found[1]}", str(min(30, int(found[2])))).code == 0


def test_unreadable_pictures_are_told_and_what_is_learned_from_must_be_whole(
    call: Call, place: Path, model_folder: Path, labelled: Path
) -> None:
    pictures(place, "a.png")
    (place / "b.png").write_text("x")
    said = call("uncertainty", model_folder, "a.png", "b.png", *FEW, "-o", "out")
    assert (said.code, said.err) == (1, "pellucid: b.png: not a picture of a known format\n")
    assert summary(place / "out")["unreadable"] == [{"file": "b.png", "reason": "not a picture of a known format"}]
    assert "b.png: not a picture" in (place / "out/index.html").read_text()
    shutil.copytree(labelled, place / "copy")
    (place / "copy/Goldfish/00.png").write_text("x")
    said = call("uncertainty", model_folder, "a.png", "--on", "copy", "--calibrate", "temperature", "-o", "other")
    assert said.code == 2
    assert "00.png: not a picture of a known format; mend or remove it, since it is learned from" in said.err


def test_names_in_the_page_are_escaped(call: Call, place: Path, model: models.Model) -> None:
    model.classes = ("<script>alert(1)</script>", *CLASSES[1:])
    models.save(model, place / "model")
    names = ["<b>x.png", *(f"{letter}.png" for letter in "abcdefgh")]
    pictures(place, *names)
    assert call("uncertainty", "model", *names, *FEW, "--ood", "inversion", "-o", "out").code == 0
    page = (place / "out/index.html").read_text()
    assert "<script>" not in page
    assert "<b>x" not in page
    assert "&lt;b&gt;x.png" in page
    assert "&lt;script&gt;" in page


def test_nothing_is_replaced_unless_forced_and_made_by_it(call: Call, place: Path, model_folder: Path) -> None:
    pictures(place, "a.png")
    words = ("uncertainty", model_folder, "a.png", *FEW, "-o", "out")
    assert call(*words).code == 0
    assert "out exists already" in call(*words).err
    assert call(*words, "--force").code == 0
    (place / "out/mine.txt").write_text("x")
    assert "out holds mine.txt, which pellucid did not make" in call(*words, "--force").err


def test_an_interruption_leaves_nothing(
    call: Call, place: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_args: object, **_told: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pellucid.cli._uncertain_asked.answered", interrupted)
    pictures(place, "a.png")
    before = content(place)
    said = call("uncertainty", model_folder, "a.png", "-o", "out")
    assert (said.code, said.err) == (130, "pellucid: interrupted; nothing was left half written\n")
    assert content(place) == before


def test_alike_samples_are_told(call: Call, place: Path, model_folder: Path) -> None:
    pictures(place, "a.png")
    words = ("--sampler", "test_time_augmentation", "--test_time_augmentation.policy", "none")
    said = call("uncertainty", model_folder, "a.png", *words, "-o", "out")
    assert (said.code, said.err) == (0, "")
    assert "finds nothing to disagree on" in said.out
    assert summary(place / "out")["all_samples_alike"] is True


def test_the_verb_lists_what_it_does(call: Call) -> None:
    assert (verb.__doc__ or "").splitlines()[0].split(" ", 1)[1] in call("--help").out
