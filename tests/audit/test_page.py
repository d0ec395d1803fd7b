"""The audit's page: every number in it is the audit's own."""

import base64
import re
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from pellucid.audit import Audit, audit
from pellucid.audit.words import percent
from pellucid.data import ImageSet
from pellucid.data.image_set import ClassLabel, Item
from pellucid.data.sources import Array
from pellucid.models import Model

from .sets import CLASSES, MEAN, STD, Linear, image_set, model, some_targets

TARGETS = some_targets(60)


class Tables(HTMLParser):
    """The cells of every table, row by row, under its caption."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.caption, self.cell, self.rows = "", "", list[list[str]]()
        self.feed(page)

    def handle_starttag(self, tag: str, _attributes: object) -> None:
        if tag == "table":
            self.rows = []
        elif tag == "tr":
            self.rows.append([])
        elif tag in {"th", "td", "caption"}:
            self.cell = ""

    def handle_endtag(self, tag: str) -> None:
        if tag in {"th", "td"}:
            self.rows[-1].append(self.cell)
        elif tag == "caption":
            self.tables[self.cell] = self.rows

    def handle_data(self, data: str) -> None:
        self.cell += data


@pytest.fixture(scope="module")
def found() -> Audit:
    return audit(model(), image_set([*TARGETS]), shown=3)


@pytest.fixture(scope="module")
def page(found: Audit) -> str:
    return found.page()


@pytest.fixture(scope="module")
def tables(page: str) -> dict[str, list[list[str]]]:
    return Tables(page).tables


def test_the_matrix_is_the_audits(found: Audit, tables: dict[str, list[list[str]]]) -> None:
    head, *rows = tables["Images by true class (rows) and predicted class (columns)"]
    seen = ((found.confusion.sum(dim=0) + found.confusion.sum(dim=1)) > 0).nonzero()[:, 0].tolist()
    assert head[1:] == [row[0] for row in rows] == [CLASSES[index] for index in seen]
    assert [[int(cell) for cell in row[1:]] for row in rows] == found.confusion[seen][:, seen].tolist()


def test_every_class_has_its_row_weakest_first(found: Audit, tables: dict[str, list[list[str]]]) -> None:
    head, *rows = tables["Every class, weakest first"]
    assert head == ["class", "F1", "precision", "recall", "images", "predicted"]
    assert [float(row[1]) for row in rows] == sorted(float(row[1]) for row in rows)
    assert {row[0] for row in rows} == {CLASSES[target] for target in TARGETS}
    score = found.per_class
    for name, *numbers in rows:
        index = CLASSES.index(name)
        shares = [f"{float(column[index]):.3f}" for column in (score.f1, score.precision, score.recall)]
        assert numbers == [*shares, str(int(score.support[index])), str(int(score.predicted[index]))]


def test_confusions_are_listed_strongest_first(found: Audit, tables: dict[str, list[list[str]]]) -> None:
    _, *rows = tables["The strongest confusions"]
    counts = [int(row[2]) for row in rows]
    assert counts == sorted(counts, reverse=True)
    for true, taken, count, share in rows:
        a, b = CLASSES.index(true), CLASSES.index(taken)
        assert a != b
        assert int(count) == int(found.confusion[a, b])
        assert share == percent(int(count) / TARGETS.count(a))


def test_the_cards_and_facts_say_the_summarys_numbers(found: Audit, page: str) -> None:
    for label in (
        f"Accuracy (top 1): {percent(found.top1.value)}",
        f"Accuracy (top 5): {percent(found.top5.value)}",
        f"Loss: {found.loss:.3f}",
        f"F1, macro: {found.per_class.macro_f1:.3f}",
        f"F1, weighted: {found.per_class.weighted_f1:.3f}",
        f"ECE: {found.ece:.4f}",
        f"Brier score: {found.brier:.4f}",
    ):
        assert f'aria-label="{label}"' in page
    for fact in found.facts:
        assert f"<span>{fact.text}</span>" in page
    assert '"seed": 0' in page.replace("&#34;", '"')


def test_pictures_are_the_models_own_and_captions_say_what_they_are(found: Audit, page: str) -> None:
    one = found.shown.mistakes[0]
    section = page.partition('<section id="mistakes"')[2].partition("</section>")[0]
    uri = re.findall(r'src="data:image/png;base64,([^"]+)" alt="what the model sees, of ([^"]+)"', section)[0]
    assert uri[1] == found.predictions.files[one.row]
    with Image.open(BytesIO(base64.b64decode(uri[0]))) as picture:
        drawn = np.asarray(picture.convert("L").resize((8, 8), Image.Resampling.NEAREST))
    np.testing.assert_array_equal(drawn, (one.image[0] * 255).round().numpy())
    predicted, target = (
        CLASSES[int(index[one.row])] for index in (found.predictions.predicted, found.predictions.targets)
    )
    sure = percent(float(found.predictions.confidence[one.row]))
    assert f"<h4>says “{predicted}”, {sure} sure; labelled “{target}”</h4>" in section
    assert f"Saliency for “{predicted}”" in section
    assert f"Saliency for “{target}”" in section


def test_many_classes_get_a_list_instead_of_a_matrix() -> None:
    names = [f"kind {index}" for index in range(30)]
    network = Linear()
    network.weight.data = network.weight.data.repeat(4, 1)[:30] * 1.0
    many = Model(network.eval(), mean=[MEAN], std=[STD], classes=names, size=8)
    items = tuple(Item(f"{i}.png", i % 30, str(i)) for i in range(60))
    pixels = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    images = ImageSet("memory", tuple(map(ClassLabel, names)), items, (Array(pixels),))
    tables = Tables(audit(many, images, shown=0).page()).tables
    assert not [caption for caption in tables if caption.startswith("Images by true class")]
    assert len(tables["The 10 weakest classes"]) == 11
    assert len(tables["Every class, weakest first"]) == 31
    assert len(tables["The strongest confusions"]) == 21


def test_the_page_says_which_class_is_which(found: Audit, page: str) -> None:
    assert len(found.matches) > 1
    assert "Which class of the model each class of the pictures is taken to be" in page
    for match in found.matches:
        assert f"<td>{found.classes[match.index]}</td>" in page
        assert f"<td>{match.by}</td>" in page
