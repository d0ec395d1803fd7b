"""What a policy decided for the images of a batch, and the steps in which it is done."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import torch
from torch import Tensor

from ._op import Drawn, Move, Op, Paint, Size, Warp
from ._sampling import warped


@dataclass(frozen=True)
class Draws:
    """What was decided for each image of a batch; the same draws move its mask, boxes and keypoints."""

    count: int  # N
    ops: tuple[Op, ...]
    sizes: tuple[Size, ...]  # (H, W) before each operation, and after the last
    chosen: tuple[Tensor, ...]  # (N,), bool: which images each operation is done to
    values: tuple[Drawn, ...]  # the parameters of each operation, (N,) each

    def __len__(self) -> int:
        return self.count

    def text(self, index: int) -> str:
        """What is done to one image of the batch, such as "crop -2 +3, hflip"."""
        told = []
        for op, chosen, values in zip(self.ops, self.chosen, self.values, strict=True):
            if chosen[index]:
                numbers = {name: float(value[index]) for name, value in values.items()}
                told.append((op.told or op.name()).format(**numbers))
        return ", ".join(told) or "as it is"

    def mirrored(self, *kinds: type[Op]) -> Tensor:
        """(N,), bool: which images the operations of these kinds are done to an odd number of times."""
        odd = torch.zeros(self.count, dtype=torch.bool)
        for op, chosen in zip(self.ops, self.chosen, strict=True):
            odd ^= chosen & isinstance(op, kinds)
        return odd


@dataclass(frozen=True)
class Stage:
    """One operation of a batch, or neighbouring warps as one."""

    ops: tuple[Op, ...]
    values: tuple[Drawn, ...]
    done: Tensor  # (ops, N), bool: which images each operation is done to
    before: Size  # (H, W)
    size: Size  # (H, W) afterwards

    @cached_property
    def chosen(self) -> Tensor:
        """(N,), bool: the images to which any of it is done."""
        return self.done.any(dim=0)

    @cached_property
    def matrix(self) -> Tensor | None:
        """(N, 3, 3), float64: from a place afterwards to where it was; None where nothing moves."""
        if isinstance(self.ops[0], Paint):
            return None
        matrix = torch.eye(3, dtype=torch.float64).repeat(self.done.shape[1], 1, 1)
        for op, values, done in zip(self.ops, self.values, self.done, strict=True):
            assert isinstance(op, (Move, Warp))
            matrix = torch.where(done[:, None, None], _product(matrix, op.matrix(values, self.before)), matrix)
        return matrix

    def images(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) after it; the very ones given when it is done to none."""
        return self._at(images, "bilinear")

    def masks(self, masks: Tensor) -> Tensor:
        """Masks (N, 1, H, W) after it."""
        return masks if isinstance(self.ops[0], Paint) else self._at(masks, "nearest")

    def _at(self, images: Tensor, mode: str) -> Tensor:
        places = self.chosen.nonzero()[:, 0]
        return replaced(images, places, lambda some: self._done(some, places, mode))

    def _done(self, images: Tensor, places: Tensor, mode: str) -> Tensor:
        op = self.ops[0]
        if isinstance(op, Warp):
            assert self.matrix is not None
            return warped(images, self.matrix[places], mode)
        drawn = {name: value[places] for name, value in self.values[0].items()}
        if isinstance(op, Move):
            return op.move(images, drawn)
        assert isinstance(op, Paint)
        return op.paint(images, drawn)


def stages(drawn: Draws) -> Iterator[Stage]:
    """The stages of a batch, in order."""
    for is_warp, group in groupby(range(len(drawn.ops)), lambda place: isinstance(drawn.ops[place], Warp)):
        places = list(group)
        for together in [places] if is_warp else [[place] for place in places]:
            ops = tuple(drawn.ops[place] for place in together)
            values = tuple(drawn.values[place] for place in together)
            done = torch.stack([drawn.chosen[place] for place in together])
            yield Stage(ops, values, done, drawn.sizes[together[0]], drawn.sizes[together[-1] + 1])


def replaced(images: Tensor, places: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Images (N, ...) with those at places (n,) changed; whole images are copied, which is faster than scattering."""
    if len(places) == len(images):
        return change(images)
    if len(places) == 0:
        return images
    others = torch.ones(len(images), dtype=torch.bool)
    others[places] = False
    rest = others.nonzero()[:, 0]
    back = torch.cat([rest, places]).argsort().to(images.device)
    rest, places = rest.to(images.device), places.to(images.device)
    changed = change(images.index_select(0, places))
    return torch.cat([images.index_select(0, rest), changed]).index_select(0, back)


def _product(first: Tensor, second: Tensor) -> Tensor:
    """(N, 3, 3): first times second, summed in a fixed order, so that a matrix does not depend on its batch."""
    terms = [first[:, :, place, None] * second[:, place, None, :] for place in range(3)]
    return terms[0] + terms[1] + terms[2]
