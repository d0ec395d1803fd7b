"""Which output of a model a class of the set is."""

from pathlib import Path

import pytest

from pellucid.data import ClassLabel, ClassMatch, ImageSet, Item, class_matches, match_classes, read_class_map

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


def folders(*names: str) -> ImageSet:
    return labelled(*(ClassLabel(name, "", int(name)) for name in names))


def test_it_is_told_what_each_class_was_matched_by() -> None:
    labels = [ClassLabel("tench", "", 0), ClassLabel("", "n02"), ClassLabel("crane", "", 2), ClassLabel("x", "", 3)]
    assert class_matches(labelled(*labels), CLASSES, IDS, {"x": 3}) == [
        ClassMatch("tench", 0, "name", 0),
        ClassMatch("n02", 1, "key", 1),
        ClassMatch("crane", 2, "number", 2),
        ClassMatch("x", 3, "map", 3),
    ]
    assert class_matches(labelled(ClassLabel("unused"), used=0), CLASSES) == []


def test_padded_numbers_are_numbers() -> None:
    found = class_matches(folders("000", "001", "010"), [f"sign {i}" for i in range(43)])
    assert [(match.label, match.index, match.by) for match in found] == [
        ("000", 0, "number"),
        ("001", 1, "number"),
        ("010", 10, "number"),
    ]


def test_numbers_are_all_names_or_all_numbers() -> None:
    names = [str(number) for number in range(1, 11)]
    every = class_matches(folders(*map(str, range(10))), names)
    assert [(match.index, match.by) for match in every] == [(index, "number") for index in range(10)]
    later = class_matches(folders("1", "2", "9"), names)
    assert [(match.index, match.by) for match in later] == [(0, "name"), (1, "name"), (8, "name")]
    double = class_matches(folders("1", "2"), ["2", "1", "1"])
    assert [(match.index, match.by) for match in double] == [(1, "number"), (2, "number")]


def test_numbers_stay_all_of_one_kind_beside_a_class_map() -> None:
    images = labelled(ClassLabel("0", "", 0), ClassLabel("1", "", 1), ClassLabel("other"))
    found = class_matches(images, ["zero", "one", "rest"], class_map={"other": "rest"})
    assert [match.by for match in found] == ["number", "number", "map"]


@pytest.mark.parametrize(
    ("wrong", "ids"),
    [
        (ClassLabel("goldfish", "", 3), ()),  # its name says 1
        (ClassLabel("oak", "n02", 3), IDS),  # its key says 1
        (ClassLabel("goldfish", "n02", 3), IDS),
        (ClassLabel("tench", "n02", 1), IDS),  # its name says 0
        (ClassLabel("crane", "", 3), ()),  # neither of the two
    ],
)
def test_one_contradiction_and_no_number_counts(wrong: ClassLabel, ids: list[str]) -> None:
    agreeing = [ClassLabel("tench", "", 0), ClassLabel("golden retriever", "", 3), ClassLabel("tinca tinca", "", 0)]
    unknown = ClassLabel("heron", "", 4)
    assert class_matches(labelled(*agreeing, unknown), CLASSES, ids)[3] == ClassMatch("heron", 4, "number", 3)
    with pytest.raises(ValueError, match="'heron'"):
        class_matches(labelled(*agreeing, wrong, unknown), CLASSES, ids)


def test_a_class_map_against_the_numbers_is_a_contradiction() -> None:
    images = labelled(ClassLabel("tench", "", 0), ClassLabel("oak", "", 2), ClassLabel("heron", "", 4))
    assert class_matches(images, CLASSES, class_map={"oak": 2})[2].by == "number"
    with pytest.raises(ValueError, match=r"1 of 3 .*'heron'"):
        class_matches(images, CLASSES, class_map={"oak": 3})


def test_half_of_the_classes_must_be_known_for_the_rest_to_go_by_number() -> None:
    known, unknown = ClassLabel("tench", "", 0), [ClassLabel("heron", "", 4), ClassLabel("carp", "", 1)]
    assert class_matches(labelled(known, unknown[0]), CLASSES)[1].by == "number"
    with pytest.raises(ValueError, match="2 of 3 classes"):
        class_matches(labelled(known, *unknown), CLASSES)


def test_unknown_keys_are_never_matched_by_rank() -> None:
    ranked = [ClassLabel("", key, index) for index, key in enumerate(["n01", "n02", "n77"])]
    with pytest.raises(ValueError, match=r"1 of 3 .*'n77'"):
        class_matches(labelled(*ranked), CLASSES, IDS)
    with pytest.raises(ValueError, match=r"3 of 3 .*'n01', 'n02', 'n77'"):
        class_matches(labelled(*ranked), CLASSES)


def test_names_that_differ_in_case_only_are_told_apart() -> None:
    assert match_classes(labelled(ClassLabel("A"), ClassLabel("a")), ["a", "A"]).tolist() == [1, 0]


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
