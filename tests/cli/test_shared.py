"""What verbs share."""

from pathlib import Path

import pytest

from pellucid.cli._shared import counted, fresh_stem


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("cat", "cat"),
        ("features.8 unit 3", "features-8-unit-3"),
        ("manifest.json", "manifest-json"),
        ("../é“ü” 猫_1", "é-ü-猫_1"),
        ("e\N{COMBINING ACUTE ACCENT}", "é"),
        ("..", "image"),
        ("x" * 90, "x" * 60),
    ],
)
def test_a_stem_keeps_letters_of_every_alphabet(tmp_path: Path, name: str, stem: str) -> None:
    assert fresh_stem(tmp_path, name) == stem


def test_a_taken_stem_is_numbered_before_its_tail(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert fresh_stem(tmp_path, "a") == "a-1"
    (tmp_path / "a-1.png").touch()
    assert fresh_stem(tmp_path, "a") == "a-2"
    (tmp_path / "a-2.npy").touch()
    assert fresh_stem(tmp_path, "a") == "a-3"
    assert fresh_stem(tmp_path, "a", "-sweep") == "a-sweep"
    (tmp_path / "a-sweep.png").touch()
    assert fresh_stem(tmp_path, "a", "-sweep") == "a-1-sweep"


def test_words_are_counted() -> None:
    assert [counted(n, "picture") for n in (0, 1, 2000)] == ["0 pictures", "1 picture", "2,000 pictures"]
