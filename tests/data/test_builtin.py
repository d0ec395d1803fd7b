"""The digits that ship with scikit-learn."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from pellucid.data import builtin


def test_every_digit_as_scikit_learn_has_it() -> None:
    images, digits = builtin("digits", split="all"), load_digits()
    assert len(images) == 1797
    assert images.targets.tolist() == digits.target.tolist()
    for index in (0, 900, 1796):
        pixels = images.read(index).numpy().astype(float)
        np.testing.assert_allclose(pixels, np.broadcast_to(digits.images[index] * 255 / 16, (3, 8, 8)), atol=0.5)


def test_splits_share_nothing_and_are_stratified() -> None:
    train, test = (builtin("digits", split=split) for split in ("train", "test"))
    files = [{item.file for item in images.items} for images in (train, test)]
    assert not files[0] & files[1]
    assert len(files[0] | files[1]) == 1797
    shares = test.targets.bincount() / (train.targets.bincount() + test.targets.bincount())
    assert ((shares - 0.2).abs() < 0.01).all()


def test_the_split_is_the_seeds() -> None:
    first, again, other = (builtin("digits", seed=seed).items for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_an_item_is_the_same_picture_in_every_split() -> None:
    test, every = builtin("digits"), builtin("digits", split="all")
    item = test.items[17]
    place = [one.file for one in every.items].index(item.file)
    assert (test.read(17) == every.read(place)).all()


@pytest.mark.parametrize(
    ("name", "split", "message"),
    [
        ("digit", "test", r"name must be one of digits, .*, got 'digit'; did you mean digits\?"),
        ("digits", "val", "split must be one of train, test, all, got 'val'"),
    ],
)
def test_refuses(name: str, split: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        builtin(name, split=split)
