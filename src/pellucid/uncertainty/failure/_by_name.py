"""Scores that need no fitting, by name: several are read off one pass, or off the same samples."""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

from pellucid.uncertainty import scores
from pellucid.uncertainty._logits import remainder
from pellucid.uncertainty._pictures import Pictures, parts_of
from pellucid.uncertainty.mc_dropout import mc_dropout

from .doctor import odds
from .true_class_probability import without

OF_LOGITS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "max_probability": remainder,
    "entropy": lambda logits: scores.entropy(logits.softmax(dim=1)[None]),
    "margin": lambda logits: scores.margin(logits.softmax(dim=1)[None]),
    "energy": scores.energy,
    "doctor_alpha": lambda logits: odds(logits, "alpha"),
    "doctor_beta": lambda logits: odds(logits, "beta"),
}
"""Logits (N, K), float64, to scores (N,)."""

OF_SAMPLES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "mc_dropout": scores.entropy,
    "mc_dropout_mutual_information": scores.mutual_information,
    "mc_dropout_variation_ratio": scores.variation_ratio,
    "mc_dropout_max_probability": scores.least_confidence,
}
"""Samples (S, N, K) to scores (N,)."""

ORACLE = "tcp_oracle"

NAMES = (*OF_LOGITS, *OF_SAMPLES, ORACLE)


def of_logits(names: Iterable[str], logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """Those of the named scores that logits (N, K) and, for the oracle, the true classes (N,) give."""
    found = {name: OF_LOGITS[name](logits) for name in names if name in OF_LOGITS}
    return found | ({ORACLE: without(logits, targets)} if ORACLE in names else {})


def of_samples(
    names: Iterable[str], model: nn.Module, images: Pictures, samples: int, generator: torch.Generator | None
) -> dict[str, Tensor]:
    """Those of the named scores that MC dropout gives: every part of the images meets the same thinned networks."""
    wanted = [name for name in names if name in OF_SAMPLES]
    if not wanted:
        return {}
    source = torch.Generator().manual_seed(0) if generator is None else generator
    seed = int(torch.randint(2**62, (), generator=source, device=source.device))
    found: dict[str, list[Tensor]] = {name: [] for name in wanted}
    for part in parts_of(images, model):
        for some in torch.split(part, 512):  # S x 512 x K probabilities at a time
            drawn = mc_dropout(model, some, samples=samples, generator=torch.Generator().manual_seed(seed))
            for name in wanted:
                found[name].append(OF_SAMPLES[name](drawn))
    return {name: torch.cat(parts) for name, parts in found.items()}
