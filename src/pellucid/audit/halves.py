"""The images in two halves: what is fitted on the one is judged on the other, of which it has seen nothing."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .predictions import Predictions

FEWEST = 40
"""Images below which nothing is fitted: of fewer in a half, an interval would span most of what is possible."""


@dataclass(frozen=True)
class Half:
    """Some of the images, with all that the model says of each."""

    rows: Tensor  # (n,), int64, places in the predictions
    logits: Tensor  # (n, K), float64
    targets: Tensor  # (n,), int64
    correct: Tensor  # (n,), bool, as the predictions count it

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def probabilities(self) -> Tensor:
        """(n, K), float64."""
        return self.logits.softmax(dim=1)

    @property
    def doubt(self) -> Tensor:
        """(n,), float64, 1 minus the probability of the predicted class; higher = less to be trusted."""
        return 1 - self.probabilities.amax(dim=1)


@dataclass(frozen=True)
class Halves:
    """Drawn at random with the audit's seed."""

    fitted: Half
    judged: Half


def halves_of(predictions: Predictions, seed: int) -> Halves:
    """The images whose logits are kept, in two halves, the judged one the larger by one at most.

    Raises:
        ValueError: too few, one class only, or a network that ends in a softmax; the page repeats it.
    """
    count = len(predictions.kept)
    if count < FEWEST:
        raise ValueError(f"{FEWEST} labelled images are the fewest that can be halved for it, and here are {count}")
    if predictions.logits.shape[1] < 2:
        raise ValueError("a model of a single class cannot be unsure")
    if predictions.are_probabilities:
        raise ValueError("the network ends in a softmax, which takes the logits away: give it without its last one")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return Halves(*(_half(predictions, some.sort().values) for some in (order[: count // 2], order[count // 2 :])))


def _half(predictions: Predictions, places: Tensor) -> Half:
    rows = predictions.kept[places]
    logits = predictions.logits[places].double()
    return Half(rows, logits, predictions.targets[rows], predictions.correct[rows])
