"""pellucid train: what it refuses and how it says so, runs as models of the other commands, and the sheet of pairs."""

import base64
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file

from pellucid import data, training
from pellucid.models.weights import sha256

from .calling import Call, pictures

TINY = ["--model", "digits_cnn,width=4", "--limit", "200", "--epochs", "1", "--batch-size", "16", "--device", "cpu"]


def nothing(_here: Path, _trained: Path) -> None:
    pass


def without_labels(here: Path, _trained: Path) -> None:
    pictures(here / "set", *(f"{number}.png" for number in range(10)))


def corrupt(here: Path, _trained: Path) -> None:
    pictures(here / "set", *(f"{name}/{number}.png" for name in "ab" for number in range(12)))
    (here / "set" / "a" / "99.png").write_bytes(b"no picture")


def with_table(here: Path, _trained: Path) -> None:
    (here / "t.csv").write_text("a,b\n1,x\n")


def missing_class(here: Path, _trained: Path) -> None:
    """Class c can only be met in the test part."""
    train = [f"train/{name}/{number}.png" for name in "ab" for number in range(12)]
    pictures(here / "set", *train, *(f"test/{name}/{number}.png" for name in "abc" for number in range(3)))


def one_class(here: Path, _trained: Path) -> None:
    pictures(here / "set", *(f"a/{number}.png" for number in range(12)))


def rare_class(here: Path, _trained: Path) -> None:
    pictures(here / "set", *(f"{name}/{number}.png" for name in "ab" for number in range(12)), "c/0.png")


def with_nan(here: Path, trained: Path) -> None:
    """A model one of whose weights is NaN, with the hash that fits it."""
    shutil.copytree(trained / "a", here / "net")
    state = load_file(here / "net" / "weights.safetensors")
    next(iter(state.values())).flatten()[0] = float("nan")
    save_file(state, here / "net" / "weights.safetensors")
    told = json.loads((here / "net" / "model.json").read_text())
    told["weights"]["sha256"] = sha256(here / "net" / "weights.safetensors")
    (here / "net" / "model.json").write_text(json.dumps(told))


def foreign(here: Path, trained: Path) -> None:
    shutil.copytree(trained / "a", here / "run")
    (here / "run" / "notes.txt").write_text("mine")


def finished(here: Path, trained: Path) -> None:
    shutil.copytree(trained / "a", here / "run")


def damaged(keep: int) -> Callable[[Path, Path], None]:
    def make(here: Path, trained: Path) -> None:
        shutil.copytree(trained / "c", here / "run")
        (here / "run" / "last.pt").write_bytes((here / "run" / "last.pt").read_bytes()[:keep])

    return make


def other_checkpoint(here: Path, trained: Path) -> None:
    shutil.copytree(trained / "c", here / "run")
    torch.save({"weight": torch.ones(1)}, here / "run" / "last.pt")


def other_net(here: Path, trained: Path) -> None:
    shutil.copytree(trained / "c", here / "run")
    saved = torch.load(here / "run" / "last.pt", weights_only=True)
    saved["parts"]["step"].popitem()
    torch.save(saved, here / "run" / "last.pt")


