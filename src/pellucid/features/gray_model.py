"""Gray images for a network of colour images, without repeating them: its first convolution summed over its channels.

A gray value repeated meets the weights w_c of each channel c as (x - m_c) / s_c, m and s the Model's mean and std; so
the summed convolution has two inputs, x with weights sum_c w_c / s_c, and a plane of ones, for the constant part, with
weights - sum_c w_c m_c / s_c (a plane, not a bias, for at the border the padding adds nothing). This is exact.
"""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.checks import check_eval
from pellucid.models import Model
from pellucid.models.probes import calls, first_tensor

TOLERANCE = 1e-4
"""Largest difference from the network on repeated images, relative to its largest output."""


class GrayConvolution(nn.Module):
    """A convolution's answer to gray images repeated and normalised, from the gray images (N, 1, H, W) themselves.

    Args:
        first: the convolution; zeros, or nothing, must pad it.
        mean: (C, 1, 1), of each channel.
        std: (C, 1, 1), of each channel.
    """

    weight: Tensor  # (K, 2, h, w)

    def __init__(self, first: nn.Conv2d, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        weight = first.weight.detach().double()  # (K, C, h, w)
        gray = (weight / std.double()).sum(dim=1)
        constant = -(weight * mean.double() / std.double()).sum(dim=1)
        self.weight = nn.Parameter(torch.stack([gray, constant], dim=1).to(first.weight.dtype))
        self.bias = None if first.bias is None else nn.Parameter(first.bias.detach().clone())
        self.stride, self.padding, self.dilation = first.stride, first.padding, first.dilation
        self.training = first.training

    def forward(self, images: Tensor) -> Tensor:
        """(N, K, h, w) of (N, 1, H, W)."""
        planes = torch.cat([images, torch.ones_like(images)], dim=1)  # (N, 2, H, W)
        return F.conv2d(planes, self.weight, self.bias, self.stride, self.padding, self.dilation)


def gray_model(model: Model) -> Model:
    """A copy of a colour model that takes gray images (N, 1, H, W), with the features that repeated ones would have.

    Args:
        model: of three channels, in eval mode, whose images meet a convolution first and nothing else; left untouched.

    Returns:
        A Model of one channel; its layers have the same names and, for gray images, the same outputs.

    Raises:
        ValueError: the model takes gray images already, or its images do not meet one plain convolution first.
    """
    check_eval(model)
    channels = len(model.mean)
    if channels == 1:
        raise ValueError("model must take colour images, and this one takes gray ones already")
    name, first = _first_convolution(model)
    network = copy.deepcopy(model.network)
    parent = network.get_submodule(name.rpartition(".")[0])
    setattr(parent, name.rpartition(".")[2], GrayConvolution(first, model.mean, model.std))
    made = Model(
        network,
        mean=[0.0],
        std=[1.0],
        classes=model.classes,
        size=model.geometry.size,
        resize=model.geometry.resize,
        interpolation=model.geometry.interpolation,
        class_ids=model.class_ids,
        source={**model.source, "channels": "its first convolution summed over them"},
    )
    _check_alike(model, made, name)
    return made


def _first_convolution(model: Model) -> tuple[str, nn.Conv2d]:
    """The innermost module that is called first."""
    reached: list[tuple[str, nn.Module]] = []

    def after(name: str, module: nn.Module, output: Any) -> None:
        if not reached and next(module.children(), None) is None and first_tensor(output) is not None:
            reached.append((name, module))

    with torch.no_grad(), calls(model, lambda *_: None, after):
        model(_ramp(model, len(model.mean)))
    name, first = reached[0] if reached else ("", None)
    if not isinstance(first, nn.Conv2d) or first.groups != 1 or first.padding_mode != "zeros" or not name:
        raise ValueError(
            f"model must meet a plain convolution first, but {name!r} is a {type(first).__name__}: repeat the gray "
            "images instead, images.expand(-1, 3, -1, -1)"
        )
    return name, first


def _check_alike(model: Model, made: Model, name: str) -> None:
    """Refuse a copy that answers a gray image otherwise: its images went elsewhere too."""
    with torch.no_grad():
        ramp = _ramp(model, 1)
        wanted = first_tensor(model(ramp.expand(-1, len(model.mean), -1, -1)))
        try:
            found = first_tensor(made(ramp))
        except RuntimeError as error:
            raise ValueError(f"model must give its images to {name!r} alone ({str(error).splitlines()[0]})") from error
    assert wanted is not None
    if found is None or (found - wanted).abs().max() > TOLERANCE * wanted.abs().max():
        raise ValueError(f"model must give its images to {name!r} alone, for summed over the channels it answers else")


def _ramp(model: Model, channels: int) -> Tensor:
    """An image (1, C, H, W) that differs everywhere, where the model is."""
    height, width = model.geometry.size
    ramp = torch.linspace(0, 1, height * width, device=model.mean.device).view(1, 1, height, width)
    return (ramp * 7 % 1).expand(-1, channels, -1, -1).to(next(model.parameters()).dtype)
