import pytest
import torch
from sklearn.metrics import brier_score_loss

from pellucid.metrics import brier, calibration_interval, expected_calibration_error, reliability

GENERATOR = torch.Generator().manual_seed(0)
CONFIDENCE = torch.rand(500, generator=GENERATOR)
CORRECT = torch.rand(500, generator=GENERATOR) < CONFIDENCE**2


def loop_ece(confidence: list[float], correct: list[bool], bins: int) -> float:
    """The definition, image by image."""
    total = 0.0
    for number in range(bins):
        low, high = number / bins, (number + 1) / bins
        inside = [i for i, p in enumerate(confidence) if low < p <= high or (number == 0 and p == 0)]
        if inside:
            stated = sum(confidence[i] for i in inside) / len(inside)
            right = sum(correct[i] for i in inside) / len(inside)
            total += abs(stated - right) * len(inside)
    return total / len(confidence)


@pytest.mark.parametrize("bins", [1, 2, 10, 15])
def test_ece_equals_a_plain_loop(bins: int) -> None:
    found = expected_calibration_error(reliability(CONFIDENCE, CORRECT, bins=bins))
    assert found == pytest.approx(loop_ece(CONFIDENCE.double().tolist(), CORRECT.tolist(), bins), abs=1e-9)


def test_a_bin_holds_its_upper_edge_and_every_image_is_counted() -> None:
    found = reliability(torch.tensor([0.0, 0.5, 0.5001, 1.0]), torch.tensor([True, True, False, True]), bins=2)
    assert found.count.tolist() == [2, 2]
    assert found.accuracy.tolist() == [1.0, 0.5]


def test_empty_bins_are_nan_and_do_not_count() -> None:
    found = reliability(torch.tensor([0.9]), torch.tensor([True]), bins=10)
    assert found.confidence.isnan().sum() == 9
    assert expected_calibration_error(found) == pytest.approx(0.1, abs=1e-6)


def test_brier_equals_its_definition_and_scikit_learn() -> None:
    logits = torch.randn(100, 2, generator=GENERATOR, dtype=torch.float64)
    targets = torch.randint(0, 2, (100,), generator=GENERATOR)
    probabilities = logits.softmax(dim=1)
    truth = torch.nn.functional.one_hot(targets, 2)
    torch.testing.assert_close(brier(probabilities, targets), (probabilities - truth).square().sum(dim=1))
    binary = brier_score_loss(targets, probabilities[:, 1])  # one class only: half of the sum over both
    assert brier(probabilities, targets).mean().item() == pytest.approx(2 * binary, rel=1e-9)


def test_perfect_and_worst_forecasts() -> None:
    sure = torch.eye(3)
    torch.testing.assert_close(brier(sure, torch.tensor([0, 1, 2])), torch.zeros(3))
    torch.testing.assert_close(brier(sure, torch.tensor([1, 2, 0])), torch.full((3,), 2.0))


def test_the_interval_of_one_bin_is_that_of_a_share() -> None:
    confidence, correct = torch.full((400,), 0.9), torch.arange(400) % 5 < 3
    found = calibration_interval(confidence, correct, bins=10, draws=2000)
    assert found.value == pytest.approx(0.3)
    half = 1.96 * (0.6 * 0.4 / 400) ** 0.5
    assert (found.low, found.high) == pytest.approx((0.3 - half, 0.3 + half), abs=0.005)


def test_the_interval_takes_off_what_noise_adds() -> None:
    generator = torch.Generator().manual_seed(3)
    confidence = torch.rand(200, generator=generator)
    correct = torch.rand(200, generator=generator) < confidence  # calibrated: the error is noise alone
    found = calibration_interval(confidence, correct)
    assert found.value == pytest.approx(expected_calibration_error(reliability(confidence, correct)))
    assert 0 <= found.low < 0.4 * found.value
    assert found.value <= found.high < 1.5 * found.value
    assert found == calibration_interval(confidence, correct)


def test_the_interval_needs_a_draw() -> None:
    with pytest.raises(ValueError, match="draws must be at least 1, got 0"):
        calibration_interval(torch.rand(9), torch.rand(9) > 0.5, draws=0)
