"""From a network's outputs to rows of probabilities."""

import torch
from torch import Tensor

from pellucid.models import are_probabilities


def probabilities(outputs: object) -> Tensor:
    """Class probabilities (R, K), float32 at least, of logits (R, K), or of rows that sum to 1 already.

    Raises:
        ValueError: no matrix of at least two columns, or a value that is not finite.
    """
    if not isinstance(outputs, Tensor) or outputs.ndim != 2:
        given = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise ValueError(f"the model must return logits (N, K), got {given}")
    if outputs.shape[1] < 2:
        raise ValueError("the model must have at least 2 classes to be unsure between, got 1")
    if not torch.isfinite(outputs).all():
        raise ValueError("the model's logits are not finite: its weights hold NaN, or the input overflows")
    outputs = outputs.float() if outputs.dtype in {torch.float16, torch.bfloat16} else outputs
    return outputs if are_probabilities(outputs) else outputs.softmax(dim=1)
