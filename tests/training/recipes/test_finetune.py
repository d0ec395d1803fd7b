"""The finetune recipe, mode by mode, on a net of digits that is taught which digits are odd."""

import json
import os
import signal
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn

from pellucid import data, models, training
from pellucid.training.recipes import Told
from pellucid.training.recipes import _following as following
from pellucid.training.recipes._cached import features_of

SHORT: dict[str, Any] = {"epochs": 2, "batch_size": 16, "device": "cpu", "lr": 0.01, "augmentation": "none"}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits in two folders, odd and even."""
    place = tmp_path_factory.mktemp("pictures")
    digits = data.in_memory(
        data.builtin("digits"), models.create("digits_cnn", classes=list("0123456789")).geometry
    ).subset(list(range(120)))
    for number, (pixels, digit) in enumerate(zip(digits.pixels, digits.targets.tolist(), strict=True)):
        folder = place / ("odd" if digit % 2 else "even")
        folder.mkdir(exist_ok=True)
        Image.fromarray(pixels[0].numpy()).save(folder / f"{number}.png")
    return place


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A net with norms, in a folder, whose statistics are not those it began with."""
    torch.manual_seed(0)
    model = models.create("resnet20", classes=list("0123456789"), channels=1)
    for _ in range(3):
        model(torch.rand(8, 1, 32, 32))
    folder = tmp_path_factory.mktemp("trained") / "net"
    models.save(model.eval(), folder)
    return folder


@pytest.fixture(scope="module")
def simple(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A smaller one."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("simple") / "net"
    models.save(models.create("digits_cnn", classes=list("0123456789"), width=4).eval(), folder)
    return folder


def tune(pictures: Path, folder: Path, model: Path, **options: Any) -> list[Told]:
    return list(training.start("finetune", str(pictures), folder, **{**SHORT, "model": str(model), **options}))


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def untimed(folder: Path) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines(folder)]


def changed(folder: Path, model: Path) -> set[str]:
    """Tensors of a run that are not bit by bit the trained model's."""
    now, before = (models.load(place).network.state_dict() for place in (folder, model))
    return {name for name in now if now[name].shape != before[name].shape or not torch.equal(now[name], before[name])}


def test_frozen_changes_the_head_alone_and_no_statistic(tmp_path: Path, pictures: Path, trained: Path) -> None:
    told = tune(pictures, tmp_path / "run", trained, size=16, limit=60, epochs=1)
    assert changed(tmp_path / "run", trained) == {"head.weight", "head.bias"}
    model = models.load(tmp_path / "run")
    assert model.classes == ("even", "odd")
    assert model.geometry.size == (16, 16)
    every = sum(parameter.numel() for parameter in model.parameters())
    assert told[0].text == f"head head for 2 classes; {64 * 2 + 2} of {every:,} parameters learn"
    assert "with its new head: val loss" in told[1].text
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} <= set(lines(tmp_path / "run")[-1])


