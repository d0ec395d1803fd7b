"""What the networks of this room learn by: rows that fit, batches, and Adam's steps."""

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.checks import check_count
from pellucid.progress import steps as progress

ROWS = 12800
"""Rows times draws asked at a time: few enough to stay in the cache."""


def check_learning(points: Tensor, targets: Tensor, classes: int, *, least: int) -> None:
    """Refuse points (N, d) and targets (N,), int64, that do not fit each other or so many classes."""
    check_count("classes", classes, 2)
    check_points(points, None)
    if len(points) < least:
        raise ValueError(f"points must be at least {least}, got {len(points)}")
    if not isinstance(targets, Tensor) or targets.dtype != torch.int64 or targets.shape != points.shape[:1]:
        given = f"{targets.dtype} {tuple(targets.shape)}" if isinstance(targets, Tensor) else type(targets).__name__
        raise ValueError(f"targets must be int64 ({len(points)},), one for each point, got {given}")
    if len(targets) and not 0 <= int(targets.min()) <= int(targets.max()) < classes:
        told = f"{int(targets.min())} to {int(targets.max())}"
        raise ValueError(
            f"targets must be in 0..{classes - 1} for {classes} classes, got {told}: remap, or set classes"
        )


def check_points(points: Tensor, width: int | None) -> None:
    """Refuse what is no finite float (N, d), or of another width than was learned."""
    if not isinstance(points, Tensor) or not points.is_floating_point() or points.ndim != 2:
        given = f"{points.dtype} {tuple(points.shape)}" if isinstance(points, Tensor) else type(points).__name__
        raise ValueError(f"points must be float (N, d), got {given}")
    if not bool(points.isfinite().all()):
        raise ValueError("points must be finite, got NaN or infinite values")
    if width is not None and points.shape[1] != width:
        raise ValueError(f"points must have {width} columns as in fit, got {points.shape[1]}")


def check_training(epochs: int, lr: float, batch: int | None) -> None:
    """Refuse a loop that cannot be run."""
    check_count("epochs", epochs, 1)
    check_count("batch", 1 if batch is None else batch, 1)
    if not lr > 0:
        raise ValueError(f"lr must be above 0, got {lr}")


def widths(inputs: int, hidden: int, layers: int, classes: int) -> list[tuple[int, int]]:
    """Inputs and outputs of each layer; two classes take one logit."""
    check_count("hidden", hidden, 1)
    check_count("layers", layers, 1)
    sizes = [inputs, *[hidden] * layers, 1 if classes == 2 else classes]
    return list(pairwise(sizes))


def surprise(logits: Tensor, targets: Tensor) -> Tensor:
    """-ln p of the targets under logits (n, 1) or (n, K), summed over the n."""
    if logits.shape[1] == 1:
        return F.binary_cross_entropy_with_logits(logits[:, 0], targets.to(logits), reduction="sum")
    return F.cross_entropy(logits, targets, reduction="sum")


def probabilities(logits: Tensor) -> Tensor:
    """Rows that sum to 1, (..., K), of logits (..., 1), those of class 1 against 0, or (..., K)."""
    if logits.shape[-1] == 1:
        return torch.cat([(-logits).sigmoid(), logits.sigmoid()], dim=-1)
    return logits.softmax(dim=-1)


def descend(
    parameters: Iterable[nn.Parameter],
    loss: Callable[[Tensor, int], Tensor],
    count: int,
    *,
    epochs: int,
    lr: float,
    batch: int | None,
    generator: torch.Generator,
    weight_decay: float = 0.0,
) -> Tensor:
    """Adam's steps on loss(rows of a batch, epoch from 0); the mean loss of each epoch, (epochs,)."""
    optimizer = torch.optim.Adam(parameters, lr=lr, weight_decay=weight_decay)
    told: list[float] = []
    with progress("learning", epochs) as done:
        for epoch in range(epochs):
            losses: list[float] = []
            for rows in _batches(count, batch, generator):
                optimizer.zero_grad()
                value = loss(rows, epoch)
                value.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                losses.append(value.item())
            told.append(sum(losses) / len(losses))
            if not torch.tensor(told[-1]).isfinite():
                raise ValueError(f"loss became {told[-1]} in epoch {epoch + 1}, lr {lr}: lower lr")
            done(1)
    return torch.tensor(told, dtype=torch.float64)


def _batches(count: int, batch: int | None, generator: torch.Generator) -> Iterator[Tensor]:
    if batch is None or batch >= count:
        yield torch.arange(count)
    else:
        yield from torch.split(torch.randperm(count, generator=generator), batch)


def chunked(points: Tensor, asked: Callable[[Tensor], Tensor], samples: int) -> Tensor:
    """asked((n, d)) -> (S, n, K), a bounded number of rows at a time, joined to (S, N, K)."""
    rows = max(1, ROWS // samples)
    with torch.no_grad():
        return torch.cat([asked(part) for part in torch.split(points.double(), rows)], dim=1)


def check_share(name: str, value: float) -> None:
    """Refuse what is outside [0, 1)."""
    if not 0 <= value < 1:
        raise ValueError(f"{name} must be in [0, 1), got {value}")


def check_positive(name: str, value: float) -> None:
    """Refuse what is not above 0 and finite."""
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} must be above 0 and finite, got {value}")
