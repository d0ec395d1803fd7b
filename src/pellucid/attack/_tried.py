"""One attack on some images, and whether it succeeded, by a pass of its own."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.methods import taken

from ._question import is_adversarial
from ._slopes import logits_of
from .aims import Attack
from .trace import Trace


@dataclass(frozen=True)
class Tried:
    """What an attack made of its images."""

    adversarial: Tensor  # (N, C, H, W), on the images' device
    broken: Tensor  # (N,), bool, on the CPU: not called the target any more; targeted: called it
    called: Tensor  # (N,), int64, on the CPU
    trace: Trace


def tried(
    model: nn.Module | Callable[[Tensor], Any],
    attack: Attack,
    images: Tensor,
    targets: Tensor,
    epsilon: float | None,
    *,
    generator: torch.Generator,
    targeted: bool = False,
    norm: str | None = None,
    steps: int | None = None,
    max_queries: int | None = None,
) -> Tried:
    """Run an attack with those of the options that it takes; the generator is left as it was."""
    trace = Trace()
    offered = {"norm": norm, "steps": steps, "max_queries": max_queries, "targeted": targeted or None, "trace": trace}
    state = generator.get_state()
    told = taken(attack, offered) | taken(attack, {"generator": generator})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="the gradient of .* is zero at the start")  # `trace.vanished` tells
        made = attack(model, images, targets, epsilon=epsilon, **told)
    generator.set_state(state)
    with torch.no_grad():
        logits = logits_of(model, made, targets)
    broken = is_adversarial(logits, targets, targeted=targeted).cpu()
    return Tried(made.detach(), broken, logits.argmax(dim=1).cpu(), trace)
