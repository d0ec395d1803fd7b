"""Bags of words, and the dictionary they are of: bags of two dictionaries never meet."""

from dataclasses import dataclass

from torch import Tensor

from pellucid.data import Unreadable


@dataclass(frozen=True)
class Bags:
    """A row an image.

    Fields:
        rows: (N, D), float32.
        dictionary: hash of what the rows were made with: the words, and how patches were taken and counted.
        places: (N,), int64, of each row's picture in the set.
        errors: pictures that could not be read; they have no row.
    """

    rows: Tensor
    dictionary: str
    places: Tensor
    errors: tuple[Unreadable, ...] = ()

    def check_same(self, other: "Bags") -> None:
        """Refuse bags that were made with another dictionary, or counted in another way."""
        if self.dictionary != other.dictionary:
            raise ValueError(
                f"bags must be of one dictionary, counted in one way, got {self.dictionary[:8]} and "
                f"{other.dictionary[:8]}: make both with the same BagOfWords"
            )
