"""Numbers as the page says them."""

FULL_MATRIX = 20
"""Up to this many classes are shown one by one."""


def percent(share: float) -> str:
    """A share as a percentage with one decimal."""
    return f"{100 * share:.1f} %"


def counted(images: int) -> str:
    """A number of images in words."""
    return "1 image" if images == 1 else f"{images:,} images"


def size_of(epsilon: float) -> str:
    """A change in image units as people write it: 0.5/255."""
    return f"{255 * epsilon:.3g}/255" if epsilon else "0"
