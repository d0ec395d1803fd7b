"""Occlusion: hide a patch, watch the score drop.

M. Zeiler, R. Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, section 4.2.
https://arxiv.org/abs/1311.2901
"""

import torch
from torch import Tensor, nn

from pellucid.checks import Targets, check_question, check_range
from pellucid.models import Model, Plan, evaluate, scorer, unvaried


@torch.no_grad()
def occlusion(
    model: nn.Module,
    images: Tensor,
    targets: Targets,
    *,
    window: int | None = None,
    stride: int | None = None,
    fill: float | None = None,
    objective: str = "prob",
) -> Tensor:
    """Mean drop of the target's probability over all patches that hide a pixel.

    Patches start at 0, stride, 2 stride, ...; the last of each row and column is flush with the edge, so that every
    pixel is hidden at least once.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].
        targets: (N,), int64, the class to explain for each image; or a callable outputs -> (N,), which decides alone.
        window: side of the square patch in pixels, 1 to min(H, W); a seventh of that when none is given (32 of 224).
        stride: step between patches in pixels, 1 to window; a quarter of the window when none is given.
        fill: value painted over the patch, in [0, 1]; the model's own mean colour when none is given.
        objective: what is watched: prob (the probability), score (the logit), logprob, or loss.

    Returns:
        (N, H, W), dtype and device of images, in units of what is watched. Positive: hiding the pixel hurts the target.

    Raises:
        ValueError: an argument is out of its range, or the model is training.
    """
    check_question(model, images, targets)
    height, width = images.shape[-2:]
    window = max(1, round(min(height, width) / 7)) if window is None else window
    check_range("window", window, 1, min(height, width))
    stride = max(1, window // 4) if stride is None else stride
    check_range("stride", stride, 1, window)
    boxes = _patches(height, width, window, stride).to(images.device)  # (P, 4)
    paint = _paint(model, images, fill)  # (C, 1, 1)

    read = scorer(targets, objective)

    def hide(some: Tensor, numbers: Tensor, _rows: Tensor) -> Tensor:
        return torch.where(_inside(boxes[numbers], height, width)[:, None, None], paint, some)  # (p, n, C, H, W)

    clean = evaluate(model, unvaried(images), read)[0]  # (N,)
    hidden = evaluate(model, Plan(images, len(boxes), hide, boxes), read, label="occlusion")  # (P, N)
    return _spread(clean - hidden, boxes, height, width).to(images)


def _patches(height: int, width: int, window: int, stride: int) -> Tensor:
    """Boxes (P, 4): rows [top, bottom) and columns [left, right); the last of each row and column is flush."""
    tops = [*range(0, height - window, stride), height - window]
    lefts = [*range(0, width - window, stride), width - window]
    return torch.tensor([(top, left, top + window, left + window) for top in tops for left in lefts])


def _paint(model: nn.Module, images: Tensor, fill: float | None) -> Tensor:
    """The colour of a patch, (C, 1, 1); the mean is what the network is fed as zero."""
    if fill is not None:
        check_range("fill", fill, 0, 1)
        return images.new_full((images.shape[1], 1, 1), fill)
    return model.mean.to(images) if isinstance(model, Model) else images.new_zeros(images.shape[1], 1, 1)


def _inside(boxes: Tensor, height: int, width: int) -> Tensor:
    """Masks (p, H, W), bool, true inside each box."""
    rows, columns = (torch.arange(side, device=boxes.device) for side in (height, width))
    top, left, bottom, right = boxes.T[..., None]  # (p, 1) each
    tall = (rows >= top) & (rows < bottom)  # (p, H)
    wide = (columns >= left) & (columns < right)  # (p, W)
    inside: Tensor = tall[:, :, None] & wide[:, None, :]
    return inside


def _spread(values: Tensor, boxes: Tensor, height: int, width: int) -> Tensor:
    """For each pixel the mean of the values (P, N) of the boxes that hold it, by summed areas: (N, H, W), CPU."""
    values, boxes = values.cpu(), boxes.cpu()  # float64 sums; not every device has it
    both = torch.cat([values.double(), torch.ones_like(values[:, :1], dtype=torch.float64)], dim=1).T  # (N + 1, P)
    corners = both.new_zeros(len(both), (height + 1) * (width + 1))
    for row, column, sign in ((0, 1, 1.0), (0, 3, -1.0), (2, 1, -1.0), (2, 3, 1.0)):
        corners.index_add_(1, boxes[:, row] * (width + 1) + boxes[:, column], both, alpha=sign)
    sums = corners.view(-1, height + 1, width + 1).cumsum(1).cumsum(2)[:, :height, :width]  # (N + 1, H, W)
    return sums[:-1] / sums[-1].round()
