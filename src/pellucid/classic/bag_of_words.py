"""Bag of words: pictures as histograms of visual words, streamed; from dense SIFT to rows any classifier takes.

G. Csurka, C. Dance, L. Fan, J. Willamowski, C. Bray, "Visual Categorization with Bags of Keypoints", ECCV Workshop on
Statistical Learning in Computer Vision, 2004; L. Fei-Fei, P. Perona, "A Bayesian Hierarchical Model for Learning
Natural Scene Categories", CVPR 2005 (the dense grid). https://doi.org/10.1109/CVPR.2005.16
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from pellucid.checks import check_choice, check_count
from pellucid.data import ImageSet, Unreadable, batches
from pellucid.geometry import Geometry
from pellucid.progress import steps

from ._cells import CELLS
from ._kept import load, save
from ._parts import grids
from .bags import Bags
from .dense_sift import dense_sift, grid_size
from .dictionary import Dictionary, from_told
from .encode import HOWS, NULLS, encode
from .fisher_vectors import LEARNED, FisherVectors, from_tensors
from .pyramid import NORMS, POOLS, normed, pyramid
from .vlad import vlad

KIND = "bag of words"

ENCODINGS = (*HOWS, "vlad", "fisher")

CODES_AT_ONCE = 2**23
"""Numbers of what patches count for words that are held at a time."""


class Named(Protocol):
    """What a store of features calls a column."""

    @property
    def layer(self) -> str:
        """Its name; ours is "bag"."""


Asked = TypeVar("Asked", bound=Named)


class BagOfWords:
    """Pictures as histograms of visual words; may fill a store of features, its one column being "bag".

    Learned: dictionary_, a `Dictionary`, or `FisherVectors` for the encoding fisher.

    Args:
        words: K, at least 1; for fisher, components.
        side: pictures are brought to so many pixels in height and width, and to gray.
        patch: side of the smallest patches, in pixels, a multiple of 4.
        scales: sizes of patches, each about the root of 2 larger than the one before, in multiples of 4; at least 1.
        stride: step from patch to patch, in pixels, at least 1.
        orientation: hard or linear, as of `dense_sift`.
        cells: hard or linear, as of `dense_sift`.
        floor: patches of less contrast are flat, as of `dense_sift`.
        encoding: hard, uncertainty, plausibility, kernel, omp, lasso, llc (see `encode`), vlad or fisher.
        null: flat or nearest, as of `encode`.
        sigma: of the Gaussian of soft encodings, as of `encode`; a third of the distances' median is often best.
        levels: of the `pyramid`; 1 is a plain bag.
        pool: sum, mean or max over the patches; of no meaning for vlad and fisher.
        norm: l2, l1, root or none.
        sample: descriptors that are learned from, at most.
        starts: of k-means.
        iterations: of k-means.
        mini_batch: k-means on a few descriptors at a time.
    """

    def __init__(
        self,
        *,
        words: int = 1000,
        side: int = 256,
        patch: int = 16,
        scales: int = 1,
        stride: int = 8,
        orientation: str = "hard",
        cells: str = "hard",
        floor: float = 0.5,
        encoding: str = "hard",
        null: str = "flat",
        sigma: float | None = None,
        levels: int = 1,
        pool: str = "sum",
        norm: str = "l2",
        sample: int = 100_000,
        starts: int = 3,
        iterations: int = 100,
        mini_batch: bool = False,
    ) -> None:
        self.options: dict[str, Any] = {key: value for key, value in locals().items() if key != "self"}
        for name, value in (("words", words), ("sample", sample), ("levels", levels), ("scales", scales)):
            check_count(name, value, 1)
        for name, word, known in (
            ("encoding", encoding, ENCODINGS),
            ("null", null, NULLS),
            ("pool", pool, POOLS),
            ("norm", norm, NORMS),
        ):
            check_choice(name, word, known)
        if sigma is not None and not 0 < sigma < float("inf"):
            raise ValueError(f"sigma must be above 0 and finite, got {sigma}")
        self.patches = _sides(patch, scales)
        self.sizes = tuple(grid_size(side, side, patch=one, stride=stride) for one in self.patches)
        self.size = self.sizes[0]
        grids(self.sizes, sum(rows * columns for rows, columns in self.sizes), levels)
        self.geometry = Geometry((side, side), channels=1, interpolation="bicubic")
        self.images_a_pass = 16

    def fit(
        self, images: ImageSet, *, generator: torch.Generator | None = None, workers: int | None = None
    ) -> "BagOfWords":
        """Learn the words from a sample of the patches of training pictures, as many of each picture.

        Args:
            images: training pictures alone.
            generator: of the sample and of the starting points; None is seed 0. A batch's size changes nothing.
            workers: decoding processes, see `data.batches`.

        Raises:
            ValueError: no picture can be read, all are flat, or they have fewer different patches than words.
        """
        source = generator if generator is not None else torch.Generator().manual_seed(0)
        each = -(-self.options["sample"] // max(1, len(images)))
        taken: list[Tensor] = []
        errors: list[Unreadable] = []
        for _, pictures, failed in self._batches(images, "patches", workers):
            errors += failed
            for rows in self.describe(pictures) if len(pictures) else ():
                drawn = torch.randperm(len(rows), generator=source, device=source.device).to(rows.device)
                drawn = drawn[rows.any(dim=1)[drawn]]  # those that are not zeros
                taken.append(rows[drawn[:each]])
        if not taken:
            told = f" ({errors[0].file}: {errors[0].reason})" if errors else ""
            raise ValueError(f"{images.path}: none of its {len(images)} pictures could be read{told}")
        rows = torch.cat(taken)
        if not len(rows):
            raise ValueError("descriptors must not all be zeros: the images are flat, or floor is too high")
        self.dictionary_ = self._new().fit(rows, generator=source)
        return self

    def features(self, images: ImageSet, *, workers: int | None = None) -> Bags:
        """Bags of a set of pictures, a batch at a time; pictures that cannot be read are listed and have no row."""
        places, rows = [torch.zeros(0, dtype=torch.int64)], []
        errors: list[Unreadable] = []
        for numbers, pictures, failed in self._batches(images, "bags of words", workers):
            errors += failed
            if len(numbers):
                places.append(numbers)
                rows.append(self(pictures))
        if not rows:
            raise ValueError(f"{images.path}: none of its {len(images)} pictures could be read")
        return Bags(torch.cat(rows), self.hash, torch.cat(places), tuple(errors))

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Rows (N, D), float32, of images (N, 1 or 3, side, side) in [0, 1]."""
        learned, options = self._asked(), self.options
        descriptors = self.describe(images)
        over: dict[str, Any] = {"size": self.sizes, "levels": options["levels"]}
        if isinstance(learned, FisherVectors):
            return normed(learned(descriptors, **over), options["norm"])
        if options["encoding"] == "vlad":
            return normed(vlad(descriptors, learned, **over), options["norm"])
        found = []
        for some in torch.split(descriptors, max(1, CODES_AT_ONCE // (descriptors.shape[1] * len(learned)))):
            codes = encode(some, learned, how=options["encoding"], null=options["null"], sigma=options["sigma"])
            found.append(pyramid(codes, **over, pool=options["pool"], norm=options["norm"]))
        return torch.cat(found)

    def describe(self, images: Tensor) -> Tensor:
        """Descriptors (N, P, 128) of images (N, 1 or 3, side, side) in [0, 1]: all of the smallest patches first."""
        if images.ndim == 4 and tuple(images.shape[-2:]) != self.geometry.size:
            told = " x ".join(map(str, self.geometry.size))
            raise ValueError(f"images must be {told} (see side), got {images.shape[-2]} x {images.shape[-1]}")
        taken = {name: self.options[name] for name in ("stride", "orientation", "cells", "floor")}
        return torch.cat([dense_sift(images, patch=one, **taken, sigma=one / 2) for one in self.patches], dim=1)

    def word_map(self, images: Tensor) -> Tensor:
        """The nearest word of each of the smallest patches, (N, rows, columns), int64; the last is the null word."""
        learned = self._asked()
        if isinstance(learned, FisherVectors):
            raise ValueError("encoding must be another for a map of words: fisher has none")
        rows, columns = self.size
        codes = encode(self.describe(images)[:, : rows * columns], learned, null=self.options["null"])
        return codes.words.view(len(images), *self.size)

    @property
    def hash(self) -> str:
        """Of the words and of all options: rows of equal hash may be compared."""
        told = json.dumps({"learned": self._asked().hash_, **self.options}, sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()

    @property
    def about(self) -> Mapping[str, Any]:
        """What every row depends on, as plain JSON; for a store of features."""
        name = f"bag of {self.options['words']} words ({self.options['encoding']}, {self.options['levels']} levels)"
        frame = {"size": list(self.geometry.size), "channels": 1, "interpolation": self.geometry.interpolation}
        return {"kind": KIND, "name": name, "weights": self.hash, "options": self.options, "preprocessing": frame}

    def rows(self, images: Tensor, columns: Sequence[Asked]) -> dict[Asked, Tensor]:
        """Rows for a store of features, which asks for the column "bag"."""
        for column in columns:
            check_choice("layers", column.layer, ["bag"])
        made = self(images).cpu()
        return dict.fromkeys(columns, made)

    def save(self, folder: str | Path, *, force: bool = False) -> None:
        """Write options and words into a new folder; force replaces one that was made so before."""
        learned = self._asked()
        if isinstance(learned, FisherVectors):
            tensors = {name: getattr(learned, name) for name in LEARNED}
            save(folder, KIND, {"options": self.options}, tensors, force=force)
            return
        numbers = {"inertia": learned.inertia_, "spread": learned.spread_}
        save(folder, KIND, {"options": self.options, **numbers}, {"words": learned.words_}, force=force)

    @classmethod
    def load(cls, folder: str | Path) -> "BagOfWords":
        """What was saved.

        Raises:
            ValueError: the folder holds none, or a damaged one.
        """
        told, tensors = load(folder, KIND, [])
        try:
            made = cls(**told["options"])
            new = made._new()
            if isinstance(new, FisherVectors):
                made.dictionary_ = from_tensors(new, tensors)
            else:
                made.dictionary_ = from_told({**told, "options": _own(new)}, tensors["words"])
        except (TypeError, KeyError) as error:
            raise ValueError(f"{folder}: is damaged, or of another version ({error})") from error
        return made

    def _new(self) -> Dictionary | FisherVectors:
        options = self.options
        if options["encoding"] == "fisher":
            return FisherVectors(components=options["words"], sample=options["sample"])
        names = ("words", "sample", "starts", "iterations", "mini_batch")
        return Dictionary(**{name: options[name] for name in names})

    def _asked(self) -> Dictionary | FisherVectors:
        if not hasattr(self, "dictionary_"):
            raise ValueError("the bag of words must be fitted on training pictures first: call fit(images)")
        return self.dictionary_

    def _batches(
        self, images: ImageSet, label: str, workers: int | None
    ) -> Iterator[tuple[Tensor, Tensor, tuple[Unreadable, ...]]]:
        """Places (n,), images (n, 1, side, side) and what failed, a batch at a time."""
        with steps(label, len(images)) as done:
            for batch in batches(images, self.geometry, batch_size=self.images_a_pass, workers=workers):
                yield batch.indices, batch.images(), batch.errors
                done(len(batch.indices) + len(batch.errors))


def _sides(patch: int, scales: int) -> tuple[int, ...]:
    """Sides of patches, each about the root of 2 larger than the one before."""
    found = [patch]
    for step in range(1, scales):
        found.append(max(found[-1] + CELLS, CELLS * round(patch * 2 ** (step / 2) / CELLS)))
    return tuple(found)


def _own(dictionary: Dictionary) -> dict[str, Any]:
    names = ("words", "sample", "starts", "iterations", "mini_batch")
    return {name: getattr(dictionary, name) for name in names}
