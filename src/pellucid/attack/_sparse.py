"""Steps along few values, ever fewer: the pace of APGD in l1."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ._smallest import spread
from ._track import Track

FIRST = 0.2
"""Share of the values that the first steps move."""

SPARSER = 1.5
"""A step moves so many times fewer values than the best change has; where that is not new, it is so many times
shorter."""

NEW = 0.95
"""Share of the values changed at the last checkpoint, below which a change has become sparser."""

SHORTEST = 0.1
"""The shortest step, in radii; the longest, and the first, is one."""


@dataclass
class Sparse:
    """A step length and a share of the values to be moved for each image.

    F. Croce, M. Hein, "Mind the Box: l1-APGD for Sparse and Efficient Adversarial Attacks on Image Classifiers", ICML
    2021, algorithm 1 and section 3. https://arxiv.org/abs/2103.01208
    """

    radius: float
    every: int  # steps between checkpoints
    length: Tensor  # (n,)
    share: Tensor  # (n,), of the values
    changed: Tensor  # (n,), share of the values that the best change had at the last checkpoint

    def turned(self, step: int, track: Track) -> Tensor | None:
        """Move fewer values; where the best change became sparser begin again from it, else take shorter steps."""
        if step == 0 or step % self.every:
            return None
        changed = changed_share(track)
        sparser = changed < NEW * self.changed
        longest = torch.full_like(self.length, self.radius)
        shorter = (self.length / SPARSER).clamp(min=SHORTEST * self.radius)
        self.length = torch.where(sparser, longest, shorter)
        self.share, self.changed = changed / SPARSER, changed
        return sparser

    def moved(self, step: int, track: Track, gradient: Tensor) -> Tensor:  # noqa: ARG002 (all steps are alike)
        """One step along the largest slopes, brought back into the ball and the box together."""
        sizes = gradient.flatten(1).abs()  # (n, D)
        count = (self.share * sizes.shape[1]).round().long().clamp(1, sizes.shape[1])  # (n,)
        least = sizes.sort(dim=1, descending=True).values.gather(1, count[:, None] - 1)
        signs = gradient.sign() * (sizes >= least).view_as(gradient)
        ahead = signs / spread(signs.flatten(1).abs().sum(dim=1).clamp(min=1))
        return onto(track.clean, track.now + spread(self.length) * ahead, self.radius)


def sparse(track: Track, radius: float, steps: int, *, is_first: bool) -> Sparse:
    """The pace of a track of so many steps; one that follows another begins as sparse as that ended."""
    changed = torch.ones_like(track.value) if is_first else changed_share(track)
    share = torch.full_like(changed, FIRST) if is_first else changed / SPARSER
    return Sparse(radius, max(1, steps // 25), torch.full_like(track.value, radius), share, changed)


def changed_share(track: Track) -> Tensor:
    """Share (n,) of the values that differ from the clean image where the loss was highest."""
    return (track.top != track.clean).flatten(1).to(track.value).mean(dim=1)


def onto(images: Tensor, adversarial: Tensor, radius: float) -> Tensor:
    """The nearest images (n, C, H, W) that are inside the l1 ball and inside [0, 1] at once (2021, proposition 2.1).

    Every change d shrinks by one threshold of its image and is then cut at the box: to min(max(|d| - t, 0), room).
    Summed over an image, that falls with t along straight pieces, which meet where t is some |d| or |d| - room.
    """
    change = (adversarial - images).flatten(1).double()  # (n, D)
    clean = images.flatten(1).double()
    size, room = change.abs(), torch.where(change > 0, 1 - clean, clean)
    bends = torch.cat([size, (size - room).clamp(min=0), torch.zeros_like(size[:, :1])], dim=1)  # (n, 2 D + 1)
    signs = torch.cat([torch.ones_like(size), -torch.ones_like(size), torch.zeros_like(size[:, :1])], dim=1)
    bends, order = bends.sort(dim=1, descending=True)
    signs = signs.gather(1, order)
    weights, counts = (signs * bends).cumsum(dim=1), signs.cumsum(dim=1)
    is_past = weights - bends * counts > radius  # the sum at each bend, which grows as the threshold falls
    place = torch.where(is_past.any(dim=1), is_past.long().argmax(dim=1), bends.shape[1])[:, None]  # the first past
    before = (place - 1).clamp(min=0)
    threshold = (weights.gather(1, before) - radius) / counts.gather(1, before).clamp(min=1)
    threshold = torch.where(place < bends.shape[1], threshold, torch.zeros_like(threshold))
    kept = (size - threshold).clamp(min=0).minimum(room)
    kept *= (radius / kept.sum(dim=1, keepdim=True).clamp(min=radius or 1)).clamp(max=1)  # rounding
    return (clean + change.sign() * kept).view_as(images).to(images).clamp(0, 1)
