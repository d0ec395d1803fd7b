"""Saliency: how fast the score changes with each pixel.

K. Simonyan, A. Vedaldi, A. Zisserman, "Deep Inside Convolutional Networks: Visualising Image Classification Models
and Saliency Maps", ICLR workshop 2014, section 3. https://arxiv.org/abs/1312.6034
"""

from torch import Tensor, nn

from pellucid.checks import Targets, check_choice, check_question
from pellucid.models import Model, filled

from ._gradient import REDUCTIONS, input_gradient, over_channels

DOMAINS = ("pixel", "network")


def saliency(
    model: nn.Module,
    images: Tensor,
    targets: Targets,
    *,
    objective: str = "score",
    reduce: str = "max",
    domain: str = "pixel",
    times_input: bool = False,
    baseline: float | str = "black",
) -> Tensor:
    """Magnitude of the score's gradient at each pixel.

    The default follows the paper: the class's logit, and the largest magnitude over the channels. The paper's network
    takes raw pixels; here the gradient is with respect to images in [0, 1], before the model's normalisation, unless
    domain="network" asks for what a script that feeds normalised images would show. Any class may be the target, also
    a deliberately wrong one. Gradient times input (times_input) is the same in both domains.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].
        targets: (N,), int64, the class to explain for each image; or a callable outputs -> (N,).
        objective: what is differentiated: score (the logit), logprob, prob, or loss (negative log probability).
        reduce: over the channels: max, mean or l2 of the magnitudes, or sum, which keeps the sign.
        domain: with respect to the pixel, or to the network's normalised input; one and the same for a plain module.
        times_input: multiply the gradient by the image's distance from the baseline (gradient times input).
        baseline: what times_input counts from: black, mean (the model's own), blur, or a number in [0, 1].

    Returns:
        (N, H, W), dtype and device of images, in units of the objective per full range of a pixel (per unit of the
        normalised input for domain="network"; in the objective's own for times_input). At least 0 unless reduce is
        sum; then positive pixels raise the objective.

    Raises:
        ValueError: an argument is out of its range, the model is training, or the score ignores the image.
    """
    check_question(model, images, targets)
    check_choice("reduce", reduce, REDUCTIONS)
    check_choice("domain", domain, DOMAINS)
    images = images.detach()
    start = filled(model, images, baseline, "baseline")
    found = input_gradient(model, images, targets, objective)  # (N, C, H, W)
    if times_input:
        found = found * (images - start)
    elif domain == "network" and isinstance(model, Model):
        found = found * model.std.to(found)
    return over_channels(found, reduce)
