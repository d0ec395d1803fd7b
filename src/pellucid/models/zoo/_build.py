"""Build a network of the zoo by name, and say how it is fed."""

import inspect
import sys
import typing
import warnings
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from torch import nn

from pellucid.checks import check_range, near

from ._layout import LARGEST_SMALL, MAX_SIDE

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
CIFAR10 = {"mean": (0.4914, 0.4822, 0.4465), "std": (0.2470, 0.2435, 0.2616)}
"""Statistics of the training images, by which a network is fed when its file says nothing else."""

DOORS = frozenset({"build", "from_torchvision"})
"""What the face lists besides architectures."""


def names() -> list[str]:
    """Every architecture of the zoo."""
    return sorted(name for name in _face().__all__ if name not in DOORS)


def build(name: str, /, *, classes: int, size: int | None = None, channels: int = 3, **arguments: Any) -> nn.Module:
    """A freshly initialised network of the zoo; it has `stages`, names of its last maps of each side, and `head`.

    Warns where the size is none that the network was laid out for, though it takes it.

    Args:
        name: one of the zoo's architectures.
        classes: number of outputs, 1 to 1,000,000.
        size: side of its images; up to 64 the 32 layout is taken, beyond it the 224 layout. None takes its own.
        channels: of its images, 1 to 1024.
        arguments: further arguments of the architecture, such as width.

    Raises:
        ValueError: unknown architecture or argument, or a value of another kind or out of range.
    """
    given = {"classes": classes, "channels": channels, **arguments}
    network = construct(name, given if size is None else {**given, "size": size})
    own = getattr(module_of(name), "SIZES", (32, 224))
    if size is not None and size not in own and size != default(name, "size"):
        layout = 32 if size <= LARGEST_SMALL else 224
        warnings.warn(
            f"{name} was not laid out for {size} x {size} images: it takes them as it does {layout} x {layout} ones",
            stacklevel=2,
        )
    return network


def construct(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """A network from its name and arguments, all of them checked; never warns.

    Raises:
        ValueError: unknown architecture or argument, or a value of another kind or out of range.
    """
    accepted = inspect.signature(architecture(name)).parameters
    unknown = sorted(set(arguments) - set(accepted))
    if unknown:
        choices = ", ".join(accepted)
        raise ValueError(f"{name} has no argument {unknown[0]!r}; it takes {choices}{near(unknown[0], accepted)}")
    for key, value in arguments.items():
        _check_kind(key, value, accepted[key].annotation)
    check_range("classes", arguments.get("classes", 1), 1, 1_000_000)
    check_range("channels", arguments.get("channels", 1), 1, 1024)
    check_range("size", arguments.get("size", 1), 1, MAX_SIDE)
    return architecture(name)(**arguments)


def architecture(name: str) -> Callable[..., nn.Module]:
    """The function that builds an architecture.

    Raises:
        ValueError: the zoo has none of that name; names the nearest.
    """
    if name not in names():
        hint = near(name, names(), 3)
        raise ValueError(f"architecture must be one of the zoo's (pellucid zoo lists them), got {name!r}{hint}")
    made: Callable[..., nn.Module] = getattr(_face(), name)
    return made


def module_of(name: str) -> ModuleType:
    """The file of an architecture."""
    return sys.modules[architecture(name).__module__]


def default(name: str, argument: str) -> Any:
    """What an argument of an architecture is when it is not given."""
    return inspect.signature(architecture(name)).parameters[argument].default


def fed(name: str, *, size: int | None = None, channels: int | None = None) -> dict[str, Any]:
    """How pictures are brought to a network: size, resize, and mean and std per channel.

    Its file's INPUT says it; what that leaves open is ImageNet's way for large images, CIFAR-10's for small ones. With
    other than the usual channels the first channel's numbers hold for all.

    Args:
        name: one of the zoo's architectures.
        size: side of its images; None takes its own.
        channels: of its images; None takes the usual ones.
    """
    size = default(name, "size") if size is None else size
    is_small = size <= LARGEST_SMALL
    stated = getattr(module_of(name), "INPUT", {})
    told = {
        "size": size,
        **({} if is_small else {"resize": round(size * 256 / 224)}),
        **(CIFAR10 if is_small else IMAGENET),
        **{key: stated[key] for key in ("mean", "std") if key in stated},
    }
    channels = default(name, "channels") if channels is None else channels
    if channels != len(told["mean"]):
        told |= {key: told[key][:1] * channels for key in ("mean", "std")}
    return told


def _check_kind(name: str, value: Any, annotation: Any) -> None:
    kinds = set(typing.get_args(annotation) or (annotation,))
    if value is None and type(None) in kinds:
        return
    if bool in kinds:
        if not isinstance(value, bool):
            raise ValueError(f"{name} must be true or false, got {value!r}")
    elif str in kinds:
        if not isinstance(value, str):
            raise ValueError(f"{name} must be a word, got {value!r}")
    elif isinstance(value, bool) or not isinstance(value, int | float if float in kinds else int):
        raise ValueError(f"{name} must be a {'' if float in kinds else 'whole '}number, got {value!r}")


def _face() -> ModuleType:
    from pellucid.models import zoo

    return zoo
