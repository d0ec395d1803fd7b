"""Detectors by name, fitted where they must be, ready to be shown images."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from pellucid.checks import check_choice

from .compare import Detector
from .energy import energy
from .entropy import entropy
from .knn import Knn
from .mahalanobis import Mahalanobis
from .max_logit import max_logit
from .max_probability import max_probability
from .mc_dropout import mc_dropout
from .odin import odin
from .react import ReAct
from .vim import Vim

PLAIN = {
    "max_probability": max_probability,
    "max_logit": max_logit,
    "energy": energy,
    "entropy": entropy,
    "odin": odin,
    "mc_dropout": mc_dropout,
}
FITTED = {"mahalanobis": Mahalanobis, "knn": Knn, "vim": Vim, "react": ReAct}


def detectors(
    model: nn.Module,
    names: Sequence[str],
    images: Tensor | None = None,
    targets: Tensor | None = None,
    *,
    generator: torch.Generator | None = None,
) -> dict[str, Detector]:
    """Detectors of a model by name, with the defaults of each.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        names: of PLAIN and FITTED, in the order wanted.
        images: (N, C, H, W), known images to fit on; needed by those of FITTED.
        targets: (N,), int64, their classes; needed by mahalanobis.
        generator: of mc_dropout's masks; none takes one of seed 0.

    Raises:
        ValueError: no such name, or images or targets are missing where they are needed.
    """
    found: dict[str, Detector] = {}
    for name in names:
        check_choice("names", name, [*PLAIN, *FITTED])
        if name == "mc_dropout":
            state = torch.Generator().manual_seed(0) if generator is None else generator
            found[name] = _same_masks(model, state)
        elif name in PLAIN:
            found[name] = partial(PLAIN[name], model)
        else:
            found[name] = _fitted(name, model, images, targets)
    return found


def _same_masks(model: nn.Module, generator: torch.Generator) -> Detector:
    """MC dropout with the same thinned networks for every set of images."""
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    return lambda images: mc_dropout(model, images, generator=torch.Generator().manual_seed(seed))


def _fitted(name: str, model: nn.Module, images: Tensor | None, targets: Tensor | None) -> Detector:
    if images is None:
        raise ValueError(f"images must be given to fit {name} on: known ones, best what the model was trained on")
    if name == "mahalanobis":
        if targets is None:
            raise ValueError("targets must be given to fit mahalanobis on: the classes of the known images")
        return Mahalanobis().fit(model, images, targets)
    if name == "knn":
        return Knn().fit(model, images)
    return Vim().fit(model, images) if name == "vim" else ReAct().fit(model, images)
