"""Neuron: the picture a unit, a channel or a whole layer answers to most.

D. Erhan, Y. Bengio, A. Courville, P. Vincent, "Visualizing Higher-Layer Features of a Deep Network", University of
Montreal technical report 1341, 2009; C. Olah, A. Mordvintsev, L. Schubert, "Feature Visualization", Distill 2017.
https://distill.pub/2017/feature-visualization
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pellucid.checks import check_choice, check_eval, check_range
from pellucid.models import Score
from pellucid.models.taps import Tap

from ._ascent import Ascent, Settings, ascend, image_shape
from ._tap import maps_of, one_layer

OBJECTIVES = ("unit", "channel", "layer")


def neuron(
    model: nn.Module,
    *,
    layer: str,
    unit: int | None = None,
    objective: str = "unit",
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
    """The image that maximises a unit's output less a penalty, by gradient ascent from a start, as for `class_image`.

    The layer's own output is climbed: of a convolution, that is before norm and ReLU. Where ReLUs are silent, so that
    no gradient arrives at all, it is taken through them as if they passed everything; the result counts those steps.
    A single unit's gradient is much longer than a channel's or a class's: normalised steps of lr 1 to 3 suit it better.

    Args:
        model: maps (N, C, H, W) in [0, 1] to anything; in eval mode, left untouched.
        layer: dotted name of the layer that is climbed; name[1] or name[key] of several outputs.
        unit: channel of the layer, from 0; not asked for by the objective layer.
        objective: unit (the channel's output at the centre), channel (its mean), or layer (norm of all outputs).
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
        generator: of start and jitter.

    Returns:
        Ascent of one image, (1, C, H, W) in [0, 1], in the model's dtype and on its device, and the objective's trace.

    Raises:
        ValueError: an argument is out of its range, no such layer or unit, or the layer has no positions to average.
    """
    check_eval(model)
    check_choice("objective", objective, OBJECTIVES)
    if objective == "layer" and unit is not None:
        raise ValueError(f"unit must not be given for the objective layer, got {unit}")
    if objective != "layer":
        if unit is None:
            raise ValueError(f"unit must be given for the objective {objective}")
        check_range("unit", unit, 0)
    place = one_layer(model, layer)
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
    score = _score(maps_of(model, place, image_shape(model, settings)), place, objective, unit)
    count = len(start) if isinstance(start, Tensor) and start.ndim == 4 else 1
    return ascend(model, Tap(model, (place,)), score, settings, count=count, generator=generator)


def _score(read: Callable[[Tensor], Tensor], place: str, objective: str, unit: int | None) -> Score:
    """(R,) from what the layer puts out, and how to read it as maps."""

    def score(found: dict[str, Tensor], rows: Tensor) -> Tensor:
        output = found[place]
        if objective == "layer":
            norm: Tensor = output.reshape(len(rows), -1).norm(dim=1)
            return norm
        if output.ndim == 2 and objective == "channel":
            raise ValueError(f"layer {place!r} has no positions to average over; take the objective unit")
        maps = read(output)  # (R, K, h, w)
        if unit is None or unit >= maps.shape[1]:
            count = maps.shape[1]
            raise ValueError(f"unit must be in [0, {count - 1}], the layer has {count} channels, got {unit}")
        one = maps[:, unit]
        value: Tensor = one.mean(dim=(1, 2)) if objective == "channel" else one[:, one.shape[1] // 2, one.shape[2] // 2]
        return value

    return score
