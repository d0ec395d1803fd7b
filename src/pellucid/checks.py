"""The questions asked at every public door; each refusal says what was wrong, what was given and what is accepted."""

import difflib
import math
import numbers
from collections.abc import Callable, Iterable
from typing import Annotated, TypeAlias

import torch
from torch import Tensor, nn

Targets: TypeAlias = Tensor | Callable[..., Tensor]
"""Class indices (N,), int64, or a function from the model's outputs to one score per image (N,)."""

ManyTargets: TypeAlias = Annotated[Targets, "or (N, T)"]
"""The same, or class indices (N, T), int64: a method that says so explains T classes at the cost of one."""


def check_range(name: str, value: float, low: float, high: float | None = None) -> None:
    """Refuse a number outside [low, high]; no upper bound when high is None."""
    if high is None and not value >= low:
        raise ValueError(f"{name} must be at least {low}, got {value}")
    if high is not None and not low <= value <= high:
        raise ValueError(f"{name} must be in [{low}, {high}], got {value}")


def check_count(name: str, value: object, low: int, high: int | None = None) -> None:
    """Refuse what is no whole number, or outside [low, high]; no upper bound when high is None."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise ValueError(f"{name} must be a whole number, got {value!r}")
    check_range(name, int(value), low, high)


def check_choice(name: str, value: str, choices: Iterable[str]) -> None:
    """Refuse a word that is not one of the choices, naming the nearest."""
    choices = list(choices)
    if value not in choices:
        value = str(value)
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}{near(value, choices)}")


def check_images(images: Tensor) -> None:
    """Refuse anything but float images (N, C, H, W) in [0, 1], N at least 1."""
    if not isinstance(images, Tensor) or not images.is_floating_point():
        given = images.dtype if isinstance(images, Tensor) else type(images).__name__
        hint = "; divide by 255" if given == torch.uint8 else ""
        raise ValueError(f"images must be a float tensor in [0, 1], got {given}{hint}")
    if images.ndim != 4:
        raise ValueError(f"images must have shape (N, C, H, W), got {tuple(images.shape)}")
    if images.numel() == 0:
        raise ValueError(f"images must not be empty, got shape {tuple(images.shape)}")
    low, high = (bound.item() for bound in images.detach().aminmax())
    if math.isnan(low) or math.isnan(high):
        raise ValueError("images must be finite, got NaN")
    if low < -1e-3 or high > 1 + 1e-3:
        raise ValueError(f"images must be in [0, 1], got {low:.3g} to {high:.3g}: normalised twice, or still 0 to 255?")


def check_targets(targets: Targets, images: Tensor, *, many: bool = False) -> None:
    """Refuse anything but int64 targets (N,), one for each image (or (N, T) where many are allowed), or a callable."""
    if callable(targets) and not isinstance(targets, Tensor):
        return
    if not isinstance(targets, Tensor) or targets.dtype != torch.int64:
        given = targets.dtype if isinstance(targets, Tensor) else type(targets).__name__
        raise ValueError(f"targets must be an int64 tensor (N,) or a callable on the outputs, got {given}")
    if many and targets.ndim == 2 and targets.numel() and len(targets) == len(images):
        return
    if targets.shape != images.shape[:1]:
        raise ValueError(f"targets must have shape ({len(images)},), one for each image, got {tuple(targets.shape)}")


def check_eval(model: nn.Module) -> None:
    """Refuse a model of which any part is in training mode."""
    training = [name for name, module in model.named_modules() if module.training]
    if training:
        raise ValueError(f"model must be in eval mode, but {training[0] or 'it'} is training: call model.eval() first")


def check_question(model: nn.Module, images: Tensor, targets: Targets, *, many: bool = False) -> None:
    """Refuse a model in training mode, images or targets that are none: what every method is asked with."""
    check_eval(model)
    check_images(images)
    check_targets(targets, images, many=many)


def near(word: str, words: Iterable[str], count: int = 5) -> str:
    """The nearest known words as a half sentence, empty when nothing is near."""
    lower = {known.lower(): known for known in words}
    found = [lower[key] for key in difflib.get_close_matches(word.lower(), lower, n=count, cutoff=0.5)]
    return f"; did you mean {', '.join(found)}?" if found else ""
