from typing import Any

import pytest
import torch

from pellucid.foundations.lessons import mlp

QUICK: dict[str, Any] = {"epochs": 3, "lrs": "0.07,0.3", "batches": "10,50"}


def test_the_four_ways_print_the_same_losses() -> None:
    told = mlp(**QUICK).steps[-1].splitlines()
    assert told[0] == "Losses of the four ways at steps 1, 10"
    assert [line.split()[0] for line in told[1:]] == ["manual", "autograd", "nn", "optim"]
    assert len({tuple(line.split()[1:]) for line in told[1:]}) == 1


def test_how_far_they_are_apart_is_told_and_next_to_nothing() -> None:
    (value,) = (fact.value for fact in mlp(**QUICK).facts if fact.label == "Four ways")
    assert value == "equal to the last digit" or float(value.removesuffix(" apart")) < 1e-9


def test_the_seed_of_the_generator_is_that_of_the_set_and_the_weights() -> None:
    one, other, third = (mlp(**QUICK, generator=torch.Generator().manual_seed(seed)) for seed in (0, 0, 4))
    assert one.steps == other.steps == mlp(**QUICK).steps
    assert one.steps != third.steps


def test_other_sets_are_learned_without_a_boundary() -> None:
    found = mlp(data="iris", epochs=2, lrs="0.07", batches="10")
    assert "4-10-3" in found.lead
    assert "boundary it drew" not in found.sections[1].body


@pytest.mark.parametrize(("option", "value"), [("lrs", "a,b"), ("lrs", ""), ("batches", "1,2,3,4,5,6,7")])
def test_refuses_lists_that_are_none(option: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"{option} must be .*numbers with commas, got '{value}'"):
        mlp(**{**QUICK, option: value})


@pytest.mark.parametrize("value", ["1.5", "inf", "10,nan"])
def test_refuses_batches_that_are_no_whole_numbers(value: str) -> None:
    with pytest.raises(ValueError, match=f"batches must be whole numbers with commas, got '{value}'"):
        mlp(**{**QUICK, "batches": value})


def test_refuses_unknown_sets() -> None:
    with pytest.raises(ValueError, match="data must be circles, moons, iris, digits or a folder of pictures: "):
        mlp(data="circle")
