"""Jigsaw: learn to see by which permutation the four quarters of a picture were exchanged; no labels are needed for it.

M. Noroozi, P. Favaro, "Unsupervised Learning of Visual Representations by Solving Jigsaw Puzzles", ECCV 2016.
https://arxiv.org/abs/1603.09246
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.checks import check_count
from pellucid.data import Pixels
from pellucid.data import jigsaw as puzzles
from pellucid.metrics.classification import worth
from pellucid.models import find_head, with_head
from pellucid.training.classify import Classify, Judgement
from pellucid.training.engine import placed, scaler_of
from pellucid.training.fit import Epoch, fit
from pellucid.training.optimizers import optimizer as optimizer_of
from pellucid.training.schedules import Schedule
from pellucid.training.sets import Sets, near_by, open_sets
from pellucid.training.state import State
from pellucid.training.stopping import Stopping

from ._following import Following, Told
from .finetune import loaded

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from pellucid.training.runs import Run

CHUNK = 16
"""Pictures judged at a time, all 24 shuffles of each."""


def jigsaw(
    data: str,
    run: "Run",
    fabric: "Fabric",
    sets: Sets | None = None,
    /,
    *,
    model: str = "torchvision:vgg11_bn",
    shuffled: bool = False,
    size: int | None = None,
    val: float = 0.2,
    limit: int | None = None,
    epochs: int = 20,
    batch_size: int = 64,
    optimizer: str = "adam",
    lr: float | None = None,
    weight_decay: float | None = None,
    schedule: str = "constant",
    patience: int | None = None,
    every: int | None = 500,
    tensorboard: bool = False,
    seed: int = 0,
) -> Iterator[Told]:
    """Learn to put pictures back together whose quarters were exchanged.

    Args:
        data: a built-in set (digits, cifar10, mnist), or a folder or zip of pictures; classes and labels count not.
        run: the folder it is told in; where it holds a checkpoint, the training goes on there.
        fabric: devices, processes and precision.
        sets: the set, where it has been read already, in the model's own frame.
        model: MODEL, trained, or torchvision:NAME@none, zoo:NAME@none from scratch; its last layer gets 24 outputs.
        shuffled: the pictures are shuffled already, each by the label 0 to 23 that its folder is called.
        size: side of the images, even; None takes the model's.
        val: share of the training part (below 1), or number of its pictures, held out to choose the best epoch by.
        limit: pictures of the training part that are used; None uses all.
        epochs: passes over all 24 shuffles of every picture, at least 1.
        batch_size: shuffled pictures a step, over all processes together, at least 1.
        optimizer: sgd, momentum, nesterov, rmsprop, adam, adamw or adagrad.
        lr: learning rate, positive; None is 1e-4 for a trained network, 1e-3 for one from scratch.
        weight_decay: at least 0, of all but biases and norms; None is 0.01 for adamw, and 0 for the others.
        schedule: constant, step, exponential, inverse, cosine or one_cycle.
        patience: epochs without a smaller val_loss after which training stops; None never stops early.
        every: updates between two checkpoints amid an epoch; None checkpoints after each epoch only.
        tensorboard: write TensorBoard's event files too (needs the package tensorboard).
        seed: of the split, the first weights, the order and dropout.

    Yields:
        Told, before the first epoch, after each, and once at the end.

    Raises:
        ValueError: an option is out of range, or the set or the network cannot be used; says the remedy.
    """
    check_count("seed", seed, 0)
    torch.manual_seed(seed)  # of the weights, where the model is to be learned from scratch
    started = loaded(model, size)
    if sets is None:
        sets = open_sets(data, val=val, limit=limit, seed=seed, geometry=started.geometry, has_classes=shuffled)
    sets = _whole(sets, shuffled=shuffled)
    net = with_head(started, _LABELS, generator=torch.Generator().manual_seed(seed)).train()
    is_scratch = started.source.get("weights") == "none"
    rate = (1e-3 if is_scratch else 1e-4) if lr is None else lr
    told = f"{find_head(net)} answers with {puzzles.COUNT} permutations; {puzzles.COUNT} shuffles of each picture"
    yield Told(f"{told}; lr {rate:g}, {'from scratch' if is_scratch else 'from trained weights'}", {})
    step = Classify(net)
    placed(step, fabric)
    tuned = optimizer_of(optimizer, step, lr=rate, weight_decay=weight_decay, fused=scaler_of(fabric) is None)
    batches = puzzles.JigsawBatches(
        near_by(sets.train, fabric.device), batch_size, seed, (fabric.global_rank, fabric.world_size)
    )
    following = Following(
        run=run,
        fabric=fabric,
        sets=sets,
        step=step,
        optimizer=tuned,
        schedule=Schedule(tuned, schedule, epochs=epochs, steps_per_epoch=len(batches)),
        average=None,
        stopping=None if sets.val is None else Stopping("val_loss", patience=patience),
        state=State(),
        epochs=epochs,
        taken=len(batches) * batch_size,
        eval_train=False,
        tensorboard=tensorboard,
        judged_by=_judge,
        ended_by=_judge,
    )
    torch.manual_seed(seed + 1 + fabric.global_rank)  # dropout differs from process to process

    def train() -> Iterator[Epoch]:
        rates, state = following.schedule, following.state
        return fit(step, batches, tuned, epochs=epochs, schedule=rates, state=state, every=every, fabric=fabric)

    yield from following(train)


_LABELS = tuple("".join(map(str, pi)) for pi in puzzles.permutation(torch.arange(puzzles.COUNT)).tolist())
"""What the 24 classes are called: the quarters in the order of their places, 0123 the identity."""


def _whole(sets: Sets, *, shuffled: bool) -> Sets:
    """The parts as whole pictures, of which the puzzles are made; their own classes do not count any more."""

    def of(part: Pixels) -> Pixels:
        pixels = part.pixels
        if shuffled:
            pixels = puzzles.deshuffle(pixels, _labels_of(part))
        else:
            puzzles.shuffle(pixels[:1], torch.zeros(1, dtype=torch.int64))  # refuses odd sides
        return replace(part, pixels=pixels, targets=torch.zeros_like(part.targets), classes=_LABELS)

    val, test = (None if part is None else of(part) for part in (sets.val, sets.test))
    return replace(sets, train=of(sets.train), val=val, test=test)


def _labels_of(part: Pixels) -> Tensor:
    """(N,), int64: the permutation that each picture's folder is called."""
    odd = [name for name in part.classes if not name.isdecimal() or int(name) >= puzzles.COUNT]
    if odd:
        raise ValueError(
            f"shuffled pictures must stand in folders called 0 to {puzzles.COUNT - 1}, by their permutation, got "
            f"{odd[0]!r}: leave --shuffled out where the pictures are whole"
        )
    return torch.tensor([int(name) for name in part.classes])[part.targets]


@torch.no_grad()
def _judge(model: nn.Module, part: Pixels) -> Judgement:
    """Loss and share of permutations and of quarters that are right, over all 24 shuffles of every picture."""
    modes = {module: module.training for module in model.modules()}
    first = next(model.parameters())
    loss, found = 0.0, []
    try:
        model.eval()
        for chosen in torch.split(torch.arange(len(part)), CHUNK):
            images, labels = puzzles.augment_all(part.images(chosen).to(first))
            logits = model(images).float()
            loss += float(F.cross_entropy(logits, labels, reduction="sum"))
            found.append(logits.argmax(dim=1).cpu())
    finally:
        for module, mode in modes.items():
            module.training = mode
    predicted, labels = torch.cat(found), torch.arange(puzzles.COUNT).repeat(len(part))
    told = puzzles.accuracy(predicted, labels)
    right = (predicted == labels).view(-1, puzzles.COUNT).sum(dim=1)  # (N,), of each picture's shuffles
    others = {"quarter_accuracy": told.quarter}
    return Judgement(loss / told.count, int(right.sum()), told.count, worth(right, puzzles.COUNT), others)
