"""pellucid predict."""

import json
import os
from pathlib import Path

import pytest
import torch

from pellucid import data, models

from .calling import CLASSES, Call, pictures, zipped


def test_the_table(call: Call, place: Path, model_folder: Path) -> None:
    pictures(place, "a.png", "b.png")
    said = call("predict", model_folder, "b.png", "a.png", "--top", "2")
    assert (said.code, said.err) == (0, "")
    model = models.load(model_folder)
    expected = []
    for file in ("b.png", "a.png"):
        answer = models.predict(model, data.read_image(file, model.geometry), top=2)
        expected.append(file)
        for index, probability in zip(answer.indices[0].tolist(), answer.probabilities[0].tolist(), strict=True):
            expected.append(f"  {100 * probability:6.2f} %  {CLASSES[index]}")
    assert said.out.splitlines() == expected


def test_json_is_what_the_library_says(call: Call, place: Path, model_folder: Path) -> None:
    pictures(place, *(f"{number}.png" for number in range(5)))
    said = call("predict", model_folder, ".", "--json", "--batch-size", "2")
    told = json.loads(said.out)
    assert (said.code, told["format"], told["unreadable"]) == (0, 1, [])
    assert [Path(entry["file"]).name for entry in told["images"]] == [f"{n}.png" for n in range(5)]
    model = models.load(model_folder)
    answer = models.predict(model, torch.cat([data.read_image(f"{n}.png", model.geometry) for n in range(5)]), top=5)
    assert len({row[0] for row in answer.indices.tolist()}) > 1, "the net says different things"
    for row, entry in enumerate(told["images"]):
        assert [one["index"] for one in entry["predictions"]] == answer.indices[row].tolist()
        assert [one["class"] for one in entry["predictions"]] == [CLASSES[i] for i in answer.indices[row].tolist()]
        for key, wanted in (("probability", answer.probabilities), ("logit", answer.logits)):
            found = torch.tensor([one[key] for one in entry["predictions"]])
            torch.testing.assert_close(found, wanted[row], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("x/a.png",), ["x/a.png"]),
        (("x/a.png", "x/a.png"), ["x/a.png"]),
        (("x/*.png",), ["x/a.png", "x/b.png"]),
        (("x",), ["x/a.png", "x/b.png", "x/y/c.png"]),
        (("x/**/c.png", "x/b.png"), ["x/y/c.png", "x/b.png"]),
        (("set.zip",), ["set.zip/q/1.png", "set.zip/q/2.png"]),
        (("set.zip", "x/b.png"), ["set.zip/q/1.png", "set.zip/q/2.png", "x/b.png"]),
    ],
)
def test_files_folders_zips_and_patterns(
    call: Call, place: Path, model_folder: Path, words: tuple[str, ...], names: list[str]
) -> None:
    pictures(place / "x", "a.png", "b.png", "y/c.png")
    zipped(place / "set.zip", "q/1.png", "q/2.png")
    said = call("predict", model_folder, *words, "--json")
    assert said.code == 0
    assert [entry["file"] for entry in json.loads(said.out)["images"]] == names


def test_what_cannot_be_read_is_told_and_the_rest_is_done(call: Call, place: Path, model_folder: Path) -> None:
    pictures(place, "a.png", "c.png")
    (place / "b.png").write_text("no picture")
    said = call("predict", model_folder, "a.png", "b.png", "c.png", "--json")
    assert (said.code, said.err) == (1, "pellucid: b.png: not a picture of a known format\n")
    told = json.loads(said.out)
    assert [entry["file"] for entry in told["images"]] == ["a.png", "c.png"]
    assert told["unreadable"] == [{"file": "b.png", "reason": "not a picture of a known format"}]


def test_a_model_of_few_classes_needs_no_option(call: Call, place: Path) -> None:
    pictures(place, "a.png")
    (place / "pair").mkdir()
    models.save(models.create("digits_cnn", classes=["yes", "no"], width=2), place / "pair")
    said = call("predict", "pair", "a.png", "--json")
    assert (said.code, said.err) == (0, "")
    assert len(json.loads(said.out)["images"][0]["predictions"]) == 2


def test_control_characters_and_odd_names_do_not_reach_the_terminal(
    call: Call, place: Path, model_folder: Path
) -> None:
    names = ["\x1b[31mred\x07.png", "csi\x9b2J.png", "two\nlines.png", "“ä”.png", os.fsdecode(b"caf\xe9.png")]
    pictures(place, *names)
    (place / "\x1b]0;title.png").write_text("no picture")
    words = ("predict", model_folder, *names, "\x1b]0;title.png")
    for said in (call(*words), call(*words, "--json")):
        assert said.code == 1
        assert all(letter.isprintable() or letter == "\n" for letter in said.out + said.err)
        assert said.err == "pellucid: ?]0;title.png: not a picture of a known format\n"
    assert [entry["file"] for entry in json.loads(said.out)["images"]] == names
    assert "?[31mred?.png\n" in call(*words).out
