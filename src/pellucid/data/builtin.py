"""Data sets that come with the installed packages: no file and no network needed."""

import numpy as np

from pellucid.checks import check_choice

from .image_set import ClassLabel, ImageSet, Item
from .sources import Array


def builtin(name: str, *, split: str = "test", seed: int = 0) -> ImageSet:
    """An embedded data set, split by class: four fifths train, one fifth test.

    Args:
        name: digits (scikit-learn's 1,797 handwritten digits, 8x8 gray, 10 classes).
        split: train, test or all.
        seed: of the split.

    Returns:
        The set; files are named by position in the original order, so splits never share one.
    """
    check_choice("name", name, ["digits"])
    check_choice("split", split, ["train", "test", "all"])
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)  # (1797, 8, 8), ink is bright
    every = np.arange(len(pixels))
    train, test = train_test_split(every, test_size=0.2, stratify=digits.target, random_state=seed)
    chosen = np.sort({"train": train, "test": test, "all": every}[split])
    items = tuple(Item(f"digits/{i:04d}.png", int(digits.target[i]), str(i)) for i in chosen)
    labels = tuple(ClassLabel(str(number), index=number) for number in range(10))
    return ImageSet("digits", labels, items, (Array(pixels),), (), split, ("train", "test"))
