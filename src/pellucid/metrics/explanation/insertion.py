"""Insertion: give the hottest pixels back first, watch the score rise.

V. Petsiuk, A. Das, K. Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC 2018,
section 4. https://arxiv.org/abs/1806.07421
"""

from torch import Tensor, nn

from pellucid.checks import Targets, check_question
from pellucid.models import filled

from ._curve import Curve, curve


def insertion(
    model: nn.Module,
    images: Tensor,
    targets: Targets,
    heat: Tensor,
    *,
    steps: int = 32,
    fill: float | str = "blur",
    objective: str = "prob",
) -> Curve:
    """The target's score while pixels are given back, the hottest first; a large area under it speaks for the map.

    The authors blur with a Gaussian of 5 pixels cut off after 5 (of 224), which keeps much of the image; here the
    Gaussian is a whole one of 10 pixels where the shorter side has 224, so that the curve starts low. Areas of other
    blurs do not compare.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].
        targets: (N,), int64, the class that was explained; or a callable outputs -> (N,), which decides alone.
        heat: (N, H, W), float, finite: what orders the pixels; among equals the earlier one of the row comes first.
        steps: in how many equal parts the pixels are given back, 1 to H * W; each costs a forward pass of each image.
        fill: what stands where no pixel is yet: blur (of the image), mean (the model's), black, or a number in [0, 1].
        objective: what is watched: prob (the probability), score (the logit), logprob, or loss.

    Returns:
        Curve; its auc is higher where the map is better.

    Raises:
        ValueError: an argument is out of its range, a map is not finite, or the model is training.
    """
    check_question(model, images, targets)
    return curve(
        model,
        images,
        targets,
        heat,
        canvas=filled(model, images, fill),
        steps=steps,
        objective=objective,
        give_back=True,
        label="insertion",
    )
