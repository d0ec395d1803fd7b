"""What the oracle promises, on random answers."""

import pytest
import torch

from pellucid.metrics.ranking import average_precision
from pellucid.uncertainty.failure import true_class_probability
from pellucid.uncertainty.failure.true_class_probability import without

from ..nets import Given, small_images

TARGETS = torch.arange(500) % 5
IMAGES = small_images(500, 1, channels=5)


def test_above_a_half_right_below_one_over_k_wrong() -> None:
    p = (10 * IMAGES[:, :, 0, 0]).double().softmax(dim=1)
    score = true_class_probability(Given(), IMAGES, TARGETS)
    torch.testing.assert_close(1 - score, p.gather(1, TARGETS[:, None])[:, 0])
    right = p.argmax(dim=1) == TARGETS
    assert bool(right[score < 0.5].all())
    assert not bool(right[score > 0.8].any())
    torch.testing.assert_close(1 - score[right], p.amax(dim=1)[right])
    between = (score > 0.5) & (score < 0.8)
    assert bool(right[between].any()), "in between it may be either"
    assert not bool(right[between].all())


def test_of_two_classes_it_ranks_every_error_first() -> None:
    images, targets = small_images(200, 1, channels=2), torch.arange(200) % 2
    wrong = images[:, :, 0, 0].argmax(dim=1) != targets
    assert average_precision(true_class_probability(Given(), images, targets), wrong) == 1


def test_it_keeps_what_a_subtraction_would_lose() -> None:
    logits = torch.tensor([[50.0, 0.0, 0.0], [0.0, 60.0, 0.0]], dtype=torch.float64)
    found = without(logits, torch.tensor([0, 1]))
    torch.testing.assert_close(found, 2 * torch.tensor([-50.0, -60.0]).double().exp(), rtol=1e-9, atol=0)


def test_refuses() -> None:
    with pytest.raises(ValueError, match=r"target 5 is no class: not in 0\.\.4"):
        true_class_probability(Given(), IMAGES, TARGETS + 1)
    with pytest.raises(ValueError, match="targets must be the images' true classes"):
        true_class_probability(Given(), IMAGES, None)  # type: ignore[arg-type]
