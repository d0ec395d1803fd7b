"""What one `pellucid words` found: words, how often they stand where, their nearest patches, and how many there are."""

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pellucid import data
from pellucid.audit.words import percent
from pellucid.classic import BagOfWords, WordChoice, WordPatches, choose_words, word_patches
from pellucid.data import ImageSet, Unreadable
from pellucid.progress import steps
from pellucid.report import Fact

from ._shared import counted

NEAREST = 9
"""Patches shown of each word."""

TRIED = (2, 4, 8, 16, 32, 64, 128, 256)
"""Numbers of words that --choose tries."""

TAKEN = 5000
"""Patches that --choose clusters, at most."""

CRITERIA = {"elbow": "the elbow", "silhouette": "the silhouette", "gap": "the gap"}


@dataclass(frozen=True)
class WordsFound:
    """What came of it."""

    pictures: ImageSet
    bag: BagOfWords
    rows: Tensor  # (N, K + 1), how often each word stands in each picture that was read; rows sum to 1
    places: Tensor  # (N,), int64, of these pictures in the set
    patches: WordPatches  # of the words shown
    choices: dict[str, WordChoice]  # by criterion; empty where none was asked for
    errors: tuple[Unreadable, ...]

    @property
    def shares(self) -> Tensor:
        """(K + 1,), of all patches; the last is the null word."""
        return self.rows.double().mean(dim=0)

    def image(self, row: int) -> Tensor:
        """A picture as its patches were taken from it, (1, S, S), in [0, 1]."""
        return self.pictures.read(int(self.places[row]), self.bag.geometry).float() / 255


def words_found(args: Namespace) -> WordsFound:
    """Everything, in order.

    Raises:
        ValueError: no picture can be read, all are flat, or they have fewer different patches than words.
    """
    pictures = _opened(args.images)
    bag = BagOfWords(
        words=args.words,
        side=args.side,
        patch=args.patch,
        stride=args.stride,
        orientation="linear",
        cells="linear",
        norm="l1",
        sample=50_000,
        starts=1,
    )
    bag.fit(pictures, generator=torch.Generator().manual_seed(args.seed))
    bags = bag.features(pictures)
    ranked = bags.rows[:, :-1].sum(dim=0).argsort(descending=True, stable=True)
    shown = ranked[torch.linspace(0, len(ranked) - 1, min(args.shown, len(ranked))).round().long()].tolist()
    return WordsFound(
        pictures=pictures,
        bag=bag,
        rows=bags.rows,
        places=bags.places,
        patches=word_patches(bag, pictures, shown, top=NEAREST),
        choices=_choices(bag, pictures.subset(bags.places.tolist()), args) if args.choose else {},
        errors=(*pictures.errors, *bags.errors),
    )


def facts(found: WordsFound) -> list[Fact]:
    """The things worth knowing."""
    shares, many = found.shares, len(found.shares) - 1
    each = found.bag.size[0] * found.bag.size[1]
    text = (
        f"{many:,} words of {counted(len(found.rows), 'picture')}, {each:,} patches of {found.bag.options['patch']} x "
        f"{found.bag.options['patch']} each; as many as {_even(shares[:-1]):.0f} words that are equally frequent."
    )
    told = [Fact("Words", f"{many:,}", text)]
    null = float(shares[-1])
    told.append(Fact("Flat patches", percent(null), f"{percent(null)} of the patches are flat: the null word."))
    top = int(shares[:-1].argmax())
    text = f"Word {top} is the most frequent: {percent(float(shares[top]))} of the patches; an even share is "
    told.append(Fact("Most frequent", f"word {top}", f"{text}{percent((1 - null) / many)}."))
    if found.choices:
        elbow, *others = (f"{name} for {found.choices[key].best:,}" for key, name in CRITERIA.items())
        said = ", ".join([elbow.replace(" for ", " speaks for "), *others])
        value = " / ".join(f"{found.choices[key].best:,}" for key in CRITERIA)
        told.append(Fact("How many words", value, f"Of {TRIED[0]} to {_tried(found)[-1]} words {said}."))
    return told


def summed(found: WordsFound) -> dict[str, Any]:
    """For `summary.json`."""
    return {
        "format": 1,
        "pictures": len(found.rows),
        "unreadable": len(found.errors),
        "options": found.bag.options,
        "hash": found.bag.hash,
        "shares": found.shares.tolist(),
        "shown": list(found.patches.words),
        "choices": {
            key: {
                "counts": choice.counts.tolist(),
                "values": choice.values.tolist(),
                "errors": choice.errors.tolist(),
                "best": choice.best,
            }
            for key, choice in found.choices.items()
        },
        "facts": [fact.text for fact in facts(found)],
    }


def _opened(paths: list[str]) -> ImageSet:
    if paths == ["digits"] and not Path("digits").exists():
        digits: ImageSet = data.builtin("digits", split="train")
        return digits
    return data.gather(paths)


def _choices(bag: BagOfWords, pictures: ImageSet, args: Namespace) -> dict[str, WordChoice]:
    """Curves over numbers of words, on a sample of patches; as many of each picture."""
    source = torch.Generator().manual_seed(args.seed)
    each = -(-TAKEN // len(pictures))
    taken = []
    with steps("patches", len(pictures)) as done:
        for batch in data.batches(pictures, bag.geometry, batch_size=bag.images_a_pass):
            for described in bag.describe(batch.images()) if len(batch.indices) else ():
                rows = described[described.any(dim=1)]
                taken.append(rows[torch.randperm(len(rows), generator=source)[:each]])
            done(len(batch.indices) + len(batch.errors))
    sample = torch.cat(taken)
    different = len(torch.unique(sample, dim=0))
    counts = [count for count in TRIED if count < different]
    return {
        key: choose_words(sample, counts, criterion=key, sample=TAKEN, references=5, starts=1, generator=source)
        for key in CRITERIA
    }


def _tried(found: WordsFound) -> list[int]:
    counts: list[int] = next(iter(found.choices.values())).counts.tolist()
    return counts


def _even(shares: Tensor) -> float:
    """How many equally frequent words would be as varied: the exponential of the entropy."""
    even = shares / shares.sum()
    return float(torch.special.entr(even).sum().exp())
