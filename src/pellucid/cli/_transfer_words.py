"""The same pictures without any network, by visual words, for `pellucid transfer --classic`.

Words are learned from training pictures alone, anew for each drawn split, and kept with all rows in a folder of the
store that is named after what they were learned from: a second run computes nothing.
"""

import hashlib
import json
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pellucid import __version__
from pellucid.classic import BagOfWords
from pellucid.data import ImageSet
from pellucid.features import Store
from pellucid.features.column import Column

from ._transfer_sets import LIMIT, Rows

NAME = "visual words"
"""What stands where others have a layer."""

SIDE, STRIDE, SCALES, LEVELS = 160, 6, 2, 3
"""Every picture is brought to SIDE x SIDE; patches begin every STRIDE pixels; the whole, 2 x 2 and 4 x 4 parts."""

USUAL = 200
"""Words, unless a number is given."""

SAMPLE = 50_000
"""Patches that words are learned from, at most."""

MOST = 5000
"""Words that may be asked for."""


@dataclass(frozen=True)
class Words:
    """Rows of all pictures, by words of the split given and by those of each drawn one."""

    stores: tuple[Store, ...]  # of the split given, then of the drawn ones
    files: tuple[str, ...]  # N, as the stores name them
    bag: BagOfWords  # of the split given
    learned: int  # pictures its words were learned from
    computed: int  # pictures that were described now, over all stores
    seconds: float  # of learning and describing, 0 where nothing was computed

    @property
    def count(self) -> int:
        """Words."""
        return int(self.bag.options["words"])

    def features(self, split: int) -> Tensor:
        """(N, D), float32, by the words of a split: 0 is the one given, then those drawn."""
        store = self.stores[split]
        return store.tensor(KIND.layer, store.rows(self.files))


KIND = Column("bag")
"""The column of a store that a bag of words fills."""


def words_of(rows: Rows, args: Namespace, draws: Sequence[tuple[Tensor, Tensor]]) -> Words:
    """Words of each split's training pictures, and rows of all pictures by them.

    Raises:
        ValueError: pictures without patches that differ, or rows that take more than LIMIT bytes.
    """
    pictures, start = _joined(rows), time.perf_counter()
    bag = _new(args)
    needed = 4 * len(rows) * (bag.options["words"] + 1) * sum(4**level for level in range(LEVELS))
    if needed > LIMIT:
        raise ValueError(
            f"visual words take {needed:,} bytes for {len(rows):,} pictures, and {LIMIT:,} are allowed: take fewer "
            "with --words"
        )
    stores, bags, computed = [], [], 0
    for number, train in enumerate([rows.train, *(learned for learned, _ in draws)]):
        seed = args.seed + max(0, number - 1)
        place = Path(args.store or f"{Path(args.out)}-features") / f"words-{_key(bag, rows, train, seed)}"
        bags.append(_learned(args, pictures.subset(train.tolist()), place / "words", seed))
        stores.append(Store(place / "rows"))
        computed += stores[-1].fill_from(bags[-1], pictures, [KIND]).computed
    files = tuple(item.file for item in pictures.items)
    seconds = time.perf_counter() - start if computed else 0.0
    return Words(tuple(stores), files, bags[0], len(rows.train), computed, seconds)


def told_words(words: Words) -> dict[str, Any]:
    """How they were made, for `summary.json`."""
    return {
        "options": words.bag.options,
        "patches": patches_of(words.bag),
        "hash": words.bag.hash,
        "learned_from": words.learned,
        "computed": words.computed,
        "seconds": words.seconds,
        "folders": [str(store.folder.parent) for store in words.stores],
    }


def patches_of(bag: BagOfWords) -> int:
    """Of one picture, of all sizes."""
    return sum(rows * columns for rows, columns in bag.sizes)


def _joined(rows: Rows) -> ImageSet:
    """The pictures of all rows in their order as one set; files of two sets keep apart by the set's number."""
    places = [rows.place(row) for row in range(len(rows))]
    sets = list({id(some): some for some, _ in places}.values())
    begun = {id(some): sum(len(other.sources) for other in sets[:number]) for number, some in enumerate(sets)}
    number = {id(some): place for place, some in enumerate(sets, start=1)}
    items = []
    for (some, place), target in zip(places, rows.targets.tolist(), strict=True):
        item = some.items[place]
        file = f"{number[id(some)]}/{item.file}"
        items.append(replace(item, file=file, target=target, source=item.source + begun[id(some)]))
    sources = tuple(source for some in sets for source in some.sources)
    return ImageSet(sets[0].path, sets[0].labels, tuple(items), sources)


def _new(args: Namespace) -> BagOfWords:
    """Told by a linear machine: roots of frequencies, whose products compare histograms well."""
    return BagOfWords(
        words=args.words or USUAL,
        side=SIDE,
        scales=SCALES,
        stride=STRIDE,
        orientation="linear",
        cells="linear",
        levels=LEVELS,
        norm="root",
        sample=SAMPLE,
        starts=1,
    )


def _key(bag: BagOfWords, rows: Rows, train: Tensor, seed: int) -> str:
    """Of all that words depend on."""
    contents = [rows.contents[row] for row in train.tolist()]
    told = json.dumps([__version__, bag.options, seed, contents], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def _learned(args: Namespace, train: ImageSet, folder: Path, seed: int) -> BagOfWords:
    """Words that are there, or new ones."""
    if folder.exists():
        return BagOfWords.load(folder)
    try:
        bag = _new(args).fit(train, generator=torch.Generator().manual_seed(seed))
    except ValueError as error:
        raise ValueError(f"no visual words: {error}; change --words, or leave --classic out") from error
    bag.save(folder)
    return bag
