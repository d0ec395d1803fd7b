"""What samples say of each image: the answer two ways, how the votes fell, and every score of them."""

from dataclasses import dataclass

from torch import Tensor

from ._samples import check_samples
from .scores import (
    entropy,
    expected_entropy,
    least_confidence,
    margin,
    mean_class_variance,
    mutual_information,
    predicted_variance,
    total_class_variance,
    variation_ratio,
    vote_counts,
)


@dataclass(frozen=True)
class Summary:
    """Of N images, K classes and S samples; every score is higher the less the answer is to be trusted."""

    mean: Tensor  # (N, K), mean probabilities
    predicted: Tensor  # (N,), int64, class of the largest mean probability
    voted: Tensor  # (N,), int64, class that most samples vote for; of equal ones the lowest
    votes: Tensor  # (N, S), int64, the class of each sample
    vote_counts: Tensor  # (N, K), int64, samples that vote for each class
    least_confidence: Tensor  # (N,), 1 - mean probability of the predicted class
    margin: Tensor  # (N,), 1 - the lead of the first class over the second
    entropy: Tensor  # (N,), nats, of the mean
    expected_entropy: Tensor  # (N,), nats, mean over the samples
    mutual_information: Tensor  # (N,), nats
    variation_ratio: Tensor  # (N,), share of the samples that vote otherwise
    predicted_variance: Tensor  # (N,), variance of the predicted class, over S
    mean_class_variance: Tensor  # (N,), averaged over the K classes, each over S; comparable at equal K only
    total_class_variance: Tensor  # (N,), summed over the classes

    @property
    def disagrees(self) -> Tensor:
        """(N,), bool: the class of the largest mean is not the one most voted for."""
        return self.predicted != self.voted


def summary(samples: Tensor) -> Summary:
    """Everything that samples say of each image.

    Args:
        samples: (S, N, K), float, rows sum to 1.

    Raises:
        ValueError: samples are none.
    """
    samples = check_samples(samples)
    mean, counted = samples.mean(dim=0), vote_counts(samples)
    return Summary(
        mean=mean,
        predicted=mean.argmax(dim=1),
        voted=counted.argmax(dim=1),
        votes=samples.argmax(dim=2).T,
        vote_counts=counted,
        least_confidence=least_confidence(samples),
        margin=margin(samples),
        entropy=entropy(samples),
        expected_entropy=expected_entropy(samples),
        mutual_information=mutual_information(samples),
        variation_ratio=variation_ratio(samples),
        predicted_variance=predicted_variance(samples),
        mean_class_variance=mean_class_variance(samples),
        total_class_variance=total_class_variance(samples),
    )
