"""How sure a model is, and when that can be trusted: what the audit fits on one half it judges on the other."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor, nn

from pellucid.audit import Audit, audit
from pellucid.audit.certainty import Certainty, certainty_of
from pellucid.audit.halves import FEWEST, Halves, halves_of
from pellucid.audit.predictions import KEPT, _sample, predict_set
from pellucid.audit.sections import ambiguous, answers, calibration
from pellucid.audit.warned import DROPPED
from pellucid.metrics import expected_calibration_error

from .sets import CLASSES, Linear, image_set, model, pixels, probabilities, some_targets

COUNT = 600
TARGETS = some_targets(COUNT)
QUIET: dict[str, Any] = {"shown": 0, "judged": 0, "attacked": 0, "corrupted": 0, "methods": "", "workers": 0}


class Dropping(Linear):
    """Drops pixels before the linear layer."""

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__(gain)
        self.drop = nn.Dropout(0.3)

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(self.drop(images))


def drawn_targets(gain: float, truth: float) -> list[int]:
    """Labels drawn from what the linear model says with logits `truth` times as large as the ones it is asked with."""
    logits = np.log(probabilities(COUNT, gain)) * truth
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    random = np.random.default_rng(5)
    return [int(random.choice(len(CLASSES), p=row)) for row in shares]


@pytest.fixture(scope="module")
def base() -> Audit:
    return audit(model(Linear(6)), image_set([*drawn_targets(6, 0.5)]), accuracy=0.8, **QUIET)


def told(found: Audit) -> Certainty:
    assert found.certainty is not None
    return found.certainty


def halves(found: Audit) -> Halves:
    return halves_of(found.predictions, 0)


def test_the_halves_share_no_image_and_leave_none_out(base: Audit) -> None:
    both = halves(base)
    assert (len(both.fitted), len(both.judged)) == (300, 300)
    assert sorted([*both.fitted.rows.tolist(), *both.judged.rows.tolist()]) == list(range(COUNT))
    asked = torch.from_numpy(probabilities(COUNT, 6))
    torch.testing.assert_close(both.judged.probabilities, asked[both.judged.rows], atol=1e-5, rtol=1e-4)
    again, other = halves_of(base.predictions, 0), halves_of(base.predictions, 1)
    assert torch.equal(again.fitted.rows, both.fitted.rows)
    assert not torch.equal(other.fitted.rows, both.fitted.rows)


def test_a_temperature_undoes_what_was_too_sure_and_is_judged_on_the_other_half(base: Audit) -> None:
    one, both = told(base).scaled, halves(base)
    assert one is not None
    assert one.temperature == pytest.approx(2, rel=0.2), "the labels were drawn with logits half as large"
    assert one.helps
    loss = torch.nn.functional.cross_entropy(both.judged.logits / one.temperature, both.judged.targets)
    assert one.after.loss.value == pytest.approx(float(loss))
    assert one.before.loss.value - one.after.loss.value == pytest.approx(one.gain.value)
    assert one.after.ece.value < one.before.ece.value
    assert expected_calibration_error(one.before.bins) == pytest.approx(one.before.ece.value)
    assert int(one.after.bins.count.sum()) == 300
    assert "clearly lowers the NLL on the other half" in base.page()
    mended = f"Dividing its logits by {one.temperature:.2f} brings that from {one.before.ece.value:.3f} to "
    assert mended in base.facts[3].text


def test_a_calibrated_model_is_left_as_it_is() -> None:
    found = audit(model(), image_set([*drawn_targets(1, 1)]), **QUIET)
    one = told(found).scaled
    assert one is not None
    assert not one.helps
    assert "leave the model as it is" in found.page()


def test_the_threshold_comes_from_one_half_and_is_counted_on_the_other(base: Audit) -> None:
    one, both = told(base).answers, halves(base)
    sure = both.fitted.probabilities.amax(dim=1)
    met = [float(p) for p in sure if both.fitted.correct[sure >= p].double().mean() >= 0.8]
    assert one.confidence == pytest.approx(min(met)), "the lowest confidence above which 80 % are right"
    answered = both.judged.probabilities.amax(dim=1) >= one.confidence - 1e-12
    assert one.coverage.value == pytest.approx(float(answered.double().mean()))
    assert one.accuracy is not None
    assert one.accuracy.value == pytest.approx(float(both.judged.correct[answered].double().mean()))
    assert 0 < one.coverage.value < 1
    assert one.guaranteed.coverage < one.coverage.value, "what is guaranteed answers less"
    sentence = base.facts[4].text
    assert sentence.startswith("Asked to be right in 80 % of its answers, it can answer ")
    assert f"{100 * one.coverage.value:.1f} % of images" in sentence
    assert f"above confidence {one.confidence:.3f}" in sentence


def test_what_cannot_be_reached_is_said() -> None:
    found = audit(model(), image_set([*some_targets(COUNT, 0.1)]), accuracy=0.999, **QUIET)
    one = told(found).answers
    assert not one.is_reached
    assert (one.coverage.value, one.accuracy, one.guaranteed.answered) == (0, None, 0)
    fact = next(fact for fact in found.facts if fact.label == "To be right in 99.9 %")
    assert fact.value == "answers nothing"
    assert "it can answer nothing: no confidence sets so many right ones apart among 300 images." in fact.text
    assert "answers nothing" in found.page()
    assert found.summary()["answers"]["confidence"] is None


def test_a_model_that_is_good_enough_answers_everything(base: Audit) -> None:
    found = audit(model(Linear(6)), image_set([*some_targets(COUNT, 0.98)]), accuracy=0.5, **QUIET)
    assert told(found).answers.confidence == 0
    assert told(found).answers.coverage.value == 1
    assert found.facts[4].value == "answers every image"
    assert "it can answer every image" in found.facts[4].text
    short = replace(told(base).answers, confidence=0.0, asked=0.999)
    assert short.falls_short
    assert "clearly fewer" in answers._sentence(short)


def test_every_score_is_ranked_on_the_same_images(base: Audit) -> None:
    one = told(base).warned
    assert one is not None
    assert [each.name for each in one.warners] == ["max_probability", "entropy", "margin", "energy", "doctor"]
    p, wrong = probabilities(COUNT, 6), (~base.predictions.correct).numpy()
    ranked = np.sort(p, axis=1)
    scores = {
        "max_probability": 1 - ranked[:, -1],
        "entropy": -(p * np.log(p)).sum(axis=1),
        "margin": 1 - ranked[:, -1] + ranked[:, -2],
        "doctor": 1 / (p**2).sum(axis=1) - 1,
    }
    found = {each.name: each for each in one.warners}
    for name, score in scores.items():
        assert found[name].aupr.value == pytest.approx(average_precision_score(wrong, score), abs=2e-3), name
        ahead = found[name].ahead
        if ahead is not None:
            gap = found[name].aupr.value - found["max_probability"].aupr.value
            assert ahead.value == pytest.approx(gap)
            assert ahead.low <= ahead.value <= ahead.high
    assert found["max_probability"].ahead is None


def test_a_score_is_called_better_only_where_the_interval_says_so(base: Audit) -> None:
    one = told(base).warned
    assert one is not None
    stated, other = one.warners[0], one.warners[1]
    assert other.ahead is not None
    near = replace(other, ahead=replace(other.ahead, value=0.02, low=-0.01, high=0.05))
    clear = replace(other, ahead=replace(other.ahead, value=0.05, low=0.02, high=0.08))
    behind = replace(other, ahead=replace(other.ahead, value=-0.05, low=-0.08, high=-0.02))
    assert "is not told apart from the stated probability" in answers._best(replace(one, warners=(stated, near)))
    assert "clearly better than the stated" in answers._best(replace(one, warners=(stated, clear)))
    assert "none ranks its" in answers._best(replace(one, warners=(stated, behind)))
    assert [replace(one, warners=(stated, each)).is_told_apart for each in (near, clear, behind)] == [0, 1, 0]


def test_of_a_single_mistake_no_score_is_called_better(base: Audit) -> None:
    labels = [int(label) for label in probabilities(60).argmax(axis=1)]
    labels[7] = (labels[7] + 1) % len(CLASSES)
    one = told(audit(model(), image_set(labels), **QUIET)).warned
    assert one is not None
    assert (one.errors, {each.rarer for each in one.warners}) == (1, {1})
    stated, other = one.warners[:2]
    assert other.ahead is not None
    ahead = replace(other, ahead=replace(other.ahead, value=0.3, low=0.2, high=0.4))  # one mistake: no spread
    lucky = replace(one, warners=(stated, ahead))
    assert not lucky.is_told_apart
    assert "so few mistakes, or right answers, tell it apart from nothing" in answers._best(lucky)
    assert replace(lucky, warners=(stated, replace(ahead, rarer=5))).is_told_apart


def test_of_few_images_nothing_is_called_overconfident() -> None:
    right = [int(label) for label in probabilities(5).argmax(axis=1)]
    few = audit(model(Linear(0.3)), image_set(right), **QUIET)
    stated = float(few.predictions.confidence.double().mean())
    assert stated < few.top1.low
    assert calibration._calibrated(few).value == "underconfident"
    wider = replace(few, top1=replace(few.top1, low=stated - 0.01))
    assert calibration._calibrated(wider).value == "cannot be told"
    assert "5 images do not tell the two apart" in calibration._calibrated(wider).text


def test_a_network_with_dropout_is_asked_again_with_it() -> None:
    found = audit(model(Dropping(2)), image_set([*drawn_targets(2, 1)]), **QUIET)
    one = told(found).warned
    assert one is not None
    last = one.warners[-1]
    assert (last.name, last.images) == ("mc_dropout", DROPPED)
    assert last.ahead is not None
    assert "MC dropout" in found.page()


def test_a_dropout_that_cannot_be_drawn_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_options: object) -> Tensor:
        raise ValueError("is its first axis no batch?")

    monkeypatch.setattr("pellucid.audit.warned.mc_dropout", fail)
    found = audit(model(Dropping(2)), image_set([*drawn_targets(2, 1)[:80]]), **QUIET)
    one = told(found).warned
    assert one is not None
    assert one.notes == ("MC dropout is not asked: is its first axis no batch?",)
    assert one.notes[0] in found.page()
    assert "mc_dropout" not in {each.name for each in one.warners}


def test_without_a_mistake_nothing_is_ranked_and_no_temperature_fitted() -> None:
    right = [int(label) for label in probabilities(60).argmax(axis=1)]
    found = audit(model(), image_set(right), **QUIET)
    assert (told(found).warned, told(found).scaled) == (None, None)
    page = found.page()
    assert "No score can be compared: 0 of 60 images are wrong" in page
    assert "No temperature was fitted: the likelihood only grows" in page
    assert told(found).answers.confidence == 0


def test_sets_hold_the_true_class_on_the_half_they_were_not_fitted_on(base: Audit) -> None:
    one, both = told(base).sets, halves(base)
    p = both.judged.probabilities
    members = p >= one.least - 1e-9
    sizes = members.sum(dim=1).clamp(min=1)
    assert one.coverage.mean_size == pytest.approx(float(sizes.double().mean()))
    held = p.gather(1, both.judged.targets[:, None])[:, 0] >= one.least - 1e-9
    assert one.coverage.coverage.value == pytest.approx(float(held.double().mean()), abs=0.01)
    assert one.coverage.coverage.high > 0.9 > one.coverage.coverage.low - 0.05
    assert [len(each.classes) for each in one.largest] == sorted(sizes.tolist(), reverse=True)[:6]
    first = one.largest[0]
    ranked = torch.from_numpy(probabilities(COUNT, 6))[first.row].argsort(descending=True)
    assert list(first.classes) == ranked[: len(first.classes)].tolist()
    np.testing.assert_allclose(first.image[0].numpy() * 255, pixels(COUNT)[first.row], atol=1e-3)
    sizes_told = ambiguous._sizes(one)
    assert sum(row[1] for row in sizes_told) == 300


def test_too_few_images_and_a_softmax_are_told(base: Audit) -> None:
    few = audit(model(), image_set(TARGETS[: FEWEST - 1]), **QUIET)
    assert few.certainty is None
    assert f"Not told: {FEWEST} labelled images are the fewest that can be halved for it, and here are" in few.page()
    assert few.summary()["answers"] is None
    assert few.summary()["calibration"]["temperature"] is None
    assert audit(model(), image_set(TARGETS[:FEWEST]), **QUIET).certainty is not None
    soft = replace(base.predictions, are_probabilities=True)
    nothing, why = certainty_of(model(), image_set(TARGETS), soft, accuracy=0.9, bins=10, seed=0)
    assert nothing is None
    assert why.startswith("the network ends in a softmax")


def test_logits_are_kept_for_as_many_as_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert bool(_sample(1000, 10, 0).all())
    assert int(_sample(100_000, 1000, 0).sum()) == KEPT // 4000
    monkeypatch.setattr("pellucid.audit.predictions.KEPT", 4 * 8 * 50)
    found = predict_set(model(), image_set([*TARGETS[:80]]), TARGETS[:80], batch_size=7)
    assert found.logits.shape == (50, 8)
    asked = torch.from_numpy(probabilities(80))
    torch.testing.assert_close(found.logits.softmax(dim=1).double(), asked[found.kept], atol=1e-5, rtol=1e-4)


def test_the_summary_and_the_page_say_the_same(base: Audit, tmp_path: Path) -> None:
    base.save(tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    one = told(base)
    assert summary["answers"]["coverage"]["value"] == one.answers.coverage.value
    assert summary["conformal_sets"]["mean_size"] == one.sets.coverage.mean_size
    assert one.scaled is not None
    assert summary["calibration"]["temperature"]["value"] == one.scaled.temperature
    assert next(each["score"] for each in summary["warnings"]) == "max_probability"
    assert all(math.isfinite(each["aupr"]["value"]) for each in summary["warnings"])
    page = base.page()
    assert calibration._verdict(one.scaled) in page
    for fact in base.facts:
        assert fact.text in page
