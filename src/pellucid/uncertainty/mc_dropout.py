"""MC dropout: the spread of answers while dropout stays on.

Y. Gal, Z. Ghahramani, "Dropout as a Bayesian Approximation: Representing Model Uncertainty in Deep Learning", ICML
2016, section 4. https://arxiv.org/abs/1506.02142
"""

import torch
from torch import Tensor, nn

from pellucid.models import Plan, evaluate
from pellucid.models.dropouts import Thinned, random_sites, thinned

from ._logits import probabilities
from ._question import check_sampling


def mc_dropout(
    model: nn.Module,
    images: Tensor,
    *,
    samples: int = 100,
    rate: float | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Probabilities of a network that drops at random, drawn many times; all else of it stays in eval mode.

    A sample is one thinned network, the same for every image: an image asked alone, or in another order or chunk, gets
    the same answers. What lies before the first dropout is computed once for each image, and the samples of what
    follows run as one batch. Dropout is met as a module and as a function alike (dropout, of channels, alpha), except
    inside fused attention, where it leaves no trace in eval mode.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].
        samples: thinned networks, at least 1.
        rate: share dropped at every site, in [0, 1], instead of the network's own; none keeps those.
        generator: of the masks; none takes one of seed 0.

    Returns:
        (S, N, K), the images' device, rows sum to 1.

    Raises:
        ValueError: the network has no dropout, or its rates are all 0; or an argument is out of its range.
    """
    images = check_sampling(model, images, samples)
    sites, before = random_sites(model, images[:1])
    rates = [one for _, one in sites]
    if not sites:
        raise ValueError(
            "the network has no dropout that is called in its forward pass (or all have rate 0), so that every sample "
            "would be the same: take laplace, an ensemble or test_time_augmentation, or train it with dropout"
        )
    if rate == 0:
        raise ValueError(f"rate must be above 0, got 0: every sample would be the same (the network's own: {rates})")
    source = torch.Generator().manual_seed(0) if generator is None else generator
    seed = int(torch.randint(2**62, (), generator=source, device=source.device))
    draws = Thinned(seed, rate)

    def vary(found: Tensor, numbers: Tensor, _rows: Tensor) -> Tensor:
        draws.begin(numbers)
        return found[None].expand(len(numbers), *found.shape)

    plan = Plan(images, samples, vary, at=before)
    with thinned(draws):
        return evaluate(model, plan, lambda outputs, _rows: probabilities(outputs), label="sampling")
