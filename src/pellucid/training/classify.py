"""Learning to classify: cross-entropy over the images of a set that fits in memory."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.checks import check_range
from pellucid.data import ImageSet, batches
from pellucid.models import Model

from .fit import Epoch, fit


class Classify(nn.Module):
    """The step: a batch (images, targets) to its mean cross-entropy in nats and its accuracy."""

    def __init__(self, model: nn.Module, *, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.model = model
        self.label_smoothing = label_smoothing

    def forward(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Mean loss and accuracy of images (N, C, H, W) in [0, 1] and targets (N,)."""
        images, targets = batch
        logits = self.model(images)
        loss = F.cross_entropy(logits, targets, label_smoothing=self.label_smoothing)
        return {"loss": loss, "accuracy": (logits.argmax(dim=1) == targets).float().mean()}


def classify(
    model: Model,
    images: ImageSet,
    *,
    epochs: int = 20,
    batch_size: int = 64,
    lr: float = 3e-3,
    weight_decay: float = 1e-2,
    generator: torch.Generator | None = None,
) -> Iterator[Epoch]:
    """Train a model on a labelled set with AdamW and a one-cycle learning rate.

    Args:
        model: its targets are the set's, in the same order; trained in place.
        images: the training set; held in memory as bytes.
        epochs: passes over the set, at least 1.
        batch_size: images a step, at least 2; the last batch of an epoch is left out when it is smaller.
        lr: highest learning rate, positive.
        weight_decay: of AdamW, at least 0.
        generator: of the order of the images.

    Yields:
        Epoch, with loss and accuracy on the training images as they were met.
    """
    check_range("epochs", epochs, 1)
    check_range("batch_size", batch_size, 2)
    if not lr > 0:
        raise ValueError(f"lr must be positive, got {lr}")
    pixels, targets = _in_memory(model, images)
    count = max(1, len(pixels) // batch_size)
    step = Classify(model)
    optimizer = torch.optim.AdamW(step.parameters(), lr=lr, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=epochs * count)

    def shuffled(_epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(pixels), generator=generator)
        for chosen in torch.split(order, batch_size)[:count]:
            yield pixels[chosen].float() / 255, targets[chosen]

    yield from fit(step, shuffled, optimizer, epochs=epochs, schedule=schedule)


def _in_memory(model: Model, images: ImageSet) -> tuple[Tensor, Tensor]:
    """(N, C, H, W), uint8, and (N,), int64; an unreadable image is an error here."""
    read = list(batches(images, model.geometry, batch_size=256))
    failed = [error for batch in read for error in batch.errors]
    if failed:
        raise ValueError(f"{failed[0].file}: {failed[0].reason} ({len(failed)} unreadable training images)")
    targets = images.targets
    if (targets < 0).any():
        raise ValueError(f"{images.path}: {int((targets < 0).sum())} training images have no label")
    return torch.cat([batch.pixels for batch in read]), targets
