"""Normalisation of features: what it needs is learned from the training rows alone.

none       rows as they are
l2         each row over its norm
standard   each column less its mean, over its deviation
minmax     each column to [0, 1]
"""

import warnings
from typing import TYPE_CHECKING, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.checks import check_choice

if TYPE_CHECKING:
    import numpy as np

HOWS = ("none", "l2", "standard", "minmax")

Rows: TypeAlias = "Tensor | np.ndarray"
"""Features (N, D): a tensor, an array, or what `Store.read` gives."""

AT_ONCE = 2**22
"""Values that are widened to float64 at a time."""


class Normaliser:
    """Rows of features on one scale.

    Learned: shift_ and scale_ (D,), float32, which standard and minmax take off and divide by (0 and 1 for the others;
    a column that never varies has scale 1, and becomes 0); dimension_, D.

    Args:
        how: none, l2, standard or minmax; l2 needs nothing learned but the dimension.
    """

    def __init__(self, how: str = "l2") -> None:
        check_choice("how", how, HOWS)
        self.how = how

    def fit(self, features: Rows) -> "Normaliser":
        """Learn from training rows.

        Args:
            features: (N, D), float, finite; none of the rows that are to be tested on.

        Raises:
            ValueError: features are no finite matrix.
        """
        rows = as_rows(features)
        self.dimension_ = rows.shape[1]
        self.shift_, self.scale_ = torch.zeros(self.dimension_), torch.ones(self.dimension_)
        if self.how == "standard":
            self.shift_, self.scale_ = _mean_and_deviation(rows)
        if self.how == "minmax":
            low, high = torch.aminmax(rows, dim=0)
            self.shift_, self.scale_ = low, high - low
        self.scale_[self.scale_ == 0] = 1
        return self

    def transform(self, features: Rows) -> Tensor:
        """Rows (N, D), float32, normalised; a row of zeros stays one under l2, and a warning tells of it.

        Raises:
            ValueError: nothing was learned yet, or features are no finite matrix of the dimension learned.
        """
        if not hasattr(self, "dimension_"):
            raise ValueError("the normaliser must be fitted on training rows first: call fit(features)")
        rows = as_rows(features)
        if rows.shape[1] != self.dimension_:
            raise ValueError(f"features must have the {self.dimension_} columns learned, got {rows.shape[1]}")
        if self.how == "none":
            return rows
        if self.how != "l2":
            return (rows - self.shift_.to(rows.device)) / self.scale_.to(rows.device)
        empty = (rows == 0).all(dim=1)
        if bool(empty.any()):
            first = int(empty.nonzero()[0, 0])
            told = f"{int(empty.sum())} of {len(rows)} rows are all zero and stay so, the first row {first}"
            warnings.warn(told, UserWarning, stacklevel=2)
        largest = rows.abs().amax(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
        return F.normalize(rows / largest, dim=1)  # the squares of neither huge nor tiny rows leave float32


def as_rows(features: Rows) -> Tensor:
    """Features as a float32 tensor (N, D), N and D at least 1; refuses any that are not finite, naming the row."""
    rows = features if isinstance(features, Tensor) else _from_array(features)
    if rows.ndim != 2 or not rows.numel() or not rows.is_floating_point():
        raise ValueError(f"features must be a float matrix (N, D), got {tuple(rows.shape)} {rows.dtype}")
    rows = rows.detach().float()
    if not bool(torch.isfinite(rows.sum())):
        bad = ~torch.isfinite(rows)
        if bool(bad.any()):
            row, column = bad.nonzero()[0].tolist()
            raise ValueError(f"features must be finite, got {float(rows[row, column])} in row {row}, column {column}")
    return rows


def _from_array(features: "np.ndarray") -> Tensor:
    """A copy: an array on disk is not to be written through a tensor."""
    import numpy as np

    return torch.from_numpy(np.array(features))


def _mean_and_deviation(rows: Tensor) -> tuple[Tensor, Tensor]:
    """(D,) each, float32, divided by N, summed in float64, where floats of 24 bits add up exactly."""
    parts = torch.split(rows, max(1, AT_ONCE // rows.shape[1]))
    mean = sum((part.double().sum(dim=0) for part in parts), torch.zeros(())) / len(rows)
    variance = sum(((part.double() - mean).square().sum(dim=0) for part in parts), torch.zeros(())) / len(rows)
    return mean.float(), variance.sqrt().float()
