"""Model: a network that owns its normalisation, class names and input frame. Call it on images, get logits."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.geometry import Geometry, sides


class Model(nn.Module):
    """Any classifier, to be called on images (N, C, H, W) in [0, 1]; the answer is its logits (N, K).

    Args:
        network: maps normalised images to logits; kept as it is, in the mode it is in.
        mean: per channel, subtracted from images in [0, 1].
        std: per channel, positive, divided by after that.
        classes: K names in output order.
        size: (H, W), or one side, of the images the network wants.
        resize: shorter side, or (H, W), to which a picture is brought before the centre crop of `size`;
            None brings it straight to `size`.
        interpolation: nearest, bilinear, bicubic or lanczos.
        class_ids: K keys such as wnids, or none.
        source: how the model was named and found; stamped on every record.
        build: architecture and arguments that build the network anew, where known; needed to save it.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        classes: Sequence[str],
        size: int | Sequence[int],
        resize: int | tuple[int, int] | None = None,
        interpolation: str = "bilinear",
        class_ids: Sequence[str] = (),
        source: Mapping[str, Any] = MappingProxyType({}),
        build: tuple[str, Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__()
        _check(network, mean, std, classes, class_ids)
        self.network = network
        self.geometry = Geometry(sides(size), resize, interpolation, len(mean))
        self.classes = tuple(str(name) for name in classes)
        self.class_ids = tuple(class_ids)
        self.source = dict(source)
        self.build = build
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(-1, 1, 1), persistent=False)
        self.training = network.training
        first = next(network.parameters(), None)
        if first is not None:
            self.mean, self.std = self.mean.to(first.device), self.std.to(first.device)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K) of images (N, C, H, W) in [0, 1]."""
        if images.ndim != 4 or images.shape[1] != len(self.mean):
            raise ValueError(f"images must have shape (N, {len(self.mean)}, H, W), got {tuple(images.shape)}")
        normalised = (images - self.mean.to(images.dtype)) / self.std.to(images.dtype)
        logits: Tensor = self.network(normalised)
        return logits


def network_of(model: nn.Module) -> nn.Module:
    """The user's own network: what a Model wraps, or the module itself; layer names are relative to it."""
    return model.network if isinstance(model, Model) else model


def _check(
    network: nn.Module, mean: Sequence[float], std: Sequence[float], classes: Sequence[str], class_ids: Sequence[str]
) -> None:
    if not isinstance(network, nn.Module):
        raise ValueError(f"network must be an nn.Module, got {type(network).__name__}")
    if not len(mean) == len(std) > 0:
        raise ValueError(f"mean and std must have one number a channel, got {len(mean)} and {len(std)}")
    kept = torch.tensor([[*mean], [*std]], dtype=torch.float32)  # as the buffers will hold them
    if not torch.isfinite(kept).all() or kept[1].min() <= 0:
        raise ValueError(f"mean must be finite and std positive, got mean {tuple(mean)}, std {tuple(std)}")
    if isinstance(classes, str) or len(classes) == 0:
        raise ValueError(f"classes must be a list of at least one name, got {classes!r}")
    if class_ids and len(class_ids) != len(classes):
        raise ValueError(f"class_ids must be as many as classes ({len(classes)}), got {len(class_ids)}")
