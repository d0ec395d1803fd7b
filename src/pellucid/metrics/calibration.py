"""Whether stated probabilities can be taken at their word.

C. Guo, G. Pleiss, Y. Sun, K. Weinberger, "On Calibration of Modern Neural Networks", ICML 2017.
https://arxiv.org/abs/1706.04599
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.checks import check_count


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
