"""pellucid attack."""

import json
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from pellucid import attack, data, models
from pellucid.cli import attack as verb
from pellucid.cli._attack_facts import _median
from pellucid.cli._attack_made import write_made
from pellucid.methods import methods, options

from .calling import CLASSES, Call, content, pictures

FILES = {"index.html", "before-after.png", "outcome.parquet", "summary.json", "record.json", "adversarial"}
LARGE = "150/255"
"""An epsilon that breaks this net now and then, whose pictures are noise."""


@pytest.fixture
def model(model_folder: Path) -> models.Model:
    return models.load(model_folder)


def summary(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return told


def by_hand(model: models.Model, *names: str) -> torch.Tensor:
    return torch.cat([data.read_image(name, model.geometry) for name in names])


def test_the_files_and_the_numbers_are_the_librarys(
    call: Call, place: Path, model: models.Model, model_folder: Path
) -> None:
    pictures(place, "a.png", "b.png", "x/a.png")
    words = ("attack", model_folder, "a.png", "b.png", "x/a.png", "--epsilon", LARGE, "--pgd.steps", "3", "--no-alarms")
    said = call(*words, "-o", "out")
    assert (said.code, said.err) == (0, "")
    images = by_hand(model, "a.png", "b.png", "x/a.png")
    calls = model(images).argmax(dim=1)
    made = attack.pgd(model, images, calls, epsilon=150 / 255, steps=3)
    expected = attack.outcome(model, images, made, calls)
    table = pq.read_table(place / "out/outcome.parquet").to_pydict()
    assert table["file"] == ["a.png", "b.png", "x/a.png"]
    assert table["success"] == expected.success.tolist()
    assert table["after_name"] == [CLASSES[index] for index in expected.after.tolist()]
    assert table["l2"] == pytest.approx(expected.l2.tolist())
    assert "smallest_epsilon" not in table
    for name, image in zip(table["picture"], made, strict=True):
        with Image.open(place / "out" / name) as file:
            assert np.array_equal(np.asarray(file), (image[0] * 255).round().byte().numpy())
    told = summary(place / "out")
    rate = expected.rate
    assert told["success"] == {"value": rate.value, "low": rate.low, "high": rate.high}
    assert (told["images"], told["attacked"], told["needed_no_attack"]) == (3, 3, 0)
    assert told["labels"] == "called by the model"
    assert told["options"]["steps"] == 3
    assert (told["epsilon"], told["norm"], told["target"]) == (150 / 255, "linf", None)
    assert told["forward"]["total"] == sum(table["forward"]) > 0
    assert told["alarms"] == []
    assert set(content(place / "out")) == FILES | set(table["picture"])
    assert "the images have no labels, so that the model's own calls count as right" in said.out
    assert said.out.endswith(f"page: {(place / 'out/index.html').resolve()}\n")


def test_the_record_says_how_it_was_made(call: Call, place: Path, model_folder: Path) -> None:
    pictures(place, "a.png")
    words = ("attack", model_folder, "a.png", "--method", "fgsm", "--epsilon", "0.5", "--norm", "l2", "--seed", "7")
    assert call(*words, "--no-alarms", "-o", "out").code == 0
    told = json.loads((place / "out/record.json").read_text())
    assert (told["command"], told["seed"], told["data"]["read"]) == ("attack", 7, 1)
    assert told["options"]["fgsm"] == {"loss": "ce"}
    assert (told["options"]["epsilon"], told["options"]["norm"]) == (0.5, "l2")
    assert "outcome.parquet" in told["files"]


def test_a_labelled_set_is_sampled_by_its_seed(
    call: Call, place: Path, model: models.Model, model_folder: Path, labelled: Path
) -> None:
    def files(seed: int) -> list[str]:
        words = (
            "attack",
            model_folder,
            labelled,
            "--method",
            "fgsm",
            "--limit",
            "9",
            "--seed",
            str(seed),
            "--no-alarms",
        )
        said = call(*words, "-o", "out", "--force")
        assert (said.code, said.err) == (0, "")
        found: list[str] = pq.read_table(place / "out/outcome.parquet").to_pydict()["file"]
        return found

    first = files(0)
    table = pq.read_table(place / "out/outcome.parquet").to_pydict()
    assert len(first) == 9 == len(set(first))
    assert first == files(0) != files(1)
    names = {"Goldfish": 1, "great-white_shark": 2, "TINCA TINCA": 0, "stingray": 4}
    assert table["label"] == [names[file.partition("/")[0]] for file in table["file"]]
    images = torch.cat([data.read_image(labelled / file, model.geometry) for file in table["file"]])
    wrong = model(images).argmax(dim=1) != torch.tensor(table["label"])
    assert table["is_done"] == wrong.tolist()


def test_a_sweep_draws_the_curve(call: Call, place: Path, model: models.Model, model_folder: Path) -> None:
    names = [f"{letter}.png" for letter in "abcdef"]
    pictures(place, *names)
    words = ("attack", model_folder, *names, "--sweep", "0,60/255,120/255, 1", "--pgd.steps", "4", "--no-alarms")
    said = call(*words, "-o", "out")
    assert (said.code, said.err) == (0, "")
    images = by_hand(model, *names)
    bound = partial(attack.pgd, steps=4)
    sizes = (0.0, 60 / 255, 120 / 255, 1.0)
    found = attack.robustness(model, images, model(images).argmax(dim=1), epsilons=sizes, method=bound)
    told = summary(place / "out")["curve"]
    assert [one["epsilon"] for one in told] == list(found.epsilons)
    assert [one["accuracy"]["value"] for one in told] == [share.value for share in found.accuracy]
    assert [one["wilson"]["high"] for one in told] == [share.high for share in found.wilson]
    table = pq.read_table(place / "out/outcome.parquet").to_pydict()
    assert table["smallest_epsilon"] == found.smallest.tolist()
    page = (place / "out/index.html").read_text()
    assert "epsilon, in 255ths (linf)" in page
    assert page.count('role="img"') == 1
    for word in ("60/255", "120/255", "bootstrap", "Wilson"):
        assert word in page


def test_the_alarms_are_printed_and_drawn(call: Call, place: Path, model_folder: Path) -> None:
    pictures(place, "a.png", "b.png")
    words = ("attack", model_folder, "a.png", "b.png", "--epsilon", LARGE, "--pgd.alpha", "1e-6")
    said = call(*words, "--pgd.steps", "2", "--pgd.random-start", "false", "-o", "out")
    assert said.code == 0
    names = ["epsilon 0", "larger epsilon", "unbounded", "black box", "gradients", "wrapper"]
    assert re.findall(r"^   (?:ALARM|quiet): ([\w ]+):", said.out, re.MULTILINE) == names
    told = {one["name"]: one for one in summary(place / "out")["alarms"]}
    assert list(told) == names
    assert told["unbounded"]["rings"]
    assert "   ALARM: unbounded: " in said.out
    page = (place / "out/index.html").read_text()
    assert "the numbers above are not to be believed yet" in page
    assert "images stand though any change was allowed" in page


def test_a_class_to_reach(call: Call, place: Path, model: models.Model, model_folder: Path) -> None:
    pictures(place, "a.png", "b.png")
    words = ("attack", model_folder, "a.png", "b.png", "--targeted", "goldfish", "--epsilon", "1", "--no-alarms")
    assert call(*words, "-o", "out").code == 0
    table = pq.read_table(place / "out/outcome.parquet").to_pydict()
    assert table["targets"] == [1, 1]
    assert table["success"] == [name == "goldfish" for name in table["after_name"]]
    assert any(table["success"])
    assert summary(place / "out")["target"] == "goldfish"
    page = (place / "out/index.html").read_text()
    assert "are called “goldfish”, by changes of at most 1 in linf" in page


def test_the_same_images_on_a_second_model(call: Call, place: Path, model: models.Model, model_folder: Path) -> None:
    pictures(place, "a.png", "b.png")
    words = ("attack", model_folder, "a.png", "b.png", "--transfer", model_folder, "--epsilon", LARGE, "--no-alarms")
    said = call(*words, "-o", "out")
    assert (said.code, said.err) == (0, "")
    told = summary(place / "out")
    assert told["transfer"]["success"] == told["success"], "the second is the first"
    assert told["transfer"]["model"] == model_folder.name
    assert f"{model_folder.name} is broken by the same images: " in said.out


def test_a_second_model_must_know_the_classes_and_the_frame(call: Call, place: Path, model_folder: Path) -> None:
    pictures(place, "a.png")
    words = (
        "attack",
        model_folder,
        "a.png",
        "--targeted",
        "goldfish",
        "--no-alarms",
        "--transfer",
        "other",
        "-o",
        "out",
    )
    models.save(models.create("digits_cnn", classes=["hen", "goldfish"], width=4), place / "other")
    assert call(*words).code == 0
    assert summary(place / "out")["transfer"]["model"] == "other"
    models.save(models.create("digits_cnn", classes=["hen", "cock"], width=4), place / "other")
    said = call(*words, "--force")
    assert (said.code, said.err) == (2, "pellucid: transfer: other has no class 'goldfish'\n")
    models.save(models.create("lenet5_bn", classes=["hen", "goldfish"]), place / "other")
    assert "transfer needs a model of the same frame: other takes " in call(*words, "--force").err


def test_unreadable_pictures_are_told(call: Call, place: Path, model_folder: Path) -> None:
    pictures(place, "a.png")
    (place / "b.png").write_text("x")
    said = call("attack", model_folder, "a.png", "b.png", "--method", "fgsm", "--no-alarms", "-o", "out")
    assert (said.code, said.err) == (1, "pellucid: b.png: not a picture of a known format\n")
    assert summary(place / "out")["unreadable"] == [{"file": "b.png", "reason": "not a picture of a known format"}]
    assert "b.png: not a picture" in (place / "out/index.html").read_text()


def test_what_a_method_leaves_is_written(call: Call, place: Path, model_folder: Path) -> None:
    pictures(place, "a.png", "b.png")
    words = ("attack", model_folder, "a.png", "b.png", "--no-alarms", "--targeted", "goldfish")
    quick = ("--patch.steps", "2", "--patch.area", "0.2")
    said = call(*words, "--method", "patch", *quick, "-o", "patched")
    assert (said.code, said.err) == (0, "")
    (told,) = json.loads((place / "patched/made.json").read_text())
    assert (told["target"], told["target_name"]) == (1, "goldfish")
    assert (place / "patched/made/made-0.png").is_file()
    read = attack.read_patch(place / "patched/made/made-0.png")
    assert read.target_name == "goldfish"


def test_whatever_is_left_becomes_files(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Left:
        few: torch.Tensor
        many: torch.Tensor
        parts: tuple[float, ...]

        def svg(self, height: int, width: int) -> str:
            return f"<svg>{height} {width}</svg>"

    class Told:
        def json(self) -> dict[str, int]:
            return {"a": 1}

    many = torch.arange(100.0)
    left = Left(torch.tensor([1.0, 2.0]), many, (0.5, float("inf")))
    write_made(tmp_path, (left, Told()), ["adversarial/x.png", "adversarial/y.png"], (8, 9))
    told = json.loads((tmp_path / "made.json").read_text())
    assert told == [{"few": [1.0, 2.0], "many": "made/x-many.npy", "parts": [0.5, "inf"]}, {"a": 1}]
    assert np.array_equal(np.load(tmp_path / told[0]["many"], allow_pickle=False), many.numpy())
    assert (tmp_path / "made/x.svg").read_text() == "<svg>8 9</svg>"
    (tmp_path / "empty").mkdir()
    write_made(tmp_path / "empty", None, ["x.png"], (8, 8))
    assert not content(tmp_path / "empty")


def test_names_in_the_page_are_escaped(call: Call, place: Path, model: models.Model) -> None:
    names = ("<script>alert(1)</script>", *CLASSES[1:])
    model.classes = names
    models.save(model, place / "model")
    pictures(place, "<b>x.png", "a.png")
    said = call("attack", "model", "<b>x.png", "a.png", "--method", "fgsm", "--epsilon", LARGE, "-o", "out")
    assert said.code == 0
    page = (place / "out/index.html").read_text()
    assert "<script>" not in page
    assert "<b>x" not in page
    assert "&lt;b&gt;x.png" in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--epsilon 8", "epsilon must be in image units, at most 1, got 8: 8/255 was meant?"),
        ("--epsilon 8/0", "epsilon must be a number or a fraction such as 8/255, got '8/0'"),
        ("--epsilon much", "epsilon must be a number or a fraction such as 8/255, got 'much'"),
        ("--epsilon=-1/255", "epsilon must be at least 0 and finite, got -0.00392156862745098"),
        ("--epsilon nan", "epsilon must be at least 0 and finite, got nan"),
        ("--norm l7", "norm must be one of linf, l2, l1, got 'l7'"),
        ("--method pdg", "did you mean pgd"),
        ("--sweep 0,2/255,1/255", "sweep must be ascending, got 0,2/255,1/255"),
        ("--sweep 0,8", "epsilon must be in image units, at most 1, got 8: 8/255 was meant?"),
        ("--limit -1", "limit must be at least 0, got -1"),
        ("--targeted dog", "'dog' is no class of the model (not in 0..5)"),
        ("--targeted goldfish,cock", "targeted must be one class, got 2: goldfish,cock"),
        ("--method fooling", "fooling makes images reach a class: name it with --targeted CLASS"),
        ("--method deepfool --targeted cock", "deepfool cannot be targeted: it makes images leave their class"),
        ("--method carlini_wagner --norm l2", "norm was given, but carlini_wagner has one alone, l2"),
        ("--method shapes --epsilon 8", "epsilon must be in image units, at most 1, got 8: 8/255 was meant?"),
        ("--square.max-queries 5", "square.max-queries was given, but the method is pgd"),
        ("--pgd.steps 0", "steps must be at least 1, got 0"),
        ("--pgd.steps many", "pgd.steps must be a whole number, got many"),
        ("--transfer nothing", "nothing"),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    call: Call, place: Path, model_folder: Path, words: str, message: str
) -> None:
    pictures(place, "a.png")
    before = content(place)
    said = call("attack", model_folder, "a.png", "-o", "out", *words.split())
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("pellucid: ")
    assert message in said.err
    assert said.err.count("\n") == 1
    assert content(place) == before


def test_nothing_is_replaced_unless_forced_and_made_by_it(call: Call, place: Path, model_folder: Path) -> None:
    pictures(place, "a.png")
    words = ("attack", model_folder, "a.png", "--method", "fgsm", "--no-alarms", "-o", "out")
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

    monkeypatch.setattr("pellucid.attack.outcome.outcome", interrupted, raising=False)
    monkeypatch.setattr("pellucid.cli._attacked.outcome", interrupted)
    pictures(place, "a.png")
    before = content(place)
    said = call("attack", model_folder, "a.png", "-o", "out")
    assert (said.code, said.err) == (130, "pellucid: interrupted; nothing was left half written\n")
    assert content(place) == before


def test_an_epsilon_in_l2_may_be_above_1_and_is_told_so(call: Call, place: Path, model_folder: Path) -> None:
    pictures(place, "a.png")
    words = ("attack", model_folder, "a.png", "--method", "boundary", "--boundary.max-queries", "12")
    said = call(*words, "--epsilon", "2", "--sweep", "0,1,2", "--no-alarms", "-o", "out")
    assert (said.code, said.err) == (0, "")
    assert summary(place / "out")["norm"] == "l2"
    page = (place / "out/index.html").read_text()
    assert "epsilon, in image units (l2)" in page


def test_every_method_and_option_that_words_can_give_has_a_flag(call: Call) -> None:
    told = call("attack", "--help").out
    assert told.index("--force") < told.index("--method apgd:") < told.index("--apgd.steps"), "what all share first"
    assert "22 % and" in " ".join(told.split())
    assert "_typehint" not in told, "a % in a docstring is no place to be filled in"
    assert "--apgd.compact [{true,false}]" in told
    for name, method in methods(attack, taking="trace").items():
        for option in options(method):
            is_skipped = option.name in verb._skipped(method)
            assert (f"--{name}.{option.name.replace('_', '-')} " in told) != is_skipped, f"{name} {option.name}"


def test_what_is_said_of_one_image_is_what_came_of_it(
    call: Call, place: Path, model: models.Model, model_folder: Path
) -> None:
    names = [f"{letter}.png" for letter in "abcdefgh"]
    pictures(place, *names)
    words = ("attack", model_folder, *names, "--targeted", "goldfish", "--epsilon", "30/255", "--pgd.alpha", "0.2")
    assert call(*words, "--pgd.steps", "4", "--no-alarms", "-o", "out").code == 0
    table = pq.read_table(place / "out/outcome.parquet").to_pydict()
    page = (place / "out/index.html").read_text()
    rows = list(zip(table["is_done"], table["success"], table["before"], table["after"], strict=True))
    assert page.count("stands: still") == sum(not hit and was == now for _, hit, was, now in rows)
    assert page.count("misses the target: called") == sum(not hit and was != now for _, hit, was, now in rows) > 0
    sizes = [size for size, (done, hit, _, _) in zip(table["l2"], rows, strict=True) if hit and not done]
    assert summary(place / "out")["median_of_successes"]["l2"] == pytest.approx(float(np.median(sizes)))
    assert _median(torch.tensor([1, 2])) == 1.5, "as the table of the page has it"
