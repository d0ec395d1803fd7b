"""Conformal prediction sets: for each image the classes it may be of, the true one among them as often as stated.

Of calibration images drawn as the new ones are, the score of the true class is kept; a new image's set holds each class
whose score is no larger than the ceil((n + 1)(1 - alpha))-th smallest of these n. The true class is then in it with
probability 1 - alpha at least, over draws of both, whatever the network (V. Vovk, A. Gammerman, G. Shafer, "Algorithmic
Learning in a Random World", Springer, 2005).

threshold   1 - p_y: the smallest sets on average (M. Sadinle, J. Lei, L. Wasserman, "Least Ambiguous Set-Valued
            Classifiers with Bounded Error Levels", JASA 114, 2019). https://arxiv.org/abs/1609.00451
adaptive    the probabilities down to the class, which fills larger sets for harder images (Y. Romano, M. Sesia,
            E. Candès, "Classification with Valid and Adaptive Coverage", NeurIPS 2020); with a penalty for each rank
            beyond a few (A. Angelopoulos, S. Bates, J. Malik, M. Jordan, "Uncertainty Sets for Image Classifiers using
            Conformal Prediction", ICLR 2021). https://arxiv.org/abs/2006.02544 https://arxiv.org/abs/2009.14193
"""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pellucid.checks import check_choice, check_count, check_range
from pellucid.metrics import Interval, proportion

from ._fitted import load_fitted, save_fitted
from ._labelled import check_classes, check_probabilities

KINDS = ("threshold", "adaptive")


@dataclass(frozen=True)
class PredictionSets:
    """A set of classes for each image."""

    members: Tensor  # (N, K), bool
    sizes: Tensor  # (N,), int64, classes in the set
    was_empty: Tensor  # (N,), bool, no class scored low enough; the set holds the most probable one, or none if asked


@dataclass(frozen=True)
class Coverage:
    """How often sets held the true class, and how large they were."""

    coverage: Interval  # share of images whose set holds the true class, Wilson's interval
    mean_size: float  # classes
    images_of_size: Tensor  # (K + 1,), int64, images with sets of 0, 1, .., K classes
    coverage_of_size: Tensor  # (K + 1,), float64, coverage among these; NaN where there is none
    was_empty: int  # images


