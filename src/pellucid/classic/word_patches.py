"""What a visual word looks like: the patches of a set of pictures that lie nearest to it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.checks import check_count
from pellucid.data import ImageSet

from ._rows import squared
from .bag_of_words import BagOfWords
from .dense_sift import grid
from .fisher_vectors import FisherVectors


@dataclass(frozen=True)
class WordPatches:
    """The k patches nearest to each of U words, the nearest first, and how often the words come up.

    Fields:
        words: U numbers of words.
        patches: (U, k, 1, S, S), float32, in [0, 1]; zeros where a word has fewer.
        distances: (U, k), float32; infinite where a word has fewer.
        images: (U, k), int64, positions in the set; -1 where a word has fewer.
        corners: (U, k, 2), int64, row and column of the patch's upper left pixel in the frame.
        counts: (K + 1,), int64, patches of the set of each word; the last is the null word.
    """

    words: tuple[int, ...]
    patches: Tensor
    distances: Tensor
    images: Tensor
    corners: Tensor
    counts: Tensor


@torch.no_grad()
def word_patches(
    bag: BagOfWords, images: ImageSet, words: Sequence[int], *, top: int = 9, workers: int | None = None
) -> WordPatches:
    """Find the patches of a set, the smallest size, that lie nearest to words; of one picture only the nearest to each.

    Args:
        bag: fitted.
        images: the pictures; they are read once, and only the best patches so far are kept.
        words: numbers of words, 0 to K; K is the null word.
        top: patches kept of each, at least 1.
        workers: decoding processes, see `data.batches`.

    Raises:
        ValueError: the bag has no words, or not those.
    """
    check_count("top", top, 1)
    learned = bag.dictionary_ if hasattr(bag, "dictionary_") else None
    if learned is None or isinstance(learned, FisherVectors):
        raise ValueError("bag must be fitted, and its encoding another than fisher, which has no words")
    if not words:
        raise ValueError("words must name at least one, got none")
    for word in words:
        check_count("words", word, 0, len(learned) - 1)
    search = _Search(bag, learned.words_, tuple(words), top)
    for numbers, pictures, _ in bag._batches(images, "patches of words", workers):
        if len(numbers):
            search.add(numbers, pictures)
    return WordPatches(search.words, search.patches, search.distances, search.images, search.corners, search.counts)


class _Search:
    """The nearest patches so far."""

    def __init__(self, bag: BagOfWords, centres: Tensor, words: tuple[int, ...], top: int) -> None:
        self.bag, self.centres, self.words, self.side = bag, centres, words, bag.options["patch"]
        self.places = grid(*bag.geometry.size, patch=self.side, stride=bag.options["stride"])
        count = len(words)
        self.distances = torch.full((count, top), float("inf"))
        self.images = torch.full((count, top), -1)
        self.corners = torch.zeros(count, top, 2, dtype=torch.int64)
        self.patches = torch.zeros(count, top, 1, self.side, self.side)
        self.counts = torch.zeros(len(centres), dtype=torch.int64)

    def add(self, numbers: Tensor, pictures: Tensor) -> None:
        """Look at a few more pictures; numbers (n,) are their places in the set."""
        maps = self.bag.word_map(pictures).flatten(1)  # (n, P)
        self.counts += torch.bincount(maps.flatten(), minlength=len(self.counts))
        descriptors = self.bag.describe(pictures)[:, : maps.shape[1]]
        for row, word in enumerate(self.words):
            far = squared(descriptors.flatten(0, 1).float(), self.centres[word : word + 1]).view(maps.shape).sqrt()
            far, place = far.masked_fill_(maps != word, float("inf")).min(dim=1)  # (n,)
            for number, distance, spot, image in zip(numbers, far, place, pictures, strict=True):
                if distance < self.distances[row, -1]:
                    self._put(row, int(number), distance, self.places[spot], image)

    def _put(self, row: int, number: int, distance: Tensor, corner: Tensor, image: Tensor) -> None:
        """Into its rank; of equals the earlier stays ahead."""
        rank = int((self.distances[row] <= distance).sum())
        down, across = corner.tolist()
        patch = image[:, down : down + self.side, across : across + self.side]
        for kept, new in (
            (self.distances, distance),
            (self.images, torch.tensor(number)),
            (self.corners, corner),
            (self.patches, patch),
        ):
            kept[row, rank + 1 :] = kept[row, rank:-1].clone()
            kept[row, rank] = new
