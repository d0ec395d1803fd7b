"""What every attack is asked with, and when it has succeeded."""

import math

import torch
from torch import Tensor, nn

from pellucid.checks import check_choice, check_eval, check_images, check_targets

NORMS = ("linf", "l2", "l1")


def check_attack(model: object, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The images, detached and clamped to [0, 1], and the targets on their device; refuses what is none.

    Args:
        model: must be in eval mode if it is a module.
        images: (N, C, H, W), float32 or float64: half precision cannot hold a change of 1/255.
        targets: (N,), int64.
    """
    if isinstance(model, nn.Module):
        check_eval(model)
    elif not callable(model):
        raise ValueError(f"model must be a network or a function of images, got {type(model).__name__}")
    check_images(images)
    if images.dtype not in {torch.float32, torch.float64}:
        raise ValueError(f"images must be float32 or float64, got {images.dtype}: it cannot hold a change of 1/255")
    if not isinstance(targets, Tensor):
        raise ValueError(f"targets must be an int64 tensor (N,) of classes, got {type(targets).__name__}")
    check_targets(targets, images)
    return images.detach().clamp(0, 1), targets.to(images.device)


def check_epsilon(epsilon: float | None, norm: str = "linf") -> None:
    """Refuse an epsilon that is negative, not finite, or not in image units; None is no bound."""
    check_choice("norm", norm, NORMS)
    if epsilon is None:
        return
    if not 0 <= epsilon < math.inf:
        raise ValueError(f"epsilon must be at least 0 and finite, got {epsilon}")
    if norm == "linf" and epsilon > 1:
        raise ValueError(f"epsilon must be in image units, at most 1, got {epsilon:g}: {epsilon:g}/255 was meant?")


def check_logits(outputs: object, targets: Tensor) -> Tensor:
    """Logits (R, K), float32 at least, checked: a finite matrix that has the targets' (R,) columns."""
    if not isinstance(outputs, Tensor) or outputs.ndim != 2:
        given = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise ValueError(f"an attack needs a classifier's logits (N, K), the model returns {given}")
    if outputs.shape[1] < 2:
        raise ValueError("an attack needs at least 2 classes, the model has 1 output")
    low, high = (int(bound) for bound in torch.aminmax(targets))
    if low < 0 or high >= outputs.shape[1]:
        raise ValueError(f"target {low if low < 0 else high} is no class: not in 0..{outputs.shape[1] - 1}")
    if not torch.isfinite(outputs.detach()).all():
        raise ValueError("the model's logits are not finite: its weights hold NaN, or the input overflows")
    return outputs.float() if outputs.dtype in {torch.float16, torch.bfloat16} else outputs


def lead(logits: Tensor, targets: Tensor, *, targeted: bool) -> Tensor:
    """How far each row is from failing, (R,): at 0 the attack begins to have succeeded, below it has not.

    Untargeted the highest other logit less the label's; targeted the target's less the highest other.
    """
    own = logits.gather(1, targets[:, None])[:, 0]
    other = logits.scatter(1, targets[:, None], -math.inf).amax(dim=1)
    return own - other if targeted else other - own


def is_adversarial(logits: Tensor, targets: Tensor, *, targeted: bool, margin: float = 0.0) -> Tensor:
    """(R,), bool: the class called is the target (or, untargeted, is not the label), by at least the margin."""
    called = logits.argmax(dim=1)
    hit = called == targets if targeted else called != targets
    return hit & (lead(logits, targets, targeted=targeted) >= margin) if margin > 0 else hit
