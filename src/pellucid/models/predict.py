"""Top-k predictions: one forward pass, softmax over all classes in float32."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pellucid.checks import check_eval, check_images, check_range

from .model import Model


@dataclass(frozen=True)
class Prediction:
    """The k most probable classes of each image, most probable first; ties go to the lower index."""

    indices: Tensor  # (N, k), int64
    probabilities: Tensor  # (N, k), float32, in [0, 1]
    logits: Tensor  # (N, k), float32, raw scores; no confidences
    are_probabilities: bool  # the outputs already sum to 1: the network ends in softmax, and this is softmax twice


@torch.inference_mode()
def predict(model: nn.Module, images: Tensor, *, top: int = 5) -> Prediction:
    """The most probable classes of each image.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode.
        images: (N, C, H, W), float, in [0, 1].
        top: classes kept for each image, 1 to K.

    Raises:
        ValueError: an argument is out of range, or the outputs are no logits of the model's classes.
    """
    check_eval(model)
    check_images(images)
    logits = class_logits(model, images)  # (N, K)
    check_range("top", top, 1, logits.shape[1])
    indices = rank(logits, top)
    probabilities = logits.softmax(dim=1).gather(1, indices)
    return Prediction(indices, probabilities, logits.gather(1, indices), are_probabilities(logits))


def rank(logits: Tensor, top: int) -> Tensor:
    """The `top` classes of the highest logits, (N, top), int64; ties go to the lower index."""
    return logits.sort(dim=1, descending=True, stable=True).indices[:, :top].clone()


def class_logits(model: nn.Module, images: Tensor) -> Tensor:
    """Logits (N, K), float32, checked to be a finite matrix with one column a class."""
    logits = model(images)
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        given = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"the model must return logits (N, K), got {given}")
    if isinstance(model, Model) and logits.shape[1] != len(model.classes):
        raise ValueError(f"names has {len(model.classes)} entries, but the network has {logits.shape[1]} outputs")
    if not torch.isfinite(logits).all():
        raise ValueError("the model's logits are not finite: its weights hold NaN, or the input overflows")
    return logits.float()


def are_probabilities(outputs: Tensor) -> bool:
    """Whether outputs (N, K) already sum to 1: a network that ends in softmax gives no logits."""
    rows = outputs.sum(dim=1)
    return outputs.shape[1] > 1 and bool((outputs >= 0).all()) and bool(((rows - 1).abs() < 1e-4).all())
