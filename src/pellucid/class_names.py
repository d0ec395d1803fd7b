"""Finding a class by key, name or number: names know synonyms and forgive spelling.

Case, spaces, hyphens and underscores are forgiven where no class has the exact spelling.
"""

from collections.abc import Sequence


class ClassTable:
    """The K classes of a model.

    Args:
        classes: K names; commas in a name part synonyms.
        class_ids: K keys such as wnids, or none.
    """

    def __init__(self, classes: Sequence[str], class_ids: Sequence[str] = ()) -> None:
        self.classes = tuple(classes)
        self.ids = {key: index for index, key in enumerate(class_ids)}
        self.spelled: dict[str, set[int]] = {}
        self.names: dict[str, set[int]] = {}
        for index, name in enumerate(classes):
            for word in {name, *name.split(",")}:
                self.spelled.setdefault(word.strip(), set()).add(index)
                self.names.setdefault(plain_name(word), set()).add(index)

    def named(self, name: str) -> set[int]:
        """Every class of that name: spelled exactly so, else but for differences that do not matter."""
        return self.spelled.get(name.strip()) or self.names.get(plain_name(name), set())

    def by_name(self, name: str) -> int | None:
        """The one class of that name; None when there is none or more than one."""
        indices = self.named(name)
        return next(iter(indices)) if len(indices) == 1 else None

    def find(self, word: str) -> int | None:
        """The class a word means: its key, else its name, else its number; None when nothing or several fit."""
        index = self.ids.get(word.strip(), self.by_name(word))
        if index is None and word.strip().isdecimal() and word.isascii() and len(word) < 10:
            index = int(word) if int(word) < len(self.classes) and plain_name(word) not in self.names else None
        return index


def plain_name(name: str) -> str:
    """A name without the differences that do not matter."""
    return " ".join(name.replace("_", " ").replace("-", " ").casefold().split())
