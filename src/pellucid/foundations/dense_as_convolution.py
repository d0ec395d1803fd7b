"""Dense layers as convolutions: a classifier of one size becomes one that reads larger images place by place.

J. Long, E. Shelhamer, T. Darrell, "Fully convolutional networks for semantic segmentation", CVPR 2015, section 3.1.
https://arxiv.org/abs/1411.4038
"""

import torch
from torch import Tensor, nn

from pellucid.checks import check_choice


def dense_as_convolution(layer: nn.Linear, size: tuple[int, int] = (1, 1)) -> nn.Conv2d:
    """A fully connected layer over (C, H, W) as a convolution with a kernel of H x W; 1 x 1 for those that follow.

    Args:
        layer: its inputs are the flattened maps (C, H, W); its weights are copied.
        size: H and W of those maps at the size the network was made for.

    Raises:
        ValueError: the inputs cannot be parted into maps of that size.
    """
    height, width = size
    if layer.in_features % (height * width):
        raise ValueError(f"size must divide the layer's {layer.in_features} inputs, got {height} x {width}")
    channels = layer.in_features // (height * width)
    has_bias, dtype = layer.bias is not None, layer.weight.dtype
    empty = nn.Conv2d(
        channels, layer.out_features, size, bias=has_bias, dtype=dtype, device="meta"
    )  # no random numbers
    made = empty.to_empty(device=layer.weight.device)
    with torch.no_grad():
        made.weight.copy_(layer.weight.view_as(made.weight))
        if layer.bias is not None and made.bias is not None:
            made.bias.copy_(layer.bias)
    return made


def fully_convolutional(maps: nn.Module, classifier: nn.Sequential, size: tuple[int, int]) -> nn.Sequential:
    """A network of maps and a dense classifier as convolutions throughout, which takes images of any larger size.

    Args:
        maps: from images to (N, C, H, W); used as it is.
        classifier: Linear layers with elementwise ones (activations, dropout) between them; its weights are copied.
        size: H and W of the maps at the size the network was made for.

    Returns:
        From images to logits (N, K, h, w); of VGG-16 (maps of 7 x 7 at 224) floor(side / 32) - 6 rows and columns.
    """
    first = True
    layers: list[nn.Module] = []
    for layer in classifier:
        if isinstance(layer, nn.Linear):
            layers.append(dense_as_convolution(layer, size if first else (1, 1)))
            first = False
        elif not isinstance(layer, nn.Flatten):
            layers.append(layer)
    if first:
        raise ValueError("classifier must hold a Linear layer, got none")
    made = nn.Sequential(maps, *layers)
    return made.train(maps.training)


def read_maps(logits: Tensor, *, over: str = "average") -> Tensor:
    """Class probabilities of a map of logits: softmax at each place, then the average or the largest over them.

    Args:
        logits: (N, K, h, w).
        over: average (rows sum to 1) or max (they may exceed it).

    Returns:
        (N, K), in [0, 1].
    """
    check_choice("over", over, ("average", "max"))
    places = logits.softmax(dim=1).flatten(2)  # (N, K, h w)
    return places.mean(dim=2) if over == "average" else places.amax(dim=2)
