"""A variational MLP: a small network whose every weight is a density, so that it knows where it has seen nothing.

C. Blundell, J. Cornebise, K. Kavukcuoglu, D. Wierstra, "Weight Uncertainty in Neural Networks", ICML 2015.
https://arxiv.org/abs/1505.05424
D. Kingma, T. Salimans, M. Welling, "Variational Dropout and the Local Reparameterization Trick", NeurIPS 2015.
https://arxiv.org/abs/1506.02557
"""

from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.checks import check_choice, check_count
from pellucid.models.variational_layer import VariationalLinear, through

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

SAMPLERS = ("local", "weight")


class VariationalMLP:
    """ReLU layers of normal weights, fitted by the lower bound of the log evidence of the whole set.

    Formula:
        loss = -(N / B) sum over the batch of ln p(y | x, w) + beta KL(q || prior), w drawn from q

    Args:
        hidden: units of a layer in the middle, at least 1.
        layers: of these, at least 1.
        classes: of the targets, at least 2; two take one logit.
        prior: normal, N(0, prior_std^2), or mixture, with a narrow normal beside it (its KL is then drawn).
        prior_std: above 0.
        narrow_std: of the mixture's second normal, above 0.
        narrow_share: of the mixture's second normal, in [0, 1).
        first_std: standard deviation of every weight at first, above 0.
        first: of the first means: small, N(0, 0.1^2), or he, N(0, 2 / inputs).
        sampler: in training: local (what the weights sum to, for each point) or weight (one draw of weights a step).
        warm_up: epochs in which beta rises from 0 to 1, at least 0.
        epochs: at least 1.
        lr: of Adam, above 0; no weight decay, for the prior is in the loss.
        batch: points a step, at least 1; none takes all.

    After `fit`: network_, the layers; elbos_ (epochs,), nats, of the whole set, one draw an epoch; losses_ (epochs,).
    """

    def __init__(
        self,
        *,
        hidden: int = 50,
        layers: int = 1,
        classes: int = 2,
        prior: str = "normal",
        prior_std: float = 1.0,
        narrow_std: float = 0.1,
        narrow_share: float = 0.5,
        first_std: float = 0.05,
        first: str = "small",
        sampler: str = "local",
        warm_up: int = 0,
        epochs: int = 2000,
        lr: float = 0.01,
        batch: int | None = None,
    ) -> None:
        self.hidden, self.layers, self.classes = hidden, layers, classes
        self.prior, self.prior_std, self.narrow_std, self.narrow_share = prior, prior_std, narrow_std, narrow_share
        self.first_std, self.first, self.sampler, self.warm_up = first_std, first, sampler, warm_up
        self.epochs, self.lr, self.batch = epochs, lr, batch

    def fit(self, points: Tensor, targets: Tensor, *, generator: torch.Generator | None = None) -> Self:
        """Learn from points (N, d), float, with targets (N,), int64; N may be 0: then the prior is learned.

        Raises:
            ValueError: targets that do not fit, an option out of its range, or a loss that is no number any more.
        """
        check_learning(points, targets, self.classes, least=0)
        self._check()
        source = generator or torch.Generator().manual_seed(0)
        sizes = widths(points.shape[1], self.hidden, self.layers, self.classes)
        self.network_ = nn.ModuleList(
            VariationalLinear(*size, std=self.first_std, first=self.first, generator=source) for size in sizes
        )
        values, bounds = points.double(), list[float]()

        def loss(rows: Tensor, epoch: int) -> Tensor:
            logits, divergence = self._pass(values[rows], source)
            fit = surprise(logits, targets[rows]) * (len(values) / len(rows) if len(rows) else 0.0)
            bounds.append(-(fit + divergence).item())
            return fit + min(1.0, (epoch + 1) / (self.warm_up or 1)) * divergence

        loop = {"epochs": self.epochs, "lr": self.lr, "batch": self.batch}
        self.losses_ = descend(self.network_.parameters(), loss, len(values), generator=source, **loop)  # type: ignore[arg-type]
        self.elbos_ = torch.tensor(bounds, dtype=torch.float64).reshape(self.epochs, -1).mean(dim=1)
        return self

    def predict_samples(
        self,
        points: Tensor,
        *,
        samples: int = 100,
        sampler: str = "weight",
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Probabilities (S, N, K), rows sum to 1, of drawn networks.

        Args:
            points: (N, d), float.
            samples: S, at least 1.
            sampler: weight (a draw is one network, the same for all points) or local (apart for each point: speckle).
            generator: of the draws; None: seed 0.
        """
        check_choice("sampler", sampler, SAMPLERS)
        if sampler == "weight":
            return probabilities(self.sample_functions(points, samples=samples, generator=generator))
        check_count("samples", samples, 1)
        check_points(points, self._drawers()[0].mean.shape[1] - 1)
        source = generator or torch.Generator().manual_seed(0)
        with torch.no_grad():
            return probabilities(torch.stack([self._local(points.double(), source) for _ in range(samples)]))

    def sample_functions(
        self,
        points: Tensor,
        *,
        samples: int = 10,
        sampler: str = "weight",
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Logits (S, N, 1), or (S, N, K) of more than two classes, of drawn networks, each the same for all points.

        Args:
            points: (N, d), float.
            samples: S, at least 1.
            sampler: weight; local draws apart for each point, which makes no function.
            generator: of the draws; None: seed 0.
        """
        check_choice("sampler", sampler, SAMPLERS)
        if sampler == "local":
            raise ValueError("local noise is apart for each point and makes no function: use sampler='weight'")
        check_count("samples", samples, 1)
        check_points(points, self._drawers()[0].mean.shape[1] - 1)
        source = generator or torch.Generator().manual_seed(0)
        with torch.no_grad():
            drawn = [layer.weights(samples, generator=source) for layer in self._drawers()]
        return chunked(points, lambda part: _through_all(drawn, part.expand(samples, *part.shape)), samples)

    def predict_mean(self, points: Tensor) -> Tensor:
        """Probabilities (N, K) of the network of mean weights."""
        check_points(points, self._drawers()[0].mean.shape[1] - 1)
        values = points.double()
        with torch.no_grad():
            for number, layer in enumerate(self.network_):
                values = layer(values if number == 0 else F.relu(values))
        return probabilities(values)

    def _check(self) -> None:
        check_choice("prior", self.prior, ("normal", "mixture"))
        check_choice("first", self.first, ("small", "he"))
        check_choice("sampler", self.sampler, SAMPLERS)
        for name in ("prior_std", "narrow_std", "first_std"):
            check_positive(name, getattr(self, name))
        check_share("narrow_share", self.narrow_share)
        check_count("warm_up", self.warm_up, 0)
        check_training(self.epochs, self.lr, self.batch)

    def _drawers(self) -> list[VariationalLinear]:
        return [layer for layer in self.network_ if isinstance(layer, VariationalLinear)]

    def _pass(self, values: Tensor, source: torch.Generator) -> tuple[Tensor, Tensor]:
        """Logits (n, 1) or (n, K) of one draw, and the KL of all layers, ()."""
        needs_weights = self.sampler == "weight" or self.prior == "mixture"
        drawn = [layer.weights(1, generator=source) for layer in self._drawers()] if needs_weights else []
        if self.prior == "normal":
            parts = [layer.divergence(self.prior_std) for layer in self._drawers()]
        else:
            mixed = {"wide": self.prior_std, "narrow": self.narrow_std, "share": 1 - self.narrow_share}
            parts = [layer.drawn_divergence(one, **mixed) for layer, one in zip(self._drawers(), drawn, strict=True)]
        logits = _through_all(drawn, values[None])[0] if self.sampler == "weight" else self._local(values, source)
        return logits, torch.stack(parts).sum()

    def _local(self, values: Tensor, source: torch.Generator) -> Tensor:
        for number, layer in enumerate(self._drawers()):
            values = layer.local(values if number == 0 else F.relu(values), generator=source)
        return values


def _through_all(drawn: list[Tensor], values: Tensor) -> Tensor:
    """Rows (S, n, d) through the drawn layers, to logits (S, n, 1) or (S, n, K)."""
    for number, weights in enumerate(drawn):
        values = through(weights, values if number == 0 else F.relu(values))
    return values
