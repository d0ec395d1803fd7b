import json
import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pellucid import models
from pellucid.data import Pixels, batches_of, channel_statistics
from pellucid.training import Classify, Run, fit, fresh_model, open_sets, optimizer, resume, start
from pellucid.training.preparing import check_memory, fit_first
from pellucid.training.recipes import _seen as seen
from pellucid.training.recipes import ladder
from pellucid.training.recipes._ladder_page import _most
from pellucid.training.recipes._ladder_table import results_of, table_lines
from pellucid.training.recipes._rungs import STEPS, planned
from pellucid.training.recipes.ladder import Choices

SMALL: dict[str, Any] = {"size": 8, "limit": 200, "epochs": 1, "batch_size": 40, "device": "cpu", "seed": 4}
STEPS_HERE = "base,norm,aug,bn"


def climbed(folder: Path, **options: Any) -> Run:
    for _ in start("ladder", "digits", folder, **{**SMALL, **options}):
        pass
    return Run(folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return climbed(tmp_path_factory.mktemp("ladders") / "whole", steps=STEPS_HERE, repeats=2)


def without_times(run: Run) -> list[dict[str, Any]]:
    return [{name: value for name, value in line.items() if name != "seconds"} for line in run.records()]


# what is trained


def test_cumulative_adds_one_to_the_other() -> None:
    plan = planned("base,norm,aug")
    assert [rung.steps for rung in plan.rungs] == [("base",), ("base", "norm"), ("base", "norm", "aug")]
    assert [(gain.step, gain.has, gain.lacks) for gain in plan.gains] == [
        ("norm", "norm", "base"),
        ("aug", "aug", "norm"),
    ]


def test_only_adds_one_to_base() -> None:
    plan = planned("base,norm,bn", mode="only")
    assert [(rung.name, rung.steps) for rung in plan.rungs][2] == ("bn", ("base", "bn"))
    assert [(gain.has, gain.lacks) for gain in plan.gains] == [("norm", "base"), ("bn", "base")]


def test_without_leaves_one_out_of_all() -> None:
    plan = planned("base,norm,bn", mode="without")
    assert [(rung.name, rung.steps) for rung in plan.rungs] == [
        ("full", ("base", "norm", "bn")),
        ("without-norm", ("base", "bn")),
        ("without-bn", ("base", "norm")),
    ]
    assert plan.gain(plan.rungs[0]) is None
    gain = plan.gain(plan.rungs[1])
    assert gain is not None
    assert (gain.has, gain.lacks) == ("full", "without-norm")


@pytest.mark.parametrize(
    ("mode", "rungs"),
    [("cumulative", ["norm", "aug"]), ("only", ["base", "aug"]), ("without", ["full", "without-aug"])],
)
def test_one_step_needs_two_rungs(mode: str, rungs: list[str]) -> None:
    plan = planned(",".join(STEPS), step="aug", mode=mode)
    assert [rung.name for rung in plan.rungs] == rungs
    assert [gain.step for gain in plan.gains] == ["aug"]


def test_base_alone_is_a_ladder() -> None:
    assert [rung.name for rung in planned(",".join(STEPS), step="base").rungs] == ["base"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"steps": "base,nrom"},
            "steps must be one of base, norm, aug, sched, dropout, bn, got 'nrom'; did you mean norm",
        ),
        ({"steps": "norm,base"}, "steps must begin with base, to which the others add, got 'norm,base'"),
        ({"steps": "base,bn,bn"}, "steps must name each once, got bn twice"),
        ({"steps": "base,bn", "step": "norm"}, "step must be one of base, bn, got 'norm'"),
        ({"steps": "base", "mode": "all"}, "mode must be one of cumulative, only, without, got 'all'"),
    ],
)
def test_steps_that_are_none(options: dict[str, str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        planned(options.pop("steps"), **options)


# the table


def records(*shares: tuple[str, float], repeat: int) -> list[dict[str, Any]]:
    more = {"train_accuracy": 1.0, "best_epoch": 2, "seconds": 1.0, "parameters": 7}
    return [
        {"rung": name, "repeat": repeat, "test_accuracy": share, "folder": f"{name}-{repeat}", **more}
        for name, share in shares
    ]


def test_gains_are_paired_by_repeat() -> None:
    """What a repeat brings both rungs is no part of the difference: 0.1 and 0.1, though the repeats are far apart."""
    lines = records(("base", 0.2), ("norm", 0.3), repeat=0) + records(("base", 0.6), ("norm", 0.7), repeat=1)
    row = results_of(lines, planned("base,norm"))["rows"][1]
    assert row["gain"]["value"] == pytest.approx(0.1)
    assert row["gain"]["high"] - row["gain"]["low"] < 1e-9
    assert row["test_accuracy"]["value"] == pytest.approx(0.5)
    half = 12.706204736 * 0.4 / 2  # t of one degree of freedom, s / sqrt(n) = 0.4 / sqrt(2) / sqrt(2)
    assert row["test_accuracy"]["high"] == pytest.approx(0.5 + half)
    assert row["gap"] == pytest.approx(0.5)


def test_without_tells_what_the_whole_has_more() -> None:
    lines = records(("full", 0.9), ("without-bn", 0.8), repeat=0)
    results = results_of(lines, planned("base,bn", mode="without"))
    assert results["rows"][1]["gain"]["value"] == pytest.approx(0.1)
    assert results["said"] == [
        "Higher in the one repeat: bn (+10.00 points); how much of it is chance, only more repeats can tell."
    ]


def test_what_improved_and_what_did_not_is_said() -> None:
    lines = []
    for repeat, noise in enumerate((0.0, 0.001, 0.002)):
        shares = (
            ("base", 0.5),
            ("norm", 0.6 + noise),
            ("aug", 0.6),
            ("sched", 0.4),
            ("bn", 0.4 + 20 * (noise - 0.001)),
        )
        lines += records(*shares, repeat=repeat)
    said = " ".join(results_of(lines, planned("base,norm,aug,sched,bn"))["said"])
    assert "Improved: norm (+10.10 ± 0.25 points)." in said
    assert "Made worse: sched (-20.00 ± 0.00 points)." in said
    assert (
        "Not told from chance, for 0 lies in the interval: aug (-0.10 ± 0.25 points), bn (+0.00 ± 4.97 points)." in said
    )


def test_the_table_is_of_one_width(whole: Run) -> None:
    lines = table_lines(whole.results)
    assert len({len(line) for line in lines[:5]}) == 1
    assert [line.split()[0] for line in lines[:5]] == ["step", "base", "norm", "aug", "bn"]


# the trainings


def test_every_training_is_a_run_and_a_model(whole: Run) -> None:
    for name in ("base", "norm", "aug", "bn"):
        for repeat in (0, 1):
            inner = Run(whole.folder / f"{name}-{repeat}")
            assert inner.is_finished
            assert inner.config["seed"] == 4 + repeat
            assert models.load(inner.folder).classes == tuple("0123456789")
    config = Run(whole.folder / "bn-0").config
    assert config["model"] == "ladder_net,batch_norm=true"
    assert (config["normalization"], config["augmentation"], config["schedule"]) == ("channel", "cifar", "constant")
    assert Run(whole.folder / "base-0").config["normalization"] == "none"


def test_base_sees_plain_pixels_and_norm_standard_ones(whole: Run) -> None:
    base, norm = (models.load(whole.folder / f"{name}-0") for name in ("base", "norm"))
    train = open_sets("digits", size=8, limit=200, seed=4).train
    assert (base.mean.item(), base.std.item()) == (0, 1)
    fed = (train.images().double() - norm.mean.double()) / norm.std.double()
    assert abs(fed.mean().item()) < 1e-5
    assert abs(fed.std(unbiased=False).item() - 1) < 1e-5
    found = channel_statistics(train.pixels)
    assert norm.mean.item() == pytest.approx(found.mean.item(), abs=1e-6)


def test_rungs_begin_with_the_same_loss_and_the_same_split(whole: Run) -> None:
    firsts = [Run(whole.folder / f"{name}-0").records()[0] for name in ("base", "norm", "aug")]
    assert all(abs(first["val_loss"] - math.log(10)) < 0.1 for first in firsts)
    assert firsts[1] == firsts[2]  # what aug adds is not there before the first step


def test_a_rung_alone_is_the_rung_of_the_ladder(whole: Run, tmp_path: Path) -> None:
    alone = climbed(tmp_path / "alone", steps=STEPS_HERE, repeats=2, step="aug")
    assert {line["rung"] for line in without_times(alone)[1:]} == {"norm", "aug"}
    assert without_times(alone)[1:] == [line for line in without_times(whole)[1:] if line["rung"] in {"norm", "aug"}]
    row = next(row for row in whole.results["rows"] if row["rung"] == "aug")
    assert alone.results["rows"][1]["gain"] == row["gain"]


def test_stopped_and_gone_on_with_is_the_same(whole: Run, tmp_path: Path) -> None:
    told: Iterator[Any] = start("ladder", "digits", tmp_path / "cut", **SMALL, steps=STEPS_HERE, repeats=2)
    for line in told:
        if line.text.startswith("aug-0: epoch 1/1"):
            break
    told.close()  # type: ignore[attr-defined]
    run = Run(tmp_path / "cut")
    assert not run.is_finished
    assert [line.get("rung") for line in run.records()] == [None, "base", "norm"]
    half = (run.folder / "metrics.jsonl").open("a")
    half.write('{"rung": "aug", "rep')  # killed amid a line
    half.close()
    before = (run.folder / "base-0" / "results.json").stat().st_mtime_ns
    for _ in resume(run.folder):
        pass
    assert without_times(run) == without_times(whole)
    assert (run.folder / "base-0" / "results.json").stat().st_mtime_ns == before


def test_a_finished_ladder_is_told_again(whole: Run) -> None:
    assert [line.text for line in resume(whole.folder)] == table_lines(whole.results)


def test_force_replaces_a_ladder_but_nothing_foreign(tmp_path: Path) -> None:
    run = climbed(tmp_path / "a", steps="base")
    (run.folder / "base-0" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"holds notes\.txt, which pellucid did not make"):
        climbed(run.folder, steps="base", force=True)
    (run.folder / "base-0" / "notes.txt").unlink()
    assert climbed(run.folder, steps="base", force=True).is_finished


def test_the_page_says_what_came_out(whole: Run) -> None:
    page = (whole.folder / "index.html").read_text()
    for text in ("What each step is worth", "What the network was fed", "bn-1/index.html", "gain in test accuracy"):
        assert text in page
    assert all(line in page for line in whole.results["said"])
    assert json.loads((whole.folder / "table.json").read_text())["rows"] == whole.results["rows"]


# what a net is fed


def test_only_training_pictures_are_augmented(whole: Run) -> None:
    sets = open_sets("digits", size=8, limit=200, seed=4)
    norm, aug = (seen.seen_by(whole.folder / f"{name}-0", sets) for name in ("norm", "aug"))
    assert torch.equal(norm.test, aug.test)
    assert norm.val is not None
    assert aug.val is not None
    assert torch.equal(norm.val, aug.val)
    assert not torch.equal(norm.train, aug.train)
    model = models.load(whole.folder / "norm-0")
    assert sets.test is not None
    expected = (sets.test.images(slice(6)) - model.mean) / model.std
    torch.testing.assert_close(norm.test, expected)


def test_a_judged_picture_that_changes_is_noticed(whole: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fed = seen._fed
    monkeypatch.setattr(seen, "_fed", lambda model, images: fed(model, images) + 1e-6 * torch.rand(1))
    with pytest.raises(RuntimeError, match="differs from time to time"):
        seen.seen_by(whole.folder / "base-0", open_sets("digits", size=8, limit=200, seed=4))


# what the steps may be


@pytest.mark.parametrize("norm", ["half", "mean_image", "per_image", "zca"])
def test_other_normalisations_train_and_take_plain_pictures_again(norm: str, tmp_path: Path) -> None:
    run = climbed(tmp_path / "a", steps="base,norm", step="norm", norm=norm)
    inner, sets = Run(run.folder / "norm-0"), open_sets("digits", size=8, limit=200, seed=4)
    assert sets.test is not None
    with torch.no_grad():
        hits = models.load(inner.folder)(sets.test.images()).argmax(dim=1) == sets.test.targets
    assert hits.double().mean().item() == pytest.approx(inner.results["test"]["accuracy"])
    if norm == "mean_image":
        fed = seen._fed(models.load(inner.folder), sets.train.images())
        torch.testing.assert_close(fed.mean(dim=0), torch.zeros(1, 8, 8), atol=1e-6, rtol=0)


def test_crops_of_another_side_are_seen_in_the_middle(tmp_path: Path) -> None:
    run = climbed(tmp_path / "a", size=12, steps="base,aug", augmentation="crop=0:side=10,hflip")
    assert Run(run.folder / "base-0").config["model"] == "ladder_net"
    model = models.load(run.folder / "aug-0")
    images = torch.rand(2, 1, 12, 12)
    torch.testing.assert_close(model(images), model.network((images[..., 1:11, 1:11] - model.mean) / model.std))


def test_lenet_takes_the_steps_it_can(tmp_path: Path) -> None:
    run = climbed(tmp_path / "a", net="lenet5", size=32, steps="base,bn", optimizer="adam", lr=1e-3)
    assert [row["parameters"] for row in run.results["rows"]] == [61_706, 61_706 + 44]


@pytest.mark.parametrize("added", ["norm", "zca", "bn"])
def test_a_net_learns_two_hundred_pictures_by_heart(added: str) -> None:
    train = open_sets("digits", size=8, val=0.0, limit=200).train
    torch.manual_seed(0)
    name = {"norm": "ladder_net", "zca": "ladder_net,first=zca", "bn": "ladder_net,batch_norm=true"}[added]
    found = channel_statistics(train.pixels)
    mean, std = ([0.0], [1.0]) if added == "zca" else (list(found.mean), list(found.std))
    geometry = open_sets("digits", size=8, limit=200).geometry
    model = fresh_model(name, classes=train.classes, geometry=geometry, mean=mean, std=std)
    fit_first(model.network, train)
    step = Classify(model)
    batches = batches_of(train, batch_size=20)
    for record in fit(step, batches, optimizer("sgd", step, lr=0.03 if added == "bn" else 0.1), epochs=60):
        if record.values["accuracy"] == 1:
            break
    assert hits(model, train) == 200


def hits(model: models.Model, train: Pixels) -> int:
    with torch.no_grad():
        return int((model.eval()(train.images()).argmax(dim=1) == train.targets).sum())


# refusals


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"size": None}, "digits: pictures must be 32 x 32, got 8 x 8; bring them to that size with --size 32"),
        ({"repeats": 0}, "repeats must be at least 1, got 0"),
        ({"net": "lenet"}, "net must be one of ladder_net, lenet5, got 'lenet'; did you mean lenet5"),
        ({"net": "lenet5"}, "net must be ladder_net for step dropout, got lenet5"),
        ({"net": "lenet5", "steps": "base,norm", "norm": "zca"}, "net must be ladder_net for norm zca"),
        ({"norm": "chanel"}, "norm must be one of .*, got 'chanel'; did you mean channel"),
        ({"dropout": 0.0}, "dropout must be above 0 and below 1, got 0.0"),
        ({"schedule": "plateau", "val": 0.0}, "val must be above 0 for step sched with plateau"),
        ({"schedule": "constant"}, "schedule must not be constant for step sched"),
        ({"rate": -1.0}, "rate must be positive, got -1.0"),
        ({"augmentation": "hflp"}, "augmentation must be one of .*; did you mean hflip"),
        (
            {"net": "lenet5", "steps": "base,aug", "augmentation": "crop=0:side=6"},
            "augmentation must keep 8 x 8 images",
        ),
        ({"lr": 0.0}, "lr must be positive, got 0.0"),
    ],
)
def test_refused_before_anything_is_trained(options: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=told):
        climbed(tmp_path / "a", **options)
    assert not list((tmp_path / "a").rglob("model.json"))


