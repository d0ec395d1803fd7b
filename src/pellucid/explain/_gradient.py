"""The number that is explained, and its gradient with respect to the image."""

import torch
from torch import Tensor, nn

from pellucid.checks import Targets, check_choice

OBJECTIVES = ("score", "logprob", "prob", "loss")


def read_targets(outputs: Tensor, targets: Targets, rows: int, objective: str = "score") -> Tensor:
    """One number for each image, (N,).

    Args:
        outputs: what the model returned; logits (N, K) when targets are class indices.
        targets: int64 (N,), or a callable on the outputs, which then decides alone.
        rows: N, the images the outputs are of.
        objective: score (the logit), logprob, prob, or loss (the negative log probability).
    """
    check_choice("objective", objective, OBJECTIVES)
    if not isinstance(targets, Tensor):
        value = targets(outputs)
        if not isinstance(value, Tensor) or value.shape != (rows,):
            given = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"a callable target must return one number for each image ({rows},), got {given}")
        return value
    if not isinstance(outputs, Tensor) or outputs.ndim != 2:
        given = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise ValueError(f"class targets need logits (N, K), the model returns {given}: give a callable target")
    low, high = int(targets.min()), int(targets.max())
    if low < 0 or high >= outputs.shape[1]:
        raise ValueError(f"target {low if low < 0 else high} is no class: not in 0..{outputs.shape[1] - 1}")
    logits = outputs.gather(1, targets[:, None])[:, 0]
    if objective == "score":
        return logits
    logprob = logits - outputs.logsumexp(dim=1)
    return {"logprob": logprob, "prob": logprob.exp(), "loss": -logprob}[objective]


def input_gradient(model: nn.Module, images: Tensor, targets: Targets, objective: str = "score") -> Tensor:
    """Gradient of each image's own number with respect to the image, (N, C, H, W); also under no_grad."""
    with torch.inference_mode(False), torch.enable_grad():
        pixels = images.detach().clone().requires_grad_()
        wanted = targets.clone() if isinstance(targets, Tensor) else targets
        return gradient(read_targets(model(pixels), wanted, len(pixels), objective), pixels)


def gradient(score: Tensor, source: Tensor) -> Tensor:
    """d(sum of scores) / d(source); each image's score depends on its own part alone.

    Raises:
        ValueError: the score is not connected to the source.
    """
    found = torch.autograd.grad(score.sum(), source, allow_unused=True)[0] if score.requires_grad else None
    if found is None:
        raise ValueError("the score does not depend on the input: is there a detach, an argmax or a no_grad inside?")
    return found


def over_channels(values: Tensor, reduce: str) -> Tensor:
    """(N, C, H, W) to (N, H, W): the largest, mean or root of summed squares of the magnitudes, or the signed sum."""
    check_choice("reduce", reduce, ("max", "mean", "l2", "sum"))
    if reduce == "sum":
        return values.sum(dim=1)
    if reduce == "l2":
        return values.square().sum(dim=1).sqrt()
    return values.abs().amax(dim=1) if reduce == "max" else values.abs().mean(dim=1)
