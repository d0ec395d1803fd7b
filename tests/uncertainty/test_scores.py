"""Scores of samples: plain loops, the inequalities between them, and what they are where the answer is known."""

import math
from collections.abc import Callable

import pytest
import torch
from scipy.stats import entropy as scipy_entropy
from torch import Tensor

from pellucid import uncertainty
from pellucid.uncertainty import (
    energy,
    entropy,
    expected_entropy,
    least_confidence,
    margin,
    mean_class_variance,
    mutual_information,
    predicted_variance,
    summary,
    total_class_variance,
    variation_ratio,
)

S, N, K = 12, 40, 5
GENERATOR = torch.Generator().manual_seed(0)
SAMPLES = (3 * torch.randn(S, N, K, generator=GENERATOR, dtype=torch.float64)).softmax(dim=2)
ONE_HOT = torch.nn.functional.one_hot(torch.randint(K, (S, N), generator=GENERATOR), K).double()
SCORES = [
    least_confidence,
    margin,
    entropy,
    expected_entropy,
    mutual_information,
    variation_ratio,
    predicted_variance,
    mean_class_variance,
    total_class_variance,
]
SPREADS = [mutual_information, variation_ratio, predicted_variance, mean_class_variance, total_class_variance]

each = pytest.mark.parametrize("score", SCORES)


def test_they_equal_their_definitions_image_by_image() -> None:
    for image in range(N):
        draws = SAMPLES[:, image].numpy()
        mean = draws.mean(axis=0)
        top, second = sorted(mean)[::-1][:2]
        votes = [int(row.argmax()) for row in draws]
        variances = [sum((p - m) ** 2 for p in column) / S for column, m in zip(draws.T, mean, strict=True)]
        expected = {
            least_confidence: 1 - top,
            margin: 1 - (top - second),
            entropy: scipy_entropy(mean),
            expected_entropy: sum(scipy_entropy(row) for row in draws) / S,
            mutual_information: scipy_entropy(mean) - sum(scipy_entropy(row) for row in draws) / S,
            variation_ratio: 1 - max(votes.count(number) for number in range(K)) / S,
            predicted_variance: variances[int(mean.argmax())],
            mean_class_variance: sum(variances) / K,
            total_class_variance: sum(variances),
        }
        for score, value in expected.items():
            assert float(score(SAMPLES)[image]) == pytest.approx(value, abs=1e-12), score.__name__


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("drawn", [SAMPLES, ONE_HOT], ids=["soft", "one hot"])
def test_the_inequalities_between_them(drawn: Tensor, dtype: torch.dtype) -> None:
    drawn, room = drawn.to(dtype), 1e-6
    whole, own, mutual = entropy(drawn), expected_entropy(drawn), mutual_information(drawn)
    assert (mutual >= 0).all()
    assert (mutual <= min(math.log(K), math.log(S)) + room).all()
    assert (own >= 0).all()
    assert (own <= whole + room).all()
    assert (whole <= math.log(K) + room).all()
    torch.testing.assert_close(whole - own, mutual, atol=room, rtol=0)
    votes = variation_ratio(drawn)
    assert (votes >= 0).all()
    assert (votes <= 1 - math.ceil(S / K) / S + room).all()
    top = predicted_variance(drawn)
    sure = 1 - least_confidence(drawn)
    assert (top <= sure * (1 - sure) + room).all()
    assert (total_class_variance(drawn) >= top - room).all()
    torch.testing.assert_close(mean_class_variance(drawn) * K, total_class_variance(drawn))


def test_equal_samples_have_no_spread() -> None:
    same = SAMPLES[:1].float().expand(S, N, K)
    for score in SPREADS:
        torch.testing.assert_close(score(same), torch.zeros(N), atol=1e-6, rtol=0)
        assert (score(same) >= 0).all()
        torch.testing.assert_close(score(same[:1]), torch.zeros(N), msg=score.__name__)
    torch.testing.assert_close(entropy(same), expected_entropy(same))


