"""One network, four ways: the same small MLP trained by hand, with autograd, with nn and with optim.

D. Rumelhart, G. Hinton, R. Williams, "Learning Representations by Back-Propagating Errors", Nature 323, 1986.
https://doi.org/10.1038/323533a0
C. Bishop, "Pattern Recognition and Machine Learning", Springer 2006, section 5.3.
https://www.microsoft.com/en-us/research/publication/pattern-recognition-machine-learning/

Each way is way(weights, batches, *, lr) -> an iterator over updates. Each replaces one piece of the one before it; all
get the same first weights and the same batches, and so take the same path.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TypeAlias

import torch
from torch import Tensor, nn

from pellucid.checks import check_count, check_range

Batches: TypeAlias = Iterable[tuple[Tensor, Tensor]]
"""Inputs (B, d), float, and targets (B,), int64."""


@dataclass(frozen=True)
class Weights:
    """All that the network learns: H = tanh(X Wh^T + bh), logits = H Wy^T + by. Samples are rows."""

    hidden_weight: Tensor  # Wh (h, d)
    hidden_bias: Tensor  # bh (h,)
    output_weight: Tensor  # Wy (C, h)
    output_bias: Tensor  # by (C,)

    def all(self) -> list[Tensor]:
        """The four tensors, in the order above."""
        return [getattr(self, field.name) for field in fields(self)]


@dataclass(frozen=True)
class Update:
    """One step of training."""

    loss: float  # of the batch before the step, in nats
    weights: Weights  # after the step


def first_weights(
    inputs: int,
    hidden: int,
    classes: int,
    *,
    std: float = 0.3,
    dtype: torch.dtype = torch.float64,
    generator: torch.Generator | None = None,
) -> Weights:
    """Weights from N(0, std^2), biases zero.

    Args:
        inputs: d, at least 1.
        hidden: units in the middle, at least 1.
        classes: C, at least 2.
        std: standard deviation of the weights, at least 0.
        dtype: of all four.
        generator: of the draw; seed 0 without.
    """
    for name, value, low in (("inputs", inputs, 1), ("hidden", hidden, 1), ("classes", classes, 2)):
        check_count(name, value, low)
    check_range("std", std, 0)
    drawn = generator or torch.Generator().manual_seed(0)
    middle, last = (
        std * torch.randn(*shape, generator=drawn, dtype=dtype) for shape in ((hidden, inputs), (classes, hidden))
    )
    return Weights(middle, torch.zeros(hidden, dtype=dtype), last, torch.zeros(classes, dtype=dtype))


def logits_of(weights: Weights, inputs: Tensor) -> Tensor:
    """What the network says of some rows, (N, d) -> (N, C)."""
    hidden = torch.tanh(inputs @ weights.hidden_weight.T + weights.hidden_bias)  # (N, h)
    return hidden @ weights.output_weight.T + weights.output_bias


def gradients_by_hand(weights: Weights, inputs: Tensor, targets: Tensor) -> tuple[float, Weights]:
    """The loss of a batch, and its derivative by every weight, from the chain rule.

    Formula:
        dY = (softmax(Y) - onehot) / B
        dWy = dY^T H, dby = sum over rows of dY
        dHt = (dY Wy) * (1 - H^2)
        dWh = dHt^T X, dbh = sum over rows of dHt

    Args:
        weights: where the derivative is taken.
        inputs: X (B, d), float.
        targets: (B,), int64, in [0, C).

    Returns:
        The mean cross-entropy in nats, and the gradients in the shape of the weights.
    """
    hidden = torch.tanh(inputs @ weights.hidden_weight.T + weights.hidden_bias)  # (B, h)
    logits = hidden @ weights.output_weight.T + weights.output_bias  # (B, C)
    logs = logits - logits.logsumexp(dim=1, keepdim=True)
    rows = torch.arange(len(targets))
    loss = -logs[rows, targets].mean()
    by_logits = logs.exp()
    by_logits[rows, targets] -= 1
    by_logits /= len(targets)  # the only division by B
    by_middle = (by_logits @ weights.output_weight) * (1 - hidden**2)  # (B, h)
    gradient = Weights(by_middle.T @ inputs, by_middle.sum(dim=0), by_logits.T @ hidden, by_logits.sum(dim=0))
    return loss.item(), gradient


def manual(weights: Weights, batches: Batches, *, lr: float = 0.07) -> Iterator[Update]:
    """All by hand: forward, chain rule, step.

    Args:
        weights: to begin with; left as they are.
        batches: in order.
        lr: length of a step, at least 0.
    """
    check_range("lr", lr, 0)
    for inputs, targets in batches:
        loss, gradient = gradients_by_hand(weights, inputs, targets)
        weights = Weights(*(one - lr * by for one, by in zip(weights.all(), gradient.all(), strict=True)))
        yield Update(loss, weights)


def autograd(weights: Weights, batches: Batches, *, lr: float = 0.07) -> Iterator[Update]:
    """The chain rule is autograd's; forward, loss and step by hand.

    Args:
        weights: to begin with; left as they are.
        batches: in order.
        lr: length of a step, at least 0.
    """
    check_range("lr", lr, 0)
    for inputs, targets in batches:
        leaves = Weights(*(one.detach().clone().requires_grad_() for one in weights.all()))
        logits = logits_of(leaves, inputs)
        loss = (logits.logsumexp(dim=1) - logits[torch.arange(len(targets)), targets]).mean()
        gradient = torch.autograd.grad(loss, leaves.all())
        weights = Weights(*(one - lr * by for one, by in zip(weights.all(), gradient, strict=True)))
        yield Update(loss.item(), weights)


def modules(weights: Weights, batches: Batches, *, lr: float = 0.07) -> Iterator[Update]:
    """Layers and loss are torch.nn's; only the step is by hand.

    Args:
        weights: to begin with; left as they are.
        batches: in order.
        lr: length of a step, at least 0.
    """
    check_range("lr", lr, 0)
    network, criterion = network_of(weights), nn.CrossEntropyLoss()  # takes logits: no softmax before it
    for inputs, targets in batches:
        loss = criterion(network(inputs), targets)
        gradient = torch.autograd.grad(loss, list(network.parameters()))
        with torch.no_grad():
            for parameter, by in zip(network.parameters(), gradient, strict=True):
                parameter.sub_(lr * by)
        yield Update(loss.item(), _held(network))


def optim(weights: Weights, batches: Batches, *, lr: float = 0.07) -> Iterator[Update]:
    """The step too is torch's: nothing is by hand any more.

    Args:
        weights: to begin with; left as they are.
        batches: in order.
        lr: length of a step, at least 0.
    """
    check_range("lr", lr, 0)
    network, criterion = network_of(weights), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(network.parameters(), lr=lr)
    for inputs, targets in batches:
        optimizer.zero_grad()
        loss = criterion(network(inputs), targets)
        loss.backward()
        optimizer.step()
        yield Update(loss.item(), _held(network))


def network_of(weights: Weights) -> nn.Sequential:
    """The same network as torch builds it, with a copy of these weights."""
    (hidden, inputs), classes = weights.hidden_weight.shape, len(weights.output_bias)
    with torch.device("meta"):  # so that torch draws no weights of its own
        network = nn.Sequential(nn.Linear(inputs, hidden), nn.Tanh(), nn.Linear(hidden, classes))
    network.to_empty(device=weights.hidden_bias.device).to(weights.hidden_bias.dtype)
    with torch.no_grad():
        for parameter, given in zip(network.parameters(), weights.all(), strict=True):
            parameter.copy_(given)
    return network


def _held(network: nn.Sequential) -> Weights:
    return Weights(*(parameter.detach().clone() for parameter in network.parameters()))


WAYS = {"manual": manual, "autograd": autograd, "nn": modules, "optim": optim}
"""By the word for what each leaves to torch."""


def batch_order(
    count: int, *, batch: int, epochs: int, generator: torch.Generator | None = None
) -> Sequence[Sequence[Tensor]]:
    """Which rows each step sees: for each epoch, all rows once, shuffled and cut.

    Args:
        count: N rows, at least 1.
        batch: rows a step, at least 1; all of them when it is more; the last batch may be smaller.
        epochs: times over all rows, at least 1.
        generator: of the order; seed 0 without.

    Returns:
        For each epoch its batches, each int64 (B,).
    """
    for name, value in (("count", count), ("batch", batch), ("epochs", epochs)):
        check_count(name, value, 1)
    drawn = generator or torch.Generator().manual_seed(0)
    return [torch.split(torch.randperm(count, generator=drawn), batch) for _ in range(epochs)]
