"""The jigsaw recipe: coloured quarters are learned to the last one, and what is judged is what was asked."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from pellucid import models, training
from pellucid.data import jigsaw
from pellucid.features import solve_jigsaw
from pellucid.metrics import proportion
from pellucid.training.recipes import Told

COLOURS = torch.tensor([[220, 30, 30], [30, 220, 30], [30, 30, 220], [200, 200, 30]], dtype=torch.uint8)
SHORT: dict[str, Any] = {"model": "zoo:lenet5@none", "device": "cpu", "batch_size": 24, "epochs": 1}


def picture(number: int) -> torch.Tensor:
    """(3, 16, 16), uint8: four quarters, each of its colour, with some noise of their own."""
    generator = torch.Generator().manual_seed(number)
    whole = COLOURS[torch.tensor([[0, 1], [2, 3]])].repeat_interleave(8, 0).repeat_interleave(8, 1).permute(2, 0, 1)
    return whole + torch.randint(0, 30, (3, 16, 16), generator=generator, dtype=torch.uint8)


def folder(root: Path, *, shuffled: bool = False, count: int = 24) -> Path:
    """Coloured pictures in two folders; or shuffled ones, in a folder each called by its permutation."""
    for number in range(count):
        label = number % 24
        image = picture(number)[None]
        if shuffled:
            image = jigsaw.shuffle(image, torch.tensor([label]))
        place = root / (str(label) if shuffled else "ab"[number % 2])
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0].permute(1, 2, 0).numpy()).save(place / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("pictures"))


def learn(data: Path, run: Path, **options: Any) -> list[Told]:
    return list(training.start("jigsaw", str(data), run, **{**SHORT, **options}))


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_coloured_quarters_are_learned_to_the_last_one(tmp_path: Path, pictures: Path) -> None:
    told = learn(pictures, tmp_path / "run", epochs=6, lr=3e-3)
    results = training.Run(tmp_path / "run").results
    assert (results["test"]["accuracy"], results["test"]["quarter_accuracy"]) == (1.0, 1.0)
    assert results["test"]["count"] % 24 == 0
    assert "from scratch" in told[0].text
    first = lines(tmp_path / "run")[0]
    assert first["val_loss"] == pytest.approx(3.178, abs=0.3)  # ln 24
    model = models.load(tmp_path / "run")
    assert model.classes[0] == "0123"
    assert len(model.classes) == 24
    sides = model.geometry.size
    luma = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    gray = (picture(99)[None].float() * luma).sum(dim=1, keepdim=True) / 255
    whole = torch.nn.functional.interpolate(gray, sides)
    labels = torch.arange(24)
    shuffled = jigsaw.shuffle(whole.expand(24, -1, -1, -1), labels)
    for voting in (False, True):
        solved = solve_jigsaw(model, shuffled, voting=voting)
        assert torch.equal(solved.labels, labels)
        assert torch.equal(solved.images, whole.expand(24, -1, -1, -1))


def test_the_best_epoch_is_the_one_of_the_smallest_loss(tmp_path: Path, pictures: Path) -> None:
    learn(pictures, tmp_path / "run", epochs=3, lr=1e-2)
    losses = [line["val_loss"] for line in lines(tmp_path / "run")[1:]]
    assert training.Run(tmp_path / "run").results["best_epoch"] == 1 + losses.index(min(losses))
    for line in lines(tmp_path / "run"):
        share, quarter = line["val_accuracy"], line["val_quarter_accuracy"]
        assert share <= quarter <= share + (1 - share) / 2 + 1e-9


def test_no_picture_stands_in_two_parts_and_every_one_is_learned_24_times(tmp_path: Path, pictures: Path) -> None:
    learn(pictures, tmp_path / "run", batch_size=1, every=None, limit=10, val=0.2)
    run = training.Run(tmp_path / "run")
    noted = json.loads((run.folder / "record.json").read_text())["data"]["parts"]
    assert lines(run.folder)[-1]["steps"] == 24 * 8
    assert run.results["val"]["count"] == 24 * 2
    assert len({part["sha256"] for part in noted.values()}) == 3


def test_pictures_that_are_shuffled_are_restored_first(tmp_path: Path, pictures: Path) -> None:
    from pellucid.training.recipes.jigsaw import _whole

    shuffled = folder(tmp_path / "shuffled", shuffled=True, count=72)
    sets = training.open_sets(str(shuffled), val=24, size=16)
    whole = _whole(sets, shuffled=True)
    for part in (whole.train, whole.val, whole.test):
        assert part is not None
        for file, pixels in zip(part.files, part.pixels, strict=True):
            assert torch.equal(pixels, picture(int(Path(file).stem)))


def test_a_run_that_was_stopped_goes_on_as_if_nothing_had_happened(tmp_path: Path, pictures: Path) -> None:
    options: dict[str, Any] = {"epochs": 2, "limit": 5, "every": 2}
    learn(pictures, tmp_path / "whole", **options)
    going = training.start("jigsaw", str(pictures), tmp_path / "half", **{**SHORT, **options})
    for told in going:
        if told.values.get("epoch") == 1:
            break
    del going  # as it is closed when nobody asks any more
    list(training.resume(tmp_path / "half"))
    states = [models.load(tmp_path / name).network.state_dict() for name in ("whole", "half")]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shuffled": True}, "shuffled pictures must stand in folders called 0 to 23, by their permutation, got 'a'"),
        ({"size": 33}, r"images must have even sides .*: crop them to 32 x 32"),
        ({"batch_size": 100_000}, r"batch_size must be in \[1, \d+\], got 100000"),
        ({"optimizer": "sdg"}, "optimizer must be one of .*, got 'sdg'; did you mean sgd"),
    ],
)
def test_refuses_and_leaves_nothing(tmp_path: Path, pictures: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        learn(pictures, tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("below", [".", "only", "train"])
def test_pictures_need_neither_labels_nor_classes(tmp_path: Path, below: str) -> None:
    place = tmp_path / "pictures" / below
    place.mkdir(parents=True, exist_ok=True)
    for number in range(15):
        Image.fromarray(picture(number).permute(1, 2, 0).numpy()).save(place / f"{number}.png")
    learn(tmp_path / "pictures", tmp_path / "run", val=3)
    results = training.Run(tmp_path / "run").results
    assert results["val"]["count"] == 24 * 3
    assert results.get("test", {"count": 24 * 3})["count"] == 24 * 3  # a fifth, where there is no training part


def test_the_interval_goes_by_pictures_where_their_shuffles_agree(tmp_path: Path, pictures: Path) -> None:
    learn(pictures, tmp_path / "run", epochs=6, lr=3e-3)
    told = training.Run(tmp_path / "run").results["test"]
    assert told["accuracy"] == 1
    assert told["low"] == pytest.approx(proportion(told["count"] // 24, told["count"] // 24).low)
