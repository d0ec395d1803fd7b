"""Laplace: the weights of the last layer, as far as the training images leave them open.

D. MacKay, "A Practical Bayesian Framework for Backpropagation Networks", Neural Computation 4, 1992: the normal density
at the mode, and the prior by its evidence. https://doi.org/10.1162/neco.1992.4.3.448
H. Ritter, A. Botev, D. Barber, "A Scalable Laplace Approximation for Neural Networks", ICLR 2018: Kronecker factors.
https://openreview.net/forum?id=Skdvd2xAZ
A. Kristiadi, M. Hein, P. Hennig, "Being Bayesian, Even Just a Bit, Fixes Overconfidence in ReLU Networks", ICML 2020:
of the last layer alone. https://arxiv.org/abs/2002.10118
E. Daxberger et al., "Laplace Redux: Effortless Bayesian Deep Learning", NeurIPS 2021. https://arxiv.org/abs/2106.14806
"""

import dataclasses
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.checks import check_choice, check_eval

from . import _fitted
from ._curvature import KINDS, Curvature, CurvatureSum, bytes_of
from ._last_layer import LastLayer, LayerDensity, check_positive, check_room, labelled_rows, last_layer_of
from ._pictures import Pictures, labels_of

LIGHTER = {"full": "take structure='kron'", "kron": "take structure='diag'", "diag": "take mc_dropout or an ensemble"}


class Laplace:
    """Probabilities of a network whose last layer is drawn from the normal density around its trained weights.

    Formula:
        weights ~ N(trained, (H / T + delta I)^-1), H the sum over the images of (diag(p) - p p^T) (x) f f^T
        log evidence = L / T - delta |w|^2 / 2 + M / 2 ln delta - 1/2 ln |H / T + delta I|

    f are an image's features and a 1 for the bias, p its probabilities, L the log-likelihood of the labels, M the
    weights. Weights are drawn, each draw the same for all images; since logits are linear in them, that is the same in
    law as drawing logits. It takes the trained weights for the mode and says nothing of other modes. A network that is
    sure of nearly all its training images leaves H small, so that the drawn weights scatter and the answers become too
    unsure, with diag and full most of all: compare the likelihood of held-out labels with the plain network's.

    Learned: layer_, the last layer and its weights; curvature_, H; prior_precision_, delta; log_marginal_likelihood_,
    the log evidence, nats; images_, how many it was fitted on.

    Args:
        structure: of H: full, kron (classes and features apart) or diag (every weight apart).
        prior_precision: delta of every weight, above 0; none takes the one under which the labels are most likely.
        temperature: T, above 0: below 1 the images count for more than they are.
    """

    layer_: LastLayer
    curvature_: Curvature
    prior_precision_: float
    log_marginal_likelihood_: float
    images_: int

    def __init__(
        self, *, structure: str = "kron", prior_precision: float | None = None, temperature: float = 1.0
    ) -> None:
        check_choice("structure", structure, KINDS)
        if prior_precision is not None:
            check_positive("prior_precision", prior_precision)
        check_positive("temperature", temperature)
        self.structure, self.prior_precision, self.temperature = structure, prior_precision, temperature

    @torch.no_grad()
    def fit(self, model: nn.Module, images: Pictures, targets: Tensor | None = None) -> "Laplace":
        """Sum the curvature over labelled images, some at a time, and tune the prior.

        Args:
            model: maps (N, C, H, W) in [0, 1] to logits (N, K) by a last linear layer; in eval mode, left untouched.
            images: (N, C, H, W), float, in [0, 1], that the model was trained on; or a labelled set in memory.
            targets: (N,), int64, in [0, K): the true classes; none with a set in memory.

        Raises:
            ValueError: images or targets that are none, no last linear layer, or too much memory for the structure.
        """
        check_eval(model)
        count = len(labels_of(images, targets))
        layer = last_layer_of(model, images, "Laplace")
        classes, features = layer.weights.shape
        needed = bytes_of(self.structure, classes, features)
        check_room(needed, f"structure={self.structure!r} over {classes} x {features} weights", LIGHTER[self.structure])
        found = CurvatureSum(self.structure, classes, features, layer.weights.device)
        likelihood = 0.0
        for rows, labels in labelled_rows(model, layer, images, targets):
            logits = rows @ layer.weights.T
            chances = logits.softmax(dim=1)
            found.add(rows, chances, chances)
            likelihood -= float(F.cross_entropy(logits, labels, reduction="sum"))
        curvature, length = found.found(), float(layer.weights.square().sum())
        known = curvature.values / self.temperature
        precision = most_evident(known, length) if self.prior_precision is None else self.prior_precision
        self.model, self.layer_, self.curvature_, self.images_ = model, layer, curvature, count
        self.prior_precision_ = precision
        self.log_marginal_likelihood_ = evidence(likelihood / self.temperature, known, length, precision)
        return self

    def __call__(self, images: Tensor, *, samples: int = 100, generator: torch.Generator | None = None) -> Tensor:
        """Probabilities (S, N, K), rows sum to 1, of drawn last layers, each the same for all images.

        Args:
            images: (N, C, H, W), float, in [0, 1].
            samples: layers drawn, at least 1.
            generator: of the draws; none takes one of seed 0.
        """
        return self._density().sampled(images, samples, generator)

    def probit(self, images: Tensor) -> Tensor:
        """Probabilities (N, K) averaged over all weights, in closed form; near the mean of many samples."""
        return self._density().probit(images)

    def save(self, folder: str | Path, *, force: bool = False) -> None:
        """Write what was learned as safetensors and JSON into a new folder, without the network.

        Raises:
            ValueError: nothing was learned yet, or the folder may not be made.
        """
        model = self._fitted()
        told = {
            "options": {name: getattr(self, name) for name in ("structure", "prior_precision", "temperature")},
            "layer": self.layer_.name,
            "has_bias": self.layer_.has_bias,
            "prior_precision": self.prior_precision_,
            "log_marginal_likelihood": self.log_marginal_likelihood_,
            "images": self.images_,
        }
        tensors = {field: getattr(self.curvature_, field) for field in _fields(self.structure)}
        _fitted.write(folder, "laplace", model, told, {"weights": self.layer_.weights, **tensors}, force=force)

    @classmethod
    def load(cls, folder: str | Path, model: nn.Module) -> "Laplace":
        """Read what was saved, for the network it was fitted on.

        Args:
            folder: as `save` wrote it.
            model: the network, with the same weights; in eval mode.

        Raises:
            ValueError: the folder is no saved Laplace, is damaged, or was fitted on another network.
        """
        told, tensors = _fitted.read(folder, "laplace", model)
        device = next(model.parameters()).device
        with _fitted.read_errors(folder):
            found = cls(**told["options"])
            held = {name: tensors[name].to(device) for name in ("weights", *_fields(found.structure))}
            found.layer_ = LastLayer(told["layer"], held.pop("weights"), told["has_bias"])
            found.curvature_ = KINDS[found.structure](**held)
            if found.curvature_.values.numel() != found.layer_.weights.numel():
                raise ValueError("its curvature is not that of its weights")
            found.prior_precision_ = float(told["prior_precision"])
            found.log_marginal_likelihood_ = float(told["log_marginal_likelihood"])
            found.images_ = int(told["images"])
            check_positive("prior_precision", found.prior_precision_)
        found.model = model
        return found

    def _fitted(self) -> nn.Module:
        if not hasattr(self, "curvature_"):
            raise ValueError("Laplace must be fitted first: call fit(model, images, targets)")
        return self.model

    def _density(self) -> LayerDensity:
        model, known = self._fitted(), self.curvature_.values / self.temperature
        return LayerDensity(model, self.layer_, self.curvature_, (known + self.prior_precision_).rsqrt())


