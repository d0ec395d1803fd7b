"""Cutting a plan's variants into passes that fit into memory: what lies behind the one door."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor

from ._live_bytes import LiveBytes

if TYPE_CHECKING:
    from .evaluate import Plan

MOST_ROWS = 64
"""Images a pass: more than this makes no network faster on a CPU, and few on a GPU."""

FEW_ROWS, FEW_VALUES = 4, 4 * 3 * 512 * 512
"""Images, and values in them, that pass together without measuring first what one takes: that would cost more."""

Fold: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(values (p, n, ...), numbers (p,), rows (n,)) -> (n, ...), what these variants add to a sum over all."""

Ask: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(images (n, C, H, W), numbers (p,), rows (n,)) -> (p * n, ...): vary, run, read."""


Rows: TypeAlias = dict[tuple[Any, ...], tuple[object, int]]
"""What is asked, and of what shape -> (the network, kept alive as its id stands in the key; rows a pass)."""

_paces: ContextVar[Rows | None] = ContextVar("paces", default=None)


@contextmanager
def paced() -> Iterator[None]:
    """Measure once for the whole block how many images of a shape pass together: for loops that ask again and again."""
    token = _paces.set({}) if _paces.get() is None else None
    try:
        yield
    finally:
        if token is not None:
            _paces.reset(token)


def chunks(
    ask: Ask, plan: "Plan", fold: Fold | None, budget: int, asked: tuple[object, ...]
) -> Iterator[tuple[Tensor, int, bool]]:
    """(values (p, n, ...) or their sum (1, n, ...), passes, whether these images are done): images one after the other.

    The first pass takes one row and measures its memory, which tells how many the next may take; few rows are not
    worth it. `asked` is the network and what else tells this kind of pass from others, for `paced`.
    """
    images = plan.images
    numbers = torch.arange(plan.count, device=images.device)
    count = plan.count * len(images)
    few = count <= FEW_ROWS and count * images[0].numel() <= FEW_VALUES
    known = _paces.get()
    key = (*map(id, asked), plan.at, budget, images.shape[1:], images.dtype)
    most = count if few else None  # rows a pass; not known before one was measured
    if known is not None and not few and key in known:
        most = known[key][1]
    start = first = 0
    some = 1
    while start < len(images):
        if first == 0 and plan.at is None:  # whole images share a pass only while all their variants do
            some = min(len(images) - start, max(1, (most or 1) // plan.count))
        chunk = numbers[first : first + max(1, (most or 1) // some)]
        rows = torch.arange(start, start + some, device=images.device)
        try:
            with LiveBytes() if most is None else nullcontext() as live:
                found = ask(images[start : start + some], chunk, rows)
            values = found.view(len(chunk), some, *found.shape[1:])
            if fold is not None:
                values = fold(wide(values), chunk, rows)[None]
        except RuntimeError as error:
            if not most or most == 1 or not _is_out_of_memory(error):
                raise
            most //= 2
            if known is not None and not few:
                known[key] = (asked, most)
            continue
        if live is not None:
            most = max(1, min(MOST_ROWS, budget // max(1, live.most)))
            if known is not None:
                known[key] = (asked, most)
        first += len(chunk)
        is_last = first == plan.count
        yield values, len(chunk) * some, is_last
        if is_last:
            start, first = start + some, 0


def wide(values: Tensor) -> Tensor:
    """Float32 for half precision, whose sums lose too much."""
    return values.float() if values.dtype in {torch.float16, torch.bfloat16} else values


def _is_out_of_memory(error: BaseException) -> bool:
    told = str(error)
    known = ("can't allocate memory", "out of memory", "ALLOC_FAILED")  # a CPU, MPS, CUDA's libraries
    return isinstance(error, torch.OutOfMemoryError) or any(words in told for words in known)
