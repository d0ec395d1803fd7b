"""Deletion: take the hottest pixels away first, watch the score fall.

V. Petsiuk, A. Das, K. Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC 2018,
section 4. https://arxiv.org/abs/1806.07421
"""

from torch import Tensor, nn

from pellucid.checks import Targets, check_question
from pellucid.models import filled

from ._curve import Curve, curve


def deletion(
    model: nn.Module,
    images: Tensor,
    targets: Targets,
    heat: Tensor,
    *,
    steps: int = 32,
    fill: float | str = "mean",
    objective: str = "prob",
) -> Curve:
    """The target's score while pixels are taken away, the hottest first; a small area under it speaks for the map.

    The curve rewards what breaks the network as well as what explains it: scattered pixels make an image unlike any it
    has seen. So compare an area with those of `baselines`, and read `insertion` beside it.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].
        targets: (N,), int64, the class that was explained; or a callable outputs -> (N,), which decides alone.
        heat: (N, H, W), float, finite: what orders the pixels; among equals the earlier one of the row goes first.
        steps: in how many equal parts the pixels are taken, 1 to H * W; each costs a forward pass of each image.
        fill: what is put in a pixel's place: mean (the model's own mean colour), black, blur, or a number in [0, 1].
        objective: what is watched: prob (the probability), score (the logit), logprob, or loss.

    Returns:
        Curve; its auc is lower where the map is better.

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
        give_back=False,
        label="deletion",
    )
