"""The sentences that stand first."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pellucid.audit import Audit, audit
from pellucid.metrics import per_class, proportion, reliability

from .sets import CLASSES, image_set, model

BASE = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]


@pytest.fixture(scope="module")
def base() -> Audit:
    return audit(model(), image_set([*BASE]), shown=0)


def told(
    base: Audit, predicted: list[int], confidence: float | list[float] = 0.5, targets: list[int] = BASE
) -> list[str]:
    """The sentences for these predictions, each made with that confidence."""
    sure = torch.tensor(confidence if isinstance(confidence, list) else [confidence] * len(predicted))
    ranked, truth = torch.tensor(predicted)[:, None], torch.tensor(targets)
    rows = replace(
        base.predictions,
        ranked=ranked,
        targets=truth,
        probabilities=sure[:, None],
        files=base.predictions.files[: len(truth)],
    )
    found = replace(
        base,
        predictions=rows,
        top1=proportion(int(rows.correct.sum()), len(rows)),
        per_class=per_class(truth, ranked[:, 0], len(CLASSES)),
        bins=reliability(sure, rows.correct),
    )
    return [fact.text for fact in found.facts]


def test_how_good(base: Audit) -> None:
    sentence = told(base, [0, 0, 0, 0, 1, 1, 1, 1, 2, 0])[0]
    low, high = np.roots([1 + 1.96**2 / 10, -2 * 0.9 - 1.96**2 / 10, 0.81])[
        ::-1
    ]  # Wilson, as the roots of its equation
    assert sentence == (
        f"The model is right on 90.0 % of 10 images (95 % interval {100 * low:.1f} % to {100 * high:.1f} %)."
    )


def test_the_weakest_class_and_the_strongest_confusion(base: Audit) -> None:
    sentences = told(base, [0, 0, 0, 2, 1, 0, 0, 0, 2, 2])
    assert sentences[1] == "The weakest class is “bee”: F1 0.40 (precision 1.00, recall 0.25, 4 images)."
    assert sentences[2] == "The strongest confusion: “bee” is taken for “ant” 3 times."


def test_one_class_never_found_is_the_weakest_and_several_are_counted(base: Audit) -> None:
    assert told(base, [0] * 4 + [1] * 4 + [0, 0])[1] == (
        "The weakest class is “cow”: F1 0.00 (precision 0.00, recall 0.00, 2 images)."
    )
    assert told(base, [0] * 10)[1] == "2 of 3 classes are never found, “bee” (4 images) among them."


@pytest.mark.parametrize(
    ("predicted", "sentence"),
    [
        (BASE, "No image is taken for another class."),
        ([1, *BASE[1:]], "The strongest confusion: “ant” is taken for “bee” once."),
        ([1, 2, *BASE[2:]], "No pair of classes is confused twice; 2 are once."),
        ([1, 1, *BASE[2:]], "The strongest confusion: “ant” is taken for “bee” 2 times."),
    ],
)
def test_confusions(base: Audit, predicted: list[int], sentence: str) -> None:
    assert told(base, predicted)[2] == sentence


@pytest.mark.parametrize(
    ("confidence", "verdict"),
    [
        (0.815, "It is 81.5 % sure on average and right 80.0 % of the time: its confidence can be taken at its word "),
        (0.95, "It is 95.0 % sure on average and right 80.0 % of the time: it overstates by 15.0 points (ECE 0.150)."),
        (0.4, "It is 40.0 % sure on average and right 80.0 % of the time: it understates by 40.0 points (ECE 0.400)."),
        (0.6, "It is 60.0 % sure on average and right 80.0 % of the time: 10 images do not tell the two apart (ECE "),
    ],
)
def test_how_far_to_trust_it(base: Audit, confidence: float, verdict: str) -> None:
    assert told(base, [0, 0, 0, 0, 1, 1, 1, 1, 0, 0], confidence)[3].startswith(verdict)


def test_what_to_look_at_first(base: Audit) -> None:
    sure = [0.9, 0.5, 0.5, 0.5, 0.5, 0.6, 0.8, 0.5, 0.5, 0.5]
    assert told(base, [0, 0, 0, 0, 1, 0, 2, 1, 2, 2], sure)[6] == (
        "The most confident mistake is pictures/006.png: 80.0 % sure of “cow”, labelled “bee”."
    )
    assert told(base, BASE)[6] == "The model makes no mistake on these images."


def test_the_value_of_a_fact_is_in_its_sentence(base: Audit) -> None:
    first, weakest, *_ = base.facts
    assert first.value in first.text
    assert weakest.value in weakest.text
