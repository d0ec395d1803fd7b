"""The last linear layer of a network as a model of its own: an image's features in, logits out, weights drawn."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pellucid.models import is_rehearsal
from pellucid.progress import steps

from ._curvature import Curvature
from ._features import features_of, linear_head_of
from ._pictures import Pictures, check_classes, images_at, labels_of, parts_of
from ._question import check_sampling

MOST_BYTES = 4 * 2**30
"""That what is fitted, or drawn, may take."""

AT_ONCE = 2**23
"""Values of noise and logits drawn at a time, about."""


@dataclass(frozen=True)
class LastLayer:
    """Which layer it is, and its weights as they were trained."""

    name: str  # dotted
    weights: Tensor  # (K, P), float64: a row for each class; with a bias P is the features and one, the bias last
    has_bias: bool

    def rows(self, features: Tensor) -> Tensor:
        """What the weights are multiplied with, (N, P): the features, and a 1 for the bias."""
        return torch.cat([features, torch.ones_like(features[:, :1])], dim=1) if self.has_bias else features


def last_layer_of(model: nn.Module, images: Pictures, method: str) -> LastLayer:
    """The linear layer that gives the logits.

    Raises:
        ValueError: the logits are not what the last linear layer makes of vectors (N, D).
    """
    instead = "mc_dropout, an ensemble or test_time_augmentation"
    name, module = linear_head_of(model, images_at(images, torch.arange(1), model), method, instead=instead)
    weights = module.weight.detach().double()
    if module.bias is not None:
        weights = torch.cat([weights, module.bias.detach().double()[:, None]], dim=1)
    return LastLayer(name, weights, module.bias is not None)


def labelled_rows(
    model: nn.Module, layer: LastLayer, images: Pictures, targets: Tensor | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows (n, P), float64, and their classes (n,), int64, on the rows' device, part by part.

    Raises:
        ValueError: a target that is no class, or features that are not finite.
    """
    labels = labels_of(images, targets)
    check_classes(labels, len(layer.weights))
    start = 0
    for part in parts_of(images, model):
        rows = layer.rows(features_of(model, part, head=layer.name)[0])
        yield rows, labels[start : start + len(rows)].to(rows.device)
        start += len(rows)


@dataclass(frozen=True)
class LayerDensity:
    """A normal density over the weights of a network's last layer."""

    model: nn.Module
    layer: LastLayer  # its weights are the mean
    curvature: Curvature  # whose eigenvectors vary apart
    spread: Tensor  # shaped as the curvature's values: standard deviation along each eigenvector

    @torch.no_grad()
    def sampled(self, images: Tensor, samples: int, generator: torch.Generator | None) -> Tensor:
        """Probabilities (S, N, K) of drawn layers, each the same for all images.

        Raises:
            ValueError: the model is training, an argument is out of its range, or the samples take too much memory.
        """
        rows, mean = self._asked(images, samples)
        needed = samples * mean.numel() * mean.element_size()
        check_room(needed, f"samples={samples} of {len(mean)} images", "lower samples, or ask fewer images a call")
        if is_rehearsal():
            return mean.softmax(dim=1).expand(samples, -1, -1)
        source = torch.Generator().manual_seed(0) if generator is None else generator
        shape, spread = self.layer.weights.shape, self.spread.to(mean)
        drawn = mean.new_empty(samples, *mean.shape)
        with steps("sampling", samples) as done:
            for some in torch.split(drawn, max(1, AT_ONCE // max(shape.numel(), mean.numel()))):
                noise = torch.stack([torch.randn(shape, generator=source, device=source.device) for _ in some])
                some.copy_((mean + self.curvature.moved(rows, spread, noise.to(rows))).softmax(dim=2))
                done(len(some))
        return drawn

    @torch.no_grad()
    def probit(self, images: Tensor) -> Tensor:
        """Probabilities (N, K) averaged over all weights, in closed form: every logit shrunk by its own variance.

        Formula:
            softmax(f_k / sqrt(1 + pi v_k / 8)), f the logits of the mean weights, v_k their variances
        """
        rows, mean = self._asked(images, 1)
        variances = self.curvature.variances(rows, self.spread.to(mean))
        return (mean / (1 + torch.pi * variances / 8).sqrt()).softmax(dim=1)

    def _asked(self, images: Tensor, samples: int) -> tuple[Tensor, Tensor]:
        """Rows (N, P) of the images, and the mean weights' logits (N, K): float64 for such images, else float32."""
        images = check_sampling(self.model, images, samples)
        rows = self.layer.rows(features_of(self.model, images, head=self.layer.name)[0])
        dtype = torch.float64 if images.dtype == torch.float64 else torch.float32
        return rows.to(dtype), (rows @ self.layer.weights.T).to(dtype)


def check_room(needed: int, what: str, remedy: str) -> None:
    """Refuse what would take more memory than is given to it."""
    if needed > MOST_BYTES:
        raise ValueError(
            f"{what} would need {needed / 2**30:,.1f} GiB of memory, above {MOST_BYTES / 2**30:g} GiB: {remedy}"
        )


def check_positive(name: str, value: float) -> None:
    """Refuse what is not above 0 and finite."""
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} must be above 0 and finite, got {value}")