REFUSED = {
    "recipe": (
        "clasify digits",
        "invalid choice: 'clasify' .*; did you mean classify\\?; see pellucid train --help",
        nothing,
    ),
    "option": ("classify digits --epohcs 3", "unrecognized arguments: --epohcs 3; did you mean --epochs", nothing),
    "kind": ("classify digits --epochs two", "epochs must be a whole number, got two", nothing),
    "nan": ("classify digits --lr nan", "lr must be a number, got nan", nothing),
    "set": (
        "classify digits --set epohcs=3",
        "--set takes option=value, got 'epohcs=3'; did you mean epochs\\?",
        nothing,
    ),
    "set-kind": ("classify digits --set epochs=two", "--set epochs cannot be 'two'", nothing),
    "set-none": ("classify digits --set epochs", "--set takes option=value, got 'epochs'", nothing),
    "data": ("classify digit", "digit: no such file or folder, and no built-in set; did you mean digits\\?", nothing),
    "no-data": ("classify", "say what to learn from: a built-in set", nothing),
    "word": (
        "classify digits --optimizer adm",
        "optimizer must be one of .* got 'adm'; did you mean adam, adamw\\?",
        nothing,
    ),
    "net": ("classify digits --model digits_cn", "got 'digits_cn'; did you mean digits_cnn\\?", nothing),
    "operation": ("classify digits --augmentation hflop", "got 'hflop'; did you mean hflip, vflip\\?", nothing),
    "monitor": (
        "classify digits --monitor val_acuracy",
        "monitor must be one of val_loss, val_accuracy, loss, accuracy, got 'val_acuracy'; did you mean val_accuracy",
        nothing,
    ),
    "patience": ("classify digits --val 0 --patience 2", "patience must be None without a val part", nothing),
    "batch": (
        "classify digits --batch-size 0",
        "batch_size must be at least 1, got 0",
        nothing,
    ),
    "no-labels": ("classify set", "set: has no labelled pictures; put them into a folder a class", without_labels),
    "corrupt": ("classify set", "set: 1 image cannot be read, the first a/99.png: .*; mend or remove it", corrupt),
    "missing": ("classify set", "set: the training part has no picture of class c; add some", missing_class),
    "one": ("classify set", "set: all pictures are of one class, a; a classifier needs at least two", one_class),
    "rare": ("classify set", "class c has too few pictures to hold some out, 1 of 2.: add some or", rare_class),
    "table": ("classify t.csv", "t.csv: is a table, not pictures; pellucid train tabular", with_table),
    "no-table": ("tabular set", "set: is a folder, not a table; pellucid train classify", one_class),
    "resume": ("classify --resume", "run: holds no run to go on with; name the folder of one, or DATA", nothing),
    "nan-weights": (
        "classify digits --model net",
        "net/weights.safetensors: \\S+ holds NaN or infinite values",
        with_nan,
    ),
    "cuda": ("classify digits --device tpu", "device must be one of auto, cpu, cuda, mps, got 'tpu'", nothing),
}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train classify digits", "missing: -o OUT; see pellucid train --help"),
        (
            "train",
            "missing: RECIPE, one of cifar10-fast, classify, finetune, jigsaw, ladder, ...; see pellucid train --help",
        ),
        ("sweep classify digits -o a", "missing: --grid OPTION=VALUE,VALUE; see pellucid sweep --help"),
        ("predict", "missing: model, images; see pellucid predict --help"),
    ],
)
def test_what_is_missing_is_named_as_it_is_typed(call: Call, words: str, message: str) -> None:
    said = call(*words.split())
    assert (said.code, said.out, said.err) == (2, "", f"pellucid: {message}\n")


def test_help_groups_the_options_and_tells_every_default(call: Call) -> None:
    said = call("train", "classify", "--help").out
    assert said.startswith("usage: pellucid train classify DATA -o RUN [options]\n\nLearn to classify")
    run, learned = said.partition("\nwhat is learned, and how:\n")[::2]
    assert "--resume" in run
    assert "--epochs" not in run
    learned, runs_on = learned.partition("\nwhere it runs:\n")[::2]
    assert "--label-smoothing" in learned
    assert "--devices" in runs_on
    for words in (("train", "classify"), ("sweep", "classify"), ("learn", "convolution")):
        told = call(*words, "--help").out
        options = [one for one in re.split(r"\n  (?=-)", told) if one.startswith("--")]
        lacking = [one.split()[0] for one in options if "default:" not in one]
        assert set(lacking) <= {
            "--config",
            "--print_config",
            "--force",
            "--resume",
            "--set",
            "--show-augmentation",
            "--grid",
        }, words


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_trained_is_refused_in_a_line_and_leaves_nothing(
    call: Call, place: Path, trained: Path, case: str
) -> None:
    words, message, make = REFUSED[case]
    make(place, trained)
    recipe, *more = words.split()
    said = call("train", recipe, *(TINY if recipe == "classify" else []), *more, "-o", "run")
    assert (said.code, said.out) == (2, "")
    assert re.match(f"pellucid: .*{message}", said.err), said.err
    assert said.err.count("\n") == 1
    assert not (place / "run").exists()


