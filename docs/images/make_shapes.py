"""Make shapes.png: translucent shapes evolved over scikit-image's public-domain photographs until a network errs.

    python docs/images/make_shapes.py MODEL

MODEL is the folder of any ImageNet classifier; what is committed is SqueezeNet's. It takes two minutes on two cores.
"""

import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from matplotlib import pyplot
from PIL import Image
from skimage import data
from torch import Tensor

from pellucid import models
from pellucid.attack import Trace, outcome, shapes

ROWS: tuple[tuple[str, dict[str, Any], str | None, str], ...] = (
    ("chelsea", {"kind": "mixed"}, None, "shapes, added as noise of at most 0.05"),
    (
        "coffee",
        {"kind": "mixed", "mode": "overlay", "epsilon": None, "count": 60, "largest": 0.25, "opacity": 0.5},
        "pizza",
        "shapes, painted over it for a pizza",
    ),
    (
        "rocket",
        {"mode": "overlay", "epsilon": None, "count": 30, "largest": 0.15, "opacity": 0.6},
        None,
        "circles, painted over it",
    ),
)
"""Photograph, options, the class to reach (none: any other), and what is said of the shapes."""


def photograph(name: str) -> Tensor:
    """The middle square, (1, 3, 224, 224), in [0, 1]."""
    image = torch.from_numpy(getattr(data, name)()).permute(2, 0, 1)[None].float() / 255
    side = min(image.shape[2:])
    top, left = ((size - side) // 2 for size in image.shape[2:])
    part = image[..., top : top + side, left : left + side]
    return F.interpolate(part, (224, 224), mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)


def make(folder: str, path: Path) -> None:
    """One row a photograph: before, after, and the shapes alone."""
    model = models.load(folder).eval()
    figure, axes = pyplot.subplots(len(ROWS), 3, figsize=(7.2, 7.8))
    for row, (name, told, wanted, said) in zip(axes, ROWS, strict=True):
        image, trace = photograph(name), Trace()
        with torch.no_grad():
            targets = model(image).argmax(dim=1) if wanted is None else torch.tensor([model.classes.index(wanted)])
        is_targeted = wanted is not None
        made = shapes(model, image, targets, targeted=is_targeted, max_queries=1200, trace=trace, **told)
        found = outcome(model, image, made, targets, targeted=is_targeted)
        (painting,) = trace.made
        alone = replace(painting, mode="overlay", epsilon=None).over(torch.full((1, 3, 448, 448), 0.5))
        before, after = (
            f"{model.classes[int(called)]}, {100 * float(chance):.0f} %"
            for called, chance in (
                (found.before, found.probability_before),
                (found.after, found.probability_after),
            )
        )
        queries = int(trace.forward)
        shown = (image, before), (made, f"{after}, after {queries} queries"), (alone, f"{len(painting.shapes)} {said}")
        for axis, (picture, title) in zip(row, shown, strict=True):
            axis.imshow(picture[0].permute(1, 2, 0), interpolation="lanczos")
            axis.set_title(title, fontsize=7.5)
            axis.axis("off")
    figure.subplots_adjust(left=0.01, right=0.99, top=0.97, bottom=0.01, wspace=0.04, hspace=0.09)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=100)
    with Image.open(buffer) as picture:
        picture.convert("RGB").quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)


if __name__ == "__main__":
    make(sys.argv[1], Path(__file__).parent / "shapes.png")
