"""Finetune: teach a trained network other classes: a new head first, then, with smaller steps, what is behind it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch

from pellucid.checks import check_choice, check_count
from pellucid.data import batches_of
from pellucid.methods import options
from pellucid.models import Model, find_head, framed, load, with_head
from pellucid.training.engine import placed, scaler_of
from pellucid.training.fit import Epoch, fit
from pellucid.training.frozen import FineTune, discriminate, freeze
from pellucid.training.optimizers import NAMES as OPTIMIZERS
from pellucid.training.optimizers import optimizer as optimizer_of
from pellucid.training.schedules import Schedule
from pellucid.training.sets import Sets, near_by, open_sets
from pellucid.training.start import inside
from pellucid.training.state import State
from pellucid.training.stopping import Stopping

from ._cached import OnFeatures, on_features
from ._following import Following, Told
from .classify import fitting

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from pellucid.training.runs import Run

MODES = ("standalone", "frozen", "finetune", "two_phase")

SHIFT = 0.2
"""Of the side, how far training images are moved where nothing else is said; black edges would cost a kept trunk more
than moving brings: it never met them, so that what comes in is the image mirrored."""

FIRST = "head"
"""The folder, within a run's, of the run that trains the head first."""


def finetune(
    data: str,
    run: "Run",
    fabric: "Fabric",
    sets: Sets | None = None,
    /,
    *,
    model: str = "",
    mode: str = "",
    head: str = "linear",
    head_at: str = "",
    freeze_until: str = "",
    then_unfreeze: bool = False,
    freeze_norms: bool = True,
    lr: float = 1e-3,
    trunk_lr: float = 1e-5,
    then_lr: float = 1e-4,
    rate_decay: float = 1.0,
    epochs: int = 20,
    batch_size: int = 32,
    optimizer: str = "adam",
    weight_decay: float | None = None,
    schedule: str = "constant",
    augmentation: str = "",
    label_smoothing: float = 0.0,
    size: int | None = None,
    val: float = 0.1,
    limit: int | None = None,
    patience: int | None = 5,
    every: int | None = 500,
    tensorboard: bool = False,
    seed: int = 0,
) -> Iterator[Told]:
    """Teach a trained network the classes of a labelled image set.

    Args:
        data: a built-in set (digits, cifar10, mnist), or a folder or zip of labelled pictures.
        run: the folder it is told in; where it holds a checkpoint, the training goes on there.
        fabric: devices, processes and precision.
        sets: the set, where it has been read already, in the model's own frame.
        model: MODEL, trained: a folder, torchvision:NAME or timm:NAME; its last layer is exchanged for a new head.
        mode: standalone (head on cached features), frozen (head alone), finetune, two_phase; "" goes by the others.
        head: linear, mlp (1024 and 512 hidden units, dropout 0.2) or dropout (0.3, then linear).
        head_at: layer in whose place, and in that of all behind it, the head comes; "" is the last layer.
        freeze_until: first layer to learn, or number or share of those before it; "" is the first (two_phase: head).
        then_unfreeze: then learn all layers, with the best weights of the first training, at trunk_lr and then_lr.
        freeze_norms: keep normalising layers and their statistics as they are: those of few or gray images spoil them.
        lr: learning rate of the new head, positive.
        trunk_lr: learning rate of what was learned before, its last block's where rate_decay is below 1, at least 0.
        then_lr: learning rate of the head once the rest is unfrozen, positive.
        rate_decay: each block of the trunk learns so many times as fast as the one behind it, in (0, 1].
        epochs: passes over the training part, in each phase, at least 1.
        batch_size: images a step, over all processes together, at least 1; of a smaller set all of it, with a notice.
        optimizer: sgd, momentum, nesterov, rmsprop, adam, adamw or adagrad.
        weight_decay: at least 0, of what learns but biases and norms; None is 0.01 for adamw, and 0 for the others.
        schedule: constant, step, exponential, inverse, cosine, cyclic, one_cycle or plateau (which watches val_loss).
        augmentation: as of classify; "" is hflip, and a move by up to a fifth, mirrored; none in mode standalone.
        label_smoothing: share of each label spread over all classes, in [0, 1).
        size: side of the images; None takes the model's.
        val: share of the training part (below 1), or number of its images, held out to choose the best epoch by.
        limit: images of the training part that are used, chosen by class; None uses all.
        patience: epochs without a better value after which training stops; None never stops early.
        every: updates between two checkpoints amid an epoch; None checkpoints after each epoch only.
        tensorboard: write TensorBoard's event files too (needs the package tensorboard).
        seed: of the split, the head's first weights, the order, the augmentation and dropout.

    Yields:
        Told, before the first epoch, after each, and once at the end; of two phases one after the other.

    Raises:
        ValueError: an option is out of range, or the set or the network cannot be used; says the remedy.
    """
    check_count("seed", seed, 0)
    chosen = _mode(mode, freeze_until, then_unfreeze=then_unfreeze)
    if schedule == "plateau" and not val:
        raise ValueError("schedule plateau must have a val part to watch: give val, or take another schedule")
    check_choice("optimizer", optimizer, [name for name in OPTIMIZERS if name != "lbfgs"])
    torch.manual_seed(seed)
    trained = loaded(model, size)
    sets = open_sets(data, val=val, limit=limit, seed=seed, geometry=trained.geometry) if sets is None else sets
    net, before = None, "with its new head"
    if chosen == "two_phase":
        inner, told = _first(run, fabric)
        for line in () if inner.is_finished else finetune(data, inner, fabric, sets, **told):
            yield Told(f"{FIRST}: {line.text}", line.values)
        net, lr, freeze_until, before = load(inner.folder), then_lr, "0", "with its head trained"
    if net is None:
        own = torch.Generator().manual_seed(seed)
        net = with_head(trained, sets.train.classes, head=head, head_at=head_at, generator=own)
    place = find_head(net)
    is_head = chosen in {"standalone", "frozen"}
    kept = freeze(net.network, place if is_head else freeze_until or "0", norms=freeze_norms, only=is_head)
    yield Told(_said(net, place), {})
    kind = OnFeatures if chosen == "standalone" else FineTune
    step = kind(net, kept, label_smoothing=label_smoothing)
    placed(step, fabric)
    tuned = optimizer_of(optimizer, step, lr=lr, weight_decay=weight_decay, fused=scaler_of(fabric) is None)
    discriminate(tuned, net.network, place, lr=lr, trunk_lr=trunk_lr, rate_decay=rate_decay)
    batches = batches_of(
        near_by(sets.train, fabric.device),
        batch_size=fitting(batch_size, len(sets.train), fabric.world_size),
        seed=seed,
        policy=_augmentation(augmentation, chosen, min(trained.geometry.size)),
        shard=(fabric.global_rank, fabric.world_size),
    )
    rates = Schedule(tuned, schedule, epochs=epochs, steps_per_epoch=max(1, len(batches)))
    read = on_features(step, batches, sets) if isinstance(step, OnFeatures) and not run.is_finished else None
    following = Following(
        run=run,
        fabric=fabric,
        sets=sets,
        step=step,
        optimizer=tuned,
        schedule=rates,
        average=None,
        stopping=None if sets.val is None else Stopping("val_accuracy", patience=patience, tie="val_loss"),
        state=State(),
        epochs=epochs,
        taken=len(batches) * batches.batch_size,
        eval_train=False,
        tensorboard=tensorboard,
        judged_by=None if read is None else read.judge,
        before=before,
    )
    torch.manual_seed(seed + 1 + fabric.global_rank)  # dropout differs from process to process

    def train() -> Iterator[Epoch]:
        return fit(
            step,
            read or batches,
            tuned,
            epochs=epochs,
            schedule=rates,
            state=following.state,
            every=every,
            fabric=fabric,
        )

    yield from following(train)


