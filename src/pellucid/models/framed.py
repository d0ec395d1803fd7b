"""Another size of images for a model: fewer pixels are faster, more show more, where the network takes them."""

from copy import copy
from dataclasses import replace

import torch

from pellucid.checks import check_count, check_eval

from .model import Model


def framed(model: Model, size: int) -> Model:
    """The same model for images of another size; weights are shared, the model given stays as it is.

    Args:
        model: a Model in eval mode.
        size: height and width of its images, in pixels, at least 1; what pictures are resized to goes along.

    Raises:
        ValueError: the network does not take images of the size.
    """
    check_eval(model)
    check_count("size", size, 1)
    old = model.geometry
    resize = round(size * old.resize / min(old.size)) if isinstance(old.resize, int) else None
    made = copy(model)
    made.geometry = replace(old, size=(size, size), resize=resize)
    try:
        with torch.inference_mode():
            made(torch.zeros(1, old.channels, size, size, device=model.mean.device))
    except (RuntimeError, ValueError, AssertionError, IndexError) as error:  # each network has its own way to refuse
        name, reason = model.source.get("spec", "the network"), " ".join(str(error).split())
        raise ValueError(
            f"size must be one that {name} takes, such as its own {old.size[0]}, got {size} ({reason})"
        ) from error
    return made
