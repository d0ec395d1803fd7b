"""The last part of a training: on from trained weights at a constant rate, iterates taken in on the way."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.data import Batches, Pixels, batches_of
from pellucid.models import are_probabilities
from pellucid.training import Classify, engine, fit, optimizer

from ._logits import checked, logits_beyond
from ._low_rank import Moments, weights_of
from ._pictures import Pictures, parts_of


@dataclass(frozen=True)
class Descent:
    """How long and how fast."""

    epochs: int
    lr: float
    momentum: float
    weight_decay: float
    collect: int | None  # updates between two iterates; None: those of an epoch

    def iterates(self, updates: int) -> int:
        """How many are taken in, of so many updates an epoch; refuses fewer than two."""
        count = self.epochs * updates // self._every(updates)
        if count < 2:
            raise ValueError(
                f"epochs {self.epochs} of {updates} updates would give {count} iterate{'' if count == 1 else 's'}, but "
                "a spread needs at least 2: give more epochs, or a smaller collect"
            )
        return count

    def run(self, network: nn.Module, batches: Batches, moments: Moments, seed: int) -> list[float]:
        """Train a network on, in place; the mean loss of each epoch.

        Args:
            network: trained, all its parameters need gradients; left in eval mode.
            batches: of an epoch.
            moments: what takes the iterates in.
            seed: of dropout.
        """
        step = Classify(network)
        device = next(network.parameters()).device
        tuned = optimizer("momentum", step, lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay)
        every = self._every(len(batches))
        losses: list[float] = []
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            fabric = engine(device=device.type)
            for record in fit(step, batches, tuned, epochs=self.epochs, every=every, fabric=fabric):
                if record.steps % every == 0:
                    moments.take(weights_of(network))
                if record.is_over:
                    losses.append(record.values["loss"])
        network.eval()
        return losses

    def _every(self, updates: int) -> int:
        return updates if self.collect is None else self.collect


def shuffled(images: Pictures, labels: Tensor, batch_size: int, augmentation: str, seed: int) -> Batches:
    """Batches in a new order each epoch; of a set smaller than one all of it.

    Args:
        images: (N, C, H, W), float, in [0, 1]; or a labelled set in memory.
        labels: (N,), int64.
        batch_size: images an update.
        augmentation: as text.
        seed: of the order and the augmentation.
    """
    if not isinstance(images, Pixels):  # batches take floats as they are
        images = Pixels(images.detach(), labels.to(images.device), (), ())
    return batches_of(images, batch_size=min(batch_size, len(images)), seed=seed, policy=augmentation)


def classes_of(model: nn.Module, image: Tensor) -> int:
    """How many classes a network tells apart; refuses one that cannot be trained on by its logits."""
    with torch.no_grad():
        logits = checked(model(image))
    if are_probabilities(logits):
        raise ValueError(
            "the network's outputs already sum to 1, so that it cannot be trained on by its logits: take its last "
            "softmax away"
        )
    return logits.shape[1]


def mean_loss(network: nn.Module, images: Pictures, labels: Tensor) -> float:
    """Mean cross-entropy in nats, in eval mode."""
    logits = torch.cat([logits_beyond(network, part) for part in parts_of(images, network)])
    return float(F.cross_entropy(logits, labels.to(logits.device)))
