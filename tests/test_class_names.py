import pytest

from pellucid.class_names import ClassTable

TABLE = ClassTable(
    ["tench, Tinca tinca", "crane", "great_white-shark", "crane", "7"], ["n01", "n02", "n03", "n04", "n05"]
)


@pytest.mark.parametrize(
    ("word", "index"),
    [
        ("n03", 2),
        ("Great White  Shark", 2),
        ("tinca tinca", 0),
        ("tench, tinca TINCA", 0),
        ("3", 3),
        ("7", 4),  # a name before a number
        ("crane", None),  # two of them
        ("5", None),
        ("-1", None),
        ("", None),
        ("²", None),
    ],
)
def test_a_word_means_one_class_or_none(word: str, index: int | None) -> None:
    assert TABLE.find(word) == index


@pytest.mark.parametrize(("word", "index"), [("a", 0), ("A", 1), (" A ", 1), ("b-c", 2), ("B C", None), ("b_c", 3)])
def test_the_exact_spelling_goes_before_another(word: str, index: int | None) -> None:
    assert ClassTable(["a", "A", "b-c", "x, b_c"]).find(word) == index
