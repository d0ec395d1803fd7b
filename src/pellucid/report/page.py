"""One self-contained page: no network, no script, dark and light; sections plug in."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from markupsafe import Markup

from pellucid.records import Record


@dataclass(frozen=True)
class Fact:
    """One thing worth knowing."""

    label: str  # what it is about, a word or two
    value: str  # the number or name
    text: str  # the whole sentence


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    key: str  # its anchor, letters and hyphens
    title: str
    lead: str  # one or two sentences that say what to see
    body: Markup


def page(title: str, subtitle: str, facts: Sequence[Fact], sections: Sequence[Section], record: Record) -> str:
    """The whole page as HTML.

    Args:
        title: the heading, also the window's title.
        subtitle: what was asked, of what, when.
        facts: shown first.
        sections: in order; each gets an entry in the contents.
        record: how it was made; printed at the end.
    """
    made: str = _template().render(
        title=title,
        subtitle=subtitle,
        facts=facts,
        sections=sections,
        record=json.dumps(record.json(), indent=1, ensure_ascii=False),
        style=Markup(files("pellucid.report").joinpath("page.css").read_text(encoding="utf-8")),
    )
    return made


@cache
def _template():  # type: ignore[no-untyped-def]  # jinja2 is imported only when a page is made
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(files("pellucid.report").joinpath("page.html").read_text(encoding="utf-8"))
