"""The two layouts of a network: for small images, up to 64 x 64, and for large ones; and what its strides ask for."""

from collections.abc import Mapping

from pellucid.checks import check_count

LARGEST_SMALL = 64
"""Images up to this side take the 32 layout, larger ones the 224 layout."""

MAX_SIDE = 16384


def takes_small(name: str, size: int, *, layouts: tuple[int, ...] = (32, 224)) -> bool:
    """Whether images of a size take the 32 layout of an architecture.

    Args:
        name: the architecture, for the refusal.
        size: side of the images.
        layouts: those it has, of 32 and 224.

    Raises:
        ValueError: the architecture has no layout for such images.
    """
    check_count("size", size, 1, MAX_SIDE)
    is_small = size <= LARGEST_SMALL
    if (32 if is_small else 224) not in layouts:
        remedy = f"larger than {LARGEST_SMALL}" if is_small else f"of at most {LARGEST_SMALL}"
        raise ValueError(f"{name} has no layout for {size} x {size} images: bring them to a side {remedy}")
    return is_small


def check_strides(name: str, size: int, strides: Mapping[str, int]) -> None:
    """Refuse images too small for the strides, naming where they collapse.

    Args:
        name: the architecture, for the refusal.
        size: side of the images.
        strides: what the side was divided by behind each named part, in order.
    """
    for where, stride in strides.items():
        if size < stride:
            least = max(strides.values())
            raise ValueError(
                f"{name} at {size} x {size} collapses in {where}: give images of at least {least} x {least}"
            )


def check_fixed(name: str, size: int, side: int, remedy: str) -> None:
    """Refuse any size but one, where a fully connected head takes maps of one size only."""
    if size != side:
        raise ValueError(
            f"{name} takes {side} x {side} images there, for its fully connected layers look at every position alone, "
            f"got size {size}: {remedy}"
        )