KEPT = {
    "there": (TINY, "run holds a run already: go on with --resume, replace it with --force, or name another", finished),
    "foreign": (
        [*TINY, "--force"],
        "run holds notes.txt, which pellucid did not make; move it away before --force",
        foreign,
    ),
    "epochs": (
        ["--resume", "--epochs", "20"],
        "run was begun with epochs 2, not 20; leave --epochs out, or use a new -o",
        finished,
    ),
    "set": (
        ["--resume", "--set", "lr=1"],
        "run was begun with lr 0.003, not 1.0; leave --lr out, or use a new -o",
        finished,
    ),
    "empty": (["--resume"], "run/last.pt: not a readable checkpoint; start again with --force", damaged(0)),
    "cut": (["--resume"], "run/last.pt: not a readable checkpoint; start again with --force", damaged(9000)),
    "other": (["--resume"], "run/last.pt: not a readable checkpoint; start again with --force", other_checkpoint),
    "net": (
        ["--resume"],
        "run/last.pt: does not fit what is trained now (Missing key(s) in state_dict: "
        '"model.network.12.bias".); has the data changed?',
        other_net,
    ),
}


@pytest.mark.parametrize("case", KEPT)
def test_a_run_that_is_there_is_neither_lost_nor_changed(call: Call, place: Path, trained: Path, case: str) -> None:
    words, message, make = KEPT[case]
    make(place, trained)
    before = {path.name: path.read_bytes() for path in (place / "run").iterdir()}
    said = call("train", "classify", "digits", "-o", "run", *words)
    assert (said.code, said.err) == (2, f"pellucid: {message}\n")
    assert {path.name: path.read_bytes() for path in (place / "run").iterdir()} == before


def test_a_run_of_other_data_is_not_gone_on_with(call: Call, place: Path, trained: Path) -> None:
    finished(place, trained)
    said = call("train", "classify", "mnist", "-o", "run", "--resume")
    assert said.err == "pellucid: run was begun with data digits, not mnist; leave it out, or use a new -o\n"
    said = call("train", "tabular", "-o", "run", "--resume")
    assert said.err == "pellucid: run was begun with recipe classify, not tabular; name that one, or use a new -o\n"


def test_a_loss_that_is_no_number_ends_the_training_and_says_when(call: Call, place: Path) -> None:
    said = call("train", "classify", "digits", "-o", "run", *TINY, "--lr", "1e30", "--optimizer", "sgd")
    assert said.code == 2
    assert re.search("the loss became (nan|inf) at epoch 1 step \\d+, lr .*: lower lr", said.err)


def test_force_replaces_a_run(call: Call, place: Path, trained: Path) -> None:
    finished(place, trained)
    assert call("train", "classify", "digits", "-o", "run", *TINY, "--force").code == 0
    assert training.Run(place / "run").config["epochs"] == 1


def test_a_runs_configuration_gives_the_options_and_what_is_typed_wins(call: Call, place: Path, trained: Path) -> None:
    words = (
        "train",
        "classify",
        "-o",
        "run",
        "--epochs",
        "1",
        "--config",
        trained / "b" / "config.yaml",
        "--set",
        "seed=7",
    )
    assert call(*words).code == 0
    config = training.Run(place / "run").config
    assert (config["epochs"], config["seed"]) == (1, 7)
    assert {**config, "epochs": 2, "seed": 0} == training.Run(trained / "b").config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epohcs: 2", "c.yaml takes option=value, got 'epohcs=2'; did you mean epochs?"),
        ("epochs: two", "c.yaml epochs cannot be 'two'; see --help for what it takes"),
        ("- 1", "c.yaml: must hold options, one a line, such as epochs: 6"),
        ("recipe: tabular", "c.yaml: is of another recipe than classify"),
        ("a: [", "c.yaml: not readable ("),
    ],
)
def test_a_bad_configuration_is_refused(call: Call, place: Path, text: str, message: str) -> None:
    (place / "c.yaml").write_text(text)
    said = call("train", "classify", "digits", "-o", "run", "--config", "c.yaml")
    assert said.code == 2
    assert said.err.startswith(f"pellucid: {message}")
    assert not (place / "run").exists()


