"""Class image: the picture a network would call most of all a class.

K. Simonyan, A. Vedaldi, A. Zisserman, "Deep Inside Convolutional Networks: Visualising Image Classification Models
and Saliency Maps", ICLR workshop 2014, section 2. https://arxiv.org/abs/1312.6034
"""

import torch
from torch import Tensor, nn

from pellucid.checks import Targets, check_choice, check_eval
from pellucid.models import scorer

from ._ascent import Ascent, Settings, ascend

OBJECTIVES = ("score", "logprob")
"""What can be climbed; the probability itself saturates, and the loss would be descended."""


def class_image(
    model: nn.Module,
    targets: Targets,
    *,
    objective: str = "score",
    lr: float = 5.0,
    penalty: float = 1e-3,
    steps: int = 200,
    blur_every: int | None = 10,
    blur_sigma: float = 0.5,
    jitter: int = 16,
    clamp: bool = True,
    penalty_step: str = "implicit",
    regulariser: str = "l2sq",
    step: str = "raw",
    optimiser: str = "plain",
    parameterisation: str = "pixel",
    start: str | Tensor = "noise",
    size: int | None = None,
    frames: int = 0,
    generator: torch.Generator | None = None,
) -> Ascent:
    """Images that maximise a class's score less a penalty, by gradient ascent from a start.

    Per step: shift the image, add lr times the gradient, take the penalty, shift back, clamp, and now and then blur.
    The penalty is taken implicitly, (u + lr g) / (1 + 2 lr penalty), which has the fixed point of the paper's
    objective and stays stable where an explicit step would not. Options that go well together stand in `PRESETS`.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        targets: (N,), int64, the class of each image to make, all at once; or a callable outputs -> (N,).
        objective: what is climbed: score (the logit) or logprob.
        lr: size of a step, above 0, in network units (image minus mean, over std); adam wants about 0.05, fourier 1.
        penalty: weight of the regulariser, at least 0; it pulls towards the mean colour.
        steps: gradient steps, at least 0.
        blur_every: blur the image after every so many steps, at least 1; none never does.
        blur_sigma: width of that blur, in pixels, 0 to the image's longer side.
        jitter: longest shift before each gradient, in pixels of a 224 image, in proportion for a smaller one.
        clamp: keep every pixel a colour there is, in [0, 1], after each step.
        penalty_step: implicit (stable at every lr) or explicit (diverges from lr * penalty = 1 on); tv is explicit.
        regulariser: l2sq (squared norm), l2 (norm) or tv (total variation).
        step: raw, or normalised (each gradient brought to length 1).
        optimiser: plain or adam.
        parameterisation: pixel, or fourier (low frequencies and brightness move more easily: smoother, larger shapes).
        start: noise (normal, in network units), uniform (colours), gray (the mean colour), or an image to start from.
        size: side of the image to make, in pixels; none takes the model's own.
        frames: keep the image every so many steps, first and last included; 0 keeps none.
        generator: of start and jitter; the same for all images, so that each is as if made alone.

    Returns:
        Ascent: images (N, C, H, W) in [0, 1], in the model's dtype and on its device, and the trace of the objective.

    Raises:
        ValueError: an argument is out of its range, the model is training, or the ascent diverged.
    """
    check_eval(model)
    check_choice("objective", objective, OBJECTIVES)
    count = _count(targets, start)
    settings = Settings(
        lr=lr,
        penalty=penalty,
        steps=steps,
        blur_every=blur_every,
        blur_sigma=blur_sigma,
        jitter=jitter,
        clamp=clamp,
        penalty_step=penalty_step,
        regulariser=regulariser,
        step=step,
        optimiser=optimiser,
        parameterisation=parameterisation,
        start=start,
        size=size,
        frames=frames,
    )
    if isinstance(targets, Tensor):
        first = next(model.parameters(), targets)
        targets = targets.to(first.device)
    return ascend(model, model, scorer(targets, objective), settings, count=count, generator=generator)


def _count(targets: Targets, start: str | Tensor) -> int:
    """Images to make."""
    given = len(start) if isinstance(start, Tensor) and start.ndim == 4 else 1
    if not isinstance(targets, Tensor):
        if not callable(targets):
            raise ValueError(f"targets must be an int64 tensor (N,) or a callable, got {type(targets).__name__}")
        return given
    if targets.dtype != torch.int64 or targets.ndim != 1 or not len(targets):
        raise ValueError(f"targets must be an int64 tensor (N,), got {targets.dtype} {tuple(targets.shape)}")
    if given not in {1, len(targets)}:
        raise ValueError(f"start must be one image or {len(targets)}, one for each target, got {given}")
    return len(targets)
