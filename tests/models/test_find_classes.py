import pytest
from torch import nn

from pellucid.models import Model, find_classes

MODEL = Model(
    nn.Flatten(),
    mean=[0.0],
    std=[1.0],
    classes=["tabby, tabby cat", "crane", "dog", "crane"],
    class_ids=["n1", "n2", "n3", "n4"],
    size=2,
)


@pytest.mark.parametrize(
    ("words", "found"),
    [("Dog", [2]), ("tabby cat", [0]), ("tabby, tabby cat", [0]), ("dog,n4", [2, 3]), ("3, 1,3", [3, 1]), ("n2", [1])],
)
def test_words_are_names_keys_or_numbers(words: str, found: list[int]) -> None:
    assert find_classes(MODEL, words) == found


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("crane", r"'crane' names 2 classes, give one of the numbers \[1, 3\]"),
        ("dig", r"'dig' is no class of the model \(not in 0\.\.3\); did you mean dog"),
        ("4", r"'4' is no class of the model \(not in 0\.\.3\)"),
        (" , ", "target must name a class"),
    ],
)
def test_other_words_are_refused(words: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_classes(MODEL, words)
