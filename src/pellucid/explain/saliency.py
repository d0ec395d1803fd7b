"""Saliency: how fast the score changes with each pixel.

K. Simonyan, A. Vedaldi, A. Zisserman, "Deep Inside Convolutional Networks: Visualising Image Classification Models
and Saliency Maps", ICLR workshop 2014, section 3. https://arxiv.org/abs/1312.6034
"""

from torch import Tensor, nn

from pellucid.checks import Targets, check_question

from ._gradient import input_gradient, over_channels


def saliency(
    model: nn.Module,
    images: Tensor,
    targets: Targets,
    *,
    objective: str = "score",
    reduce: str = "max",
    times_input: bool = False,
) -> Tensor:
    """Magnitude of the score's gradient at each pixel.

    The gradient is taken with respect to images in [0, 1], before the model's normalisation. The default follows
    the paper: the class's logit, and the largest magnitude over the channels.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].
        targets: (N,), int64, the class to explain for each image; or a callable outputs -> (N,).
        objective: what is differentiated: score (the logit), logprob, prob, or loss (negative log probability).
        reduce: over the channels: max, mean or l2 of the magnitudes, or sum, which keeps the sign.
        times_input: multiply the gradient by the image first (gradient times input).

    Returns:
        (N, H, W), dtype and device of images, in units of the objective per full range of a pixel. At least 0
        unless reduce is sum; then positive pixels raise the score.

    Raises:
        ValueError: an argument is out of its range, the model is training, or the score ignores the image.
    """
    check_question(model, images, targets)
    found = input_gradient(model, images, targets, objective)  # (N, C, H, W)
    return over_channels(found * images if times_input else found, reduce)
