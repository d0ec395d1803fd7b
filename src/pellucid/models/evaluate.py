"""The one door to many passes: a method plans variants of images, this runs them within a memory budget.

A plan says what varies and where; how the variants are cut into chunks is this file's business alone, so that a
faster engine (one that shares a prefix, or recomputes only what a local change reaches) needs no method to change.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.checks import check_range
from pellucid.progress import steps

from ._chunks import Ask, Fold, chunks, wide
from .probes import graph_from
from .resumed import resumed_from

CPU_BUDGET, OTHER_BUDGET = 128 * 2**20, 2 * 2**30
"""Bytes of activations at a time, unless the caller says otherwise: on a CPU what its allocator can reuse (more means
fresh pages for every layer, which cost more than they bring), on an accelerator what keeps it busy."""

CPU_GRADIENT_BUDGET = 512 * 2**20
"""The same where gradients are taken: every layer's pages are kept anyway, so that more images a pass pay."""


@dataclass(frozen=True)
class Plan:
    """Variants of images to be evaluated: P variants of each of N images.

    Fields:
        images: (N, C, H, W), what is varied.
        count: P.
        vary: (images (n, C, H, W), numbers (p,) int64 in [0, P), rows (n,) int64: their places in `images`)
            -> (p, n, C, H, W); pure, each variant depending on its own number and image alone.
        boxes: (P, 4), int64, or None: outside rows [top, bottom) and columns [left, right) variant p equals its image.
        at: a layer's dotted name, or None: its output for the images is varied, instead of the images themselves.
    """

    images: Tensor
    count: int
    vary: Callable[[Tensor, Tensor, Tensor], Tensor]
    boxes: Tensor | None = None
    at: str | None = None


def unvaried(images: Tensor) -> Plan:
    """The images as they are: one variant of each."""
    return Plan(images, 1, lambda some, *_: some[None])


@dataclass
class Cost:
    """What a method asks of a network, counted in images."""

    forward: int = 0  # images that pass forward
    backward: int = 0  # images that also pass backward


_rehearsal: ContextVar[Cost | None] = ContextVar("rehearsal", default=None)


@contextmanager
def rehearsal() -> Iterator[Cost]:
    """Count what the methods called inside the block would ask of the network; one image of each plan is run.

    What they return has the right shape and no meaning.
    """
    cost = Cost()
    token = _rehearsal.set(cost)
    try:
        yield cost
    finally:
        _rehearsal.reset(token)


def is_rehearsal() -> bool:
    """Whether the passes are only counted, so that long work on what they return would be for nothing."""
    return _rehearsal.get() is not None


def evaluate(
    model: nn.Module | Callable[[Tensor], Any],
    plan: Plan,
    read: Callable[[Any, Tensor], Tensor],
    *,
    fold: Fold | None = None,
    budget: int | None = None,
    label: str = "evaluating",
) -> Tensor:
    """Run the model on every variant of every image and keep what `read` takes from the outputs.

    Args:
        model: any network in eval mode; or, unless the plan varies a layer, any function of images.
        plan: the variants.
        read: (outputs of R rows, rows (R,) int64: the image each row came from) -> (R, ...), what to keep.
        fold: sums over the variants as they come, in float32 at least, instead of keeping what was read of each.
        budget: bytes of activations at a time; changes the memory, never the result. None suits the device.
        label: what the progress display says.

    Returns:
        (P, N, ...), what was read for each variant of each image; with a fold its sum over the variants, (N, ...).

    Raises:
        torch.OutOfMemoryError: not even one image fits.
    """

    if plan.at is None:
        at: AbstractContextManager[Any] = nullcontext(None)
    elif isinstance(model, nn.Module):
        at = resumed_from(model, plan.at)
    else:
        raise ValueError(f"layer {plan.at!r} can only be varied in an nn.Module, got a {type(model).__name__}")
    with torch.no_grad(), at as resumed:

        def ask(images: Tensor, numbers: Tensor, rows: Tensor) -> Tensor:
            every = rows.repeat(len(numbers))  # (p * n,)
            if resumed is None:
                return read(model(plan.vary(images, numbers, rows).flatten(0, 1)), every)
            return read(
                resumed(images, len(numbers), lambda found: plan.vary(found, numbers, rows).flatten(0, 1)), every
            )

        return _all(ask, plan, fold, budget, label=label, each=Cost(1, 0), asked=(model,))


