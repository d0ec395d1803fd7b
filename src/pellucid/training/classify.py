"""Learning to classify: what a step minimises and tells, and how good a classifier is on a held-out set."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.checks import check_range
from pellucid.data import Pixels

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Classify(nn.Module):
    """The step: a batch (images, targets) to its mean cross-entropy in nats and its accuracy.

    Targets are classes (N,), int64, or distributions over the classes (N, K); those give no accuracy, for the share
    of mixed labels that are hit is none. Where a network answers (main, others...) while it trains, as one with
    auxiliary heads does, the others' losses are added with a weight.

    Args:
        model: maps images (N, C, H, W) in [0, 1] to logits (N, K).
        label_smoothing: share of the target spread evenly over all classes, in [0, 1).
        class_weights: (K,), how much an image of each class counts; None counts all alike.
        auxiliary: weight of the other heads' losses, at least 0 (C. Szegedy et al., CVPR 2015: 0.3).
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        label_smoothing: float = 0.0,
        class_weights: Tensor | None = None,
        auxiliary: float = 0.3,
    ) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must be in [0, 1), got {label_smoothing}")
        check_range("auxiliary", auxiliary, 0)
        self.model = model
        self.label_smoothing, self.auxiliary = label_smoothing, auxiliary
        self.class_weights: Tensor | None
        self.register_buffer("class_weights", class_weights, persistent=False)

    def forward(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Mean loss and accuracy of images (N, C, H, W) in [0, 1] and targets (N,) or (N, K).

        Raises:
            ValueError: one image, of which batch norm would see one value a channel; says the remedy.
        """
        images, targets = batch
        try:
            answer = self.model(images)
        except ValueError as error:
            if not str(error).startswith("Expected more than 1 value per channel"):
                raise
            raise ValueError(
                f"batch norm must have more than one value a channel, got a batch of {len(images)} and maps of one "
                "pixel: give a larger batch_size (or drop_last=True, which leaves a smaller last batch out)"
            ) from error
        logits, *others = answer if isinstance(answer, tuple) else (answer,)
        loss = self._loss(logits, targets)
        for other in others:
            loss = loss + self.auxiliary * self._loss(other, targets)
        if targets.ndim == 2:
            return {"loss": loss}
        return {"loss": loss, "accuracy": (logits.detach().argmax(dim=1) == targets).float().mean()}

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits, targets, weight=self.class_weights, label_smoothing=self.label_smoothing)


@dataclass(frozen=True)
class Judgement:
    """How good a classifier is on a set."""

    loss: float  # mean cross-entropy, nats
    hits: int  # images whose most probable class is theirs
    count: int  # images
    worth: float | None = None  # independent images that they are worth, where several are views of one; None: count
    others: dict[str, float] = field(default_factory=dict)  # further values, by name

    @property
    def accuracy(self) -> float:
        """Share that is right, in [0, 1]."""
        return self.hits / self.count


@torch.no_grad()
def judge(model: nn.Module, pixels: Pixels, *, fabric: "Fabric | None" = None, batch_size: int = 500) -> Judgement:
    """A classifier's loss and accuracy on a set, in eval mode; its mode is as it was afterwards.

    Args:
        model: maps images (N, C, H, W) in [0, 1] to logits (N, K).
        pixels: the set, labelled.
        fabric: of the training: its device and precision; several processes share the work.
        batch_size: images a forward pass, at least 1.
    """
    modes = {module: module.training for module in model.modules()}
    model.eval()
    device = next(iter(model.parameters())).device
    total = torch.zeros(3, dtype=torch.float32 if device.type == "mps" else torch.float64, device=device)
    try:
        for images, classes in _shares(pixels, batch_size, fabric):
            logits = _logits(model, images.to(device), fabric)
            targets = classes.to(device)
            losses = F.cross_entropy(logits, targets, reduction="sum")
            hits = (logits.argmax(dim=1) == targets).sum()
            total += torch.stack([losses, hits, torch.full_like(hits, len(targets))]).to(total.dtype)
    finally:
        for module, mode in modes.items():
            module.training = mode
    if fabric is not None and fabric.world_size > 1:
        total = fabric.all_reduce(total, reduce_op="sum")
    loss, hits, count = total.tolist()
    return Judgement(loss / count, int(hits), int(count))


def _shares(pixels: Pixels, batch_size: int, fabric: "Fabric | None") -> Iterator[tuple[Tensor, Tensor]]:
    """This process's share of a set, in batches of images in [0, 1]."""
    rank, world = (0, 1) if fabric is None else (fabric.global_rank, fabric.world_size)
    for chosen in torch.split(torch.arange(len(pixels))[rank::world], batch_size):
        yield pixels.pixels[chosen].float() / 255, pixels.targets[chosen]


def _logits(model: nn.Module, images: Tensor, fabric: "Fabric | None") -> Tensor:
    """Logits (N, K), float32, at the training's precision."""
    if fabric is None:
        answer: Tensor = model(images)
        return answer.float()
    with fabric.autocast():
        answer = model(images.to(next(model.parameters()).dtype))
    return answer.float()
