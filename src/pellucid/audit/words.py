"""Numbers as the page says them."""

FULL_MATRIX = 20
"""Up to this many classes are shown one by one."""


def percent(share: float) -> str:
    """A share as a percentage with one decimal."""
    return f"{100 * share:.1f} %"


def counted(images: int) -> str:
    """A number of images in words."""
    return "1 image" if images == 1 else f"{images:,} images"
