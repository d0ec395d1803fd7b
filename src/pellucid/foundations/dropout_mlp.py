"""An MC-dropout MLP: a small network that goes on dropping units when it is asked, and so answers differently.

Y. Gal, Z. Ghahramani, "Dropout as a Bayesian Approximation: Representing Model Uncertainty in Deep Learning", ICML
2016, sections 3 and 4. https://arxiv.org/abs/1506.02142
"""

from itertools import chain
from typing import Self

import torch
from torch import Tensor, nn

from pellucid.checks import check_count, check_range
from pellucid.models.dropouts import Thinned, thinned

from ._learning import (
    check_learning,
    check_points,
    check_positive,
    check_share,
    check_training,
    chunked,
    descend,
    probabilities,
    surprise,
    widths,
)
from .bayesian_linear import Prediction
from .dropout import dropout


class DropoutMLP:
    """ReLU layers, each followed by dropout; without any (p = 0) the plain network.

    Args:
        hidden: units of a layer in the middle, at least 1.
        layers: of these, at least 1.
        classes: of the targets, at least 2; two take one logit.
        p: probability that a unit is dropped, in [0, 1).
        weight_decay: of Adam, on the mean loss, at least 0; `decay_of` says which prior it stands for.
        epochs: at least 1.
        lr: of Adam, above 0.
        batch: points a step, at least 1; none takes all.

    After `fit`: network_, in eval mode; losses_ (epochs,), nats a point, while units were dropped.
    """

    def __init__(
        self,
        *,
        hidden: int = 50,
        layers: int = 1,
        classes: int = 2,
        p: float = 0.2,
        weight_decay: float = 1e-4,
        epochs: int = 1000,
        lr: float = 0.01,
        batch: int | None = None,
    ) -> None:
        self.hidden, self.layers, self.classes, self.p = hidden, layers, classes, p
        self.weight_decay, self.epochs, self.lr, self.batch = weight_decay, epochs, lr, batch

    def fit(self, points: Tensor, targets: Tensor, *, generator: torch.Generator | None = None) -> Self:
        """Learn from points (N, d), float, with targets (N,), int64; None takes seed 0.

        Raises:
            ValueError: targets that do not fit, an option out of its range, or a loss that is no number any more.
        """
        check_learning(points, targets, self.classes, least=1)
        check_share("p", self.p)
        check_range("weight_decay", self.weight_decay, 0)
        check_training(self.epochs, self.lr, self.batch)
        source = generator or torch.Generator().manual_seed(0)
        sizes = widths(points.shape[1], self.hidden, self.layers, self.classes)
        self.network_ = nn.Sequential(*_modules(sizes, self.p, source)).eval()
        values = points.double()

        def loss(rows: Tensor, _epoch: int) -> Tensor:
            logits = _dropping(self.network_, values[rows], self.p, source)
            return surprise(logits, targets[rows]) / len(rows)

        loop = {"epochs": self.epochs, "lr": self.lr, "batch": self.batch, "weight_decay": self.weight_decay}
        self.losses_ = descend(self.network_.parameters(), loss, len(values), generator=source, **loop)  # type: ignore[arg-type]
        return self

    def predict_samples(
        self, points: Tensor, *, samples: int = 100, p: float | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Probabilities (S, N, K), rows sum to 1, of thinned networks, each the same for all points.

        Args:
            points: (N, d), float.
            samples: S, at least 1.
            p: probability of being dropped, in [0, 1), instead of the one learned with.
            generator: of the masks; None: seed 0.
        """
        check_count("samples", samples, 1)
        check_share("p", 0.0 if p is None else p)
        check_points(points, self._width())
        source = generator or torch.Generator().manual_seed(0)
        draws = Thinned(int(torch.randint(2**62, (), generator=source)), p)

        def asked(part: Tensor) -> Tensor:
            draws.begin(torch.arange(samples))
            rows = part.expand(samples, *part.shape).flatten(0, 1)  # (S * n, d)
            with thinned(draws):
                logits: Tensor = self.network_(rows)
            return probabilities(logits.reshape(samples, len(part), -1))

        return chunked(points, asked, samples)

    def predict_mean(self, points: Tensor) -> Tensor:
        """Probabilities (N, K) of the whole network, nothing dropped."""
        check_points(points, self._width())
        with torch.no_grad():
            return probabilities(self.network_(points.double()))

    def _width(self) -> int:
        return int(next(self.network_.parameters()).shape[1])


def decay_of(*, length_scale: float, precision: float, p: float, count: int) -> float:
    """The weight decay on the mean squared error that stands for a normal prior on the weights.

    Formula:
        lambda = (1 - p) l^2 / (2 N tau)

    Args:
        length_scale: l of the prior, in the unit of the inputs, above 0; long is smooth.
        precision: tau, one over the variance of the noise, above 0.
        p: probability of being dropped, in [0, 1).
        count: N points, at least 1.
    """
    check_positive("length_scale", length_scale)
    check_positive("precision", precision)
    check_share("p", p)
    check_count("count", count, 1)
    return (1 - p) * length_scale**2 / (2 * count * precision)


def regression_of(samples: Tensor, *, precision: float) -> Prediction:
    """What drawn answers to a regression say: the noise, 1 / tau, apart from the spread of the draws.

    Args:
        samples: (S, N), S at least 2.
        precision: tau, one over the variance of the noise, above 0.
    """
    check_positive("precision", precision)
    if samples.ndim != 2 or len(samples) < 2:
        raise ValueError(f"samples must have shape (S, N), S at least 2 for a variance, got {tuple(samples.shape)}")
    variance = samples.var(dim=0, correction=0)
    return Prediction(samples.mean(dim=0), variance, torch.full_like(variance, 1 / precision))


def _modules(sizes: list[tuple[int, int]], p: float, source: torch.Generator) -> list[nn.Module]:
    """Linear layers, with ReLU and dropout between; first weights as torch's, uniform within 1 / sqrt(inputs)."""
    layers = [_linear(inputs, outputs, source) for inputs, outputs in sizes]
    between = [[layer, nn.ReLU(), nn.Dropout(p)] for layer in layers[:-1]]
    return [*chain.from_iterable(between), layers[-1]]


def _linear(inputs: int, outputs: int, source: torch.Generator) -> nn.Linear:
    with torch.device("meta"):  # so that torch draws no weights of its own
        layer = nn.Linear(inputs, outputs, dtype=torch.float64)
    layer.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in layer.parameters():
            drawn = torch.rand(parameter.shape, generator=source, dtype=torch.float64)
            parameter.copy_((2 * drawn - 1) / inputs**0.5)
    return layer


def _dropping(network: nn.Sequential, values: Tensor, p: float, source: torch.Generator) -> Tensor:
    """A pass of training: every unit of every point dropped anew."""
    for module in network:
        values = dropout(values, p=p, generator=source) if isinstance(module, nn.Dropout) else module(values)
    return values
