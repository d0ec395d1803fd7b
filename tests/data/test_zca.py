"""ZCA: identity covariance, the inverse, and against the formula with NumPy's eigenvectors."""

import numpy as np
import pytest
import torch

from pellucid.data import Zca, zca

RANDOM = torch.Generator().manual_seed(0)
MIX = torch.randn(27, 27, dtype=torch.float64, generator=RANDOM)
ROWS = torch.rand(400, 27, dtype=torch.float64, generator=RANDOM) @ MIX
IMAGES = ((ROWS - ROWS.min()) / (ROWS.max() - ROWS.min())).view(400, 3, 3, 3)


@pytest.fixture(autouse=True)
def chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several chunks, the last of them smaller."""
    monkeypatch.setattr(zca, "CHUNK", 150)


def test_the_covariance_of_what_was_fitted_becomes_the_identity() -> None:
    rows = Zca(epsilon=0).fit(IMAGES).transform(IMAGES).flatten(1)
    assert rows.mean(dim=0).abs().max() < 1e-9
    torch.testing.assert_close(rows.T @ rows / 400, torch.eye(27, dtype=torch.float64), atol=1e-7, rtol=0)


def test_epsilon_shrinks_each_variance_by_its_formula() -> None:
    fitted = Zca(epsilon=0.01).fit(IMAGES)
    variances = torch.linalg.eigvalsh(torch.cov(fitted.transform(IMAGES).flatten(1).T, correction=0))
    torch.testing.assert_close(variances, (fitted.values_ / (fitted.values_ + 0.01)).sort().values)


def test_transform_is_the_formula() -> None:
    rows = IMAGES.flatten(1).numpy()
    values, vectors = np.linalg.eigh(np.cov(rows.T, bias=True))
    expected = (rows - rows.mean(axis=0)) @ vectors @ np.diag((values + 0.01) ** -0.5) @ vectors.T
    fitted = Zca().fit(IMAGES)
    np.testing.assert_allclose(fitted.transform(IMAGES).flatten(1).numpy(), expected, atol=1e-9)
    torch.testing.assert_close(fitted.matrix(), fitted.matrix().T)  # symmetric: that is the Z
    eye = torch.eye(27, dtype=torch.float64)
    torch.testing.assert_close(fitted.matrix(-0.5) @ fitted.matrix(0.5), eye, atol=1e-9, rtol=0)


@pytest.mark.parametrize("epsilon", [1e-5, 0.01, 0.1])
def test_the_inverse_gives_the_images_back(epsilon: float) -> None:
    fitted = Zca(epsilon=epsilon).fit(IMAGES)
    torch.testing.assert_close(fitted.inverse(fitted.transform(IMAGES)), IMAGES)
    single = fitted.inverse(fitted.transform(IMAGES.float()))
    assert single.dtype == torch.float32
    torch.testing.assert_close(single, IMAGES.float(), atol=1e-4, rtol=0)


def test_bytes_are_fitted_as_the_floats_they_stand_for() -> None:
    pixels = (IMAGES * 255).round().to(torch.uint8)
    torch.testing.assert_close(Zca().fit(pixels).matrix(), Zca().fit(pixels.double() / 255).matrix())


def test_refuses_what_it_cannot_hold_or_divide() -> None:
    needed = zca.memory_needed(27)
    with pytest.raises(ValueError, match=f"images must be smaller .*: 27 values each need {needed:,} bytes"):
        Zca(budget=needed - 1).fit(IMAGES)
    with pytest.raises(ValueError, match="epsilon must be over 0, for 20 images leave directions without variance"):
        Zca(epsilon=0).fit(IMAGES[:20])
    with pytest.raises(ValueError, match="epsilon must be at least 0, got -1"):
        Zca(epsilon=-1).fit(IMAGES)
    with pytest.raises(ValueError, match="pixels must be at least 2 images"):
        Zca().fit(IMAGES[:1])
    with pytest.raises(ValueError, match="call fit first"):
        Zca().transform(IMAGES)
    with pytest.raises(ValueError, match=r"images must be \(3, 3, 3\) as those fitted on, got \(3, 2, 3\)"):
        Zca().fit(IMAGES).transform(IMAGES[:, :, :2])
