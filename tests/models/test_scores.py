import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pellucid.models import OBJECTIVES, evaluate, scorer, unvaried

LOGITS = torch.randn(4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TARGETS = torch.tensor([3, 0])
ROWS = torch.tensor([0, 0, 1, 0])  # which image each row is of


def read(objective: str, row: int, target: int) -> float:
    """Written out for one number."""
    exps = LOGITS[row].exp()
    prob = float(exps[target] / exps.sum())
    told = {"score": float(LOGITS[row, target]), "prob": prob, "logprob": math.log(prob), "loss": -math.log(prob)}
    return told[objective]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_reads_the_number_of_each_rows_own_image(objective: str) -> None:
    expected = [read(objective, row, int(TARGETS[ROWS[row]])) for row in range(4)]
    found = scorer(TARGETS, objective)(LOGITS, ROWS)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_reads_many_targets_of_an_image(objective: str) -> None:
    many = torch.tensor([[3, 1, 1], [0, 4, 2]])
    found = scorer(many, objective)(LOGITS, ROWS)
    assert found.shape == (4, 3)
    for which in range(3):
        torch.testing.assert_close(found[:, which], scorer(many[:, which], objective)(LOGITS, ROWS))


def test_a_large_logit_overflows_nothing() -> None:
    logits = torch.tensor([[1e4, 0.0, -1e4]])
    for objective, expected in (("logprob", -1e4), ("prob", 0.0), ("loss", 1e4)):
        assert scorer(torch.tensor([1]), objective)(logits, torch.tensor([0])).item() == expected


def test_a_callable_decides_alone() -> None:
    outputs = {"logits": LOGITS}
    found = scorer(lambda out: out["logits"][:, 1] * 2, "prob")(outputs, ROWS)
    assert torch.equal(found, LOGITS[:, 1] * 2)


@pytest.mark.parametrize(
    ("targets", "outputs", "message"),
    [
        (TARGETS, LOGITS[None], r"class targets need logits \(N, K\), the model returns \(1, 4, 5\): give a callable"),
        (TARGETS, {"a": LOGITS}, "the model returns dict: give a callable target"),
        (torch.tensor([5, 0]), LOGITS, r"target 5 is no class: not in 0\.\.4"),
        (torch.tensor([[0, 1], [2, -1]]), LOGITS, r"target -1 is no class: not in 0\.\.4"),
        (lambda _out: 3.0, LOGITS, r"must return one number for each image \(4,\), got float"),
        (lambda out: out, LOGITS, r"must return one number for each image \(4,\), got \(4, 5\)"),
    ],
)
def test_refuses_what_is_no_score(targets: Any, outputs: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scorer(targets)(outputs, ROWS)


def test_refuses_an_unknown_objective_at_once() -> None:
    with pytest.raises(ValueError, match="objective must be one of score, logprob, prob, loss, got 'logits'"):
        scorer(TARGETS, "logits")


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_of_outputs_that_are_probabilities_it_warns_once(objective: str) -> None:
    score = scorer(TARGETS, objective)
    with pytest.warns(UserWarning, match=r"already sum to 1: it ends in a softmax.*put nn\.Identity\(\)"):
        score(LOGITS.softmax(dim=1), ROWS)
    score(LOGITS.softmax(dim=1), ROWS)  # another warning would be an error


@pytest.mark.parametrize("outputs", [LOGITS, LOGITS.softmax(dim=1) * 2, torch.ones(4, 1)])
def test_of_logits_it_does_not_warn(outputs: Tensor) -> None:
    scorer(torch.zeros(2, dtype=torch.int64))(outputs, ROWS)


def test_a_callable_on_probabilities_is_the_way_out() -> None:
    found = scorer(lambda p: p[:, 3].log())(LOGITS.softmax(dim=1), ROWS)
    torch.testing.assert_close(found, LOGITS.log_softmax(dim=1)[:, 3])


def test_a_callable_of_two_arguments_is_told_which_images_its_rows_are_of() -> None:
    model, images = nn.Flatten(), torch.rand(9, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    references = torch.rand(9, 4, generator=torch.Generator().manual_seed(1))

    def alike(outputs: Tensor, rows: Tensor) -> Tensor:
        return torch.cosine_similarity(outputs, references[rows])

    found = evaluate(model, unvaried(images), scorer(alike), budget=1)[0]
    torch.testing.assert_close(found, torch.cosine_similarity(images.flatten(1), references))
    with pytest.raises(ValueError, match="what differs between images it finds by a second argument"):
        evaluate(
            model, unvaried(images), scorer(lambda outputs: torch.cosine_similarity(outputs, references)), budget=1
        )


def test_log_probabilities_are_told_as_probabilities_are() -> None:
    outputs = torch.tensor([[1.0, 2.0, 3.0]]).log_softmax(dim=1)
    with pytest.warns(UserWarning, match="ends in a softmax"):
        scorer(torch.tensor([1]))(outputs, torch.tensor([0]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_read_in_float32(dtype: torch.dtype) -> None:
    outputs = torch.tensor([[1.0, 2.0, 3.0]], dtype=dtype)
    value = scorer(torch.tensor([1]), "prob")(outputs, torch.tensor([0]))
    torch.testing.assert_close(value, outputs.float().softmax(dim=1)[:, 1])
