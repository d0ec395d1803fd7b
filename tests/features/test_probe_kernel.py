"""Kernel machines: our answers from what LIBSVM learned are LIBSVM's own."""

import pytest
import torch
from sklearn.metrics.pairwise import polynomial_kernel, rbf_kernel
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import SVC

from pellucid.features.probes import KernelSVM

from .blobs import apart, overlapping

ROWS, TARGETS = overlapping()
ASKED, _ = overlapping(count=40, seed=5)
NAMES = {"linear": "linear", "rbf": "rbf", "polynomial": "poly", "sigmoid": "sigmoid"}


@pytest.mark.parametrize("kernel", NAMES)
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_equals_libsvm(kernel: str, classes: int) -> None:
    rows, targets = overlapping(classes=classes)
    peer = SVC(C=2.0, kernel=NAMES[kernel], coef0=0.5, degree=2).fit(rows.double().numpy(), targets.numpy())
    found = KernelSVM(cost=2.0, kernel=kernel, offset=0.5, degree=2, normalise="none").fit(rows, targets)
    assert torch.equal(found.predict(ASKED), torch.from_numpy(peer.predict(ASKED.double().numpy())))
    wanted = torch.from_numpy(peer.decision_function(ASKED.double().numpy())).float()
    scores = found.scores(ASKED)
    if classes == 2:  # one decision, positive for the second class
        assert torch.equal(scores.argmax(dim=1), (wanted > 0).long())
        clear = wanted / (3 * (wanted.abs() + 1))
        torch.testing.assert_close(scores[:, 1], (wanted > 0).float() + clear, atol=1e-4, rtol=1e-4)
    else:
        torch.testing.assert_close(scores, wanted, atol=1e-3, rtol=1e-3)


def test_one_against_the_rest() -> None:
    rows, targets = overlapping(classes=4)
    peer = OneVsRestClassifier(SVC(C=2.0)).fit(rows.double().numpy(), targets.numpy())
    found = KernelSVM(cost=2.0, multiclass="one_vs_rest", normalise="none").fit(rows, targets)
    wanted = torch.from_numpy(peer.decision_function(ASKED.double().numpy())).float()
    torch.testing.assert_close(found.scores(ASKED), wanted, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("gamma", ["scale", "auto", 0.3])
def test_gamma_is_read_off_the_training_rows(gamma: float | str) -> None:
    found = KernelSVM(gamma=gamma, normalise="none").fit(ROWS, TARGETS)
    peer = SVC(gamma=gamma).fit(ROWS.double().numpy(), TARGETS.numpy())
    assert found.gamma_ == pytest.approx(peer._gamma, rel=1e-6)


def test_a_kernel_of_ones_own() -> None:
    def told(rows: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(rbf_kernel(rows.double().numpy(), ROWS.double().numpy(), gamma=0.1))

    given = KernelSVM(kernel="precomputed").fit(told(ROWS), TARGETS)
    ours = KernelSVM(gamma=0.1, normalise="none").fit(ROWS, TARGETS)
    assert torch.equal(given.predict(told(ASKED)), ours.predict(ASKED))
    torch.testing.assert_close(given.scores(told(ASKED)), ours.scores(ASKED), atol=1e-2, rtol=1e-2)
    with pytest.raises(ValueError, match=r"must be a square kernel \(N, N\) where it is precomputed, got 120 x 12"):
        KernelSVM(kernel="precomputed").fit(ROWS, TARGETS)
    with pytest.raises(ValueError, match="must have the 120 columns the probe was fitted on, got 12"):
        given.predict(ASKED)


def test_the_polynomial_kernel_in_closed_form() -> None:
    from pellucid.features.probes._kernels import Kernel, kernel_table

    wanted = polynomial_kernel(ASKED.double().numpy(), ROWS.double().numpy(), degree=3, gamma=0.2, coef0=1.5)
    found = kernel_table(Kernel("polynomial", 0.2, 3, 1.5), ASKED, ROWS)
    torch.testing.assert_close(found, torch.from_numpy(wanted))


def test_classes_that_stand_apart_are_told() -> None:
    rows, targets = apart()
    for kernel in ("linear", "rbf", "polynomial"):
        assert torch.equal(KernelSVM(kernel=kernel).fit(rows, targets).predict(rows), targets)


def test_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"kernel must be one of linear, rbf, .* got 'rbg'; did you mean rbf"):
        KernelSVM(kernel="rbg")
    with pytest.raises(ValueError, match="gamma must be positive, or one of scale, auto, got -1"):
        KernelSVM(gamma=-1)
    with pytest.raises(ValueError, match="gamma must be one of scale, auto, got 'scaled'; did you mean scale"):
        KernelSVM(gamma="scaled")
    with pytest.raises(ValueError, match="degree must be at least 1, got 0"):
        KernelSVM(degree=0)
    with pytest.raises(ValueError, match="offset must be finite, got nan"):
        KernelSVM(offset=float("nan"))
    with pytest.raises(ValueError, match="gamma must be a number or auto where all features are equal"):
        KernelSVM(normalise="none").fit(torch.ones(6, 2), torch.arange(6) % 2)
    monkeypatch.setattr("pellucid.features.probes.kernel_svm.LARGEST", 100)
    with pytest.raises(ValueError, match="at most 100 rows for a kernel machine, got 120: take LinearSVM"):
        KernelSVM().fit(ROWS, TARGETS)
