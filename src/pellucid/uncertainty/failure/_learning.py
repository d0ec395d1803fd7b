"""How a confidence head learns: what it minimises, in which order, and which of its epochs is kept."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.metrics.ranking import average_precision
from pellucid.training import Stopping, engine, fit, optimizer
from pellucid.uncertainty._features import Place, features_at

LOSSES = ("mse", "bce", "ranking")


@dataclass(frozen=True)
class Lesson:
    """What is known of the images learned from, and which of them only judge."""

    wanted: Tensor  # (N,), float32, in [0, 1], the probability of the true class
    wrong: Tensor  # (N,), bool, whether the classifier errs
    learned: Tensor  # (n,), int64, images learned from
    held: Tensor  # (m,), int64, images that choose the epoch


@dataclass(frozen=True)
class Pace:
    """How long and how fast to learn."""

    epochs: int
    lr: float
    batch_size: int
    patience: int
    seed: int


class Branch(nn.Module):
    """The step: a batch (inputs, wanted (n,), wrong (n,)) to its loss; dropout and batch norm stay in eval mode.

    Args:
        head: features (n, D) -> (n, 1).
        loss: mse, bce or ranking.
        error_weight: how much more an error counts in mse and bce.
        encoder: what makes features of images, to be tuned; none where the inputs are features.
        place: where in the encoder they are.
    """

    def __init__(
        self,
        head: nn.Module,
        *,
        loss: str,
        error_weight: float,
        encoder: nn.Module | None = None,
        place: Place | None = None,
    ) -> None:
        super().__init__()
        self.head, self.encoder = head, encoder
        self.loss, self.error_weight, self.place = loss, error_weight, place

    def train(self, mode: bool = True) -> "Branch":
        """As of any module, but the encoder stays in eval mode."""
        super().train(mode)
        if self.encoder is not None:
            self.encoder.eval()
        return self

    def forward(self, batch: tuple[Tensor, Tensor, Tensor]) -> dict[str, Tensor]:
        """The mean loss."""
        inputs, wanted, wrong = batch
        if self.encoder is not None and self.place is not None:
            inputs = features_at(self.encoder, inputs, self.place)
        return {"loss": loss_of(self.head(inputs)[:, 0], wanted, wrong, self.loss, self.error_weight)}


def loss_of(logits: Tensor, wanted: Tensor, wrong: Tensor, loss: str, error_weight: float) -> Tensor:
    """Of the logits (n,) of confidences: how far from the wanted ones they are, or how badly ordered.

    ranking is the mean, over pairs of which one is wanted higher than the other, of ln(1 + exp(-(z_high - z_low))).
    """
    if loss == "ranking":
        pairs = wanted[:, None] > wanted[None, :]
        return (F.softplus(logits[None, :] - logits[:, None]) * pairs).sum() / pairs.sum().clamp(min=1)
    if loss == "mse":
        each = (logits.sigmoid() - wanted).square()
    else:
        each = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    return torch.where(wrong, error_weight * each, each).mean()


def learn(
    branch: Branch,
    inputs: Callable[[Tensor], Tensor],
    judged: Callable[[], Tensor],
    lesson: Lesson,
    pace: Pace,
    *,
    is_start_kept: bool = False,
) -> int:
    """Train a branch and leave it as it was after its best epoch.

    Best is the largest average precision of the held images' errors, the smaller loss among equals; or, where that
    is undefined, the smallest loss.

    Args:
        branch: trained in place.
        inputs: rows (n,) -> what the branch takes for these images.
        judged: () -> logits (m,) of the held images, by the branch as it is.
        lesson: what is wanted of whom.
        pace: how long and how fast.
        is_start_kept: whether the branch as it came may be the best as well.

    Returns:
        The best epoch, from 1; 0 is the start.
    """
    wrong = lesson.wrong[lesson.held]
    is_ranked = bool(wrong.any()) and not bool(wrong.all())
    stopping = Stopping(
        "error_precision" if is_ranked else "loss",
        patience=pace.patience,
        mode="max" if is_ranked else "min",
        tie="loss" if is_ranked else "",
    )

    def values() -> dict[str, float]:
        with torch.no_grad():
            logits = judged()
            loss = loss_of(logits, lesson.wanted[lesson.held], wrong, branch.loss, branch.error_weight)
        precision = average_precision(-logits.double(), wrong) if is_ranked else 0.0
        return {"error_precision": precision, "loss": float(loss)}

    best = {name: value.clone() for name, value in branch.state_dict().items()}
    if is_start_kept:
        stopping.is_better(0, values())
    batches = Shuffled(inputs, lesson, pace.batch_size, pace.seed)
    device = next(branch.parameters()).device.type
    found = engine(device=device)
    for record in fit(branch, batches, optimizer("adam", branch, lr=pace.lr), epochs=pace.epochs, fabric=found):
        if stopping.is_better(record.epoch, values()):
            best = {name: value.clone() for name, value in branch.state_dict().items()}
        if stopping.is_over:
            break
    branch.load_state_dict(best)
    branch.eval()
    return stopping.best_epoch


@dataclass(frozen=True)
class Shuffled:
    """The batches of an epoch, in an order that (seed, epoch) alone decide."""

    inputs: Callable[[Tensor], Tensor]
    lesson: Lesson
    batch_size: int
    seed: int

    def __len__(self) -> int:
        return math.ceil(len(self.lesson.learned) / self.batch_size)

    def __call__(self, epoch: int, skip: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Batches (inputs, wanted, wrong) from the skip-th on."""
        learned = self.lesson.learned
        generator = torch.Generator().manual_seed((self.seed + epoch) % 2**63)
        order = learned[torch.randperm(len(learned), generator=generator).to(learned.device)]
        for rows in torch.split(order, self.batch_size)[skip:]:
            yield self.inputs(rows), self.lesson.wanted[rows], self.lesson.wrong[rows]
