"""Variational last layer: every weight of it a normal density of its own, fitted to the training images' features.

C. Blundell, J. Cornebise, K. Kavukcuoglu, D. Wierstra, "Weight Uncertainty in Neural Networks", ICML 2015.
https://arxiv.org/abs/1505.05424
D. Kingma, T. Salimans, M. Welling, "Variational Dropout and the Local Reparameterization Trick", NeurIPS 2015: what
weights sum to is drawn for each image. https://arxiv.org/abs/1506.02557
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.checks import check_count, check_eval
from pellucid.models.variational_layer import VariationalLinear
from pellucid.training import Schedule, optimizer
from pellucid.training import fit as train

from ._curvature import Diagonal
from ._fitted import read, read_errors, write
from ._last_layer import LastLayer, LayerDensity, check_positive, check_room, labelled_rows, last_layer_of
from ._pictures import Pictures, labels_of

FIRST_STD = 0.05
"""Of every weight at first."""

DRAWN = 2**13
"""Images drawn where the bound is told, a small set's many times each, with the same noise each time it is told."""

TOLD_AT_ONCE = 2**22
"""Logits drawn at a time where the bound is told."""


class VariationalLastLayer:
    """Probabilities of a network whose last layer is drawn from the normal density nearest to its posterior.

    Formula:
        weights ~ N(mean, std^2), each apart; (mean, std) maximise the lower bound of the log evidence
        ELBO = sum over the images of E[ln p(label)] - KL(weights || N(0, prior_scale^2))

    Fitted by Adam on the features, which are computed once, with a batch's likelihood weighed by images / batch. It
    begins at the trained weights, with a standard deviation of 0.05. Weights are drawn, each draw the same for all
    images.

    Learned: layer_, the last layer with the mean weights; std_ (K, P), float64; elbos_ (epochs + 1,), float64, nats,
    of the whole set, the first before any step; images_, how many it was fitted on.

    Args:
        prior_scale: standard deviation of every weight before anything is seen, above 0.
        epochs: passes over the features, at least 1.
        lr: Adam's learning rate, above 0, falling to 0 as half a cosine.
        batch_size: images an update, at least 1.
    """

    layer_: LastLayer
    std_: Tensor
    elbos_: Tensor
    images_: int

    def __init__(self, *, prior_scale: float = 1.0, epochs: int = 50, lr: float = 0.05, batch_size: int = 128) -> None:
        check_positive("prior_scale", prior_scale)
        check_count("epochs", epochs, 1)
        check_positive("lr", lr)
        check_count("batch_size", batch_size, 1)
        self.prior_scale, self.epochs, self.lr, self.batch_size = prior_scale, epochs, lr, batch_size

    def fit(
        self,
        model: nn.Module,
        images: Pictures,
        targets: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> "VariationalLastLayer":
        """Learn how far labelled images leave the weights of the last layer open.

        Args:
            model: maps (N, C, H, W) in [0, 1] to logits (N, K) by a last linear layer; in eval mode, left untouched.
            images: (N, C, H, W), float, in [0, 1], that the model was trained on; or a labelled set in memory.
            targets: (N,), int64, in [0, K): the true classes; none with a set in memory.
            generator: of the order and the draws; none takes one of seed 0.

        Raises:
            ValueError: images or targets that are none, no last linear layer, or a loss that is no number any more.
        """
        check_eval(model)
        count = len(labels_of(images, targets))
        layer = last_layer_of(model, images, "VariationalLastLayer")
        needed = 8 * count * layer.weights.shape[1]
        check_room(needed, f"features of {count} images", "fit on fewer images")
        source = torch.Generator().manual_seed(0) if generator is None else generator
        with torch.inference_mode(False), torch.enable_grad():
            parts = [(rows.cpu(), labels.cpu()) for rows, labels in labelled_rows(model, layer, images, targets)]
            known = Known(torch.cat([rows for rows, _ in parts]), torch.cat([labels for _, labels in parts]))
            mean = layer.weights.cpu()
            start = VariationalLinear.around(mean, torch.full_like(mean, FIRST_STD))
            elbos = self._learn(start, known, source)
        device, mean, std = layer.weights.device, start.mean.detach(), start.std.detach()
        self.model, self.layer_ = model, LastLayer(layer.name, mean.to(device), layer.has_bias)
        self.std_, self.elbos_, self.images_ = std.to(device), torch.tensor(elbos, dtype=torch.float64), count
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
        model = self._density().model
        told = {
            "options": {name: getattr(self, name) for name in ("prior_scale", "epochs", "lr", "batch_size")},
            "layer": self.layer_.name,
            "has_bias": self.layer_.has_bias,
            "images": self.images_,
        }
        tensors = {"mean": self.layer_.weights, "std": self.std_, "elbos": self.elbos_}
        write(folder, "variational_last_layer", model, told, tensors, force=force)

    @classmethod
    def load(cls, folder: str | Path, model: nn.Module) -> "VariationalLastLayer":
        """Read what was saved, for the network it was fitted on.

        Args:
            folder: as `save` wrote it.
            model: the network, with the same weights; in eval mode.

        Raises:
            ValueError: the folder is no saved variational last layer, is damaged, or was fitted on another network.
        """
        told, tensors = read(folder, "variational_last_layer", model)
        device = next(model.parameters()).device
        with read_errors(folder):
            found = cls(**told["options"])
            found.layer_ = LastLayer(told["layer"], tensors["mean"].to(device), told["has_bias"])
            found.std_, found.elbos_ = tensors["std"].to(device), tensors["elbos"]
            found.images_ = int(told["images"])
            if found.std_.shape != found.layer_.weights.shape or not bool((found.std_ > 0).all()):
                raise ValueError("std must be above 0, one for each mean weight")
        found.model = model
        return found

    def _density(self) -> LayerDensity:
        if not hasattr(self, "std_"):
            raise ValueError("VariationalLastLayer must be fitted first: call fit(model, images, targets)")
        return LayerDensity(self.model, self.layer_, Diagonal(self.std_.square().reciprocal()), self.std_)

    def _learn(self, layer: VariationalLinear, known: "Known", source: torch.Generator) -> list[float]:
        """Adam's steps; the bound before any of them and after each epoch."""
        seed = _seed(source)
        bound = _Bound(layer, len(known.rows), self.prior_scale, torch.Generator().manual_seed(_seed(source)))
        batches = Shuffled(known, self.batch_size, seed)
        adam = optimizer("adam", bound, lr=self.lr)
        fall = Schedule(adam, "cosine", epochs=self.epochs, steps_per_epoch=len(batches))
        elbos = [elbo(layer, known, self.prior_scale)]
        for _ in train(bound, batches, adam, epochs=self.epochs, schedule=fall):
            elbos.append(elbo(layer, known, self.prior_scale))
        return elbos


@dataclass(frozen=True)
class Known:
    """What is learned from."""

    rows: Tensor  # (N, P), float64
    targets: Tensor  # (N,), int64


@dataclass(frozen=True)
class Shuffled:
    """The batches of an epoch, in an order that (seed, epoch) alone decide."""

    known: Known
    batch_size: int
    seed: int

    def __len__(self) -> int:
        return math.ceil(len(self.known.rows) / self.batch_size)

    def __call__(self, epoch: int, skip: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches (rows, targets) from the skip-th on."""
        order = torch.randperm(
            len(self.known.rows), generator=torch.Generator().manual_seed((self.seed + epoch) % 2**63)
        )
        for some in torch.split(order, self.batch_size)[skip:]:
            yield self.known.rows[some], self.known.targets[some]


@torch.no_grad()
def elbo(layer: VariationalLinear, known: Known, prior_scale: float) -> float:
    """The lower bound of the log evidence of the whole set, nats, with the same noise each time it is told."""
    source, total = torch.Generator().manual_seed(0), 0.0
    draws, classes = max(1, DRAWN // len(known.rows)), len(layer.mean)
    for some in torch.split(torch.arange(len(known.rows)), max(1, TOLD_AT_ONCE // (draws * classes))):
        logits = layer.local(known.rows[some].expand(draws, -1, -1), generator=source)  # (draws, n, K)
        targets = known.targets[some].expand(draws, -1)
        total -= float(F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")) / draws
    return total - float(layer.divergence(prior_scale))


class _Bound(nn.Module):
    """The step: a batch (rows (n, P), targets (n,)) to minus the bound, for each image.

    Of the mean over a batch the whole set's likelihood is N times as much, and the KL stands there once.
    """

    def __init__(self, layer: VariationalLinear, images: int, prior_scale: float, source: torch.Generator) -> None:
        super().__init__()
        self.layer, self.images, self.prior_scale, self.source = layer, images, prior_scale, source

    def forward(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """The loss, nats."""
        rows, targets = batch
        surprise = F.cross_entropy(self.layer.local(rows, generator=self.source), targets)
        return {"loss": surprise + self.layer.divergence(self.prior_scale) / self.images}


def _seed(source: torch.Generator) -> int:
    return int(torch.randint(2**62, (), generator=source, device=source.device))