def test_a_class_without_a_picture_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules[ladder.__module__]
    sets = open_sets("digits", size=8, limit=200, seed=4)
    lacking = replace(sets, train=sets.train.subset((sets.train.targets != 7).nonzero()[:, 0]))
    monkeypatch.setattr(module, "open_sets", lambda *_a, **_k: lacking)
    with pytest.raises(ValueError, match="digits: class 7 has no picture to train on"):
        climbed(tmp_path / "a")


def test_memory_that_zca_would_need_is_stated() -> None:
    with pytest.raises(ValueError, match=r"norm zca needs 6,845,104,128 bytes for images of 12,288 values"):
        check_memory(torch.Size([3, 64, 64]))


def test_choices_are_the_same_for_all_rungs() -> None:
    choices = Choices("ladder_net", "channel", "cifar", "exponential", None, None, 0.5, 0.1, {"size": None, "lr": 0.1})
    rungs = planned(",".join(STEPS)).rungs
    told = [choices.options(rung) for rung in rungs]
    assert {options["lr"] for options in told} == {0.1}
    assert [options["normalization"] for options in told] == ["none", *["channel"] * 5]
    assert [options["augmentation"] for options in told] == ["none", "none", *["cifar"] * 4]
    assert [options["schedule"] for options in told] == [*["constant"] * 3, *["exponential"] * 3]
    assert told[-1]["model"] == "ladder_net,dropout=0.5,batch_norm=true"


@pytest.mark.parametrize(
    ("gains", "expected"),
    [
        ([(0.03, -0.01, 0.07), (0.02, 0.01, 0.03)], "worth most +2.0 points aug"),
        ([(0.03, -0.01, 0.07), (-0.02, -0.03, -0.01)], "worth most no rung beyond chance no gain's interval"),
        ([(0.03, None, None), (0.04, None, None)], "worth most +4.0 points aug one repeat cannot tell"),
        ([(-0.01, None, None), (0.0, None, None)], "worth most no rung beyond chance no gain is above 0"),
    ],
)
def test_only_a_gain_beyond_chance_is_praised(gains: list[tuple[float | None, ...]], expected: str) -> None:
    rows = [{"step": "", "gain": None}]
    for step, gain in zip(("norm", "aug"), gains, strict=True):
        rows.append({"step": step, "gain": dict(zip(("value", "low", "high"), gain, strict=True))})  # type: ignore[dict-item]
    (fact,) = _most(rows)
    said = f"{fact.label} {fact.value} {fact.text}"
    assert all(word in said for word in expected.split())
