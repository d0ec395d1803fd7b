"""Maximum probability, maximum logit and energy against their formulas."""

import math

import pytest
import torch
from torch import Tensor, nn

from pellucid.uncertainty.ood import energy, max_logit, max_probability

from ..nets import Given, small, small_images

NET, IMAGES = small(), small_images(6)
SURE = torch.tensor([[1.0, 0.0, 0.0], [0.4, 0.4, 0.4]]).double()[:, :, None, None]


def logits() -> Tensor:
    with torch.no_grad():
        found: Tensor = NET(IMAGES).double()
    return found


def test_formulas() -> None:
    z = logits()
    torch.testing.assert_close(max_probability(NET, IMAGES), 1 - z.softmax(dim=1).amax(dim=1))
    torch.testing.assert_close(max_logit(NET, IMAGES), -z.amax(dim=1))
    torch.testing.assert_close(energy(NET, IMAGES), -z.exp().sum(dim=1).log())
    torch.testing.assert_close(energy(NET, IMAGES, temperature=3.0), -3 * (z / 3).exp().sum(dim=1).log())


def test_by_hand() -> None:
    expected = 2 * math.exp(-10) / (1 + 2 * math.exp(-10))
    assert max_probability(Given(), SURE).tolist() == pytest.approx([expected, 2 / 3], rel=1e-12)
    assert max_logit(Given(), SURE).tolist() == pytest.approx([-10, -4])
    assert energy(Given(), SURE).tolist() == pytest.approx([-10 - math.log1p(2 * math.exp(-10)), -4 - math.log(3)])


def test_a_cold_energy_is_the_largest_logit() -> None:
    torch.testing.assert_close(energy(NET, IMAGES, temperature=1e-4), max_logit(NET, IMAGES), atol=1e-3, rtol=0)


def test_answers_that_are_almost_certain_are_told_apart() -> None:
    class Sharp(Given):
        def forward(self, images: Tensor) -> Tensor:
            return 10 * super().forward(images)

    images = torch.tensor([[1.0, 0.0], [0.99, 0.0], [1.0, 0.01]])[:, :, None, None]  # 1 - p is 1e-44 and 1e-43
    found = max_probability(Sharp(), images)
    assert 0 < found[0] < found[1] == pytest.approx(float(found[2]), rel=1e-4)


def test_a_network_that_ends_in_a_softmax() -> None:
    ends = nn.Sequential(NET, nn.Softmax(dim=1)).eval()
    torch.testing.assert_close(max_probability(ends, IMAGES), max_probability(NET, IMAGES), atol=1e-6, rtol=0)
    for method in (max_logit, energy):
        with pytest.raises(ValueError, match=f"{method.__name__} needs logits, but the network's outputs already sum"):
            method(ends, IMAGES)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.inf, math.nan])
def test_energy_refuses_a_temperature(temperature: float) -> None:
    with pytest.raises(ValueError, match=r"temperature must be above 0 and finite, got"):
        energy(NET, IMAGES, temperature=temperature)


def test_refuses_outputs_that_are_no_logits() -> None:
    with pytest.raises(ValueError, match="at least 2 classes"):
        max_probability(small(1), IMAGES)
    with pytest.raises(ValueError, match=r"must return logits \(N, K\), got"):
        max_logit(nn.Conv2d(3, 2, 1).eval(), IMAGES)
    broken = small()
    broken.get_parameter("6.bias").data[0] = math.nan
    with pytest.raises(ValueError, match="logits are not finite"):
        energy(broken, IMAGES)
