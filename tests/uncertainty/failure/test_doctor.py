"""DOCTOR's odds in closed form."""

import pytest
import torch

from pellucid.uncertainty.failure import doctor
from pellucid.uncertainty.failure.doctor import odds

from ..nets import Given, small_images, varied


def test_odds_of_three_classes() -> None:
    logits = torch.tensor([[0.7, 0.2, 0.1], [1 / 3, 1 / 3, 1 / 3], [0.5, 0.5, 1e-300]], dtype=torch.float64).log()
    squares = torch.tensor([0.54, 1 / 3, 0.5], dtype=torch.float64)
    torch.testing.assert_close(odds(logits, "alpha"), (1 - squares) / squares)
    torch.testing.assert_close(odds(logits, "beta"), torch.tensor([3 / 7, 2.0, 1.0], dtype=torch.float64))


def test_near_certainty_no_two_are_equal() -> None:
    """1 - p would be 0 for all of these; the odds are K - 1 times exp(-lead), for alpha twice that."""
    leads = torch.tensor([40.0, 41.0, 60.0], dtype=torch.float64)
    logits = torch.stack([leads, 0 * leads, 0 * leads], dim=1)
    torch.testing.assert_close(odds(logits, "beta"), 2 * (-leads).exp(), rtol=1e-9, atol=0)
    torch.testing.assert_close(odds(logits, "alpha"), 4 * (-leads).exp(), rtol=1e-9, atol=0)


def test_of_two_classes_both_give_the_order_of_the_maximum_probability() -> None:
    images = small_images(50, 1, channels=2)
    largest = (10 * images[:, :, 0, 0]).softmax(dim=1).amax(dim=1)
    for variant in ("alpha", "beta"):
        assert torch.equal(doctor(Given(), images, variant=variant).argsort(), (-largest).argsort())


def test_a_temperature_divides_the_logits() -> None:
    images = small_images(5, 1, channels=3)
    torch.testing.assert_close(
        doctor(Given(), images, temperature=2.5), odds(10 * images[:, :, 0, 0].double() / 2.5, "alpha")
    )
    net = varied()
    every = doctor(net, small_images(6, 4))
    torch.testing.assert_close(doctor(net, small_images(6, 4)[2:3]), every[2:3])


def test_refuses() -> None:
    with pytest.raises(ValueError, match="variant must be one of alpha, beta, got 'gamma'"):
        doctor(varied(), small_images(2, 4), variant="gamma")
    with pytest.raises(ValueError, match="temperature must be above 0, got 0"):
        doctor(varied(), small_images(2, 4), temperature=0)
    with pytest.raises(ValueError, match="model must be in eval mode"):
        doctor(varied().train(), small_images(2, 4))