def test_training_images_are_moved_and_no_edge_is_black_where_nothing_is_said(
    tmp_path: Path, pictures: Path, simple: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    met: list[data.Batches] = []

    def spied(*args: Any, **options: Any) -> data.Batches:
        met.append(data.batches_of(*args, **options))
        return met[-1]

    monkeypatch.setattr(import_module("pellucid.training.recipes.finetune"), "batches_of", spied)
    tune(pictures, tmp_path / "run", simple, epochs=1, size=20, augmentation="")
    moved = met[0].policy
    white = torch.ones(500, 1, 20, 20)
    assert bool((moved(white, torch.arange(500)) == 1).all()), "what comes in is the picture, mirrored"
    ramp = torch.arange(20.0).view(1, 1, 20, 1).expand(500, 1, 20, 20) / 19
    down = 19 * (moved(ramp, torch.arange(500)) - ramp)[:, 0, 10, 10]
    assert set(down.round().int().tolist()) == set(range(-4, 5)), "a fifth of the side, both ways"


def test_standalone_is_frozen_without_augmentation(tmp_path: Path, pictures: Path, simple: Path) -> None:
    """With the same seed and order, the dropout of the head included."""
    options: dict[str, Any] = {"head": "mlp", "limit": 60}
    tune(pictures, tmp_path / "a", simple, mode="standalone", **options)
    tune(pictures, tmp_path / "b", simple, mode="frozen", **options)
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    logits = [models.load(tmp_path / name)(images) for name in "ab"]
    torch.testing.assert_close(logits[0], logits[1], atol=1e-4, rtol=1e-4)
    for one, other in zip(lines(tmp_path / "a"), lines(tmp_path / "b"), strict=True):
        assert one["val_loss"] == pytest.approx(other["val_loss"], abs=1e-4)
    assert training.Run(tmp_path / "a").results["test"]["loss"] == pytest.approx(
        training.Run(tmp_path / "b").results["test"]["loss"], abs=1e-4
    )


def test_finetune_changes_what_stands_behind_the_place(tmp_path: Path, pictures: Path, simple: Path) -> None:
    tune(pictures, tmp_path / "all", simple, mode="finetune", trunk_lr=1e-3)
    names = set(models.load(simple).network.state_dict())
    assert changed(tmp_path / "all", simple) == names
    tune(pictures, tmp_path / "part", simple, epochs=1, freeze_until="0.5", trunk_lr=1e-3)
    part = changed(tmp_path / "part", simple)
    assert {"12.weight", "12.bias"} < part < names
    assert not any(name.startswith("0.") for name in part)
    tune(pictures, tmp_path / "still", simple, mode="finetune", epochs=1, trunk_lr=0.0)
    assert changed(tmp_path / "still", simple) == {"12.weight", "12.bias"}


def test_norms_and_their_statistics_stay_unless_they_are_asked_to_learn(
    tmp_path: Path, pictures: Path, trained: Path
) -> None:
    options: dict[str, Any] = {"size": 16, "limit": 60, "epochs": 1, "mode": "finetune", "trunk_lr": 1e-3}
    norms = {
        f"{name}.{key}"
        for name, module in models.load(trained).network.named_modules()
        if isinstance(module, nn.BatchNorm2d)
        for key in module.state_dict()
    }
    every = set(models.load(trained).network.state_dict())
    tune(pictures, tmp_path / "kept", trained, **options)
    assert changed(tmp_path / "kept", trained) == every - norms
    tune(pictures, tmp_path / "learned", trained, freeze_norms=False, **options)
    assert changed(tmp_path / "learned", trained) == every


def test_two_phases_are_the_head_and_then_all_from_its_best_weights(
    tmp_path: Path, pictures: Path, simple: Path
) -> None:
    told = tune(pictures, tmp_path / "run", simple, then_unfreeze=True, trunk_lr=1e-4, then_lr=1e-3)
    assert changed(tmp_path / "run" / "head", simple) == {"12.weight", "12.bias"}
    assert len(changed(tmp_path / "run", tmp_path / "run" / "head")) == len(models.load(simple).network.state_dict())
    first, then = (lines(place) for place in (tmp_path / "run" / "head", tmp_path / "run"))
    best = training.Run(tmp_path / "run" / "head").results["best_epoch"]
    assert then[0]["val_loss"] == pytest.approx(first[best]["val_loss"], rel=1e-5)
    assert (first[1]["lr"], then[1]["lr"]) == (0.01, 1e-3)
    assert told[0].text.startswith("head: head 12 for 2 classes")
    assert any("with its head trained: val loss" in one.text for one in told)


def test_the_head_that_was_asked_for_is_trained(tmp_path: Path, pictures: Path, simple: Path) -> None:
    tune(pictures, tmp_path / "run", simple, head="dropout", epochs=1)
    assert isinstance(models.load(tmp_path / "run").network.get_submodule("12")[0], nn.Dropout)  # type: ignore[index]
    tune(pictures, tmp_path / "again", tmp_path / "run", epochs=1)  # a run is a MODEL


@pytest.mark.parametrize("mode", ["standalone", "two_phase"])
def test_a_run_that_is_killed_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, pictures: Path, simple: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"mode": mode, "head": "dropout", "every": 2, "limit": 60}
    tune(pictures, tmp_path / "whole", simple, **options)
    killed = tmp_path / "killed"

    def stopped() -> Iterator[None]:
        kept = following.Following._log
        left = [0]

        def log(self: following.Following, values: dict[str, Any]) -> None:
            kept(self, values)
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGINT)

        for moment in (2, 5) if mode == "two_phase" else (2,):  # amid the first phase, and amid the second
            left[0] = moment
            monkeypatch.setattr(following.Following, "_log", log)
            yield
            monkeypatch.setattr(following.Following, "_log", kept)

    for number, _ in enumerate(stopped()):
        place = killed / str(number)
        with pytest.raises(KeyboardInterrupt):
            tune(pictures, place, simple, **options)
        list(training.resume(place))
        assert untimed(place) == untimed(tmp_path / "whole")
        assert not changed(place, tmp_path / "whole")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": ""}, "model must name a trained one: a folder with model.json"),
        ({"mode": "froze"}, "mode must be one of standalone, frozen, finetune, two_phase, got 'froze'; did you mean"),
        ({"mode": "frozen", "then_unfreeze": True}, "then_unfreeze goes with mode two_phase alone, got frozen"),
        ({"mode": "frozen", "freeze_until": "3"}, "freeze_until must be left out in mode frozen"),
        ({"mode": "standalone", "augmentation": "hflip"}, "augmentation must be none in mode standalone"),
        ({"freeze_until": "1.0"}, "no trainable parameter is left"),
        ({"optimizer": "lbfgs"}, "optimizer must be one of sgd, .*, got 'lbfgs'"),
        ({"schedule": "plateau", "val": 0.0}, "schedule plateau must have a val part"),
        ({"head": "svm"}, "head must be one of linear, mlp, dropout, got 'svm'"),
        ({"rate_decay": 0.0, "mode": "finetune"}, r"rate_decay must be in \(0, 1\], got 0.0"),
        ({"size": 1}, "size must be one that .* takes, such as its own 8, got 1"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_refuses_and_leaves_nothing(
    tmp_path: Path, pictures: Path, simple: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        list(training.start("finetune", str(pictures), tmp_path / "run", **{**SHORT, "model": str(simple), **options}))
    assert not (tmp_path / "run").exists()


def test_a_network_built_by_code_is_refused(tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from pellucid import models\n\ndef net():\n    model = models.create('digits_cnn', classes=['a', 'b'])\n"
    (tmp_path / "mine.py").write_text(code + "    model.build = None\n    return model\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="mine:net is built by code of its own, which no run can name"):
        tune(pictures, tmp_path / "run", Path("mine:net"))


def test_a_head_behind_which_the_network_goes_on_cannot_learn_alone() -> None:
    torch.manual_seed(0)
    model = models.create("nin", classes=["a", "b"], size=32).eval()
    pixels = data.Pixels(torch.zeros(3, 3, 32, 32, dtype=torch.uint8), torch.tensor([0, 1, 0]), ("a", "b"), ("",) * 3)
    with pytest.raises(ValueError, match=r"mode standalone must have a head that takes features .*: take mode frozen"):
        features_of(model, models.find_head(model), pixels)
