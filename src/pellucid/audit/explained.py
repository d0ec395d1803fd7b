"""The images worth looking at, each with its heat maps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pellucid import explain
from pellucid.checks import Targets, check_choice
from pellucid.data import ImageSet, batches
from pellucid.methods import methods, taken
from pellucid.models import Model, cam_layers
from pellucid.progress import steps

from .predictions import Predictions

AT_ONCE = 8
"""Images explained together; bounds the memory of a backward pass."""


@dataclass(frozen=True)
class Explained:
    """One image that is shown."""

    row: int  # place in the predictions
    image: Tensor  # (C, H, W), in [0, 1]
    heats: tuple[tuple[str, int, Tensor], ...]  # (method, class, heat (H, W))


@dataclass(frozen=True)
class Shown:
    """Three kinds of images, and what could not be drawn."""

    mistakes: tuple[Explained, ...]  # wrong, most confident first
    unsure: tuple[Explained, ...]  # right, least confident first
    sample: tuple[Explained, ...]  # drawn at random with the seed
    notes: tuple[str, ...]  # methods that this model does not allow, with the reason


def choose(predictions: Predictions, count: int, seed: int) -> tuple[list[int], list[int], list[int]]:
    """Rows of the most confident mistakes, the least confident hits and a random sample, `count` of each at most."""
    order = predictions.confidence.argsort(descending=True, stable=True)
    wrong = [int(row) for row in order if not predictions.correct[row]][:count]
    unsure = [int(row) for row in order.flip(0) if predictions.correct[row]][:count]
    generator = torch.Generator().manual_seed(seed)
    sample = torch.randperm(len(predictions), generator=generator)[:count].sort().values.tolist()
    return wrong, unsure, sample


def chosen_methods(words: str) -> list[str]:
    """The names of methods of `explain`, separated by commas; ValueError for an unknown one."""
    names = list(dict.fromkeys(name.strip() for name in words.split(",") if name.strip()))
    for name in names:
        check_choice("method", name, methods(explain))
    return names


def bound(name: str, layer: str | None, seed: int) -> Callable[[nn.Module, Tensor, Targets], Tensor]:
    """A method of `explain` with its default options, the layer where it looks at one, and the seed."""
    method = methods(explain)[name]

    def ask(model: nn.Module, images: Tensor, targets: Targets) -> Tensor:
        generator = torch.Generator().manual_seed(seed)  # the same for every device
        heat: Tensor = method(model, images, targets, **taken(method, {"layer": layer, "generator": generator}))
        return heat

    return ask


def explain_rows(
    model: Model, images: ImageSet, predictions: Predictions, names: Sequence[str], *, count: int, seed: int
) -> Shown:
    """Heat maps of the chosen images: for the predicted class, and for the true one where they differ."""
    wrong, unsure, sample = choose(predictions, count, seed)
    rows = sorted({*wrong, *unsure, *sample})
    layer = next(iter(cam_layers(model)), None)
    done: dict[int, Explained] = {}
    notes: dict[str, str] = {}
    with steps("explaining", len(rows)) as told:
        for start in range(0, len(rows), AT_ONCE):
            some = rows[start : start + AT_ONCE]
            chosen = images.subset([int(predictions.positions[row]) for row in some])
            (batch,) = batches(chosen, model.geometry, batch_size=AT_ONCE, workers=0)
            notes |= {error.file: error.reason for error in batch.errors}  # gone since it was predicted
            there = [some[place] for place in batch.indices.tolist()]
            if there:
                pixels = batch.images(model.mean.device)
                found = _explain(model, pixels, predictions, there, names=names, layer=layer, seed=seed, notes=notes)
                done |= {one.row: one for one in found}
            told(len(some))

    def drawn(group: Sequence[int]) -> tuple[Explained, ...]:
        return tuple(done[row] for row in group if row in done)

    told_notes = tuple(f"{name} is not drawn: {reason}" for name, reason in notes.items())
    return Shown(drawn(wrong), drawn(unsure), drawn(sample), told_notes)


def _explain(
    model: Model,
    images: Tensor,
    predictions: Predictions,
    rows: list[int],
    *,
    names: Sequence[str],
    layer: str | None,
    seed: int,
    notes: dict[str, str],
) -> list[Explained]:
    predicted, truth = predictions.predicted[rows], predictions.targets[rows]
    wrong = (predicted != truth).nonzero()[:, 0]
    heats: list[list[tuple[str, int, Tensor]]] = [[] for _ in rows]
    for name in names:
        ask = bound(name, layer, seed)
        for which, targets in ((torch.arange(len(rows)), predicted), (wrong, truth[wrong])):
            if not len(which) or name in notes:
                continue
            try:
                found = ask(model, images[which], targets.to(images.device)).cpu()
            except ValueError as error:  # the method says why this model does not suit it; the page repeats it
                notes[name] = str(error)
                continue
            for place, target, heat in zip(which.tolist(), targets.tolist(), found, strict=True):
                heats[place].append((name, target, heat))
    return [Explained(row, image, tuple(heat)) for row, image, heat in zip(rows, images.cpu(), heats, strict=True)]
