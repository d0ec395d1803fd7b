"""What happens when pictures get worse, and whether pictures from elsewhere are noticed."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from pellucid.audit import Audit, audit
from pellucid.audit.elsewhere import MOST
from pellucid.audit.sections import shift
from pellucid.audit.shifted import KINDS, Shifted
from pellucid.data import ImageSet, corrupt
from pellucid.data.image_set import ClassLabel, Item
from pellucid.data.sources import Array

from .sets import CLASSES, Linear, image_set, model, pixels, probabilities, some_targets

COUNT = 30
RIGHT = [int(label) for label in probabilities(COUNT).argmax(axis=1)]
QUIET: dict[str, Any] = {"shown": 0, "judged": 0, "attacked": 0, "methods": "", "workers": 0}


@pytest.fixture(scope="module")
def base() -> Audit:
    return audit(model(), image_set(RIGHT), corrupted=12, **QUIET)


def shifted(found: Audit) -> Shifted:
    assert found.shifted is not None
    return found.shifted


def test_every_number_is_that_of_the_corrupted_pictures(base: Audit) -> None:
    one, net = shifted(base), model()
    assert one.kinds == KINDS
    assert len(one.rows) == 12
    x = torch.from_numpy(pixels(COUNT)[list(one.rows)] / 255).float()[:, None]
    for number, kind in enumerate(KINDS):
        for severity in (0, 1, 5):
            generator = torch.Generator().manual_seed(0)
            shown = corrupt(x, kind, severity=severity, generator=generator) if severity else x
            with torch.no_grad():
                p = net(shown).softmax(dim=1)
            assert (
                one.correct[number, severity].tolist()
                == (p.argmax(dim=1) == base.predictions.targets[list(one.rows)]).tolist()
            )
            torch.testing.assert_close(one.confidence[number, severity].float(), p.amax(dim=1), atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(one.sheet[number, severity], shown[0], atol=1e-6, rtol=0)
    assert one.accuracy(0, 0).value == 1
    assert one.mean_accuracy(5).value == pytest.approx(float(one.correct[:, 5].double().mean()))
    assert one.mean_accuracy(5).value < 1
    told = base.summary()["corruptions"]
    assert [level["accuracy"]["value"] for level in told["together"]] == [one.mean_accuracy(s).value for s in range(6)]
    assert set(told["kinds"]) == set(KINDS)


def test_the_sentence_says_what_is_clear_and_no_more(base: Audit) -> None:
    one = shifted(base)
    lost = one.correct.clone()
    lost[:, 0], lost[:, 3] = True, False
    lost[1:, 3, 0] = True
    sure = torch.full_like(one.confidence, 0.5)
    said = shift._sentence(replace(one, correct=lost, confidence=sure))
    assert "noise costs most (0.0 % right)" in said
    assert "It is then 44 points surer than right." in said
    nothing = torch.ones_like(one.correct)
    said = shift._sentence(replace(one, correct=nothing, confidence=sure))
    assert "so few show no clear loss" in said
    assert "It is then 50 points less sure than right." in said


def test_of_few_pictures_that_are_all_right_it_is_not_said_to_be_less_sure(base: Audit) -> None:
    one = shifted(base)
    every = replace(one, correct=torch.ones_like(one.correct), confidence=torch.full_like(one.confidence, 0.9))
    right, gap = every.mean_accuracy(3), every.overstated(3)
    assert (right.value, right.high) == (1, 1)
    assert right.low == every.accuracy(0, 3).low < 0.8
    assert gap.value == pytest.approx(-0.1)
    assert gap.high == pytest.approx(-0.1 + 1 - right.low)
    assert "It is then about as sure as right." in shift._sentence(every)
    one_wrong = every.correct.clone()
    one_wrong[0, 3, 0] = False
    assert "It is then about as sure as right." in shift._sentence(replace(every, correct=one_wrong))
    none = replace(every, correct=~every.correct)
    assert none.mean_accuracy(3).high > 0.2
    assert none.overstated(3).low == pytest.approx(0.9 - none.mean_accuracy(3).high)


def test_too_few_pictures_are_not_corrupted() -> None:
    for found in (
        audit(model(), image_set(RIGHT[:4]), **QUIET),
        audit(model(), image_set(RIGHT), corrupted=0, **QUIET),
    ):
        assert found.shifted is None
        assert found.summary()["corruptions"] is None
        assert "When pictures get worse" not in found.page()


def strangers(count: int, shift_by: int = 0) -> ImageSet:
    """Pictures without labels, dark or as the known ones."""
    values = (pixels(200)[100 : 100 + count] // 8) if not shift_by else pixels(COUNT)[:count]
    items = tuple(Item(f"others/{i:03d}.png", None, str(i)) for i in range(count))
    return ImageSet("others", (), items, (Array(values),))


def test_pictures_from_elsewhere_are_told_by_the_best_detector() -> None:
    found = audit(model(Linear(4)), image_set([*some_targets(COUNT)]), corrupted=0, ood=strangers(20), **QUIET)
    one = found.elsewhere
    assert one is not None
    table = one.compared.table
    assert (table.inside, table.outside) == (20, 20), "as many of both"
    assert [row.name for row in table.rows] == ["max_probability", "max_logit", "energy", "entropy", "odin"]
    assert one.best.auroc.value == max(row.auroc.value for row in table.rows)
    passed = one.compared.passed[one.best.name]
    assert [each.file for each in one.passed] == [f"others/{row:03d}.png" for row in passed[:12].tolist()]
    assert len(passed) == round(20 * one.best.fpr95.value)
    page, fact = found.page(), next(fact for fact in found.facts if fact.label == "From elsewhere")
    assert fact.text in page
    assert "Pictures from elsewhere" in page
    told = found.summary()["elsewhere"]
    assert told["path"] == "others"
    assert (
        told["detectors"]["energy"]["auroc"]["value"] == next(r for r in table.rows if r.name == "energy").auroc.value
    )
    assert found.record.options["ood"] == "others"
    assert MOST >= 100


def test_sets_that_share_a_picture_are_refused_before_the_work() -> None:
    with pytest.raises(ValueError, match="must hold none of images, got"):
        audit(model(), image_set(RIGHT), ood=strangers(5, 1), **QUIET)


def test_detectors_that_a_softmax_blinds_are_left_out() -> None:
    found = audit(model(Linear(softmax=True)), image_set(RIGHT), corrupted=0, ood=strangers(10), **QUIET)
    one = found.elsewhere
    assert one is not None
    assert "energy" not in {row.name for row in one.compared.table.rows}
    assert "max_logit and energy are not asked" in found.page()


def test_labels_of_the_others_are_not_looked_at() -> None:
    others = strangers(8)
    labelled = replace(
        others, labels=(ClassLabel("zebra"),), items=tuple(replace(item, target=0) for item in others.items)
    )
    one = audit(model(), image_set(RIGHT), corrupted=0, ood=labelled, **QUIET).elsewhere
    two = audit(model(), image_set(RIGHT), corrupted=0, ood=others, **QUIET).elsewhere
    assert one is not None
    assert two is not None
    assert one.compared.scores_out["energy"].tolist() == two.compared.scores_out["energy"].tolist()
    assert "zebra" not in CLASSES
