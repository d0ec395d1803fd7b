"""What a probe is fitted on and asked with: rows of features, whole-number labels, and the classes among them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.features.normaliser import Normaliser, Rows, as_rows


@dataclass(frozen=True)
class Labelled:
    """Rows with their classes."""

    rows: Tensor  # (N, D), float32
    classes: Tensor  # (K,), int64, the labels that occur, rising
    numbers: Tensor  # (N,), int64, in [0, K): each row's place among them


def labelled(features: Rows, targets: Tensor) -> Labelled:
    """Rows and labels, checked.

    Args:
        features: (N, D), float, finite.
        targets: (N,), of a whole-number type; any whole numbers, at least two different ones.

    Raises:
        ValueError: features are no finite matrix, or targets are not so.
    """
    rows = as_rows(features)
    found = check_labels(targets, len(rows)).to(rows.device)
    classes, numbers = torch.unique(found, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"targets must hold at least 2 classes, got only {int(classes[0])}")
    return Labelled(rows, classes, numbers)


def check_labels(targets: Tensor, count: int) -> Tensor:
    """Labels (N,), int64; refuses anything but one whole number for each row."""
    if not isinstance(targets, Tensor) or targets.is_floating_point() or targets.dtype == torch.bool:
        given = targets.dtype if isinstance(targets, Tensor) else type(targets).__name__
        raise ValueError(f"targets must be a tensor of whole numbers (N,), got {given}")
    if targets.shape != (count,):
        raise ValueError(f"targets must have shape ({count},), one for each row, got {tuple(targets.shape)}")
    return targets.long()


def asked(probe: object, features: Rows) -> Tensor:
    """Normalised rows (N, D) for a fitted probe; refuses an unfitted probe, and rows of another width.

    Args:
        probe: learned a normaliser_.
        features: (N, D), float, finite.
    """
    normaliser = getattr(probe, "normaliser_", None)
    if not isinstance(normaliser, Normaliser):
        raise ValueError(f"{type(probe).__name__} must be fitted first: call fit(features, targets)")
    rows = as_rows(features)
    if rows.shape[1] != normaliser.dimension_:
        raise ValueError(
            f"features must have the {normaliser.dimension_} columns the probe was fitted on, got {rows.shape[1]}"
        )
    return normaliser.transform(rows)


def one_against_rest(numbers: Tensor, classes: int) -> Tensor:
    """Signs (N, K), float64: 1 where the row is of the class, -1 elsewhere."""
    places = torch.arange(classes, device=numbers.device)
    return (numbers[:, None] == places).double() * 2 - 1
