"""Class names, keys or numbers, as a user writes them, to class indices."""

from pellucid.checks import near
from pellucid.class_names import ClassTable

from .model import Model


def find_classes(model: Model, words: str) -> list[int]:
    """The class indices of one or several words.

    Args:
        model: whose classes are meant.
        words: a name, key or number; several with commas. A name that has commas itself is tried whole first.

    Raises:
        ValueError: a word means no class, or several; says which.
    """
    table = ClassTable(model.classes, model.class_ids)
    whole = table.find(words)
    if whole is not None:
        return [whole]
    parts = [part.strip() for part in words.split(",") if part.strip()]
    if not parts:
        raise ValueError("target must name a class")
    return list(dict.fromkeys(_one(table, part) for part in parts))


def _one(table: ClassTable, word: str) -> int:
    index = table.find(word)
    if index is None:
        several = sorted(table.named(word))
        if several:
            raise ValueError(f"{word!r} names {len(several)} classes, give one of the numbers {several}")
        last = len(table.classes) - 1
        raise ValueError(f"{word!r} is no class of the model (not in 0..{last}){near(word, table.names)}")
    return index
