"""Model randomisation: does a map notice when what the network has learned is taken away?

J. Adebayo, J. Gilmer, M. Muelly, I. Goodfellow, M. Hardt, B. Kim, "Sanity Checks for Saliency Maps", NeurIPS 2018,
section 3: cascading randomisation. https://arxiv.org/abs/1810.03292
"""

from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from pellucid.checks import Targets, check_count, check_question
from pellucid.models import layers, network_of
from pellucid.progress import steps

from ._heat import check_heat
from ._random_weights import has_own, redraw
from .is_flat import is_flat
from .sensitivity import Explain


@dataclass(frozen=True)
class Randomisation:
    """Maps of a network whose weights are made random from the output back, beside the map of the network itself."""

    stages: tuple[tuple[str, ...], ...]  # S, names of the layers newly random in each; the output's first
    correlation: Tensor  # (S, N), rank correlation with the own map after each stage, in [-1, 1]; 0 with a flat map
    heats: Tensor  # (S + 1, N, H, W), the own map, then that after each stage
    is_flat: Tensor  # (S + 1, N), bool: the map says nothing

    @property
    def final(self) -> float:
        """Mean correlation over the images when all is random; one draw, so that chance may move it far from 0."""
        return float(self.correlation[-1].cpu().double().mean())

    @property
    def lowest(self) -> float:
        """The lowest of the stages' mean correlations; what was once lost comes back by chance only. Lower is better.

        Coarse maps, such as those of 7 x 7 cells, meet those of random weights at 0.5 by chance: take several stages.
        """
        return float(self.correlation.cpu().double().mean(dim=1).min())

    def verdict(self, threshold: float = 0.5) -> str:
        """The word "insensitive" when no stage brings the correlation down to the threshold, else "sensitive".

        An insensitive map shows the picture rather than the network.
        """
        return "insensitive" if self.lowest > threshold else "sensitive"


def model_randomisation(
    explain: Explain,
    model: nn.Module,
    images: Tensor,
    targets: Targets,
    *,
    stages: int = 8,
    absolute: bool = True,
    generator: torch.Generator | None = None,
) -> Randomisation:
    """How alike a map stays while the network's weights are made random, stage by stage from the output back.

    A copy of the model is changed, the model is not. The last layer is a stage of its own; the others follow in the
    order in which the network runs, in stages of as many layers each. How weights are drawn anew, and where that
    differs from the paper, is told in `_random_weights`.

    Args:
        explain: (model, images, targets) -> heat (N, H, W); options are bound beforehand, with functools.partial.
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].
        targets: (N,), int64, the class to explain; or a callable outputs -> (N,).
        stages: at most so many, at least 1; each costs the method once.
        absolute: whether to compare the sizes of the heat, sign left out, as the paper's main figures do.
        generator: source of the weights; None takes one of seed 0.

    Returns:
        Randomisation.

    Raises:
        ValueError: an argument is out of its range, the model is training or has no parameters, a map is not finite.
    """
    check_question(model, images, targets)
    check_count("stages", stages, 1)
    source = torch.Generator().manual_seed(0) if generator is None else generator
    groups = _stages(model, tuple(images.shape[1:]), stages)
    with torch.inference_mode(False):  # else the copy could not be differentiated
        copy = deepcopy(model)
    heats: list[Tensor] = []
    with steps("model randomisation", len(groups) + 1) as done:
        for group in ((), *groups):
            for name in group:
                redraw(network_of(copy).get_submodule(name), source)
            heats.append(explain(copy, images, targets))
            check_heat(heats[-1], images)
            done(1)
    compared = [heat.abs() if absolute else heat for heat in heats]
    correlation = torch.stack([_rank_correlation(compared[0], each) for each in compared[1:]])
    return Randomisation(groups, correlation.to(images), torch.stack(heats), torch.stack([is_flat(h) for h in heats]))


def _stages(model: nn.Module, shape: tuple[int, ...], most: int) -> tuple[tuple[str, ...], ...]:
    """Names of the modules that have something to draw anew, from the output back, in at most so many groups."""
    network = network_of(model)
    finished = {layer.name: place for place, layer in enumerate(layers(model, shape))}

    def place(name: str) -> int:
        """When a module ends, or the nearest around it that is called; what no layer is around comes first."""
        while name and name not in finished:
            name = name.rpartition(".")[0]
        return finished.get(name, -1)

    names = [name for name, part in network.named_modules() if has_own(part)]
    if not names:
        raise ValueError("model must have parameters to be made random, got none")
    names = sorted(names, key=place, reverse=True)
    if len(names) <= most or most == 1:
        return tuple((name,) for name in names) if most > 1 else (tuple(names),)
    cuts = torch.linspace(1, len(names), most).round().int().tolist()
    return ((names[0],), *(tuple(names[start:end]) for start, end in pairwise(cuts)))


def _rank_correlation(first: Tensor, second: Tensor) -> Tensor:
    """Spearman's coefficient of maps (N, H, W), (N,), float64, CPU; equals share a mean rank, 0 where one is flat."""
    one, other = _ranks(first), _ranks(second)  # (N, H * W)
    product = (one * other).sum(dim=1)
    spread = (one.square().sum(dim=1) * other.square().sum(dim=1)).sqrt()
    return torch.where(spread > 0, product / spread, torch.zeros_like(spread))


def _ranks(heat: Tensor) -> Tensor:
    """Mean ranks around 0, (N, H * W), float64, on the CPU: not every device has it."""
    values = heat.cpu().flatten(1).contiguous()
    ordered = values.sort(dim=1).values
    below = torch.searchsorted(ordered, values)  # smaller ones
    upto = torch.searchsorted(ordered, values, right=True)  # and as large
    return (below + upto).double() / 2 - values.shape[1] / 2
