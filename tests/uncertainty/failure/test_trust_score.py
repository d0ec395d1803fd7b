"""Trust scores against plain loops."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from pellucid.uncertainty.failure import TrustScore

from ..nets import answers, small_images, varied

NET = varied()
IMAGES, NEW = small_images(80, 4), small_images(9, 4, seed=3)
TARGETS = answers(NET, IMAGES)


def features(images: Tensor) -> Tensor:
    with torch.no_grad():
        found: Tensor = NET[:8](images).double()
    return found


def looped(alpha: float, neighbours: int) -> Tensor:
    """Algorithm 1, one point at a time."""
    kept = []
    for label in range(4):
        points = features(IMAGES)[label == TARGETS]
        radii = [sorted(float((one - other).norm()) for other in points)[neighbours] for one in points]
        count = len(points) - int(alpha * len(points))
        limit = sorted(radii)[count - 1]
        kept.append([point for point, radius in zip(points, radii, strict=True) if radius <= limit])
    scores = []
    for x, image in zip(features(NEW), NEW, strict=True):
        near = [min(float((x - point).norm()) for point in points) for points in kept]
        said = int(NET(image[None]).argmax())
        own, other = near[said], min(near[:said] + near[said + 1 :])
        scores.append(1 / (1 + other / own))
    return torch.tensor(scores, dtype=torch.float64)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_it_equals_the_algorithm_by_hand(alpha: float) -> None:
    found = TrustScore(alpha=alpha, neighbours=4).fit(NET, IMAGES, TARGETS)
    torch.testing.assert_close(found(NEW), looped(alpha, 4), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found(NEW[2:3]), found(NEW)[2:3])
    with torch.no_grad():
        assert found.errors_ == int((NET(IMAGES).argmax(dim=1) != TARGETS).sum())


def test_an_image_of_its_own_class_is_trusted_and_of_another_not() -> None:
    found = TrustScore().fit(NET, IMAGES, TARGETS)
    with torch.no_grad():
        right = NET(IMAGES).argmax(dim=1) == TARGETS
    scores = found(IMAGES)
    torch.testing.assert_close(scores[right], torch.zeros(int(right.sum()), dtype=torch.float64), rtol=0, atol=1e-9)
    torch.testing.assert_close(scores[~right], torch.ones(int((~right).sum()), dtype=torch.float64), rtol=0, atol=1e-9)


def test_saved_and_loaded(tmp_path: Path) -> None:
    found = TrustScore(alpha=0.2, neighbours=3).fit(NET, IMAGES, TARGETS)
    found.save(tmp_path / "kept")
    again = TrustScore.load(tmp_path / "kept", NET)
    assert torch.equal(again(NEW), found(NEW))
    assert (again.alpha, again.neighbours, again.images_) == (0.2, 3, 80)
    other = varied().requires_grad_(False)
    next(other.parameters()).add_(1)
    with pytest.raises(ValueError, match="was fitted on a classifier with other weights"):
        TrustScore.load(tmp_path / "kept", other)


def test_refuses() -> None:
    with pytest.raises(ValueError, match=r"alpha must be in \[0, 1\), got 1"):
        TrustScore(alpha=1.0).fit(NET, IMAGES, TARGETS)
    with pytest.raises(ValueError, match="neighbours must be at least 1, got 0"):
        TrustScore(neighbours=0).fit(NET, IMAGES, TARGETS)
    with pytest.raises(ValueError, match="targets must hold at least 2 classes to compare, got 1"):
        TrustScore().fit(NET, IMAGES, 0 * TARGETS)
    with pytest.raises(ValueError, match=r"images of class \d must be at least 61, got \d+: lower neighbours"):
        TrustScore(neighbours=60, alpha=0.1).fit(NET, IMAGES, TARGETS)
    some = TrustScore().fit(NET, IMAGES[TARGETS < 2], TARGETS[TARGETS < 2])
    with pytest.raises(ValueError, match=r"the model predicts class [23], of which no image was fitted on"):
        some(IMAGES)
    with pytest.raises(ValueError, match="must be fitted first"):
        TrustScore()(IMAGES)
