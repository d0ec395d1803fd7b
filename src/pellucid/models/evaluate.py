"""The one door to many forward passes: a method plans variants of images, this runs them within a memory budget.

A plan says what varies and where; how the variants are cut into chunks is this file's business alone, so that a
faster engine (one that shares a prefix, or recomputes only what a local change reaches) needs no method to change.
"""

from collections.abc import Callable
from dataclasses import dataclass
from weakref import finalize

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from pellucid.checks import check_range
from pellucid.progress import steps

CPU_BUDGET, OTHER_BUDGET = 128 * 2**20, 2 * 2**30
"""Bytes of activations at a time, unless the caller says otherwise: on a CPU what its allocator can reuse (more means
fresh pages for every layer, which cost more than they bring), on an accelerator what keeps it busy."""

MOST_ROWS = 64
"""Images a pass: more than this makes no network faster on a CPU, and few on a GPU."""


@dataclass(frozen=True)
class Plan:
    """Variants of images to be evaluated: P variants of each of N images.

    Fields:
        images: (N, C, H, W), what is varied.
        count: P.
        vary: (images (n, C, H, W), numbers (p,) int64 in [0, P), rows (n,) int64: their places in `images`)
            -> (p, n, C, H, W); pure, each variant depending on its own number and image alone.
        boxes: (P, 4), int64, or None: outside rows [top, bottom) and columns [left, right) variant p equals its image.
    """

    images: Tensor
    count: int
    vary: Callable[[Tensor, Tensor, Tensor], Tensor]
    boxes: Tensor | None = None


@torch.no_grad()
def evaluate(
    model: nn.Module,
    plan: Plan,
    read: Callable[[Tensor, Tensor], Tensor],
    *,
    budget: int | None = None,
    label: str = "evaluating",
) -> Tensor:
    """Run the model on every variant of every image and keep what `read` takes from the outputs.

    Args:
        model: any network; in eval mode.
        plan: the variants.
        read: (outputs of R rows, rows (R,) int64: the image each row came from) -> (R, ...), what to keep.
        budget: bytes of activations at a time; changes the memory, never the result. None suits the device.
        label: what the progress display says.

    Returns:
        (P, N, ...), what was read for each variant of each image.

    Raises:
        torch.OutOfMemoryError: not even one image fits.
    """
    if budget is None:
        budget = CPU_BUDGET if plan.images.device.type == "cpu" else OTHER_BUDGET
    check_range("budget", budget, 1)
    images, count = plan.images, len(plan.images)
    numbers = torch.arange(plan.count, device=images.device)
    rows = _rows(model, images, plan.count, budget)
    kept: list[Tensor] = []  # one (p, n, ...) a chunk, images outermost
    parts: list[Tensor] = []
    with steps(label, plan.count * count) as done:
        start = first = 0
        while start < count:
            some = images[start : start + max(1, rows // plan.count)]  # whole images, if a pass can hold them
            chunk = numbers[first : first + max(1, rows // len(some))]
            places = torch.arange(start, start + len(some), device=images.device)
            try:
                outputs = model(plan.vary(some, chunk, places).flatten(0, 1))  # (p * n, ...)
            except RuntimeError as error:
                if rows == 1 or not _is_out_of_memory(error):
                    raise
                rows //= 2  # several images share a pass only while all their variants do, so none is begun
                continue
            found = read(outputs, places.repeat(len(chunk)))  # (p * n, ...)
            kept.append(found.view(len(chunk), len(some), *found.shape[1:]))
            done(len(chunk) * len(some))
            first += len(chunk)
            if first == plan.count:
                parts.append(torch.cat(kept))
                start, first, kept = start + len(some), 0, []
    return torch.cat(parts, dim=1)


def _rows(model: nn.Module, images: Tensor, variants: int, budget: int) -> int:
    """Images a pass, from the activation memory one image takes."""
    if len(images) * variants == 1:
        return 1
    return max(1, min(MOST_ROWS, budget // max(1, peak_bytes(model, images[:1]))))


@torch.no_grad()
def peak_bytes(model: nn.Module, images: Tensor) -> int:
    """The most bytes of tensors alive at once in one forward pass, parameters and inputs not counted."""
    with _LiveBytes() as live:
        model(images)
        most: int = live.most
    return most


class _LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the storages that operations make, and takes them off as they die."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self.seen: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        out = func(*args, **(kwargs or {}))
        old = {t.untyped_storage()._cdata for t in args if isinstance(t, Tensor)}
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, Tensor):
                self._add(tensor.untyped_storage(), old)
        return out

    def _add(self, storage: torch.UntypedStorage, old: set[int]) -> None:
        key = storage._cdata
        if key in old or key in self.seen:
            return
        self.seen.add(key)
        self.now += storage.nbytes()
        self.most = max(self.most, self.now)
        finalize(storage, self._drop, key, storage.nbytes())  # a view keeps it alive as well

    def _drop(self, key: int, size: int) -> None:
        self.seen.discard(key)
        self.now -= size


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
