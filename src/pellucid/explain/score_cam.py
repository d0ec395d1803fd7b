"""Score-CAM: channels of a layer, weighted by the score of the image seen through each; no gradient is asked for.

H. Wang et al., "Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Networks", CVPR workshops
2020, section 3.2, algorithm 1. https://arxiv.org/abs/1910.01279
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.checks import Targets, check_count, check_question
from pellucid.models import Plan, evaluate, filled, scorer

from ._cam import At, from_layers, maps_of


def score_cam(
    model: nn.Module,
    images: Tensor,
    targets: Targets,
    *,
    layer: str | None = None,
    grid: str = "",
    channels: int = 0,
    fill: float | str = "mean",
    objective: str = "score",
    relu: bool = True,
) -> Tensor:
    """A layer's maps, weighted by the softmax over channels of the score of the image masked by each map.

    A mask is the channel's map, enlarged and brought to [0, 1]; a flat map hides all. The paper's weights are
    increases over a baseline's score; the softmax cancels the baseline, so it is not run. One pass a channel, which
    `channels` makes cheaper than the paper: the softmax then runs over the channels that vary most within the image,
    and the others count for nothing. The logit is watched, unlike in other methods without gradients: probabilities,
    all within 1 of each other, leave a softmax over hundreds of channels flat.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].
        targets: (N,), int64, the class to explain for each image; or a callable outputs -> (N,), which decides alone.
        layer: dotted name of a layer with maps, or several with commas; the deepest that suits when none is given.
        grid: sides of a layer's grid of tokens as HxW, such as 14x14, where it is not found by itself.
        channels: how many channels of the layer are asked about, those of the largest deviation; 0 asks about all.
        fill: what is behind a mask: mean (the model's own mean colour), black, blur (the image, blurred), or a number.
        objective: what is watched: score (the logit), logprob, prob (the probability), or loss.
        relu: keep only what is above zero, as the paper does.

    Returns:
        (N, H, W), dtype and device of images, bilinearly enlarged from (h, w); in units of the layer's activations. Of
        several layers: the mean of their maps, each scaled to at most 1.

    Raises:
        ValueError: an argument is out of its range, the model is training, or the layer has no maps.
    """
    check_question(model, images, targets)
    check_count("channels", channels, 0)
    behind = filled(model, images, fill)  # (N, C, H, W)

    def see(at: At) -> Tensor:
        maps = maps_of(model, images, at)  # (N, K, h, w)
        count = min(channels or maps.shape[1], maps.shape[1])
        chosen = maps.flatten(2).std(dim=2, correction=0).topk(count, dim=1).indices  # (N, P)
        maps = maps.gather(1, chosen[:, :, None, None].expand(-1, -1, *maps.shape[2:]))  # (N, P, h, w)

        def seen_through(some: Tensor, numbers: Tensor, rows: Tensor) -> Tensor:
            masks = _masks(maps[rows][:, numbers], some.shape[-2:])  # (n, p, H, W)
            return torch.lerp(behind[rows], some, masks.transpose(0, 1)[:, :, None].to(some))  # (p, n, C, H, W)

        plan = Plan(images, count, seen_through)
        scores = evaluate(model, plan, scorer(targets, objective), label="score cam")  # (P, N)
        return torch.einsum("pn,nphw->nhw", scores.softmax(dim=0).to(maps), maps)

    return from_layers(model, images, layer, grid, see, relu=relu)


def _masks(maps: Tensor, sides: tuple[int, ...]) -> Tensor:
    """Maps (n, p, h, w) enlarged to (n, p, H, W) and each brought to [0, 1]; a flat one is 0."""
    large = F.interpolate(maps, tuple(sides), mode="bilinear", align_corners=False)
    low, high = large.amin(dim=(2, 3), keepdim=True), large.amax(dim=(2, 3), keepdim=True)
    is_flat = maps.amin(dim=(2, 3), keepdim=True) == maps.amax(
        dim=(2, 3), keepdim=True
    )  # rounding may enlarge unevenly
    return torch.where(is_flat | (low == high), 0, (large - low) / torch.where(low == high, 1, high - low))
