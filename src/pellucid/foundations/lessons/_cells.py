"""Cells of a lesson's tables, and numbers as people write them."""

from markupsafe import Markup


def share(value: float) -> str:
    """A share as a percentage."""
    return f"{100 * value:.1f} %"


def kept(text: str) -> Markup:
    """A name that no narrow column breaks."""
    return Markup('<span style="white-space: nowrap">{}</span>').format(text.replace("_", " "))


def broad(text: str) -> Markup:
    """A formula or a sentence, which a narrow page scrolls to instead of breaking it letter by letter."""
    return Markup('<span style="display: inline-block; min-width: 11rem">{}</span>').format(text)


def apart(difference: float) -> str:
    """How far two ways of the same sum are apart."""
    return f"{difference:.0e} apart" if difference else "equal to the last digit"
