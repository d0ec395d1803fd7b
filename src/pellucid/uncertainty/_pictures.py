"""Images with their classes, as a tensor or as a set in memory, and what tells that two sets share one."""

from collections.abc import Iterator
from typing import TypeAlias

import torch
from torch import Tensor, nn

from pellucid.checks import check_eval, check_images, check_targets
from pellucid.data import Pixels, content_keys

Pictures: TypeAlias = Tensor | Pixels
"""Images (N, C, H, W), float, in [0, 1]; or a labelled set in memory, which takes a fourth of the room."""

AT_ONCE = 2**26
"""Values of a set in memory that are made floats at a time."""


def labels_of(images: Pictures, targets: Tensor | None) -> Tensor:
    """The classes (N,), int64, on the CPU; of a set in memory its own.

    Raises:
        ValueError: images without classes, a set with two lots of them, or images or targets that are none.
    """
    if isinstance(images, Pixels):
        if targets is not None:
            raise ValueError("targets must be left out with a set in memory, which has its own")
        if not len(images):
            raise ValueError(f"images must not be empty, got shape {tuple(images.pixels.shape)}")
        return images.targets.cpu()
    check_images(images)
    if not isinstance(targets, Tensor):
        given = "none" if targets is None else type(targets).__name__
        raise ValueError(f"targets must be the images' true classes, an int64 tensor ({len(images)},), got {given}")
    check_targets(targets, images)
    return targets.cpu()


def check_asked(model: nn.Module, images: Pictures) -> None:
    """Refuse a model in training mode, and what is no images."""
    check_eval(model)
    if not isinstance(images, Pixels):
        check_images(images)
    elif not len(images):
        raise ValueError(f"images must not be empty, got shape {tuple(images.pixels.shape)}")


def check_classes(targets: Tensor, classes: int) -> None:
    """Refuse a target that is no class of K."""
    low, high = (int(bound) for bound in targets.aminmax())
    if low < 0 or high >= classes:
        raise ValueError(f"target {low if low < 0 else high} is no class: not in 0..{classes - 1}")


def parts_of(images: Pictures, model: nn.Module) -> Iterator[Tensor]:
    """The images as floats, part by part, on the model's device."""
    if isinstance(images, Tensor):
        yield images.detach()
        return
    for rows in torch.split(torch.arange(len(images)), max(1, AT_ONCE // images.pixels[0].numel())):
        yield images_at(images, rows, model)


def images_at(images: Pictures, rows: Tensor, model: nn.Module) -> Tensor:
    """Some of the images (n, C, H, W), float, on the model's device."""
    chosen = images.images(rows) if isinstance(images, Pixels) else images.detach()[rows.to(images.device)]
    first = next(model.parameters(), None)
    return chosen if first is None else chosen.to(first.device)


def keys_of(images: Pictures) -> Tensor:
    """(N, 16), uint8: equal for two images where all their pixels are, as bytes."""
    if isinstance(images, Pixels):
        pixels = images.pixels
    else:
        pixels = torch.cat([(some * 255).round().to(torch.uint8) for some in torch.split(images.detach(), 1024)])
    return torch.frombuffer(bytearray(b"".join(content_keys(pixels))), dtype=torch.uint8).view(-1, 16)


def shared(keys: Tensor, others: Tensor) -> int:
    """How many of the keys (N, 16) are among the others (M, 16)."""
    known = {bytes(key) for key in others.tolist()}
    return sum(bytes(key) in known for key in keys.tolist())