def test_a_run_is_a_model_for_every_command(call: Call, place: Path, trained: Path) -> None:
    """Unchanged: the folder of the run is the MODEL."""
    test = data.builtin("digits", split="test")
    for number in range(24):
        name = place / "set" / test.classes[int(test.targets[number])] / f"{number}.png"
        name.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(test.read(number)[0].numpy()).save(name)
    picture = next((place / "set").rglob("*.png"))
    run = trained / "a"
    for words in (
        ("predict", run, picture, "--json"),
        ("describe", run, "--json"),
        ("explain", run, picture, "--method", "saliency,grad_cam", "-o", "maps"),
        ("audit", run, "set", "-o", "audit", "--shown", "2"),
    ):
        said = call(*words)
        assert (said.code, said.err) == (0, ""), words
    assert json.loads((place / "maps" / "manifest.json").read_text())["record"]["model"]["folder"] == str(run)


def test_the_sheet_shows_the_very_tensors_that_training_meets(call: Call, place: Path) -> None:
    words = [
        "train",
        "classify",
        "digits",
        *TINY,
        "--augmentation",
        "crop=1,rotate=10,noise=0.1",
        "--seed",
        "3",
        "-o",
        "sheet",
    ]
    said = call(*words, "--show-augmentation")
    assert (said.code, said.err) == (0, "")
    assert sorted(path.name for path in (place / "sheet").iterdir()) == [
        "augmentation.png",
        "index.html",
        "record.json",
    ]
    with Image.open(place / "sheet" / "augmentation.png") as picture:
        assert picture.width > 2 * picture.height * 0.9
    shown = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(found))).convert("L"))
        for found in re.findall(r"data:image/png;base64,([^\"]+)", (place / "sheet" / "index.html").read_text())
    ]
    train = training.open_sets("digits", limit=200, seed=3).train
    batches = data.batches_of(train, batch_size=1, seed=3, policy="crop=1,rotate=10,noise=0.1")
    met = {int(place): images[0, 0] for place, (images, _) in zip(batches.order(0), batches(0), strict=True)}
    chosen = torch.linspace(0, len(train) - 1, 5).long().tolist()
    assert len(shown) == 10
    for number, index in enumerate(chosen):
        before, after = (picture[::20, ::20].astype(int) for picture in shown[2 * number : 2 * number + 2])  # 8 x 8
        assert (before == train.pixels[index, 0].numpy()).all()
        assert np.abs(after - met[index].numpy() * 255).max() <= 0.51
    record = json.loads((place / "sheet" / "record.json").read_text())
    assert (record["command"], record["seed"], record["options"]["limit"]) == ("augmentation", 3, 200)
    assert call(*words, "--show-augmentation").code == 2  # it is there
    assert call(*words, "--show-augmentation", "--force").code == 0
    assert call(*words).code == 2  # no run, and not replaced by one


def test_the_sheet_needs_something_to_show(call: Call, place: Path) -> None:
    said = call("train", "classify", "digits", "--show-augmentation", "-o", "sheet")
    assert said.err.startswith("pellucid: augmentation must not be none, to be shown")
    said = call("train", "finetune", "zoo:lenet5@none", "digits", "--show-augmentation", "-o", "sheet")
    assert said.err.startswith("pellucid: augmentation must be named to be shown, for the usual one goes by the model")
    said = call("train", "tabular", "iris", "--show-augmentation", "-o", "sheet")
    assert said.err == "pellucid: unrecognized arguments: --show-augmentation; see pellucid train --help\n"
    assert "--show-augmentation" not in call("train", "tabular", "--help").out
    assert not (place / "sheet").exists()


def test_the_written_configuration_is_plain(trained: Path) -> None:
    told = yaml.safe_load((trained / "a" / "config.yaml").read_text())
    assert list(told)[:2] == ["recipe", "data"]
    assert told["model"] == "digits_cnn,width=4"
