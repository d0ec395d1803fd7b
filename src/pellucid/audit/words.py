"""Numbers as the page says them."""

from pellucid.metrics import Interval

FULL_MATRIX = 20
"""Up to this many classes are shown one by one."""


def percent(share: float) -> str:
    """A share as a percentage with one decimal."""
    return f"{100 * share:.1f} %"


def within(share: Interval) -> str:
    """The interval of a share, for a sentence."""
    return f"95 % interval {percent(share.low)} to {percent(share.high)}"


def spanned(share: Interval) -> str:
    """A share and its interval, for a table."""
    return f"{percent(share.value)} ({100 * share.low:.1f} to {100 * share.high:.1f})"


def measured(number: Interval, digits: int = 3) -> str:
    """A number and its interval, for a table."""
    return f"{number.value:.{digits}f} ({number.low:.{digits}f} to {number.high:.{digits}f})"


def signed(number: float, digits: int) -> str:
    """A number with its sign, a typographer's minus where it is negative."""
    return f"{number:+.{digits}f}".replace("-", "−")


def shifted_by(number: Interval, digits: int = 3) -> str:
    """A difference and its interval, all with their signs."""
    low, high = signed(number.low, digits), signed(number.high, digits)
    return f"{signed(number.value, digits)} ({low} to {high})"


def ends(number: Interval) -> dict[str, float]:
    """A number and its interval, for `summary.json`."""
    return {"value": number.value, "low": number.low, "high": number.high}


def certain(confidence: float) -> str:
    """A probability, to as many digits as tell it from 1."""
    if confidence >= 1:
        return "1"
    return f"{confidence:.3f}" if confidence < 0.9995 else f"1 − {1 - confidence:.1g}"


def counted(images: int) -> str:
    """A number of images in words."""
    return "1 image" if images == 1 else f"{images:,} images"