def _mode(mode: str, freeze_until: str, *, then_unfreeze: bool) -> str:
    """The mode, where it is not said: by what is frozen."""
    if mode:
        check_choice("mode", mode, MODES)
    found = mode or ("two_phase" if then_unfreeze else "finetune" if freeze_until else "frozen")
    if then_unfreeze and found != "two_phase":
        raise ValueError(f"then_unfreeze goes with mode two_phase alone, got {mode}: leave one of them out")
    if freeze_until and found in {"standalone", "frozen"}:
        raise ValueError(f"freeze_until must be left out in mode {found}, where the head learns alone: take finetune")
    return found


def loaded(spec: str, size: int | None) -> Model:
    """The trained model, which must be one that a file can name again, in a frame of this size.

    Raises:
        ValueError: no model is named, it could not be saved, or it does not take images of the size.
    """
    if not spec:
        raise ValueError("model must name a trained one: a folder with model.json, torchvision:NAME or timm:NAME")
    model = load(spec)
    if model.build is None:
        raise ValueError(
            f"{spec} is built by code of its own, which no run can name: save it as a folder with model.json, or train "
            "it in Python, with pellucid.models.with_head and pellucid.training.freeze"
        )
    return model if size is None else framed(model, size)


def _first(run: "Run", fabric: "Fabric") -> tuple["Run", dict[str, Any]]:
    """The run of the first phase, and its options: this one's, without the second."""
    told = {option.name: run.config[option.name] for option in options(finetune)}
    told |= {"mode": "finetune" if told["freeze_until"] else "frozen", "then_unfreeze": False}
    return inside(run, FIRST, "finetune", fabric, **told), told


def _augmentation(text: str, mode: str, side: int) -> str:
    """What training images meet; features that are read once are of images as they are."""
    if mode != "standalone":
        return text or f"hflip=0.5,crop={int(SHIFT * side)}:mode=reflect"
    if text not in {"", "none"}:
        raise ValueError(f"augmentation must be none in mode standalone, which sees each image once, got {text}")
    return "none"


def _said(model: Model, place: str) -> str:
    """How much of a model learns."""
    counts = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    learned, every = sum(count for count, learns in counts if learns), sum(count for count, _ in counts)
    return f"head {place} for {len(model.classes)} classes; {learned:,} of {every:,} parameters learn"
