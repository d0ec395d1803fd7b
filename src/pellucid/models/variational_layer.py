"""A variational layer: every weight a normal density, drawn at each pass.

C. Blundell, J. Cornebise, K. Kavukcuoglu, D. Wierstra, "Weight Uncertainty in Neural Networks", ICML 2015: weights
drawn once a pass; a prior of two normals. https://arxiv.org/abs/1505.05424
D. Kingma, T. Salimans, M. Welling, "Variational Dropout and the Local Reparameterization Trick", NeurIPS 2015: what
they sum to, drawn for each input. https://arxiv.org/abs/1506.02557
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEAST = 1e-6
"""Standard deviation below which no weight falls."""


class VariationalLinear(nn.Module):
    """Weights and biases w ~ N(mean, softplus(rho)^2), each on its own.

    Args:
        inputs: columns, at least 1.
        outputs: units, at least 1.
        std: standard deviation of every weight at first, above 0.
        first: of the first means: small, N(0, 0.1^2), or he, N(0, 2 / inputs); biases begin at 0.
        generator: of the first means.
    """

    def __init__(self, inputs: int, outputs: int, *, std: float, first: str, generator: torch.Generator) -> None:
        super().__init__()
        scale = 0.1 if first == "small" else math.sqrt(2 / inputs)
        drawn = torch.randn(outputs, inputs, generator=generator, dtype=torch.float64)
        mean = torch.cat([scale * drawn, torch.zeros(outputs, 1, dtype=torch.float64)], dim=1)
        self._hold(mean, torch.full_like(mean, std), has_bias=True)

    @classmethod
    def around(cls, mean: Tensor, std: Tensor) -> "VariationalLinear":
        """A layer that begins at known weights, without a bias: a column of ones among its inputs makes one.

        Args:
            mean: (outputs, inputs), float64.
            std: of the same shape, above 0.
        """
        layer = cls.__new__(cls)
        nn.Module.__init__(layer)
        layer._hold(mean.clone(), std, has_bias=False)
        return layer

    def _hold(self, mean: Tensor, std: Tensor, *, has_bias: bool) -> None:
        self.mean = nn.Parameter(mean)  # (outputs, inputs + 1), the bias last
        self.rho = nn.Parameter(std + torch.log(-torch.expm1(-std)))  # inverse of softplus
        self.has_bias = has_bias

    @property
    def std(self) -> Tensor:
        """(outputs, inputs + 1)."""
        return F.softplus(self.rho).clamp_min(LEAST)

    def forward(self, values: Tensor) -> Tensor:
        """What the mean weights answer, (..., inputs) -> (..., outputs)."""
        return self._summed(values, self.mean)

    def local(self, values: Tensor, *, generator: torch.Generator) -> Tensor:
        """One draw of every sum, apart for each row and unit: less noise in the gradient, but no function.

        Formula:
            a ~ N(x M + m, x^2 V + v)
        """
        variance = self._summed(values**2, self.std**2)
        noise = torch.randn(variance.shape, generator=generator, dtype=variance.dtype)
        return self.forward(values) + variance.sqrt() * noise

    def weights(self, samples: int, *, generator: torch.Generator) -> Tensor:
        """Drawn weights, (samples, outputs, inputs + 1)."""
        noise = torch.randn(samples, *self.mean.shape, generator=generator, dtype=self.mean.dtype)
        return self.mean + self.std * noise

    def divergence(self, prior_std: float) -> Tensor:
        """KL from the prior N(0, prior_std^2) of all weights, (), nats."""
        ratio = self.std / prior_std
        return (ratio**2 / 2 + (self.mean / prior_std) ** 2 / 2 - 0.5 - ratio.log()).sum()

    def drawn_divergence(self, weights: Tensor, *, wide: float, narrow: float, share: float) -> Tensor:
        """The same, estimated from drawn weights, for a prior that mixes two normals, (), nats.

        Args:
            weights: (S, outputs, inputs + 1), drawn from this layer.
            wide: standard deviation of the first normal.
            narrow: of the second.
            share: of the first, in [0, 1].
        """
        said = _log_normal(weights, self.mean, self.std)
        parts = [
            math.log(part) + _log_normal(weights, torch.zeros_like(self.mean), torch.full_like(self.mean, std))
            for part, std in ((share, wide), (1 - share, narrow))
            if part > 0
        ]
        return (said - torch.stack(parts).logsumexp(dim=0)).sum(dim=(1, 2)).mean()

    def _summed(self, values: Tensor, weights: Tensor) -> Tensor:
        """The bias's column is met by a 1."""
        if not self.has_bias:
            return F.linear(values, weights)
        return F.linear(values, weights[:, :-1], weights[:, -1])


def through(weights: Tensor, values: Tensor) -> Tensor:
    """Rows through drawn weights, (S, n, inputs) -> (S, n, outputs)."""
    return values @ weights[:, :, :-1].transpose(1, 2) + weights[:, None, :, -1]


def _log_normal(values: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    return -(((values - mean) / std) ** 2) / 2 - std.log() - math.log(2 * math.pi) / 2
