"""SWAG: a Gaussian around the weights that stochastic gradient descent wanders through at a constant rate.

W. Maddox, T. Garipov, P. Izmailov, D. Vetrov, A. Wilson, "A Simple Baseline for Bayesian Uncertainty in Deep Learning",
NeurIPS 2019, section 3, algorithm 1. https://arxiv.org/abs/1902.02476
"""

import copy
import math
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from pellucid.checks import check_choice, check_count, check_eval, check_range
from pellucid.data import Pixels
from pellucid.models import evaluate, is_rehearsal, paced, unvaried
from pellucid.progress import steps

from . import _fitted
from ._batch_norm import norms_of, refit, spread_over
from ._descent import Descent, classes_of, mean_loss, shuffled
from ._logits import probabilities
from ._low_rank import LowRank, Moments, check_room, put_weights_into, weights_of
from ._pictures import Pictures, check_classes, images_at, labels_of
from ._question import check_sampling

BATCH_NORMS = ("refit", "kept")

FAR = 0.3
"""Nats by which the mean of the weights may be worse than the weights given, before it is told."""


class Swag:
    """Probabilities of networks drawn from a Gaussian that the last part of a training has filled.

    A copy of the trained network is trained on at a constant rate; the mean, the variance and the latest deviations of
    its weights make the Gaussian. As in the authors' code, the weights it starts from are no iterate of it. Batch norm
    keeps statistics of the weights it was trained with: for each drawn network they are taken anew from training
    images, or ("kept") stay those at the end of the fit, which is faster and may be far off.

    Learned: gaussian_, of all weights; buffers_, what else the network holds, at the end; collected_, iterates taken
    in; losses_, mean loss of each epoch; count_, images fitted on; rows_ (n,), those that batch norm is refitted on.

    Args:
        epochs: passes over the images at the constant rate, at least 1.
        lr: constant learning rate, positive: larger than the training's last one, and wider is the Gaussian.
        momentum: of the descent, in [0, 1).
        weight_decay: at least 0, of all but biases and norms.
        batch_size: images an update, at least 1; all of a smaller set.
        augmentation: none, cifar, strong, digits, or operations such as hflip=0.5,crop=4: best as in the training.
        collect: updates between two iterates taken in, at least 1; none takes one an epoch (the paper's).
        rank: deviations kept, 0 or at least 2; 0 leaves the diagonal alone (SWAG-Diagonal).
        scale: of the covariance, at least 0; 1 is the paper's, 0 the mean alone (SWA).
        batch_norm: refit (the statistics anew for each network drawn) or kept (those of the fit's end).
        refit_images: training images that batch norm is refitted on at most, at least 2, spread over the set.
    """

    gaussian_: LowRank
    buffers_: dict[str, Tensor]

    def __init__(
        self,
        *,
        epochs: int = 20,
        lr: float = 0.01,
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
        batch_size: int = 128,
        augmentation: str = "none",
        collect: int | None = None,
        rank: int = 20,
        scale: float = 1.0,
        batch_norm: str = "refit",
        refit_images: int = 2048,
    ) -> None:
        self.epochs, self.lr, self.momentum, self.weight_decay = epochs, lr, momentum, weight_decay
        self.batch_size, self.augmentation = batch_size, augmentation
        self.collect, self.rank, self.scale = collect, rank, scale
        self.batch_norm, self.refit_images = batch_norm, refit_images

    def fit(
        self,
        model: nn.Module,
        images: Pictures,
        targets: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> "Swag":
        """Train a copy of the network on at a constant rate, and gather the weights it passes through.

        Warns where the mean of the weights is far worse than those given: the rate is too high.

        Args:
            model: maps (N, C, H, W) in [0, 1] to logits (N, K); trained, in eval mode; left untouched.
            images: (N, C, H, W), float, in [0, 1], those it was trained on; or a labelled set in memory.
            targets: (N,), int64, in [0, K): the true classes; none with a set in memory.
            generator: of the order, dropout and what batch norm is refitted on; none takes one of seed 0.

        Raises:
            ValueError: images or targets that are none, an option out of range, too few iterates or too much memory for
                the rank, or a training that diverges.
        """
        self._check()
        check_eval(model)
        labels = labels_of(images, targets)
        check_range("images", len(labels), 2)
        check_classes(labels, classes_of(model, images_at(images, torch.arange(1), model)))
        source = torch.Generator().manual_seed(0) if generator is None else generator
        descent = Descent(self.epochs, self.lr, self.momentum, self.weight_decay, self.collect)
        batches = shuffled(images, labels, self.batch_size, self.augmentation, _seed(source))
        rank = min(self.rank, descent.iterates(len(batches)))
        check_room(weights_of(model), rank)
        rows = spread_over(len(labels), self.refit_images, source)
        with torch.inference_mode(False), torch.enable_grad():
            network = copy.deepcopy(model).requires_grad_(True)
            moments = Moments(weights_of(network), rank)
            losses = descent.run(network, batches, moments, _seed(source))
        held = network.state_dict()
        self.model, self.gaussian_ = model, moments.gathered()
        self.buffers_ = {name: value.detach().clone() for name, value in network.named_buffers() if name in held}
        self.collected_, self.losses_, self.count_ = moments.count, tuple(losses), len(labels)
        self.rows_, self._refitted = rows, self._to_refit(model, images, rows)
        some = _some(images, rows)
        mean = next(self._drawn(1, 0, scale=0.0))
        before, after = (mean_loss(one, some, labels[rows]) for one in (model, mean))
        if after > max(2 * before, before + FAR):
            kept = ", or batch_norm refit" if norms_of(model) and self.batch_norm == "kept" else ""
            warnings.warn(
                f"the mean loss on images fitted on rose from {before:.3g} to {after:.3g} at the mean of the weights: "
                f"what was learned is lost; give a lower lr than {self.lr:g}{kept}",
                stacklevel=2,
            )
        return self

    def __call__(self, images: Tensor, *, samples: int = 30, generator: torch.Generator | None = None) -> Tensor:
        """Probabilities of networks drawn from the Gaussian.

        A sample is one network, the same for every image: an image asked alone, or in another order or chunk, gets the
        same answers.

        Args:
            images: (N, C, H, W), float, in [0, 1].
            samples: networks, at least 1.
            generator: of the networks; none takes one of seed 0.

        Returns:
            (S, N, K), the images' device, rows sum to 1.

        Raises:
            ValueError: nothing was fitted yet, or an argument is out of its range.
        """
        self._check_fitted()
        images = check_sampling(self.model, images, samples)
        plan = unvaried(images)
        drawn: list[Tensor] = []
        with paced(), steps("drawing networks", samples) as done:
            for network in self.networks(samples, generator=generator):
                found = evaluate(network, plan, lambda outputs, _rows: probabilities(outputs), label="sampling")
                drawn.append(found[0])
                done(1)
        return torch.stack(drawn)

    def networks(self, samples: int, *, generator: torch.Generator | None = None) -> Iterator[nn.Module]:
        """Networks drawn one after the other, in eval mode; each is the same copy of the model with other weights.

        Args:
            samples: networks, at least 1; the first ones are the same however many are drawn.
            generator: of the networks; none takes one of seed 0.

        Raises:
            ValueError: nothing was fitted yet, or samples is out of its range.
        """
        self._check_fitted()
        check_count("samples", samples, 1)
        source = torch.Generator().manual_seed(0) if generator is None else generator
        return self._drawn(samples, _seed(source), self.scale)

    def _drawn(self, samples: int, seed: int, scale: float) -> Iterator[nn.Module]:
        with torch.inference_mode(False):
            network = copy.deepcopy(self.model).requires_grad_(False)
        buffers = dict(network.named_buffers())
        for name, value in self.buffers_.items():
            buffers[name].copy_(value)
        for number in range(samples):
            numbered = torch.Generator().manual_seed((seed + number) % 2**63)
            put_weights_into(network, self.gaussian_.drawn(scale, numbered))
            if self._refitted is not None and not is_rehearsal():
                refit(network, self._refitted)
            yield network

    def save(self, folder: str | Path, *, force: bool = False) -> None:
        """Write the Gaussian and the settings as safetensors and JSON into a new folder.

        Raises:
            ValueError: nothing was fitted yet, or the folder may not be made.
        """
        self._check_fitted()
        told = {
            "options": self._options(),
            "collected": self.collected_,
            "losses": list(self.losses_),
            "images": self.count_,
        }
        tensors = {
            "mean": self.gaussian_.mean,
            "variance": self.gaussian_.variance,
            "deviations": self.gaussian_.deviations,
            "rows": self.rows_,
            **{f"buffer.{name}": value for name, value in self.buffers_.items()},
        }
        _fitted.write(folder, "swag", self.model, told, tensors, force=force)

    @classmethod
    def load(cls, folder: str | Path, model: nn.Module, images: Pictures | None = None) -> "Swag":
        """Read what was saved, for the network it was fitted on.

        Args:
            folder: as `save` wrote it.
            model: the network it was fitted on, with the same weights; in eval mode.
            images: those it was fitted on, where batch norm is refitted; else none are needed.

        Raises:
            ValueError: the folder is no saved Swag, is damaged, or was fitted on another network or other images.
        """
        told, tensors = _fitted.read(folder, "swag", model)
        with _fitted.read_errors(folder):
            found = cls(**told["options"])
            found._check()
            first = weights_of(model)
            mean, variance, deviations = (tensors[name].to(first) for name in ("mean", "variance", "deviations"))
            shapes = (mean.shape, variance.shape, deviations.shape[1:])
            finite = all(bool(torch.isfinite(value).all()) for value in (mean, variance, deviations))
            if any(shape != first.shape for shape in shapes) or not finite or bool((variance < 0).any()):
                raise ValueError(f"must hold finite numbers for {len(first)} weights, and no variance below 0")
            found.gaussian_ = LowRank(mean, variance, deviations)
            found.collected_, found.count_ = int(told["collected"]), int(told["images"])
            found.losses_, found.rows_ = tuple(told["losses"]), tensors["rows"]
            buffers = {name: value for name, value in tensors.items() if name.startswith("buffer.")}
            found.buffers_ = {name.removeprefix("buffer."): value for name, value in buffers.items()}
            ours = dict(model.named_buffers())
            if any(name not in ours or value.shape != ours[name].shape for name, value in found.buffers_.items()):
                raise ValueError("must hold the buffers of the network")
        found.model = model
        found._refitted = found._to_refit(model, images, found.rows_)
        return found

    def _to_refit(self, model: nn.Module, images: Pictures | None, rows: Tensor) -> Pictures | None:
        """The images that batch norm is refitted on; None where it is kept, or there is none."""
        if self.batch_norm != "refit" or not norms_of(model):
            return None
        if images is None or len(images) != self.count_:
            given = "none" if images is None else f"{len(images):,}"
            raise ValueError(
                f"images must be the {self.count_:,} it was fitted on, which batch norm is refitted on, got {given}"
            )
        return _some(images, rows)

    def _options(self) -> dict[str, object]:
        names = ("epochs", "lr", "momentum", "weight_decay", "batch_size", "augmentation", "collect", "rank", "scale")
        return {name: getattr(self, name) for name in (*names, "batch_norm", "refit_images")}

    def _check(self) -> None:
        for name in ("epochs", "batch_size"):
            check_count(name, getattr(self, name), 1)
        if self.collect is not None:
            check_count("collect", self.collect, 1)
        check_count("rank", self.rank, 0)
        if self.rank == 1:
            raise ValueError(
                "rank must be 0 (the diagonal alone) or at least 2: a covariance divides by rank - 1, got 1"
            )
        check_count("refit_images", self.refit_images, 2)
        check_choice("batch_norm", self.batch_norm, BATCH_NORMS)
        if not 0 < self.lr < math.inf:
            raise ValueError(f"lr must be above 0 and finite, got {self.lr}")
        if not 0 <= self.scale < math.inf:
            raise ValueError(f"scale must be at least 0 and finite, got {self.scale}")

    def _check_fitted(self) -> None:
        if not hasattr(self, "gaussian_"):
            raise ValueError("Swag must be fitted first: call fit(model, images)")


def _some(images: Pictures, rows: Tensor) -> Pictures:
    """Some of the images, as they were given."""
    return images.subset(rows) if isinstance(images, Pixels) else images.detach()[rows.to(images.device)]


def _seed(source: torch.Generator) -> int:
    return int(torch.randint(2**62, (), generator=source, device=source.device))
