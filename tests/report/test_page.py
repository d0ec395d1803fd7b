import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from markupsafe import Markup

from pellucid import report
from pellucid.metrics import reliability
from pellucid.records import record
from pellucid.report import Fact, Section

EVIL = "<script>alert(1)</script>\"'&"


class Parsed(HTMLParser):
    """Elements and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


NOTHING = Markup("")


def page(body: Markup = NOTHING) -> str:
    made = record("audit", options={"x": EVIL}, model={"spec": EVIL})
    return report.page(EVIL, EVIL, [Fact(EVIL, EVIL, EVIL)], [Section("a", EVIL, EVIL, body)], made)


def evil_body() -> Markup:
    uri = report.data_uri(np.zeros((2, 2, 3), dtype=np.uint8))
    return (
        report.table([EVIL], [[EVIL]], EVIL)
        + report.grid([EVIL, EVIL], [[1, 2], [3, 4]], EVIL)
        + report.cards([(EVIL, EVIL, EVIL)])
        + report.gallery([(EVIL, EVIL, [[(uri, EVIL)]])])
        + report.definitions({EVIL: EVIL})
        + report.details(EVIL, report.notice(EVIL))
        + report.plain_list([EVIL])
        + report.reliability_diagram(reliability(torch.rand(9), torch.rand(9) > 0.5), EVIL)
        + report.histogram({EVIL: [0.1, 0.2], "b": []}, EVIL, EVIL)
    )


def test_every_string_is_escaped() -> None:
    parsed = Parsed(page(evil_body()))
    assert "script" not in parsed.tags
    assert parsed.text.count("alert(1)") > 15
    assert not [a for a in parsed.attributes if a[1].startswith("on")]


def test_the_page_needs_nothing_from_elsewhere() -> None:
    for tag, name, value in Parsed(page(evil_body())).attributes:
        if name in {"src", "href", "xlink:href"} and value:
            assert value.startswith(("data:", "#")), (tag, name, value)
    text = page()
    assert "url(http" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text


def test_headings_language_and_labels_are_there() -> None:
    parsed = Parsed(page(evil_body()))
    assert ("html", "lang", "en") in parsed.attributes
    assert parsed.tags.count("h1") == 1
    assert {"main", "nav", "header"} <= set(parsed.tags)
    assert all(value for tag, name, value in parsed.attributes if (tag, name) == ("img", "alt"))
    assert parsed.tags.count("img") == sum((tag, name) == ("img", "alt") for tag, name, _ in parsed.attributes)
    figures = [value for tag, name, value in parsed.attributes if (tag, name) == ("svg", "aria-label")]
    assert len(figures) == parsed.tags.count("svg") == 2
    assert all(figures)


def test_ids_are_unique_and_references_lead_somewhere() -> None:
    parsed = Parsed(page(evil_body()))
    ids = [value for _, name, value in parsed.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    for _, name, value in parsed.attributes:
        if name in {"href", "xlink:href"} and value and value.startswith("#"):
            assert value[1:] in ids


def test_figures_take_their_colours_from_the_page() -> None:
    text = str(report.reliability_diagram(reliability(torch.rand(9), torch.rand(9) > 0.5), "label"))
    assert "var(--ink)" in text
    assert "var(--accent)" in text
    assert not re.search(r"#0[1-9]0", text), "no stand-in colour is left"


def test_a_table_has_headed_rows_and_columns() -> None:
    text = str(report.table(["class", "n"], [["cat", 3]], "counts", numbers=[1]))
    assert '<th scope="col">class</th><th scope="col" class="n">n</th>' in text
    assert '<tr><th scope="row">cat</th><td class="n">3</td></tr>' in text


def test_long_lists_are_cut_with_a_count() -> None:
    assert "<li>… and 5 more</li>" in report.plain_list([str(n) for n in range(12)], most=7)


@pytest.mark.parametrize("uri", ["http://x/y.png", "javascript:alert(1)", "data:text/html,x", "data:image/svg+xml,x"])
def test_only_pictures_inside_the_page_are_shown(uri: str) -> None:
    with pytest.raises(ValueError, match="a picture in a page must be a data URI"):
        report.gallery([("", "", [[(uri, "")]])])
