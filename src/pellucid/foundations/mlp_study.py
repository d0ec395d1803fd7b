"""A study of the small MLP: how it learns with one way, step length and batch size, epoch by epoch."""

import itertools
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.checks import check_choice, check_count

from .four_ways import WAYS, Weights, batch_order, first_weights, logits_of


@dataclass(frozen=True)
class Labelled:
    """Rows with a class each."""

    values: Tensor  # (N, d), float
    targets: Tensor  # (N,), int64


@dataclass(frozen=True)
class Learned:
    """What training gave, epoch by epoch; the first entry is before any step."""

    train_loss: Tensor  # (epochs + 1,), nats, on all training rows
    test_loss: Tensor  # (epochs + 1,), nats
    train_accuracy: Tensor  # (epochs + 1,), in [0, 1]
    test_accuracy: Tensor  # (epochs + 1,), in [0, 1]
    step_losses: Tensor  # (updates,), nats: of each batch, before its step
    weights: Weights  # after the last step


def learn(
    train: Labelled,
    test: Labelled,
    *,
    way: str = "manual",
    hidden: int = 10,
    lr: float = 0.07,
    batch: int = 10,
    epochs: int = 150,
    generator: torch.Generator | None = None,
) -> Learned:
    """Train the MLP and ask it after every epoch.

    Args:
        train: rows to learn from, of at least two classes 0..C-1.
        test: rows to ask about; nothing is chosen by them.
        way: manual, autograd, nn or optim; all learn the same.
        hidden: units in the middle, at least 1.
        lr: length of a step, above 0.
        batch: rows a step, at least 1.
        epochs: times over all training rows, at least 1.
        generator: of the first weights and the order; seed 0 without.

    Raises:
        ValueError: an argument is out of the range above, or the loss is no number any more.
    """
    check_choice("way", way, WAYS)
    classes = _check(train, test, lr)
    check_count("batch", batch, 1)
    if batch > len(train.targets):
        warnings.warn(
            f"batch {batch} is more than the {len(train.targets)} rows: every batch is all rows", stacklevel=2
        )
    drawn = generator or torch.Generator().manual_seed(0)
    weights = first_weights(train.values.shape[1], hidden, classes, dtype=train.values.dtype, generator=drawn)
    order = batch_order(len(train.targets), batch=batch, epochs=epochs, generator=drawn)
    rows = itertools.chain.from_iterable(order)
    updates = WAYS[way](weights, ((train.values[own], train.targets[own]) for own in rows), lr=lr)
    asked, losses = [_asked(weights, train, test)], list[float]()
    for epoch, batches in enumerate(order, 1):
        for step, update in enumerate(itertools.islice(updates, len(batches)), 1):
            if not math.isfinite(update.loss):
                raise ValueError(f"loss became {update.loss} at epoch {epoch} step {step}, lr {lr}: lower lr")
            losses.append(update.loss)
            weights = update.weights
        asked.append(_asked(weights, train, test))
    by_epoch = torch.tensor(asked, dtype=torch.float64).T  # (4, epochs + 1)
    steps = torch.tensor(losses, dtype=torch.float64)
    return Learned(by_epoch[0], by_epoch[1], by_epoch[2], by_epoch[3], steps, weights)


def landscape(weights: Weights, points: Tensor) -> Tensor:
    """How far the network prefers class 1 to class 0, (..., 2) -> (...), in nats; 0 on the boundary.

    Args:
        weights: of a network of two inputs and two classes.
        points: (..., 2).
    """
    if weights.hidden_weight.shape[1] != 2 or points.shape[-1] != 2:
        raise ValueError(f"points must be in the plane for a landscape, got {weights.hidden_weight.shape[1]} inputs")
    if len(weights.output_bias) != 2:
        raise ValueError(f"weights must tell two classes apart for a landscape, got {len(weights.output_bias)}")
    logits = logits_of(weights, points.to(weights.hidden_bias))
    return logits[..., 1] - logits[..., 0]


def settings(lrs: Sequence[float], batches: Sequence[int], *, lr: float, batch: int) -> Iterator[tuple[float, int]]:
    """Each lr at one batch size, then each batch size at one lr, without doubles."""
    yield from dict.fromkeys([*((one, batch) for one in lrs), *((lr, one) for one in batches)])


def _asked(weights: Weights, train: Labelled, test: Labelled) -> tuple[float, float, float, float]:
    """Training loss, test loss, training accuracy, test accuracy."""
    said = [logits_of(weights, rows.values) for rows in (train, test)]
    losses = [
        torch.nn.functional.cross_entropy(logits, rows.targets).item()
        for logits, rows in zip(said, (train, test), strict=True)
    ]
    right = [
        (logits.argmax(dim=1) == rows.targets).double().mean().item()
        for logits, rows in zip(said, (train, test), strict=True)
    ]
    return losses[0], losses[1], right[0], right[1]


def _check(train: Labelled, test: Labelled, lr: float) -> int:
    """How many classes there are."""
    for name, rows in (("train", train), ("test", test)):
        if rows.values.ndim != 2 or len(rows.values) != len(rows.targets) or not len(rows.targets):
            given = f"{tuple(rows.values.shape)} and {tuple(rows.targets.shape)}"
            raise ValueError(f"{name} must have values (N, d) and targets (N,), N at least 1, got {given}")
        if not bool(rows.values.isfinite().all()):
            raise ValueError(f"{name} must have finite values, got NaN or infinite ones")
    classes = int(train.targets.max()) + 1
    found, asked = (sorted(set(rows.targets.tolist())) for rows in (train, test))
    if found != list(range(classes)) or classes < 2:
        raise ValueError(f"train must have at least two classes, all of 0..C-1, got {found}")
    if not set(asked) <= set(found):
        raise ValueError(f"test must have the classes of train, 0..{classes - 1}, got {asked}")
    if not lr > 0:
        raise ValueError(f"lr must be above 0, got {lr}")
    return classes
