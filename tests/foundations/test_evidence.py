import pytest
import torch

from pellucid.foundations.bases import Basis, Gaussian, Linear, Polynomial
from pellucid.foundations.bayesian_linear import BayesianLinearRegression
from pellucid.foundations.evidence import most_evident
from pellucid.foundations.regression_sets import regression_set


@pytest.mark.parametrize(
    ("name", "basis"), [("line", Linear()), ("rising-sine", Gaussian()), ("rising-sine", Polynomial())]
)
def test_nothing_near_the_fixed_point_is_more_evident(name: str, basis: Basis) -> None:
    known = regression_set(name)
    found = most_evident(basis, known.inputs, known.targets)

    def evidence(alpha: float, beta: float) -> float:
        model = BayesianLinearRegression(basis, alpha=alpha, beta=beta).fit(known.inputs, known.targets)
        return model.log_evidence_ or 0.0

    assert found.is_settled
    assert found.log_evidences[-1].item() == pytest.approx(evidence(found.alpha, found.beta))
    assert found.log_evidences[-1] > found.log_evidences[0]
    for factors in ((1.05, 1), (0.95, 1), (1, 1.05), (1, 0.95)):
        assert evidence(found.alpha * factors[0], found.beta * factors[1]) < found.log_evidences[-1]
    assert found.beta**-0.5 == pytest.approx(known.sigma, rel=0.25)
    assert 0 < found.effective < 10


def test_it_is_the_same_from_another_guess_and_says_when_it_has_not_settled() -> None:
    known = regression_set("line")
    one, other = (most_evident(Linear(), known.inputs, known.targets, alpha=a, beta=b) for a, b in ((1, 1), (30, 0.1)))
    assert one.alpha == pytest.approx(other.alpha, rel=1e-5)
    assert not most_evident(Linear(), known.inputs, known.targets, rounds=1).is_settled


def test_refusals() -> None:
    inputs = torch.linspace(0, 1, 5)
    with pytest.raises(ValueError, match=r"targets must have shape \(5,\), at least one, got \(4,\)"):
        most_evident(Linear(), inputs, inputs[:4])
    with pytest.raises(ValueError, match="alpha must stay above 0 and finite, got inf: the weights are all zero"):
        most_evident(Linear(), inputs, torch.zeros(5))
    with pytest.raises(ValueError, match="alpha must stay above 0 and finite, got 0"):
        most_evident(Linear(), inputs, inputs, alpha=0.0)
    with pytest.raises(ValueError, match="rounds must be at least 1, got 0"):
        most_evident(Linear(), inputs, inputs, rounds=0)
