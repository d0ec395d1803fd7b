"""Which output of a model a class of the set is."""

from pathlib import Path

import pytest

from pellucid.data import ClassLabel, ImageSet, Item, match_classes, read_class_map

CLASSES = ["tench, Tinca tinca", "goldfish", "crane", "golden_retriever", "crane"]
IDS = ["n01", "n02", "n03", "n04", "n05"]


def labelled(*labels: ClassLabel, used: int | None = None) -> ImageSet:
    """A set with one picture of each of the first `used` classes."""
    count = len(labels) if used is None else used
    return ImageSet("set", labels, tuple(Item(f"{i}.png", i, f"{i}.png") for i in range(count)), ())


def test_a_key_goes_over_a_name_and_a_name_over_a_number() -> None:
    images = labelled(ClassLabel("goldfish", "n04", 0), ClassLabel("tench", "", 1), ClassLabel("unused"), used=2)
    assert match_classes(images, CLASSES, IDS).tolist() == [3, 0, -1]


@pytest.mark.parametrize("name", ["Golden Retriever", "golden-retriever", "GOLDEN_RETRIEVER", " golden  retriever "])
def test_case_spaces_hyphens_and_underscores_do_not_matter(name: str) -> None:
    assert match_classes(labelled(ClassLabel(name)), CLASSES).tolist() == [3]


@pytest.mark.parametrize("name", ["tench", "Tinca tinca", "tench, tinca tinca"])
def test_any_synonym_matches(name: str) -> None:
    assert match_classes(labelled(ClassLabel(name)), CLASSES).tolist() == [0]


def test_an_ambiguous_name_matches_nothing() -> None:
    with pytest.raises(ValueError, match=r"1 of 1 classes are not among the model's 5: 'crane'; did you mean crane"):
        match_classes(labelled(ClassLabel("crane")), CLASSES)


def test_an_ambiguous_name_is_settled_by_key_or_by_number() -> None:
    assert match_classes(labelled(ClassLabel("crane", "n05")), CLASSES, IDS).tolist() == [4]
    numbered = [ClassLabel("tench", "", 0), ClassLabel("crane", "", 2), ClassLabel("crane", "", 4)]
    with_names = [*numbered, ClassLabel("goldfish", "", 1)]  # two of four names are known, and say the same
    assert match_classes(labelled(*with_names), CLASSES).tolist() == [0, 2, 4, 1]


def test_numbers_alone_are_the_models() -> None:
    assert match_classes(labelled(ClassLabel("3", "", 3), ClassLabel("", "", 0)), CLASSES).tolist() == [3, 0]


def test_numbers_whose_names_disagree_are_refused() -> None:
    labels = [ClassLabel("goldfish", "", 0), ClassLabel("tench", "", 1), ClassLabel("crane", "", 2)]
    with pytest.raises(ValueError, match="1 of 3 classes are not among the model's 5: 'crane'"):
        match_classes(labelled(*labels), CLASSES)


def test_numbers_beside_names_the_model_does_not_know_are_refused() -> None:
    labels = [ClassLabel("oak", "", 0), ClassLabel("elm", "", 1)]
    with pytest.raises(ValueError, match="2 of 2 classes are not among the model's 5: 'oak', 'elm'"):
        match_classes(labelled(*labels), CLASSES)


@pytest.mark.parametrize("index", [5, 10**9])
def test_a_number_past_the_models_last_is_refused(index: int) -> None:
    with pytest.raises(ValueError, match=f"'{index}'"):
        match_classes(labelled(ClassLabel(str(index), "", index)), CLASSES)


def test_a_class_without_key_does_not_match_an_output_without_key() -> None:
    assert match_classes(labelled(ClassLabel("goldfish")), CLASSES, ["", "", "", "", ""]).tolist() == [1]


def test_a_class_without_pictures_need_not_match() -> None:
    images = labelled(ClassLabel("goldfish"), ClassLabel("unknown"), used=1)
    assert match_classes(images, CLASSES).tolist() == [1, -1]


def test_only_ten_missing_classes_are_named_with_what_is_near_and_the_remedy() -> None:
    labels = [ClassLabel("goldfisch"), *(ClassLabel(f"x{i}") for i in range(11))]
    with pytest.raises(ValueError, match=r"12 of 12 classes") as caught:
        match_classes(labelled(*labels), CLASSES)
    message = str(caught.value)
    assert "'x8' and more; did you mean goldfish" in message
    assert "'x9'" not in message
    assert "--class-map FILE" in message
    assert "\n" not in message


def test_a_class_map_goes_over_everything() -> None:
    images = labelled(ClassLabel("goldfish", "n02", 1), ClassLabel("bird", "", 7), ClassLabel("", "n77"))
    table: dict[str, str | int] = {"goldfish": "tench", "bird": 4, "n77": "n03"}
    assert match_classes(images, CLASSES, IDS, table).tolist() == [0, 4, 2]


def test_a_class_map_to_nowhere_is_refused() -> None:
    for value in ("goldfisch", 5, "-1"):
        with pytest.raises(ValueError, match=rf"class map: '{value}' \(for bird\) is not a class of the model"):
            match_classes(labelled(ClassLabel("bird")), CLASSES, class_map={"bird": value})


def test_a_class_map_for_none_is_not_for_every_class_without_number() -> None:
    images = labelled(ClassLabel("goldfish"))
    assert match_classes(images, CLASSES, class_map={"None": "tench"}).tolist() == [1]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("map.json", '{"a": "b", "c d": "7"}'),
        ("map.csv", "a,b\n\nc d , 7\n"),
        ("map.csv", "\ufeffa,b\r\nc d,7\r\n"),
        ("map.txt", 'a,b\n"c d",7'),
    ],
)
def test_a_class_map_is_read(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(text.encode())
    assert read_class_map(tmp_path / name) == {"a": "b", "c d": "7"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("map.json", b"{", r"map\.json: not JSON"),
        ("map.json", b"[" * 100_000, r"map\.json: not JSON"),
        ("map.json", b"[1]", "must be a JSON object"),
        ("map.json", b'{"a": [1]}', "must be a JSON object"),
        ("map.csv", b"", "line 1: must have two columns"),
        ("map.csv", b"a,b\nc\n", "line 2: must have two columns"),
        ("map.csv", b"a,b,c\n", "line 1: must have two columns"),
        ("map.csv", b"a," + b"x" * 200_000, "not a CSV table"),
        ("map.csv", b"a,\xff", "cannot be read as text"),
        (".", None, "cannot be read as text"),
        ("none.csv", None, "cannot be read as text"),
    ],
)
def test_a_bad_class_map_is_refused_in_one_line(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_class_map(tmp_path / name)
    assert "\n" not in str(caught.value)
