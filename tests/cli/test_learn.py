"""`pellucid learn`: the list, the steps on the terminal, and the page."""

import json
from pathlib import Path

from pellucid.foundations import lessons
from pellucid.methods import methods, summary

from .calling import Call


def test_without_a_name_it_lists_the_lessons(call: Call) -> None:
    said = call("learn")
    assert (said.code, said.err) == (0, "")
    for name, lesson in methods(lessons).items():
        assert f" {name} " in said.out
        assert summary(lesson) in said.out


def test_every_option_has_a_line(call: Call) -> None:
    said = call("learn", "convolution", "--help")
    assert (said.code, said.err) == (0, "")
    assert "--kernels KERNELS" in said.out
    assert "--seed" not in said.out, "nothing is random in it"
    assert "--seed SEED" in call("learn", "perceptron", "--help").out


def test_the_steps_are_printed_and_nothing_is_written(call: Call, place: Path) -> None:
    said = call("learn", "convolution", "--kernels", "11/00", "--column", "3")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("Convolution by hand\n")
    assert "1·1 + 1·1 + 0·0 + 0·0 = 2" in said.out
    assert list(place.iterdir()) == []


def test_the_page_is_written_and_says_how_it_was_made(call: Call, place: Path) -> None:
    words = ("learn", "perceptron", "--points", "20", "--seed", "4", "-o", "out")
    said = call(*words)
    assert (said.code, said.err) == (0, "")
    assert said.out.endswith(f"\npage: {place / 'out' / 'index.html'}\n")
    assert sorted(path.name for path in (place / "out").iterdir()) == ["index.html", "record.json"]
    told = json.loads((place / "out" / "record.json").read_text())
    assert (told["command"], told["seed"], told["options"]["lesson"], told["options"]["points"]) == (
        "learn",
        4,
        "perceptron",
        20,
    )
    assert "<h1>The perceptron</h1>" in (place / "out" / "index.html").read_text()
    again = call(*words)
    assert (again.code, again.err) == (
        2,
        "pellucid: out exists already; choose another folder, or replace it with --force\n",
    )
    assert call(*words, "--force").code == 0


def test_a_seed_is_the_same_page(call: Call, place: Path) -> None:
    for name in ("one", "two"):
        assert call("learn", "perceptron", "--points", "20", "--seed", "4", "-o", name).code == 0
    one, two = ((place / name / "index.html").read_text().partition('id="record"')[0] for name in ("one", "two"))
    assert one == two


def test_wrong_input_is_one_line(call: Call, place: Path) -> None:
    said = call("learn", "convolution", "--row", "9", "-o", "out")
    assert (said.code, said.out, said.err) == (2, "", "pellucid: row must be in [0, 3], got 9\n")
    assert not (place / "out").exists()
    assert call("learn", "convolutoin").code == 2
    for seed in ("-1", "99999999999999999999"):
        said = call("learn", "perceptron", "--seed", seed)
        assert (said.code, said.err) == (2, f"pellucid: seed must be in [0, 4294967295], got {seed}\n")
