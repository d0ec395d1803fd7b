"""What every lesson promises, asked of each on the face."""

import pkgutil
import re
from html.parser import HTMLParser
from time import perf_counter
from typing import Any

import pytest
import torch

from pellucid.foundations import Lesson, lessons
from pellucid.methods import Method, methods, options, summary, taken
from pellucid.records import record

each = pytest.mark.parametrize("lesson", methods(lessons).values(), ids=list(methods(lessons)))

QUICK: dict[str, dict[str, Any]] = {
    "mlp": {"epochs": 6},
    "svm": {"repeats": 1},
    "two_moons": {"epochs": 5, "count": 40, "samples": 4},
}
"""Options that make a costly lesson cheap here."""


class Drawn(HTMLParser):
    """Ids, figures with their labels, and what can be read."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.labels: list[str] = []
        self.words = ""
        self.feed(re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.ids += [told["id"] or ""] if "id" in told else []
        if tag == "svg":
            assert told.get("role") == "img"
            self.labels.append(told.get("aria-label") or "")

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.fixture(scope="module")
def taught() -> dict[str, Lesson]:
    """Each lesson once, by name, as it is asked for."""
    return {}


def asked(lesson: Method, taught: dict[str, Lesson]) -> Lesson:
    name = lesson.__name__
    if name not in taught:
        given = taken(lesson, {"generator": torch.Generator().manual_seed(3)})
        taught[name] = lesson(**QUICK.get(name, {}), **given)
    return taught[name]


def drawn(lesson: Lesson) -> Drawn:
    return Drawn(lesson.page(record("learn", options={}, model={})))


def test_the_face_is_the_folder() -> None:
    modules = sorted(m.name for m in pkgutil.iter_modules(lessons.__path__) if m.name[0] != "_")
    assert list(lessons.__all__) == sorted(lessons.__all__) == modules


@each
def test_it_takes_seconds_and_leaves_the_global_seed(lesson: Method, taught: dict[str, Lesson]) -> None:
    before, begun = torch.random.get_rng_state(), perf_counter()
    assert isinstance(asked(lesson, taught), Lesson)
    assert perf_counter() - begun < 30
    assert torch.equal(torch.random.get_rng_state(), before)


@each
def test_every_option_is_told_and_has_a_default(lesson: Method) -> None:
    assert len(summary(lesson)) <= 119
    for option in options(lesson):
        assert 10 < len(option.told) <= 119
        assert option.annotation in {int, float, bool, str, int | None, float | None, str | None}
        assert isinstance(option.default, option.annotation)


@each
def test_it_says_something_worth_knowing_in_steps(lesson: Method, taught: dict[str, Lesson]) -> None:
    found = asked(lesson, taught)
    assert found.steps
    assert found.facts
    assert found.sections
    assert all(one.label and one.value and one.text for one in found.facts)
    assert all(one.title and one.lead for one in found.sections)
    assert len({one.key for one in found.sections} | {"steps", "record"}) == len(found.sections) + 2
    text = found.text()
    assert text.startswith(f"{found.title}\n{found.lead}\n\n1. ")
    assert not [line for line in text.splitlines() if line != line.rstrip()]
    assert max(map(len, text.splitlines())) < 200


@each
def test_its_figures_are_labelled_and_nothing_is_missing(lesson: Method, taught: dict[str, Lesson]) -> None:
    found = drawn(asked(lesson, taught))
    assert found.labels
    assert all(len(label) > 10 for label in found.labels)
    assert len(found.ids) == len(set(found.ids)), "ids are each used once"
    assert not re.search(r"\b(nan|NaN|inf|None|tensor)\b", found.words)


@each
def test_no_stand_in_colour_is_left(lesson: Method, taught: dict[str, Lesson]) -> None:
    page = asked(lesson, taught).page(record("learn", options={}, model={}))
    assert not re.search(r"#0[1-9]0|#0a0b0c|#000000", page)
    assert "://" not in re.sub(r'xmlns(:xlink)?="[^"]*"', "", page)
