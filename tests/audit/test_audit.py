"""The audit's numbers against plain loops and scikit-learn; what may not change them."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, f1_score, log_loss, precision_recall_fscore_support
from torch import nn

from pellucid.audit import Audit, audit
from pellucid.data import Unreadable

from .sets import CLASSES, Linear, Small, image_set, model, probabilities, some_targets

COUNT = 150
TARGETS = some_targets(COUNT)


@pytest.fixture(scope="module")
def found() -> Audit:
    return audit(model(), image_set([*TARGETS]), shown=4, methods="saliency", bins=10)


def test_accuracy_equals_a_plain_loop(found: Audit) -> None:
    top1 = top5 = 0
    for row, target in zip(probabilities(COUNT), TARGETS, strict=True):
        ranked = sorted(range(8), key=lambda index: -row[index])
        top1 += ranked[0] == target
        top5 += target in ranked[:5]
    assert found.top1.value == top1 / COUNT
    assert found.top5.value == top5 / COUNT
    assert 0.3 < found.top1.value < found.top5.value < 1, "the labels tell the two apart"


def test_loss_brier_and_calibration_equal_a_plain_loop(found: Audit) -> None:
    loss = brier = 0.0
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(10)]
    for row, target in zip(probabilities(COUNT), TARGETS, strict=True):
        loss -= math.log(row[target])
        brier += sum((share - (index == target)) ** 2 for index, share in enumerate(row))
        bins[math.ceil(max(row) * 10) - 1].append((max(row), int(np.argmax(row)) == target))
    ece = 0.0
    for inside in bins:
        if inside:
            confidence = sum(one[0] for one in inside) / len(inside)
            accuracy = sum(one[1] for one in inside) / len(inside)
            ece += abs(confidence - accuracy) * len(inside) / COUNT
    assert found.loss == pytest.approx(loss / COUNT, rel=1e-5)
    assert found.brier == pytest.approx(brier / COUNT, rel=1e-5)
    assert found.ece == pytest.approx(ece, abs=1e-6)
    assert ece > 0.02
    assert found.bins.count.tolist() == [len(inside) for inside in bins]


def test_per_class_numbers_equal_scikit_learns(found: Audit) -> None:
    said = probabilities(COUNT).argmax(axis=1)
    every = list(range(8))
    assert found.confusion.tolist() == confusion_matrix(TARGETS, said, labels=every).tolist()
    columns = precision_recall_fscore_support(TARGETS, said, labels=every, zero_division=0)
    mine = found.per_class
    for ours, theirs in zip((mine.precision, mine.recall, mine.f1, mine.support), columns, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs)
    present = sorted(set(TARGETS))
    assert len(present) < 8
    macro = f1_score(TARGETS, said, labels=present, average="macro", zero_division=0)
    weighted = f1_score(TARGETS, said, labels=every, average="weighted", zero_division=0)
    assert mine.macro_f1 == pytest.approx(macro)
    assert mine.weighted_f1 == pytest.approx(weighted)
    assert found.loss == pytest.approx(log_loss(TARGETS, probabilities(COUNT), labels=every), rel=1e-5)


def test_the_summary_is_finite_and_in_range(found: Audit) -> None:
    told = found.summary()
    assert (told["images"], told["unreadable"]) == (COUNT, 0)
    assert told["loss"] == told["calibration"]["nll"] == found.loss
    shares = [*told["accuracy"]["top1"].values(), *told["accuracy"]["top5"].values(), *told["f1"].values()]
    assert all(0 <= share <= 1 for share in shares)


@pytest.mark.parametrize("options", [{"batch_size": 1}, {"batch_size": 7}, {"batch_size": 1000}, {"workers": 2}])
def test_batches_and_workers_change_nothing(found: Audit, options: dict[str, Any]) -> None:
    other = audit(model(), image_set([*TARGETS]), shown=4, methods="saliency", bins=10, **options)
    assert other.predictions.files == found.predictions.files
    assert torch.equal(other.predictions.ranked, found.predictions.ranked)
    torch.testing.assert_close(other.predictions.probabilities, found.predictions.probabilities)
    torch.testing.assert_close(other.predictions.loss, found.predictions.loss)
    assert torch.equal(other.confusion, found.confusion)
    for mine, theirs in ((other.shown.mistakes, found.shown.mistakes), (other.shown.sample, found.shown.sample)):
        assert [one.row for one in mine] == [one.row for one in theirs]


def test_classes_are_matched_by_name_never_by_rank() -> None:
    labels = ["hen", "COW", "bee"]  # a subset, in another order, of which the ranks say something else
    rows = [0, 1, 2, 2, 1]
    found = audit(model(), image_set([*rows], labels), shown=0)
    assert [CLASSES[index] for index in found.predictions.targets.tolist()] == ["hen", "cow", "bee", "bee", "cow"]
    assert found.confusion.sum(dim=1).tolist() == [0, 2, 2, 0, 0, 0, 0, 1]
    expected = [
        -math.log(probabilities(5)[row, CLASSES.index(labels[label].lower())]) for row, label in enumerate(rows)
    ]
    torch.testing.assert_close(found.predictions.loss.tolist(), expected, rtol=1e-4, atol=1e-5)


def test_unlabelled_pictures_and_earlier_errors_are_told() -> None:
    images = replace(image_set([0, None, 1]), errors=(Unreadable("notes.txt", "not a picture"),))
    found = audit(model(), images, shown=0)
    assert found.predictions.files == ("pictures/000.png", "pictures/002.png")
    assert found.errors == (Unreadable("notes.txt", "not a picture"), Unreadable("pictures/001.png", "has no label"))
    assert (found.summary()["unreadable"], found.summary()["left_out"]) == (0, 2)


def test_a_net_that_ends_in_softmax_is_told() -> None:
    images = image_set([*TARGETS[:20]])
    sentence = "it ends in a softmax, and the probabilities here are softmax of softmax"
    with pytest.warns(UserWarning, match="already sum to 1"):
        assert sentence in audit(model(Linear(softmax=True)), images, shown=0).page()
    assert sentence not in audit(model(), images, shown=0).page()


@pytest.mark.parametrize("targets", [[0], [3, 3, 3], [0, 1]])
def test_very_small_sets(targets: list[int]) -> None:
    found = audit(model(), image_set([*targets]))
    assert len(found.summary()["facts"]) == 5
    assert found.page().count("<section ") == 10
    assert "40 labelled images are the fewest that can be halved for it" in found.page()


def test_a_model_of_one_class() -> None:
    only = model()
    only.classes = ("ant",)
    only.network = nn.Sequential(nn.Flatten(), nn.Linear(64, 1)).eval()
    found = audit(only, image_set([0, 0], ["ant"]))
    assert (found.top1.value, found.top5.value, found.loss, found.ece) == (1, 1, 0, 0)
    assert "Accuracy (top 1)" in found.page()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shown": 101}, r"shown must be in \[0, 100\], got 101"),
        ({"bins": 0}, r"bins must be in \[1, 100\], got 0"),
        ({"accuracy": 1.0}, r"accuracy must be between 0 and 1, such as 0\.95, got 1\.0"),
        ({"corrupted": -1}, r"corrupted must be in \[0, 1000\], got -1"),
        ({"methods": "saliency,lime"}, r"method must be one of .*, got 'lime'"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
    ],
)
def test_refuses_before_any_picture_is_read(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], message: str
) -> None:
    def fail(*_args: object) -> None:
        raise AssertionError("a picture was read")

    monkeypatch.setattr("pellucid.data.ImageSet.read", fail)
    with pytest.raises(ValueError, match=message):
        audit(model(), image_set([0]), **options)


def test_refuses_a_model_that_trains_and_a_set_without_labels() -> None:
    with pytest.raises(ValueError, match="model must be in eval mode"):
        audit(model().train(), image_set([0]))
    with pytest.raises(ValueError, match=r"memory: has no labels: an audit needs class folders or a labels\.csv"):
        audit(model(), image_set([None, None]))


def test_the_model_is_left_as_it_was() -> None:
    asked = model(Small(nn.ReLU()))
    before = {name: value.clone() for name, value in asked.state_dict().items()}
    audit(asked, image_set([*TARGETS[:9]]), methods="saliency,grad_cam,guided_backprop,occlusion")
    assert not asked.training
    assert all(torch.equal(value, before[name]) for name, value in asked.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in asked.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in asked.modules())


def test_with_only_the_sets_classes_competing_it_is_never_worse(found: Audit) -> None:
    listed = sorted(set(TARGETS))
    some = found.predictions.restricted
    assert some is not None
    assert some.classes == len(listed) < 8
    hits, loss = 0, 0.0
    for row, target in zip(probabilities(COUNT), TARGETS, strict=True):
        own = [row[index] for index in listed]
        hits += listed[int(np.argmax(own))] == target
        loss -= math.log(row[target] / sum(own))
    told = found.summary()["restricted"]
    assert told["top1"]["value"] == hits / COUNT >= found.top1.value
    assert told["loss"] == pytest.approx(loss / COUNT, rel=1e-5)
    assert (some.loss <= found.predictions.loss + 1e-6).all()
    assert f"only the {len(listed)} of these pictures" in found.page()


def test_a_set_of_all_the_models_classes_needs_no_restriction() -> None:
    found = audit(model(), image_set([index % 8 for index in range(40)]), shown=0)
    assert found.predictions.restricted is None
    assert found.summary()["restricted"] is None
