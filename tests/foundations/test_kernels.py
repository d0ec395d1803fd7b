import pytest
import torch
from sklearn.metrics import pairwise

from pellucid.data import builtin
from pellucid.foundations import kernels
from pellucid.foundations.kernels import part

DRAWN = torch.Generator().manual_seed(0)
ROWS, OTHERS = (torch.randn(n, 3, generator=DRAWN, dtype=torch.float64) for n in (8, 5))
STORED = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.5, 1.0]], dtype=torch.float64)
"""Rows whose sigmoid Gram matrix is no matrix of scalar products."""


def circles(split: str, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    table = builtin("circles", split=split, seed=seed)
    return table.values, table.targets


def test_all_equal_scikit_learn() -> None:
    one, other = ROWS.numpy(), OTHERS.numpy()
    pairs = [
        (kernels.linear(ROWS, OTHERS), pairwise.linear_kernel(one, other)),
        (kernels.rbf(ROWS, OTHERS, gamma=0.7), pairwise.rbf_kernel(one, other, gamma=0.7)),
        (
            kernels.polynomial(ROWS, OTHERS, degree=3, gamma=0.7, offset=0.4),
            pairwise.polynomial_kernel(one, other, degree=3, gamma=0.7, coef0=0.4),
        ),
        (kernels.sigmoid(ROWS, OTHERS, gamma=0.7, offset=0.4), pairwise.sigmoid_kernel(one, other, 0.7, 0.4)),
    ]
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, torch.from_numpy(theirs))


def test_the_rbf_gram_is_positive_semidefinite_with_ones_on_its_diagonal() -> None:
    gram = kernels.rbf(ROWS, ROWS, gamma=0.5)
    torch.testing.assert_close(gram.diagonal(), torch.ones(8, dtype=torch.float64))
    assert torch.equal(gram, gram.T)
    assert kernels.lowest_eigenvalue(gram) > -1e-12


def test_the_sigmoid_gram_is_not() -> None:
    gram = kernels.sigmoid(STORED, STORED)
    assert kernels.lowest_eigenvalue(gram) < -0.01


@pytest.mark.parametrize(("gamma", "offset"), [(1.0, 0.0), (0.7, 1.3)])
def test_the_quadratic_kernel_is_a_scalar_product_of_features(gamma: float, offset: float) -> None:
    one, other = (kernels.quadratic_features(rows, gamma=gamma, offset=offset) for rows in (ROWS, OTHERS))
    assert one.shape == (8, 10)
    expected = kernels.polynomial(ROWS, OTHERS, gamma=gamma, offset=offset)
    torch.testing.assert_close(kernels.linear(one, other), expected)


def test_our_grams_give_scikit_learns_machine() -> None:
    from sklearn.svm import SVC

    (values, targets), test = circles("train"), circles("test")
    gamma = kernels.scaled_gamma(values)
    found = part((values, targets), test, kernel="polynomial")
    ours = SVC(kernel="precomputed").fit(kernels.polynomial(values, values, gamma=gamma).numpy(), targets.numpy())
    decided = ours.decision_function(kernels.polynomial(test[0], values, gamma=gamma).numpy())
    torch.testing.assert_close(found.landscape(test[0]), torch.from_numpy(decided), rtol=1e-3, atol=1e-3)


def test_gamma_is_scaled_as_scikit_learn_does() -> None:
    from sklearn.svm import SVC

    values, targets = circles("train")
    usual = SVC(gamma="scale").fit(values.numpy(), targets.numpy()).decision_function(values.numpy())
    torch.testing.assert_close(part((values, targets), circles("test")).landscape(values), torch.from_numpy(usual))


def test_circles_need_the_right_kernel() -> None:
    def accuracy(**told: object) -> float:
        scores = [part(circles("train", s), circles("test", s), **told).test_accuracy for s in range(3)]  # type: ignore[arg-type]
        return sum(scores) / 3

    assert accuracy(kernel="rbf") > 0.92
    assert accuracy(kernel="polynomial", degree=2) > 0.92
    assert accuracy(kernel="linear") < 0.65
    assert accuracy(kernel="sigmoid") < 0.65
    assert accuracy(kernel="polynomial", degree=3) < 0.75
    assert accuracy(kernel="polynomial", degree=3, offset=1.0) > 0.9


def test_what_is_learned_is_told() -> None:
    found = part(circles("train"), circles("test"))
    values, targets = circles("test")
    said = (found.landscape(values) > 0).long()
    assert (said == targets).double().mean().item() == pytest.approx(found.test_accuracy)
    assert 10 < len(found.support) < 200
    assert found.landscape(torch.zeros(4, 5, 2)).shape == (4, 5)


def test_refuses() -> None:
    train, test = circles("train"), circles("test")
    with pytest.raises(ValueError, match="kernel must be one of linear, rbf, polynomial, sigmoid, got 'rfb'; did you"):
        part(train, test, kernel="rfb")
    with pytest.raises(ValueError, match="c must be above 0, got 0"):
        part(train, test, c=0)
    with pytest.raises(ValueError, match="train must have at least two classes, got only class 0"):
        part((train[0], torch.zeros_like(train[1])), test)
    with pytest.raises(ValueError, match="rows must vary for gamma to have a scale"):
        kernels.scaled_gamma(torch.ones(3, 2))
    with pytest.raises(ValueError, match=r"rows must be float \(N, d\) of equal d, got \(8, 3\) and \(3, 2\)"):
        kernels.linear(ROWS, STORED)
    with pytest.raises(ValueError, match="degree must be at least 1, got 0"):
        kernels.polynomial(ROWS, ROWS, degree=0)
    with pytest.raises(ValueError, match="gamma must be at least 0"):
        kernels.rbf(ROWS, ROWS, gamma=-1)
