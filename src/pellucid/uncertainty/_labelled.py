"""What every calibration is fitted on: logits or probabilities, and the class each image is of."""

import torch
from torch import Tensor

from pellucid.models import are_probabilities


def check_logits(logits: Tensor) -> Tensor:
    """The logits (N, K), detached; refuses what is no finite float matrix of at least two columns."""
    _check_matrix("logits", logits)
    return logits.detach()


def check_calibration(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (N, K), float64, and targets (N,), both on the CPU; refuses probabilities, and targets that are none."""
    _check_matrix("logits", logits)
    if are_probabilities(logits):
        raise ValueError("logits must be what comes before the softmax, got rows that sum to 1: take their logarithm")
    return logits.detach().cpu().double(), check_classes(targets, *logits.shape)


def check_probabilities(probabilities: Tensor) -> Tensor:
    """Probabilities (N, K), float64, on the CPU; refuses rows that do not sum to 1."""
    _check_matrix("probabilities", probabilities)
    found = probabilities.detach().cpu().double()
    off = float((found.sum(dim=1) - 1).abs().max())
    if off > 1e-4 or float(found.min()) < 0:
        raise ValueError(
            f"probabilities must be at least 0, in rows that sum to 1, got rows off by up to {off:.3g} and a smallest "
            f"value of {float(found.min()):.3g}: take the softmax of logits first"
        )
    return found


def check_classes(targets: Tensor, count: int, classes: int) -> Tensor:
    """Targets (N,), int64, on the CPU; refuses what is not one class for each image."""
    if not isinstance(targets, Tensor) or targets.dtype != torch.int64 or targets.shape != (count,):
        given = f"{targets.dtype} {tuple(targets.shape)}" if isinstance(targets, Tensor) else type(targets).__name__
        raise ValueError(f"targets must be int64 of shape ({count},), one for each image, got {given}")
    low, high = int(targets.min()), int(targets.max())
    if low < 0 or high >= classes:
        raise ValueError(f"targets must be in 0..{classes - 1}, got {low if low < 0 else high}")
    return targets.detach().cpu()


def _check_matrix(name: str, values: Tensor) -> None:
    if not isinstance(values, Tensor) or not values.is_floating_point() or values.ndim != 2 or not len(values):
        given = f"{values.dtype} {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
        raise ValueError(f"{name} must be a float tensor (N, K), N at least 1, got {given}")
    if values.shape[1] < 2:
        raise ValueError(f"{name} must be of at least 2 classes, got {values.shape[1]}")
    if not torch.isfinite(values).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity")