def test_votes_alone_are_all_spread() -> None:
    torch.testing.assert_close(expected_entropy(ONE_HOT), torch.zeros(N, dtype=torch.float64))
    torch.testing.assert_close(mutual_information(ONE_HOT), entropy(ONE_HOT))
    torch.testing.assert_close(
        entropy(ONE_HOT), torch.special.entr(summary(ONE_HOT).vote_counts / S).sum(dim=1).double()
    )


@each
def test_classes_samples_and_images_may_change_places(score: Callable[[Tensor], Tensor]) -> None:
    expected = score(SAMPLES)
    assert expected.shape == (N,)
    torch.testing.assert_close(score(SAMPLES[:, :, torch.randperm(K, generator=GENERATOR)]), expected)
    torch.testing.assert_close(score(SAMPLES[torch.randperm(S, generator=GENERATOR)]), expected)
    torch.testing.assert_close(score(SAMPLES[:, 3:4]), expected[3:4])
    assert score(SAMPLES.half()).dtype == torch.float32


@each
def test_a_sure_answer_is_the_most_trusted(score: Callable[[Tensor], Tensor]) -> None:
    sure = torch.zeros(S, 1, K, dtype=torch.float64)
    sure[..., 2] = 1
    assert float(score(sure)) == 0
    assert float(score(SAMPLES).min()) > 0


def test_the_estimate_of_all_that_could_be_drawn() -> None:
    torch.testing.assert_close(predicted_variance(SAMPLES, ddof=1), predicted_variance(SAMPLES) * S / (S - 1))
    with pytest.raises(ValueError, match="samples must be at least 2 for a variance with ddof 1, got 1"):
        mean_class_variance(SAMPLES[:1], ddof=1)
    with pytest.raises(ValueError, match=r"ddof must be in \[0, 1\], got 2"):
        mean_class_variance(SAMPLES, ddof=2)


def test_energy_is_the_free_energy() -> None:
    logits = 5 * torch.randn(N, K, generator=GENERATOR)
    torch.testing.assert_close(energy(logits, temperature=2.5), -2.5 * (logits / 2.5).exp().sum(dim=1).log())
    torch.testing.assert_close(energy(logits + 100), energy(logits) - 100)
    torch.testing.assert_close(energy(logits, temperature=1e-4), -logits.amax(dim=1))
    for bad, message in (
        (logits[0], r"logits must be a float tensor \(N, K\), got \(5,\)"),
        (logits / 0, "logits must be finite"),
    ):
        with pytest.raises(ValueError, match=message):
            energy(bad)
    with pytest.raises(ValueError, match="temperature must be above 0, got 0"):
        energy(logits, temperature=0)


def test_the_summary_tells_both_answers() -> None:
    """Two samples barely for class 0, one firmly for class 1: the votes and the mean disagree."""
    samples = torch.tensor([[[0.5, 0.4, 0.1]], [[0.5, 0.4, 0.1]], [[0.0, 1.0, 0.0]]])
    found = summary(samples)
    assert (found.predicted.item(), found.voted.item(), found.disagrees.item()) == (1, 0, True)
    assert found.votes.tolist() == [[0, 0, 1]]
    assert found.vote_counts.tolist() == [[2, 1, 0]]
    torch.testing.assert_close(found.mean, torch.tensor([[1 / 3, 0.6, 0.2 / 3]]))
    whole = summary(SAMPLES)
    for score in SCORES:
        torch.testing.assert_close(getattr(whole, score.__name__), score(SAMPLES))


@each
@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (SAMPLES[0], r"samples must have shape \(S, N, K\), got \(40, 5\); of one answer for each image take"),
        (SAMPLES[:0], r"samples must hold a sample, an image and 2 classes at least, got shape \(0, 40, 5\)"),
        (SAMPLES[..., :1], "2 classes at least"),
        (SAMPLES.log(), "samples must be probabilities, rows at least 0 that sum to 1"),
        (SAMPLES * 1.01, "rows off by up to 0.01"),
        (torch.full((2, 2, 2), torch.nan), "rows off by up to nan"),
        (ONE_HOT.long(), "samples must be float probabilities"),
    ],
)
def test_refuses(score: Callable[[Tensor], Tensor], samples: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score(samples)


def test_each_is_on_the_face() -> None:
    assert {score.__name__ for score in [*SCORES, energy, summary]} <= set(uncertainty.__all__)