class ConformalSets:
    """Sets of classes that hold the true one with probability 1 - alpha at least.

    The share is over draws of calibration and new images together: for one draw of n calibration images it scatters
    about it as a Beta distribution of n + 1 images does, and it may differ from class to class.

    Args:
        alpha: share of the sets that may miss the true class, in (0, 1).
        kind: threshold (smallest sets) or adaptive (larger sets for harder images).
        randomised: adaptive sets count a random share of a class's own probability: exact, smaller, and may be empty.
        penalty: of adaptive sets, added for each rank beyond `free_ranks`; at least 0, and 0 for none.
        free_ranks: of adaptive sets, ranks without penalty, at least 0.
        allow_empty: leave empty sets empty, instead of putting in the most probable class.
    """

    limit_: float
    images_: int
    classes_: int

    def __init__(
        self,
        *,
        alpha: float = 0.1,
        kind: str = "threshold",
        randomised: bool = False,
        penalty: float = 0.0,
        free_ranks: int = 0,
        allow_empty: bool = False,
    ) -> None:
        if not 0 < alpha < 1:
            raise ValueError(f"alpha must be between 0 and 1, such as 0.1, got {alpha}")
        check_choice("kind", kind, KINDS)
        check_range("penalty", penalty, 0)
        check_count("free_ranks", free_ranks, 0)
        if kind == "threshold" and (randomised or penalty or free_ranks):
            raise ValueError("randomised, penalty and free_ranks must be left out with kind threshold: take adaptive")
        self.alpha, self.kind, self.randomised = alpha, kind, randomised
        self.penalty, self.free_ranks, self.allow_empty = penalty, free_ranks, allow_empty

    def fit(
        self, probabilities: Tensor, targets: Tensor, *, generator: torch.Generator | None = None
    ) -> "ConformalSets":
        """Find the largest score that a class in a set may have.

        Args:
            probabilities: (N, K), rows sum to 1, of images that neither the model nor a calibration was fitted on.
            targets: (N,), int64, in [0, K), the true classes.
            generator: of the random shares; none takes one of seed 0.

        Raises:
            ValueError: the arguments are not as above, or the images are too few for any set but the full one.
        """
        found = check_probabilities(probabilities)
        targets = check_classes(targets, *found.shape)
        count = len(found)
        place = math.ceil((count + 1) * (1 - self.alpha) - 1e-9)  # of whole numbers: 100 * (1 - 0.1) is not quite 90
        if place > count:
            raise ValueError(
                f"alpha must be at least 1 / (N + 1) = {1 / (count + 1):.3g} with {count} images, got {self.alpha}: "
                f"give at least {math.ceil(1 / self.alpha - 1e-9) - 1} images"
            )
        scores = self._scores(found, generator).gather(1, targets[:, None])[:, 0]  # (N,)
        self.limit_ = float(scores.sort().values[place - 1])
        self.images_, self.classes_ = found.shape
        return self

    def __call__(self, probabilities: Tensor, *, generator: torch.Generator | None = None) -> PredictionSets:
        """The classes each image may be of.

        Args:
            probabilities: (N, K), rows sum to 1, of the network that the sets were fitted with.
            generator: of the random shares, one for each row in its place; none takes one of seed 1.

        Returns:
            PredictionSets, on the device of the probabilities.
        """
        found = check_probabilities(probabilities)
        if found.shape[1] != self.classes_:
            raise ValueError(f"probabilities must be of the {self.classes_} classes fitted on, got {found.shape[1]}")
        source = torch.Generator().manual_seed(1) if generator is None else generator
        members = self._scores(found, source) <= self.limit_  # (N, K)
        was_empty = ~members.any(dim=1)
        if not self.allow_empty:
            rows = was_empty.nonzero()[:, 0]
            members[rows, found[rows].argmax(dim=1)] = True
        device = probabilities.device
        return PredictionSets(members.to(device), members.sum(dim=1).to(device), was_empty.to(device))

    def save(self, folder: str | Path) -> None:
        """Write what was fitted into a folder."""
        options: dict[str, int | float | bool | str] = {
            "alpha": self.alpha,
            "kind": self.kind,
            "randomised": self.randomised,
            "penalty": self.penalty,
            "free_ranks": self.free_ranks,
            "allow_empty": self.allow_empty,
        }
        learned = {
            "limit": torch.tensor(self.limit_, dtype=torch.float64),
            "images": torch.tensor(self.images_),
            "classes": torch.tensor(self.classes_),
        }
        save_fitted(folder, "conformal_sets", options, learned)

    @classmethod
    def load(cls, folder: str | Path) -> "ConformalSets":
        """Read what `save` wrote."""
        options, tensors = load_fitted(folder, "conformal_sets", ["limit", "images", "classes"])
        wanted = ("alpha", "kind", "randomised", "penalty", "free_ranks", "allow_empty")
        if set(options) != set(wanted):
            raise ValueError(f"{folder}: options must give {', '.join(wanted)}, got {', '.join(options)}")
        found = cls(
            alpha=float(options["alpha"]),
            kind=str(options["kind"]),
            randomised=bool(options["randomised"]),
            penalty=float(options["penalty"]),
            free_ranks=int(options["free_ranks"]),
            allow_empty=bool(options["allow_empty"]),
        )
        found.limit_ = float(tensors["limit"])
        found.images_, found.classes_ = int(tensors["images"]), int(tensors["classes"])
        return found

    def _scores(self, probabilities: Tensor, generator: torch.Generator | None) -> Tensor:
        """Of each class of each image, (N, K), float64; lower: sooner in the set."""
        if self.kind == "threshold":
            return 1 - probabilities
        ranked = probabilities.sort(dim=1, descending=True, stable=True)
        scores = ranked.values.cumsum(dim=1)
        if self.randomised:
            source = torch.Generator().manual_seed(0) if generator is None else generator
            shares = torch.rand(len(scores), 1, generator=source, device=source.device, dtype=torch.float64).cpu()
            scores = scores - shares * ranked.values
        ranks = torch.arange(1, scores.shape[1] + 1)
        scores = scores + self.penalty * (ranks - self.free_ranks).clamp(min=0)
        return torch.empty_like(scores).scatter_(1, ranked.indices, scores)


def set_coverage(sets: PredictionSets, targets: Tensor) -> Coverage:
    """How often prediction sets hold the true class, and how large they are.

    Args:
        sets: of N images, others than the sets were fitted on.
        targets: (N,), int64, in [0, K), the true classes.

    Returns:
        Coverage, on the CPU.
    """
    members, sizes = sets.members.cpu(), sets.sizes.cpu()
    targets = check_classes(targets, *members.shape)
    holds = members.gather(1, targets[:, None])[:, 0]  # (N,)
    of_size = torch.bincount(sizes, minlength=members.shape[1] + 1)
    held = torch.bincount(sizes[holds], minlength=members.shape[1] + 1)
    return Coverage(
        proportion(int(holds.sum()), len(holds)),
        float(sizes.double().mean()),
        of_size,
        held / torch.where(of_size > 0, of_size, torch.nan).double(),
        int(sets.was_empty.sum()),
    )
