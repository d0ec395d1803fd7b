"""Visual words: the patches that come up again and again, as the centres of a k-means.

J. Sivic, A. Zisserman, "Video Google", ICCV 2003, section 3, https://doi.org/10.1109/ICCV.2003.1238663; starting points
from D. Arthur, S. Vassilvitskii, "k-means++: The Advantages of Careful Seeding", SODA 2007.
https://dl.acm.org/doi/10.5555/1283383.1283494
"""

from pathlib import Path

import torch
from torch import Tensor

from pellucid.checks import check_count

from ._kept import hash_of, load, save
from ._means import cluster
from ._rows import as_descriptors, nearest

KIND = "visual dictionary"


class Dictionary:
    """Visual words: K centres of descriptors that are not zeros, and last of all the null word, which is zeros.

    Learned: words_ (K + 1, D), float32; inertia_, the mean squared distance of a descriptor to its word; spread_, the
    median distance; hash_, of the words: what tells this dictionary from every other.

    Args:
        words: K, at least 1; the null word comes on top.
        sample: descriptors taken at random to learn from, at most; at least 1.
        starts: k-means begins so many times and keeps the best, at least 1.
        iterations: Lloyd steps of each start at most, at least 1; it ends where little changes any more.
        mini_batch: learn from a few descriptors at a time: faster with many words, a little worse.
    """

    def __init__(
        self,
        *,
        words: int = 1000,
        sample: int = 100_000,
        starts: int = 3,
        iterations: int = 100,
        mini_batch: bool = False,
    ) -> None:
        for name, value in (("words", words), ("sample", sample), ("starts", starts), ("iterations", iterations)):
            check_count(name, value, 1)
        self.words, self.sample, self.starts = words, sample, starts
        self.iterations, self.mini_batch = iterations, mini_batch

    def fit(self, descriptors: Tensor, *, generator: torch.Generator | None = None) -> "Dictionary":
        """Learn the words.

        Args:
            descriptors: (..., D), float, of training images alone; zeros are left out.
            generator: of the sample and of the starting points; None is seed 0.

        Raises:
            ValueError: all descriptors are zeros, or fewer different ones than words.
        """
        rows = as_descriptors(descriptors).float()
        rows = rows[rows.any(dim=1)]
        if not len(rows):
            raise ValueError("descriptors must not all be zeros: the images are flat, or floor is too high")
        source = generator if generator is not None else torch.Generator().manual_seed(0)
        if len(rows) > self.sample:
            drawn = torch.randperm(len(rows), generator=source, device=source.device)[: self.sample]
            rows = rows[drawn.to(rows.device)]
        seed = int(torch.randint(2**31 - 1, (), generator=source, device=source.device))
        centres = cluster(rows, self.words, self.starts, self.iterations, seed, mini_batch=self.mini_batch)
        squares = nearest(rows, centres)[1]
        self.inertia_, self.spread_ = float(squares.double().mean()), float(squares.sqrt().median())
        self.words_ = torch.cat([centres, centres.new_zeros(1, centres.shape[1])])  # (K + 1, D)
        self.hash_ = hash_of({"words": self.words_})
        return self

    def __len__(self) -> int:
        """Words with the null word, K + 1."""
        return len(self.asked())

    def asked(self) -> Tensor:
        """The words (K + 1, D); refuses a dictionary that learned none yet."""
        if not hasattr(self, "words_"):
            raise ValueError("the dictionary must be fitted on descriptors first: call fit(descriptors)")
        return self.words_

    def save(self, folder: str | Path, *, force: bool = False) -> None:
        """Write the words and how they were learned into a new folder.

        Args:
            folder: to make.
            force: replace a folder that was made so before.
        """
        options = {name: getattr(self, name) for name in ("words", "sample", "starts", "iterations", "mini_batch")}
        tensors = {"words": self.asked()}
        save(folder, KIND, {"options": options, "inertia": self.inertia_, "spread": self.spread_}, tensors, force=force)

    @classmethod
    def load(cls, folder: str | Path) -> "Dictionary":
        """A dictionary that was saved.

        Raises:
            ValueError: the folder holds none, or a damaged one.
        """
        told, tensors = load(folder, KIND, ["words"])
        return from_told(told, tensors["words"])


def from_told(told: dict[str, object], words: Tensor) -> Dictionary:
    """A dictionary of what was written of it; refuses what does not fit together."""
    options = told.get("options")
    numbers = [told.get(name) for name in ("inertia", "spread")]
    if not isinstance(options, dict) or not all(isinstance(number, float) for number in numbers):
        raise ValueError("the dictionary's options, inertia and spread must be told, and are not: its file is damaged")
    try:
        made = Dictionary(**options)
    except TypeError as error:
        raise ValueError(f"the dictionary's options must be those of this version, got {', '.join(options)}") from error
    if words.ndim != 2 or words.dtype != torch.float32 or len(words) != made.words + 1 or bool(words[-1].any()):
        raise ValueError(f"words must be float32 ({made.words + 1}, D), the last zeros, got {tuple(words.shape)}")
    made.words_, made.hash_ = words, hash_of({"words": words})
    made.inertia_, made.spread_ = (float(str(number)) for number in numbers)
    return made
