"""The numbers that lessons print are those of the closed forms."""

import re

import pytest

from pellucid.foundations.lessons import activations, cross_entropy, initialization, normalization, optimizers, svm


def test_cross_entropy_prints_the_worked_minimum() -> None:
    found = cross_entropy(samples=5, classes=3)
    assert found.steps[-1].endswith("(1 + sqrt(1 + 4 / 1)) / 4) = 0.8090, where the loss is 0.9029")
    losses = [re.findall(r"= (1\.\d{6})$", step) for step in found.steps[1:3]]
    assert losses[0] == losses[1] == [found.steps[3].rpartition(" ")[2]]
    assert "z0 = 0.6830" in {fact.value for fact in cross_entropy(samples=5, classes=3, weight=2).facts}


def test_activations_print_values_and_slopes_at_whole_numbers() -> None:
    values, slopes = (step.splitlines() for step in activations(leak=0.2).steps[:2])
    assert values[3].split() == ["sigmoid", "0.1192", "0.2689", "0.5000", "0.7311", "0.8808"]
    assert slopes[3].split() == ["sigmoid", "0.1050", "0.1966", "0.2500", "0.1966", "0.1050"]
    assert slopes[6].split()[:4] == ["leaky", "ReLU", "0.2000", "0.2000"]


@pytest.mark.parametrize("landscape", ["bowl", "valley", "saddle"])
def test_every_landscape_is_walked_by_all(landscape: str) -> None:
    found = optimizers(landscape=landscape, steps=20)
    assert len(found.steps) == 10
    heights = [float(height) for height in re.findall(r"height (-?[\d.]+)", found.steps[-1])]
    assert heights == sorted(heights, reverse=True)
    newton = next(fact.value for fact in found.facts if fact.label == "Newton")
    assert newton == {"bowl": "1 step", "saddle": "not there yet"}.get(landscape, newton)


def test_initialization_measures_what_the_formula_foretells() -> None:
    for line in initialization(layers=6, width=128).steps[0].splitlines()[1:]:
        foretold, measured = (float(number) for number in re.findall(r"= ([\d.e+-]+), measured ([\d.e+-]+)", line)[0])
        assert measured == pytest.approx(foretold, rel=0.6)


def test_normalization_works_its_first_number_out() -> None:
    for step in normalization().steps[1:4]:
        (found,) = re.findall(r"\((\S+) - (\S+)\) / sqrt\((\S+) \+ 0\.00001\) = (\S+)$", step)
        value, mean, variance, result = map(float, found)
        assert (value - mean) / (variance + 1e-5) ** 0.5 == pytest.approx(result, abs=2e-3)


def test_svm_prints_the_kernels_of_two_rows() -> None:
    found = svm(repeats=1)
    product, _, square, _ = (float(number) for number in re.findall(r"= ([+-][\d.]+)", found.steps[1]))
    gamma = float(found.steps[0].rpartition(" ")[2])
    assert square == pytest.approx((gamma * product) ** 2, abs=1e-3)
    assert "below 0" in found.steps[3]
    assert "the sigmoid in general is of none" in found.sections[3].lead


def test_refuses() -> None:
    with pytest.raises(
        ValueError, match="landscape must be one of bowl, valley, saddle, got 'vally'; did you mean vall"
    ):
        optimizers(landscape="vally")
    with pytest.raises(ValueError, match="groups must divide the 4 channels, got 3"):
        normalization(groups=3)
    with pytest.raises(ValueError, match=r"pace must be in \[0.01, 3\], got 9"):
        optimizers(pace=9)
    with pytest.raises(
        ValueError, match=r"pace 3 is too fast for 400 steps over the bowl \(function became inf at step"
    ):
        optimizers(landscape="bowl", pace=3, steps=400)
    with pytest.raises(ValueError, match="data must be one of circles, moons, got 'iris'"):
        svm(data="iris")
    with pytest.raises(ValueError, match=r"p must be in \[0, 1\), got 1"):
        normalization(p=1.0)
    with pytest.raises(ValueError, match=r"weight must be at least 0\.01, got 0"):
        cross_entropy(weight=0)
