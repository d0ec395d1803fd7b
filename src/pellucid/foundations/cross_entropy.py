"""Cross-entropy: the mean surprise at the true class, written four ways that give one number.

C. Shannon, "A Mathematical Theory of Communication", Bell System Technical Journal 27, 1948.
https://doi.org/10.1002/j.1538-7305.1948.tb01338.x
C. Bishop, "Pattern Recognition and Machine Learning", Springer 2006, equation 4.108.
https://www.microsoft.com/en-us/research/publication/pattern-recognition-machine-learning/
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import torch
from torch import Tensor

from pellucid.checks import check_count

TOLERANCE = 1e-5
"""How far a row of probabilities may be from summing to 1."""


@dataclass(frozen=True)
class Way:
    """What one way of writing it took."""

    name: str
    loss: float  # in nats
    seconds: float  # best of the repeats
    logarithms: int
    exponentials: int
    products: int
    sums: int


def cross_entropy_dense(probabilities: Tensor, targets: Tensor, *, soft: bool = False) -> Tensor:
    """By the definition, step by step: a table of logarithms, times the targets, summed, averaged.

    Formula:
        L = -(1/N) sum_n sum_k y_nk ln z_nk

    Args:
        probabilities: (N, C), float, above 0, rows that sum to 1.
        targets: (N, C), one-hot.
        soft: also take targets whose rows are any shares that sum to 1.

    Returns:
        (), in nats, at least the entropy of the targets; 0 when every true class has probability 1.

    Raises:
        ValueError: an argument is not as above.
    """
    _check_probabilities(probabilities)
    _check_rows(targets, probabilities, soft=soft)
    return _dense(probabilities, targets)


def cross_entropy_expression(probabilities: Tensor, targets: Tensor, *, soft: bool = False) -> Tensor:
    """The same sums as one contraction of both tables.

    Formula:
        L = -(y . ln z) / N

    Args:
        probabilities: (N, C), float, above 0, rows that sum to 1.
        targets: (N, C), one-hot.
        soft: also take targets whose rows are any shares that sum to 1.

    Returns:
        (), in nats.

    Raises:
        ValueError: an argument is not as above.
    """
    _check_probabilities(probabilities)
    _check_rows(targets, probabilities, soft=soft)
    return _expression(probabilities, targets)


def cross_entropy_index(probabilities: Tensor, targets: Tensor) -> Tensor:
    """Only the true classes are looked up: all other products are zero anyway.

    Formula:
        L = -(1/N) sum_n ln z[n, y_n]

    Args:
        probabilities: (N, C), float, above 0, rows that sum to 1.
        targets: (N,), int64, in [0, C).

    Returns:
        (), in nats.

    Raises:
        ValueError: an argument is not as above.
    """
    _check_probabilities(probabilities)
    _check_classes(targets, probabilities)
    return _index(probabilities, targets)


def cross_entropy_logits(logits: Tensor, targets: Tensor) -> Tensor:
    """From the numbers before the softmax: no probability is made, so none can round to zero.

    Formula:
        L = (1/N) sum_n (ln sum_k exp a_nk - a[n, y_n])
        dL / da = (softmax(a) - y) / N

    Args:
        logits: (N, C), float; adding a constant to a row changes nothing.
        targets: (N,), int64, in [0, C).

    Returns:
        (), in nats.

    Raises:
        ValueError: an argument is not as above.
    """
    _check_table("logits", logits)
    _check_classes(targets, logits)
    return _logits(logits, targets)


def entropy(probabilities: Tensor) -> Tensor:
    """Mean surprise of rows of shares at themselves: what no cross-entropy with them can go below.

    Formula:
        H = -(1/N) sum_n sum_k p_nk ln p_nk

    Args:
        probabilities: (N, C), float, at least 0, rows that sum to 1; 0 ln 0 is 0.

    Returns:
        (), in nats, in [0, ln C].
    """
    _check_sums("probabilities", probabilities)
    return -torch.xlogy(probabilities, probabilities).sum(dim=1).mean()


def divergence(targets: Tensor, probabilities: Tensor) -> Tensor:
    """What cross-entropy is above the entropy of its targets (Kullback-Leibler): 0 when both are equal.

    Formula:
        KL = (1/N) sum_n sum_k y_nk ln(y_nk / z_nk)

    Args:
        targets: (N, C), float, at least 0, rows that sum to 1.
        probabilities: (N, C), float, above 0, rows that sum to 1.

    Returns:
        (), in nats, at least 0.
    """
    _check_probabilities(probabilities)
    _check_rows(targets, probabilities, soft=True)
    return (torch.xlogy(targets, targets) - targets * probabilities.log()).sum(dim=1).mean()


def compare(logits: Tensor, targets: Tensor, *, repeats: int = 5) -> tuple[Way, ...]:
    """All four ways on the same batch, checks left out: losses, seconds and operations.

    Args:
        logits: (N, C), float.
        targets: (N,), int64, in [0, C).
        repeats: times each is run, at least 1; the best time counts.

    Returns:
        Four ways: dense, expression, index and logits.
    """
    _check_table("logits", logits)
    _check_classes(targets, logits)
    check_count("repeats", repeats, 1)
    probabilities = logits.softmax(dim=1)
    hot = torch.nn.functional.one_hot(targets, logits.shape[1]).to(logits)
    n, all_ = len(logits), logits.numel()
    counts = ((all_, 0, all_, all_), (all_, 0, all_, all_), (n, 0, 0, n), (n, all_, 0, all_ + n))
    calls = ((_dense, probabilities, hot), (_expression, probabilities, hot))
    indexed = ((_index, probabilities, targets), (_logits, logits, targets))
    ways = []
    for (function, scores, wanted), counted in zip((*calls, *indexed), counts, strict=True):
        best = min(_seconds(function, scores, wanted) for _ in range(repeats))
        ways.append(Way(function.__name__[1:], function(scores, wanted).item(), best, *counted))
    return tuple(ways)


def _dense(probabilities: Tensor, targets: Tensor) -> Tensor:
    logarithms = probabilities.log()  # (N, C)
    chosen = targets * logarithms  # (N, C), zero but for the true class
    surprise = -chosen.sum(dim=1)  # (N,)
    return surprise.mean()


def _expression(probabilities: Tensor, targets: Tensor) -> Tensor:
    return -torch.einsum("nk,nk->", targets, probabilities.log()) / len(targets)


def _index(probabilities: Tensor, targets: Tensor) -> Tensor:
    rows = torch.arange(len(targets), device=targets.device)
    return -probabilities[rows, targets].log().mean()  # z[targets] would take whole rows


def _logits(logits: Tensor, targets: Tensor) -> Tensor:
    highest = logits.detach().amax(dim=1, keepdim=True)  # the same sum, and no exponential overflows
    whole = (logits - highest).exp().sum(dim=1).log() + highest[:, 0]  # (N,)
    return (whole - logits.gather(1, targets[:, None])[:, 0]).mean()


def _seconds(function: Callable[[Tensor, Tensor], Tensor], scores: Tensor, wanted: Tensor) -> float:
    before = perf_counter()
    function(scores, wanted)
    return perf_counter() - before


def _check_probabilities(probabilities: Tensor) -> None:
    _check_table("probabilities", probabilities)
    remedy = "pass logits to cross_entropy_logits"
    if not bool((probabilities > 0).all()):
        raise ValueError(f"probabilities must be above 0, got {probabilities.min().item():.3g}: {remedy}")
    _check_sums("probabilities", probabilities, remedy)


def _check_sums(name: str, rows: Tensor, remedy: str = "divide each row by its sum") -> None:
    _check_table(name, rows)
    if bool((rows < 0).any()):
        raise ValueError(f"{name} must be at least 0, got {rows.min().item():.3g}")
    far = (rows.sum(dim=1) - 1).abs()
    if far.max() > TOLERANCE:
        row = int(far.argmax())
        raise ValueError(f"{name} must have rows that sum to 1, got {rows[row].sum():.6g} in row {row}: {remedy}")


def _check_rows(targets: Tensor, probabilities: Tensor, *, soft: bool) -> None:
    if not isinstance(targets, Tensor) or targets.shape != probabilities.shape:
        remedy = "; cross_entropy_index takes class indices" if getattr(targets, "ndim", 0) == 1 else ""
        given = tuple(targets.shape) if isinstance(targets, Tensor) else type(targets).__name__
        raise ValueError(f"targets must have the shape {tuple(probabilities.shape)}, got {given}{remedy}")
    if soft:
        _check_sums("targets", targets)
    elif not bool((((targets == 0) | (targets == 1)).all(dim=1) & (targets.sum(dim=1) == 1)).all()):
        raise ValueError("targets must be one-hot, a single 1 in each row; soft=True takes other shares")


def _check_classes(targets: Tensor, scores: Tensor) -> None:
    if not isinstance(targets, Tensor) or targets.dtype != torch.int64 or targets.shape != scores.shape[:1]:
        given = f"{targets.dtype} {tuple(targets.shape)}" if isinstance(targets, Tensor) else type(targets).__name__
        raise ValueError(f"targets must be int64 ({len(scores)},), one for each row, got {given}")
    low, high = targets.min().item(), targets.max().item()
    if low < 0 or high >= scores.shape[1]:
        raise ValueError(f"targets must be in 0..{scores.shape[1] - 1}, got {low} to {high}: labels count classes")


def _check_table(name: str, table: Tensor) -> None:
    if not isinstance(table, Tensor) or not table.is_floating_point() or table.ndim != 2 or not table.numel():
        given = f"{table.dtype} {tuple(table.shape)}" if isinstance(table, Tensor) else type(table).__name__
        raise ValueError(f"{name} must be a float tensor (N, C), got {given}")
    if not bool(table.isfinite().all()):
        raise ValueError(f"{name} must be finite, got NaN or infinite values")
