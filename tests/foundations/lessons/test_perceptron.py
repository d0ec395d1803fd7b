import pytest
import torch

from pellucid.foundations.lessons import perceptron


def test_and_is_learned_in_the_known_number_of_steps() -> None:
    said = perceptron().text()
    assert "x = (0, 0)  t = -1  a = +0  t·a = -0  step to w = (-1, 0, 0)" in said
    assert "step to w = (0, 1, 1)" in said
    assert "XOR: one unit never gets it, two layers do at once" in said


@pytest.mark.parametrize("seed", range(5))
def test_the_set_is_separable_and_the_mistakes_within_the_bound(seed: int) -> None:
    found = perceptron(points=30, gap=0.2, generator=torch.Generator().manual_seed(seed))
    made, bound = (int(word) for word in found.facts[1].value.split(" of at most "))
    assert 0 < made <= bound
    assert "every point is on its side" in found.facts[1].text


def test_nothing_is_promised_for_a_rule_that_asks_no_question() -> None:
    found = perceptron(rule="hebb", points=20, epochs=5)
    assert found.facts[1].value.isdecimal()
    assert "for the rule hebb nothing is promised" in found.facts[1].text
    assert "learning never ends by itself" in found.sections[1].lead
    assert "when none is left, learning ends" in perceptron(points=20).sections[1].lead


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"gap must be in \[0.01, 0.5\], got 0.9"):
        perceptron(gap=0.9)
    with pytest.raises(ValueError, match="rule must be one of perceptron, hebb"):
        perceptron(rule="delta")