def evidence(likelihood: float, curvature: Tensor, length: float, precision: float) -> float:
    """Log evidence of a prior precision, nats: exact where the log-likelihood is a parabola.

    Args:
        likelihood: log-likelihood of the labels under the trained weights, nats.
        curvature: eigenvalues of the likelihood's curvature, one for each weight, at least 0.
        length: sum of the squared weights.
        precision: of the prior, above 0.
    """
    volume = curvature.numel() * math.log(precision) - float((curvature + precision).log().sum())
    return likelihood - precision * length / 2 + volume / 2


def most_evident(curvature: Tensor, length: float) -> float:
    """The prior precision of largest evidence: the one at which delta |w|^2 is the number of weights that images fix.

    Formula:
        delta |w|^2 = sum of h / (h + delta), h the eigenvalues: the left side rises, the right one falls

    Raises:
        ValueError: the weights are all 0, or nothing is known of them.
    """
    from scipy.optimize import brentq

    largest = float(curvature.max())
    if not length > 0 or not largest > 0:
        reason = "the weights are all 0" if not length > 0 else "all probabilities are 0 or 1, to the last digit"
        raise ValueError(f"prior_precision must be given, for no evidence tells it: {reason}")

    def surplus(log_precision: float) -> float:
        precision = math.exp(log_precision)
        return precision * length - float((curvature / (curvature + precision)).sum())

    low, high = math.log(min(largest, 1 / (4 * length))), 1 + math.log(curvature.numel() / length)
    return math.exp(brentq(surplus, low, high, xtol=1e-12))


def _fields(structure: str) -> list[str]:
    return [field.name for field in dataclasses.fields(KINDS[structure])]
