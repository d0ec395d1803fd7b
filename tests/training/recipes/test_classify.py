"""The classify recipe, option by option, on a handful of digits."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from pellucid import data, models, training
from pellucid.training.recipes import Told

NET: dict[str, Any] = {
    "model": "digits_cnn,width=4,dropout=0",
    "limit": 200,
    "epochs": 1,
    "batch_size": 20,
    "device": "cpu",
}


def train(folder: Path, **options: Any) -> list[Told]:
    return list(training.start("classify", "digits", folder, **{**NET, **options}))


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_it_learns_and_the_run_is_a_model_with_the_accuracy_it_says(tmp_path: Path) -> None:
    told = train(tmp_path / "run", model="digits_cnn,width=16", epochs=8, limit=None)
    results = training.Run(tmp_path / "run").results
    assert results["test"]["accuracy"] > 0.9
    assert results["test"]["low"] < results["test"]["accuracy"] < results["test"]["high"]
    model = models.load(tmp_path / "run")
    test = data.in_memory(data.builtin("digits"), model.geometry)
    with torch.inference_mode():
        right = (model(test.images()).argmax(dim=1) == test.targets).float().mean().item()
    assert right == pytest.approx(results["test"]["accuracy"])
    best = max(line["val_accuracy"] for line in lines(tmp_path / "run")[1:])
    assert lines(tmp_path / "run")[results["best_epoch"]]["val_accuracy"] == best
    assert told[0].text.endswith("chance is 2.303 nats, 10.0%")
    assert "epoch 8/8" in told[-2].text
    assert "test accuracy" in told[-1].text


def test_a_batch_larger_than_the_set_is_the_whole_set_with_a_notice(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="batch_size 999 is larger than the training part: 180 images are taken"):
        train(tmp_path / "run", batch_size=999, epochs=2)
    assert lines(tmp_path / "run")[-1]["steps"] == 2


def test_the_untrained_loss_is_near_the_logarithm_of_the_classes(tmp_path: Path) -> None:
    train(tmp_path / "run")
    assert abs(lines(tmp_path / "run")[0]["val_loss"] - 2.303) < 0.1


def test_the_same_seed_gives_the_same_run_and_another_one_does_not(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(tmp_path / name, seed=seed, augmentation="crop=1,rotate=10", mixup=0.2, model="digits_cnn,width=4")
    states = [models.load(tmp_path / name).state_dict() for name in "abc"]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not all(torch.equal(states[0][name], states[2][name]) for name in states[0])


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "sgd", "lr": 0.1, "schedule": "step"},
        {"optimizer": "nesterov", "lr": 0.1, "schedule": "cosine", "warmup": 0.5},
        {"optimizer": "rmsprop", "lr": 1e-3, "schedule": "exponential"},
        {"optimizer": "adagrad", "schedule": "inverse"},
        {"optimizer": "adam", "schedule": "plateau"},
        {"optimizer": "lbfgs", "lr": 0.5, "schedule": "constant", "batch_size": 100},
        {"mixup": 0.2},
        {"cutmix": 1.0, "mixup": 1.0},
        {"label_smoothing": 0.1, "class_weights": "balanced"},
        {"normalization": "half", "clip_norm": 1.0, "accumulate": 3},
        {"normalization": "none", "clip_value": 0.1, "every": 2},
        {"average": 0.9, "eval_train": True},
        {"model": "googlenet", "size": 32, "channels": 3, "limit": 40},
        {"precision": "bf16-mixed"},
        {"val": 0.0},
        {"val": 25},
        {"channels_last": True},
        {"schedule": "cyclic", "period": 0.5},
    ],
    ids=lambda options: ",".join(options),
)
def test_every_option_trains(tmp_path: Path, options: dict[str, Any]) -> None:
    train(tmp_path / "run", **options)
    results = training.Run(tmp_path / "run").results
    assert results["test"]["count"] == 360
    last = lines(tmp_path / "run")[-1]
    assert last["loss"] > 0
    assert ("accuracy" in last) == (not {"mixup", "cutmix"} & set(options))  # of mixed labels there is none
    assert ("train_accuracy" in last) == ("eval_train" in options)
    assert ("val_accuracy" in last) == (options.get("val") != 0.0)


def test_averaged_weights_are_what_is_judged_and_kept(tmp_path: Path) -> None:
    train(tmp_path / "run", average=0.9, epochs=2, every=None)
    saved = torch.load(tmp_path / "run" / "last.pt", weights_only=True)["parts"]
    kept = models.load(tmp_path / "run").network.state_dict()
    name = next(iter(kept))
    assert torch.equal(saved["average"]["model"][f"network.{name}"], kept[name])
    assert not torch.equal(saved["step"][f"model.network.{name}"], kept[name])


def test_patience_ends_a_run_early(tmp_path: Path) -> None:
    train(tmp_path / "run", lr=1e-9, epochs=9, patience=2, monitor="val_accuracy")
    results = training.Run(tmp_path / "run").results
    assert (results["best_epoch"], results["epochs"]) == (1, 3)


def test_class_weights_balance_rare_classes(tmp_path: Path) -> None:
    from pellucid.training.recipes.classify import _class_weights

    pixels = data.in_memory(data.builtin("digits"), models.create("digits_cnn", classes=list("0123456789")).geometry)
    few = pixels.subset(torch.cat([torch.nonzero(pixels.targets == 0)[:2, 0], torch.nonzero(pixels.targets)[:, 0]]))
    weights = _class_weights("balanced", few)
    assert weights is not None
    counts = few.targets.bincount()
    torch.testing.assert_close(weights * counts, torch.full((10,), len(few) / 10))


def test_tensorboard_files_are_written_on_request(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(tmp_path / "run", tensorboard=True, epochs=2)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    logged = [line["val_loss"] for line in lines(tmp_path / "run")[1:]]
    assert [event.value for event in events.Scalars("val_loss")] == pytest.approx(logged)


def picture_folder(root: Path, *, classes: int = 2, each: int = 12) -> Path:
    """Class folders of small colour pictures: each class is one colour."""
    generator = torch.Generator().manual_seed(0)
    for number in range(classes):
        place = root / f"class{number}"
        place.mkdir(parents=True)
        for picture in range(each):
            pixels = torch.randint(0, 80, (12, 12, 3), generator=generator, dtype=torch.uint8)
            pixels[..., number] += 150
            Image.fromarray(pixels.numpy()).save(place / f"{picture}.png")
    return root


def test_a_folder_of_pictures_without_splits_gets_a_test_part(tmp_path: Path) -> None:
    folder = picture_folder(tmp_path / "pictures")
    options = {**NET, "limit": None, "batch_size": 4, "epochs": 6}
    list(training.start("classify", str(folder), tmp_path / "run", **options))
    results = training.Run(tmp_path / "run").results
    assert results["test"]["count"] == 5  # a fifth of 24
    assert models.load(tmp_path / "run").classes == ("class0", "class1")


def test_a_trained_model_is_gone_on_with(tmp_path: Path) -> None:
    train(tmp_path / "first", model="digits_cnn,width=8", epochs=6, limit=None)
    train(tmp_path / "second", model=str(tmp_path / "first"), epochs=1, lr=1e-5)
    begun = lines(tmp_path / "second")[0]["val_accuracy"]
    assert begun > 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "resnet81"}, r"resnet81.*did you mean resnet18"),
        ({"optimizer": "adem"}, "optimizer must be one of .*did you mean adam"),
        ({"schedule": "cosinus"}, "schedule must be one of .*did you mean cosine"),
        ({"augmentation": "hflop=1"}, "hflop"),
        ({"lr": -1.0}, "lr must be positive, got -1"),
        ({"label_smoothing": 1.0}, r"label_smoothing must be in \[0, 1\), got 1"),
        ({"class_weights": "even"}, "class_weights must be one of none, balanced, got 'even'"),
        ({"normalization": "chanel"}, "normalization must be one of .*did you mean channel"),
        ({"val": 1.5}, "val must be a share below 1 or a whole number"),
        ({"val": 0.0, "patience": 3}, "patience must be None without a val part"),
        ({"monitor": "val_los"}, "monitor must be one of .*did you mean val_loss"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"lr": 1e30, "optimizer": "sgd"}, "the loss became nan at epoch 1 step [0-9]+, lr .*: lower lr"),
        ({"device": "tpu"}, "device must be one of auto, cpu, cuda, mps, got 'tpu'"),
        ({"precision": "8-bit"}, "precision must be one of 32-true"),
        ({"learning_rate": 1.0}, "classify has no option 'learning_rate'"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"snapshots": True}, "snapshots needs .* schedule cyclic, got one_cycle"),
        ({"snapshots": True, "schedule": "cyclic"}, r"period must be a whole number of epochs, .*got 0\.333"),
        ({"snapshots": True, "schedule": "cyclic", "period": 2}, "period must be .* at most all 1, .*got 2"),
    ],
)
def test_refuses_and_leaves_no_folder(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train(tmp_path / "run", **options)
    assert not (tmp_path / "run" / "results.json").exists()
    if "monitor" not in options and options.get("lr", 0) < 1:
        assert not (tmp_path / "run").exists()


def test_data_without_labels_is_told(tmp_path: Path) -> None:
    folder = picture_folder(tmp_path / "pictures", classes=1, each=3)
    flat = tmp_path / "flat"
    (folder / "class0").rename(flat)
    with pytest.raises(ValueError, match="put them into a folder a class"):
        list(training.start("classify", str(flat), tmp_path / "run", **NET))


def test_tensorboard_tells_each_epoch_once_after_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    kept = training.Run.checkpoint

    def killed(run: training.Run, parts: Any, random: Any = None) -> None:
        if run.records()[-1]["epoch"] == 2:
            raise KeyboardInterrupt
        kept(run, parts, random)

    monkeypatch.setattr(training.Run, "checkpoint", killed)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", tensorboard=True, epochs=3)
    monkeypatch.setattr(training.Run, "checkpoint", kept)
    list(training.resume(tmp_path / "run"))
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    told = events.Scalars("loss")
    assert [event.step for event in told] == [1, 2, 3]
    expected = [line["loss"] for line in lines(tmp_path / "run") if line["epoch"]]
    assert [event.value for event in told] == pytest.approx(expected)
