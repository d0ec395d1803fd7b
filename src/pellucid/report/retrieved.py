"""Pictures that were found for a picture: the one asked about, and the others in the order they were found."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from .blocks import checked_uri


@dataclass(frozen=True)
class Picture:
    """A picture, and what is known of it."""

    picture: str  # data URI; "" where it could not be read
    name: str
    text: str  # a word or two
    is_marked: bool = False  # such as of the class asked for


def retrieved(entries: Sequence[tuple[Picture, Sequence[Picture]]]) -> Markup:
    """Pictures asked about, each with those that were found.

    Args:
        entries: (asked about, those found, the best first).
    """
    inside = Markup("").join(
        Markup('<li><div class="query">{}</div><ol>{}</ol></li>').format(
            _figure(asked), Markup("").join(Markup("<li>{}</li>").format(_figure(one)) for one in found)
        )
        for asked, found in entries
    )
    return Markup('<ul class="retrieved">{}</ul>').format(inside)


def _figure(one: Picture) -> Markup:
    drawn = (
        Markup('<img src="{}" alt="{}" loading="lazy">').format(checked_uri(one.picture), one.name)
        if one.picture
        else Markup('<span class="gone">not to be read</span>')
    )
    css = Markup(' class="marked"') if one.is_marked else Markup("")
    return Markup("<figure{}>{}<figcaption><b>{}</b> <span>{}</span></figcaption></figure>").format(
        css, drawn, one.name, one.text
    )
