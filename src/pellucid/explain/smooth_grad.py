"""SmoothGrad: the mean gradient over noisy copies of the image.

D. Smilkov, N. Thorat, B. Kim, F. Viegas, M. Wattenberg, "SmoothGrad: removing noise by adding noise", ICML workshop
2017, section 3. https://arxiv.org/abs/1706.03825
The squared and the variance of them: S. Hooker et al., "A Benchmark for Interpretability Methods in Deep Neural
Networks", NeurIPS 2019, section 4; J. Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018.
https://arxiv.org/abs/1806.10758 https://arxiv.org/abs/1810.03292
"""

import torch
from torch import Tensor, nn

from pellucid.checks import Targets, check_choice, check_question
from pellucid.models import differentiate, scorer

from ._gradient import REDUCTIONS, RULES, input_gradient, over_channels, ruled
from ._noise import noisy

BASES = ("saliency", *RULES)
VARIANTS = ("mean", "squared", "variance")


def smooth_grad(
    model: nn.Module,
    images: Tensor,
    targets: Targets,
    *,
    samples: int = 50,
    std: float = 0.15,
    variant: str = "mean",
    base: str = "saliency",
    clip: bool = False,
    objective: str = "score",
    reduce: str = "max",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Magnitude of the score's gradient, averaged with its sign over copies of the image with Gaussian noise.

    Every image meets the same noise, scaled to its own range. Variance is counted from the clean image's gradient,
    which costs one pass more and loses nothing to rounding.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].
        targets: (N,), int64, the class to explain for each image; or a callable outputs -> (N,).
        samples: how many noisy copies, at least 1; the noise left in the map falls with the square root.
        std: of the noise, as a share of the image's range (largest minus smallest value), at least 0.
        variant: mean of the gradients, or mean of their squares (squared), or their variance (VarGrad).
        base: the gradient that is averaged: saliency, guided_backprop or deconvnet.
        clip: keep the noisy copies in [0, 1]; the paper does not.
        objective: what is differentiated: score (the logit), logprob, prob, or loss (negative log probability).
        reduce: over the channels: max, mean or l2 of the magnitudes, or sum, which keeps the sign.
        generator: source of the noise; None takes one of seed 0.

    Returns:
        (N, H, W), dtype and device of images, in units of the objective per full range of a pixel, or their square. At
        least 0 unless reduce is sum of means; then positive pixels raise the objective.

    Raises:
        ValueError: an argument is out of its range, the model is training, or base needs a ReLU and it has none.
    """
    check_question(model, images, targets)
    check_choice("variant", variant, VARIANTS)
    check_choice("base", base, BASES)
    check_choice("reduce", reduce, REDUCTIONS)
    plan = noisy(images.detach(), samples, std, generator, clip=clip)
    score = scorer(targets, objective)
    with ruled(model, base):
        clean = input_gradient(model, images, targets, objective) if variant == "variance" else None

        def fold(slopes: Tensor, _numbers: Tensor, rows: Tensor) -> Tensor:
            if clean is None:
                return (slopes.square() if variant == "squared" else slopes).sum(dim=0)  # (n, C, H, W)
            moved = slopes - clean[rows]  # (p, n, C, H, W)
            return torch.stack([moved.sum(dim=0), moved.square().sum(dim=0)], dim=1)  # (n, 2, C, H, W)

        found = differentiate(model, plan, score, lambda slope, *_: slope, fold=fold, label="smooth_grad") / samples
    if clean is not None:
        found = (found[:, 1] - found[:, 0].square()).clamp(min=0)
    return over_channels(found, reduce).to(images)
