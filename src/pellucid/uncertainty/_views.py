"""Views of an image: what a policy of test-time augmentation makes of it, numbered, the image as it is first."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.checks import check_choice, check_count
from pellucid.data.augment import OPS, PRESETS, Policy
from pellucid.data.augment import policy as read_policy

FIXED = ("none", "hflip", "five_crop", "ten_crop")
"""Policies without chance, by name."""

MIXING = ("mixup", "cutmix")
"""What makes one image of two, and one label."""

CORNERS = ("top left", "top right", "bottom left", "bottom right", "centre")

AS_IT_IS = "as it is"


@dataclass(frozen=True)
class Planned:
    """V views, each the same for every image."""

    told: tuple[str, ...]  # (V,): what each shows
    made: Callable[[Tensor, Tensor], Tensor]  # images (n, C, H, W), numbers (p,), int64, in [0, V) -> (p, n, C, H, W)


def planned(
    shape: Sequence[int], policy: str | Policy, samples: int, crop: float, generator: torch.Generator | None
) -> Planned:
    """Decide the views of images of a shape (N, C, H, W).

    Raises:
        ValueError: the policy is unknown, empty, changes labels or the images' size, or an option is out of range.
    """
    check_count("samples", samples, 0)
    if not 0 < crop <= 1:
        raise ValueError(f"crop must be above 0 and at most 1, got {crop}")
    found = _read(policy)
    if isinstance(found, Policy):
        return _drawn(shape, found, samples, generator)
    if found == "none":
        return _fixed([], [])
    if found == "hflip":
        return _fixed(["hflip"], [lambda some: some.flip(-1)])
    return _windows((int(shape[-2]), int(shape[-1])), crop, is_mirrored=found == "ten_crop")


def windows(height: int, width: int, crop: float) -> list[tuple[int, int, int, int]]:
    """Top, left, height and width, in pixels, of the windows in four corners and of the one in the middle."""
    h, w = max(1, round(crop * height)), max(1, round(crop * width))
    down, right = height - h, width - w
    places = [(0, 0), (0, right), (down, 0), (down, right), (round(down / 2), round(right / 2))]
    return [(top, left, h, w) for top, left in places]


def _read(policy: str | Policy) -> str | Policy:
    """A word of FIXED, or a policy that draws."""
    if not isinstance(policy, str | Policy):
        name = getattr(policy, "__name__", type(policy).__name__)
        _check_label(name)
        raise ValueError(f"policy must be a word or a data.augment.Policy, got {name}")
    if isinstance(policy, str):
        heads = [part.split("=")[0].split(":")[0].strip() for part in policy.split(",") if part.strip()]
        for head in heads:
            _check_label(head)
            check_choice("policy", head, dict.fromkeys([*FIXED, *PRESETS, *OPS]))
        if policy.strip() in FIXED:
            return policy.strip()
        alone = next((head for head in heads if head in {"five_crop", "ten_crop"}), None)
        if alone is not None:
            raise ValueError(f"policy {alone} must stand alone, got {policy!r}")
        policy = read_policy(policy)
    if not policy.ops:
        raise ValueError("policy must hold an operation, got an empty one: none takes the image as it is")
    return policy


def _check_label(name: str) -> None:
    if name in MIXING:
        raise ValueError(
            f"policy must keep labels, but {name} changes labels: it makes one image of two; take hflip or crop=4"
        )


def _drawn(shape: Sequence[int], policy: Policy, samples: int, generator: torch.Generator | None) -> Planned:
    """Views that are drawn: of each the numbers are looked up by its own number, whatever the images."""
    source = torch.Generator().manual_seed(0) if generator is None else generator
    seed = int(torch.randint(2**62, (), generator=source, device=source.device))
    draws = policy.draw(torch.arange(samples), shape, seed=seed)
    if draws.sizes[-1] != draws.sizes[0]:
        raise ValueError(
            f"policy must give views of the images' own size {draws.sizes[0]}, which the model takes, but {policy} "
            f"gives {draws.sizes[-1]}"
        )

    def made(images: Tensor, numbers: Tensor) -> Tensor:
        chosen = numbers[numbers > 0].cpu() - 1
        if not len(chosen):
            return images[None].expand(len(numbers), *images.shape)
        views = policy(images.repeat(len(chosen), 1, 1, 1), chosen.repeat_interleave(len(images)), seed=seed)
        every = views.view(len(chosen), *images.shape)
        if len(chosen) == len(numbers):
            return every
        placed = images[None].repeat(len(numbers), 1, 1, 1, 1)
        placed[(numbers > 0).to(images.device)] = every
        return placed

    return Planned((AS_IT_IS, *(draws.text(number) for number in range(samples))), made)


def _windows(size: tuple[int, int], crop: float, *, is_mirrored: bool) -> Planned:
    """Windows brought to the image's size; then, where asked for, those of the mirrored image."""
    told: list[str] = []
    changes: list[Callable[[Tensor], Tensor]] = []
    for mirrored in (False, True) if is_mirrored else (False,):
        for name, window in zip(CORNERS, windows(*size, crop), strict=True):
            told.append(f"{name} of hflip" if mirrored else name)
            changes.append(lambda some, at=window, flip=mirrored: _window(some.flip(-1) if flip else some, at))  # type: ignore[misc]
    return _fixed(told, changes)


def _window(images: Tensor, window: tuple[int, int, int, int]) -> Tensor:
    """(n, C, H, W): a window of the images, looked up between pixels."""
    top, left, height, width = window
    cut = images[..., top : top + height, left : left + width]
    size = (images.shape[-2], images.shape[-1])
    return cut if (height, width) == size else F.interpolate(cut, size=size, mode="bilinear", align_corners=False)


def _fixed(told: Sequence[str], changes: Sequence[Callable[[Tensor], Tensor]]) -> Planned:
    """The image as it is, then each change of it."""
    every = [lambda some: some, *changes]
    return Planned(
        (AS_IT_IS, *told),
        lambda images, numbers: torch.stack([every[number](images) for number in numbers.tolist()]),
    )