def differentiate(
    model: nn.Module,
    plan: Plan,
    score: Callable[[Any, Tensor], Tensor],
    read: Callable[[Tensor, Tensor, Tensor], Tensor],
    *,
    at: str | None = None,
    fold: Fold | None = None,
    budget: int | None = None,
    label: str = "differentiating",
) -> Tensor:
    """Take each variant's gradient of its own score, and keep what `read` takes from it; also under no_grad.

    Args:
        model: any network, frozen or not; in eval mode.
        plan: the variants.
        score: (outputs of R rows, rows (R,) int64) -> (R,), the number that is differentiated, one for each row; or
            (R, T), T numbers of each row, which cost one pass forward and T backward.
        read: (gradients (R, ...) or (R, T, ...), what they are with respect to (R, ...), rows (R,) int64) -> (R, ...),
            what to keep.
        at: a layer's dotted name: with respect to its output, no graph being built before it; None: to the image.
        fold: sums over the variants as they come, in float32 at least, instead of keeping what was read of each.
        budget: bytes of activations at a time; changes the memory, never the result. None suits the device.
        label: what the progress display says.

    Returns:
        (P, N, ...), what was read for each variant of each image; with a fold its sum over the variants, (N, ...).

    Raises:
        ValueError: the score does not depend on the image or layer, or the layer is never reached.
        torch.OutOfMemoryError: not even one image fits.
    """

    def ask(images: Tensor, numbers: Tensor, rows: Tensor) -> Tensor:
        every = rows.repeat(len(numbers))  # (p * n,)
        variants = plan.vary(images, numbers, rows).flatten(0, 1).detach()
        if at is None:
            source = (variants.clone() if variants.is_inference() else variants).requires_grad_()
            with torch.enable_grad():
                found = _gradient(score(model(source), every), source, "the input")
        else:
            with graph_from(model, at) as recorded, torch.no_grad():
                value = score(model(variants), every)
            if not recorded:
                raise ValueError(f"layer {at!r} is never reached in the forward pass")
            (source,) = recorded.values()
            found = _gradient(value, source, f"layer {at!r}")
        return read(found, source.detach(), every)

    with torch.inference_mode(False), torch.no_grad():
        return _all(ask, plan, fold, budget, label=label, each=Cost(1, 1), asked=(model, at))


def _gradient(score: Tensor, source: Tensor, name: str) -> Tensor:
    """d(sum of scores) / d(source), of each column of scores; each row's score depends on its own part alone."""
    with torch.enable_grad():
        if score.ndim == 2:
            sums = score.sum(dim=0).unbind()  # T numbers
            every = [_slope(one, source, keep=one is not sums[-1]) for one in sums]
            found = None if any(each is None for each in every) else torch.stack([e for e in every if e is not None], 1)
        else:
            found = _slope(score.sum(), source, keep=False)
    if found is None:
        raise ValueError(f"the score does not depend on {name}: is there a detach, an argmax or a no_grad behind it?")
    return found


def _slope(score: Tensor, source: Tensor, *, keep: bool) -> Tensor | None:
    """d(score) / d(source); `keep` leaves the graph for another."""
    if not score.requires_grad:
        return None
    return torch.autograd.grad(score, source, allow_unused=True, retain_graph=keep)[0]


def _all(
    ask: Ask, plan: Plan, fold: Fold | None, budget: int | None, *, label: str, each: Cost, asked: tuple[object, ...]
) -> Tensor:
    """Every variant of every image, in chunks that fit."""
    images = plan.images
    if budget is None:
        on_cpu = CPU_GRADIENT_BUDGET if each.backward else CPU_BUDGET
        budget = on_cpu if images.device.type == "cpu" else OTHER_BUDGET
    check_range("budget", budget, 1)
    counted = _rehearsal.get()
    if counted is not None:
        counted.forward += each.forward * plan.count * len(images)
        counted.backward += each.backward * plan.count * len(images)
        return _rehearsed(ask, plan, fold)
    parts: list[Tensor] = []
    kept: list[Tensor] = []
    with steps(label, plan.count * len(images)) as done:
        for values, passed, is_last in chunks(ask, plan, fold, budget, asked):
            _keep(kept, values, is_sum=fold is not None)
            done(passed)
            if is_last:
                parts.append(kept[0] if len(kept) == 1 else torch.cat(kept))
                kept = []
    found = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
    return found if fold is None else found[0]


def _keep(kept: list[Tensor], new: Tensor, *, is_sum: bool) -> None:
    if is_sum and kept:
        kept[0] = kept[0] + new
    else:
        kept.append(new)


def _rehearsed(ask: Ask, plan: Plan, fold: Fold | None) -> Tensor:
    """What one variant of one image gives, in the place of all."""
    one = torch.zeros(1, dtype=torch.int64, device=plan.images.device)
    found = ask(plan.images[:1], one, one)
    values = found.view(1, 1, *found.shape[1:])
    if fold is not None:
        value = fold(wide(values), one, one)
        return value.expand(len(plan.images), *value.shape[1:])
    return values.expand(plan.count, len(plan.images), *values.shape[2:])
