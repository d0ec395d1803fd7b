"""The number of an image that a method watches or differentiates: a class's logit or probability, or the caller's."""

import inspect
import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor

from pellucid.checks import ManyTargets, check_choice

from .predict import are_probabilities

OBJECTIVES = ("score", "logprob", "prob", "loss")
"""The logit, the log probability, the probability, the negative log probability."""

Score: TypeAlias = Callable[[Any, Tensor], Tensor]
"""(outputs of R rows, rows (R,) int64: the image each row is of) -> (R,), or (R, T) for T targets an image."""


def scorer(targets: ManyTargets, objective: str = "score") -> Score:
    """How to read the number of each row off the model's outputs.

    Warns, the first time that the numbers of a class are read off, of outputs that are probabilities already.

    Args:
        targets: int64 (N,) or (N, T), or a callable on the outputs, which then decides alone. It is given outputs of R
            rows, of whichever images; if it takes two arguments, also their images' numbers (R,).
        objective: score (the logit), logprob, prob, or loss (the negative log probability).

    Raises:
        ValueError: no such objective; when called: outputs that are no logits, targets that are no class.
    """
    check_choice("objective", objective, OBJECTIVES)
    looked = False
    takes_rows = not isinstance(targets, Tensor) and _takes_two(targets)

    def score(outputs: Any, rows: Tensor) -> Tensor:
        nonlocal looked
        if not isinstance(targets, Tensor):
            return _called(targets(outputs, rows) if takes_rows else targets(outputs), len(rows))
        value = _read(outputs, targets[rows], objective)
        if not looked:
            looked = True
            _warn_of_softmax(outputs.detach())
        return value

    return score


def _takes_two(function: Callable[..., Any]) -> bool:
    """Whether a function wants a second argument."""
    try:
        asked = inspect.signature(function).parameters.values()
    except ValueError:  # some built-in ones do not tell
        return False
    return sum(p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD} and p.default is p.empty for p in asked) == 2


def _called(value: Any, rows: int) -> Tensor:
    if not isinstance(value, Tensor) or value.shape != (rows,):
        given = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(
            f"a callable target must return one number for each image ({rows},), got {given}; what differs between "
            "images it finds by a second argument, the images' numbers"
        )
    found: Tensor = value
    return found


def _warn_of_softmax(outputs: Tensor) -> None:
    if are_probabilities(outputs) or _are_log_probabilities(outputs):
        warnings.warn(
            "the network's outputs already sum to 1: it ends in a softmax, whose slopes mix all classes and vanish "
            "where it is sure, and any probability here is a softmax of softmax; put nn.Identity() in the place of its "
            "last layer, or give a callable target such as lambda p: p[:, 3].log()",
            stacklevel=3,
        )


def _are_log_probabilities(outputs: Tensor) -> bool:
    is_normed = outputs.logsumexp(dim=1).abs() < 1e-4
    return outputs.shape[1] > 1 and bool((outputs <= 0).all()) and bool(is_normed.all())


def _read(outputs: Any, targets: Tensor, objective: str) -> Tensor:
    """(R,) or (R, T), as the targets are."""
    if not isinstance(outputs, Tensor) or outputs.ndim != 2:
        given = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise ValueError(f"class targets need logits (N, K), the model returns {given}: give a callable target")
    low, high = (int(bound) for bound in torch.aminmax(targets))
    if low < 0 or high >= outputs.shape[1]:
        raise ValueError(f"target {low if low < 0 else high} is no class: not in 0..{outputs.shape[1] - 1}")
    wanted = targets if targets.ndim == 2 else targets[:, None]
    outputs = outputs.float() if outputs.dtype in {torch.float16, torch.bfloat16} else outputs
    logits: Tensor = outputs.gather(1, wanted)  # (R, T)
    if objective != "score":
        logits = logits - outputs.logsumexp(dim=1, keepdim=True)
        logits = {"logprob": logits, "prob": logits.exp(), "loss": -logits}[objective]
    return logits if targets.ndim == 2 else logits[:, 0]
