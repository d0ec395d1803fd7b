"""Whether stated probabilities can be taken at their word.

C. Guo, G. Pleiss, Y. Sun, K. Weinberger, "On Calibration of Modern Neural Networks", ICML 2017.
https://arxiv.org/abs/1706.04599
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.checks import check_count

from .classification import Interval


@dataclass(frozen=True)
class Reliability:
    """Images sorted into bins of equal width by the probability of their predicted class."""

    edges: Tensor  # (B + 1,), float64, from 0 to 1; a bin holds its upper edge
    count: Tensor  # (B,), int64
    confidence: Tensor  # (B,), float64, mean probability of the predicted class; NaN in an empty bin
    accuracy: Tensor  # (B,), float64, share that is right; NaN in an empty bin


def reliability(confidence: Tensor, correct: Tensor, *, bins: int = 15) -> Reliability:
    """The reliability diagram's numbers.

    Args:
        confidence: (N,), probability of the predicted class, in [0, 1].
        correct: (N,), bool, whether the prediction is right.
        bins: number of bins, at least 1.

    Returns:
        Reliability, on the CPU.
    """
    check_count("bins", bins, 1)
    confidence, correct = confidence.cpu(), correct.cpu()  # not every device has float64
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64)
    place = torch.bucketize(confidence.double(), edges[1:-1], right=False)  # (edge, next edge]
    count = torch.bincount(place, minlength=bins)
    sums = [
        torch.zeros(bins, dtype=torch.float64).index_add_(0, place, values.double()) for values in (confidence, correct)
    ]
    nothing = torch.where(count > 0, count, torch.nan)
    return Reliability(edges, count, sums[0] / nothing, sums[1] / nothing)


def expected_calibration_error(bins: Reliability) -> float:
    """Mean gap between confidence and accuracy over bins, weighted by their images; in [0, 1], lower is better."""
    gaps = (bins.confidence - bins.accuracy).abs().nan_to_num()
    return float((gaps * bins.count).sum() / bins.count.sum())


def calibration_interval(
    confidence: Tensor, correct: Tensor, *, bins: int = 15, draws: int = 1000, generator: torch.Generator | None = None
) -> Interval:
    """The expected calibration error and its bootstrap interval at 95 %.

    Resampling adds noise to the bins, which raises the error once more than sampling did: the interval is the one
    reflected at the number itself (Efron and Tibshirani's basic one), which takes that off, held within [0, 1] and
    about the number. Of few images the number is mostly noise, and a well calibrated model's above 0 as well.

    Args:
        confidence: (N,), probability of the predicted class, in [0, 1].
        correct: (N,), bool, whether the prediction is right.
        bins: number of bins, at least 1.
        draws: bootstrap draws of the images, at least 1.
        generator: of the draws; none takes one of seed 0.
    """
    check_count("draws", draws, 1)
    value = expected_calibration_error(reliability(confidence, correct, bins=bins))
    gaps = confidence.cpu().double() - correct.cpu().double()  # (N,)
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64)
    place = torch.bucketize(confidence.cpu().double(), edges[1:-1], right=False)
    source = torch.Generator().manual_seed(0) if generator is None else generator
    count, errors = len(gaps), []
    for _ in range(draws):
        drawn = torch.randint(count, (count,), generator=source, device=source.device).cpu()
        sums = torch.zeros(bins, dtype=torch.float64).index_add_(0, place[drawn], gaps[drawn])
        errors.append(float(sums.abs().sum()) / count)
    low, high = torch.tensor(errors, dtype=torch.float64).quantile(gaps.new_tensor([0.025, 0.975])).tolist()
    return Interval(value, max(0.0, min(2 * value - high, value)), min(1.0, max(2 * value - low, value)))


def brier(probabilities: Tensor, targets: Tensor) -> Tensor:
    """Squared distance between the probabilities and the truth, for each image.

    G. W. Brier, "Verification of Forecasts Expressed in Terms of Probability", Monthly Weather Review 78, 1950.

    Args:
        probabilities: (N, K), rows sum to 1.
        targets: (N,), int64, in [0, K).

    Returns:
        (N,), sum over classes of (p_k - [k is the target])^2, in [0, 2]; lower is better.
    """
    of_target = probabilities.gather(1, targets[:, None])[:, 0]
    return probabilities.square().sum(dim=1) - 2 * of_target + 1
