import inspect

import pytest

from pellucid.foundations import (
    activations,
    cross_entropy,
    dropout,
    four_ways,
    initializers,
    kernels,
    likelihoods,
    minima,
    normalizers,
)
from pellucid.foundations.formula import formula
from pellucid.methods import Method

WRITTEN: list[Method] = [
    *activations.EACH,
    activations.softmax,
    *likelihoods.EACH,
    *normalizers.EACH,
    *initializers.EACH,
    cross_entropy.cross_entropy_logits,
    dropout,
    four_ways.gradients_by_hand,
    kernels.rbf,
    minima.minimum_on_simplex,
]


@pytest.mark.parametrize("method", WRITTEN, ids=[method.__name__ for method in WRITTEN])
def test_a_formula_is_printable(method: Method) -> None:
    told = formula(method)
    assert any(sign in told for sign in "=~")
    assert told == told.strip()
    assert "Args" not in told
    for line in told.splitlines():
        assert line in inspect.getsource(method)


def test_more_than_one_line_is_kept_as_it_stands() -> None:
    assert formula(activations.sigmoid) == "g(a) = 1 / (1 + exp(-a))\ng'(a) = g (1 - g)"


def test_refuses_a_function_without_one() -> None:
    with pytest.raises(ValueError, match="method must have a formula in its docstring, got formula"):
        formula(formula)
