"""Classify: learn to tell the classes of any labelled image set apart, with any network."""

import math
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pellucid.checks import check_choice, check_count
from pellucid.data import Pixels, batches_of, channel_statistics
from pellucid.training.averaging import Average
from pellucid.training.classify import Classify
from pellucid.training.engine import placed, scaler_of
from pellucid.training.fit import Epoch, fit
from pellucid.training.fresh import fresh_model
from pellucid.training.optimizers import optimizer as optimizer_of
from pellucid.training.preparing import FIRST, fit_first, fit_input, with_first
from pellucid.training.schedules import Schedule
from pellucid.training.sets import Sets, near_by, open_sets
from pellucid.training.state import State
from pellucid.training.stopping import Stopping

from ._following import Following, Told
from ._mixing import laid_out, mixed

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from pellucid.training.runs import Run


def classify(
    data: str,
    run: "Run",
    fabric: "Fabric",
    sets: Sets | None = None,
    /,
    *,
    model: str = "",
    size: int | None = None,
    channels: int | None = None,
    val: float = 0.1,
    limit: int | None = None,
    epochs: int = 20,
    batch_size: int = 64,
    optimizer: str = "adamw",
    lr: float = 3e-3,
    momentum: float = 0.9,
    weight_decay: float | None = None,
    schedule: str = "one_cycle",
    rate: float | None = None,
    period: float | None = None,
    warmup: float = 0.0,
    snapshots: bool = False,
    augmentation: str = "none",
    mixup: float = 0.0,
    cutmix: float = 0.0,
    label_smoothing: float = 0.0,
    class_weights: str = "none",
    auxiliary: float = 0.3,
    normalization: str = "channel",
    zca_epsilon: float = 0.01,
    average: float = 0.0,
    accumulate: int = 1,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    monitor: str = "",
    patience: int | None = None,
    min_delta: float = 0.0,
    channels_last: bool = False,
    eval_train: bool = False,
    every: int | None = 500,
    tensorboard: bool = False,
    seed: int = 0,
) -> Iterator[Told]:
    """Learn to classify a labelled image set.

    Args:
        data: a built-in set (digits, cifar10, mnist), or a folder or zip of labelled pictures.
        run: the folder it is told in; where it holds a checkpoint, the training goes on there.
        fabric: devices, processes and precision.
        sets: the set, where it has been read already.
        model: NAME of the zoo (or zoo:NAME,argument=value), torchvision:NAME, timm:NAME, or a trained model's folder.
        size: side of the images; None takes theirs, up to 64, else 224.
        channels: 1 for gray, 3 for colour; None takes the first picture's.
        val: share of the training part (below 1), or number of its images, held out to choose the best epoch by.
        limit: images of the training part that are used, chosen by class; None uses all.
        epochs: passes over the training part, at least 1.
        batch_size: images a step, over all processes together, at least 1; of a smaller set all of it, with a notice.
        optimizer: sgd, momentum, nesterov, rmsprop, adam, adamw, adagrad or lbfgs.
        lr: learning rate, positive; the highest of a schedule.
        momentum: of momentum and nesterov, in [0, 1).
        weight_decay: at least 0, of all but biases and norms; None is 0.01 for adamw, and 0 for the others.
        schedule: constant, step, exponential, inverse, cosine, cyclic, one_cycle or plateau (which watches val_loss).
        rate: of the schedule; None is step 0.1, exponential 0.95 an epoch, inverse 0.1, plateau 0.5.
        period: epochs between two steps of schedule step, or of a cycle of cyclic; None is a third of all.
        warmup: epochs of rising learning rate at the start, at least 0.
        snapshots: keep the weights at the end of every cycle of schedule cyclic, for an ensemble.
        augmentation: none, cifar, strong, digits, or operations such as hflip=0.5,crop=4,rotate=15; training part only.
        mixup: Beta parameter of mixup, positive; 0 leaves it out.
        cutmix: Beta parameter of cutmix, positive; 0 leaves it out.
        label_smoothing: share of each label spread over all classes, in [0, 1).
        class_weights: none, or balanced: rare classes count for as much as frequent ones.
        auxiliary: weight of the losses of auxiliary heads, where the network has some, at least 0.
        normalization: channel (mean, std of the training part), half, none; for ladder_net mean_image, per_image, zca.
        zca_epsilon: added to every variance by zca, at least 0.
        average: decay of a moving average of the weights, in (0, 1), which is then judged and kept; 0 keeps none.
        accumulate: batches whose mean gradient makes one update, at least 1.
        clip_norm: longest gradient; None clips nothing.
        clip_value: largest entry of the gradient; None clips nothing.
        monitor: value by which the best epoch is chosen; "" is val_accuracy, then val_loss; the last where val is 0.
        patience: epochs without a better value after which training stops; None never stops early.
        min_delta: what counts as better must differ by more than this, at least 0.
        channels_last: lay images out as (N, H, W, C) in memory; wide convolutions get faster, thin ones slower.
        eval_train: judge the training part too, in eval mode, after each epoch.
        every: updates between two checkpoints amid an epoch; None checkpoints after each epoch only.
        tensorboard: write TensorBoard's event files too (needs the package tensorboard).
        seed: of the split, the first weights, the order, the augmentation and dropout.

    Yields:
        Told, before the first epoch, after each, and once at the end.

    Raises:
        ValueError: an option is out of range, or the set or the network cannot be used; says the remedy.
    """
    check_count("seed", seed, 0)
    sets = open_sets(data, size=size, channels=channels, val=val, limit=limit, seed=seed) if sets is None else sets
    if schedule == "plateau" and sets.val is None:
        raise ValueError("schedule plateau must have a val part to watch: give val, or take another schedule")
    torch.manual_seed(seed)
    mean, std = _statistics(normalization, sets.train)
    is_first = normalization in FIRST
    name = with_first(model, normalization) if is_first else model
    net = fresh_model(name, classes=sets.train.classes, geometry=sets.geometry, mean=mean, std=std)
    if is_first:
        fit_first(net.network, sets.train, epsilon=zca_epsilon)
    fit_input(net, sets.train)
    weights = _class_weights(class_weights, sets.train)
    step = Classify(net, label_smoothing=label_smoothing, class_weights=weights, auxiliary=auxiliary)
    placed(step, fabric)
    if channels_last:
        step.to(memory_format=torch.channels_last)
    is_fused = scaler_of(fabric) is None or clip_norm is clip_value is None
    tuned = optimizer_of(optimizer, step, lr=lr, momentum=momentum, weight_decay=weight_decay, fused=is_fused)
    batches = batches_of(
        near_by(sets.train, fabric.device),
        batch_size=fitting(batch_size, len(sets.train), fabric.world_size),
        seed=seed,
        policy=augmentation,
        shard=(fabric.global_rank, fabric.world_size),
    )
    rates = Schedule(
        tuned,
        schedule,
        epochs=epochs,
        steps_per_epoch=max(1, math.ceil(len(batches) / accumulate)),
        rate=rate,
        period=period,
        warmup=warmup,
    )
    cycle = _cycle(rates) if snapshots else None
    told = _told(sets, is_mixed=bool(mixup or cutmix), eval_train=eval_train)
    following = Following(
        run=run,
        fabric=fabric,
        sets=sets,
        step=step,
        optimizer=tuned,
        schedule=rates,
        average=Average(net, decay=average) if average else None,
        stopping=_stopping(monitor, patience, min_delta, told),
        state=State(),
        epochs=epochs,
        taken=len(batches) * batches.batch_size,
        eval_train=eval_train,
        tensorboard=tensorboard,
        cycle=cycle,
    )
    torch.manual_seed(
        seed + 1 + fabric.global_rank
    )  # dropout differs from process to process, the first weights do not

    def train() -> Iterator[Epoch]:
        return fit(
            step,
            laid_out(mixed(batches, mixup=mixup, cutmix=cutmix), channels_last=channels_last),
            tuned,
            epochs=epochs,
            schedule=rates,
            average=following.average,
            accumulate=accumulate,
            clip_norm=clip_norm,
            clip_value=clip_value,
            state=following.state,
            every=every,
            fabric=fabric,
        )

    yield from following(train)


def fitting(batch_size: int, images: int, world: int) -> int:
    """The batch size, or as many images as there are for every process alike."""
    if batch_size <= images or images < world:
        return batch_size
    fitting = images - images % world
    warnings.warn(f"batch_size {batch_size} is larger than the training part: {fitting} images are taken", stacklevel=2)
    return fitting


def _cycle(rates: Schedule) -> int:
    """Epochs of a cycle, at whose end a snapshot is taken (G. Huang et al., "Snapshot Ensembles", ICLR 2017)."""
    if rates.name != "cyclic":
        raise ValueError(f"snapshots needs a rate that falls again and again: schedule cyclic, got {rates.name}")
    if rates.period != int(rates.period) or rates.period > rates.epochs:
        raise ValueError(
            f"period must be a whole number of epochs, at most all {rates.epochs}, with snapshots, got "
            f"{rates.period:g}: give --period, best so that the epochs are a multiple of it"
        )
    return int(rates.period)


def _statistics(normalization: str, train: Pixels) -> tuple[list[float], list[float]]:
    """Mean and std per channel, of images in [0, 1]."""
    check_choice("normalization", normalization, ("channel", "half", "none", *FIRST))
    if normalization == "channel":
        found = channel_statistics(train.pixels)
        spread = [max(float(std), 1e-3) for std in found.std]  # a constant channel has none
        return [float(mean) for mean in found.mean], spread
    count = train.pixels.shape[1]
    return ([0.5] * count, [0.5] * count) if normalization == "half" else ([0.0] * count, [1.0] * count)


def _class_weights(name: str, train: Pixels) -> Tensor | None:
    """(K,): N / (K n) for a class of n images, so that the mean over the images is 1."""
    check_choice("class_weights", name, ("none", "balanced"))
    if name == "none":
        return None
    counts = train.targets.bincount(minlength=len(train.classes)).clamp(min=1)
    return (len(train) / (len(counts) * counts)).float()


def _told(sets: Sets, *, is_mixed: bool, eval_train: bool) -> list[str]:
    """The values an epoch will tell, by which the best can be chosen."""
    parts = [name for name, is_told in (("val", sets.val is not None), ("train", eval_train)) if is_told]
    judged = [f"{part}_{value}" for part in parts for value in ("loss", "accuracy")]
    return [*judged, "loss", *([] if is_mixed else ["accuracy"])]


def _stopping(monitor: str, patience: int | None, min_delta: float, told: list[str]) -> Stopping | None:
    """By which value the best epoch is chosen; None keeps the last."""
    if monitor:
        check_choice("monitor", monitor, told)
    elif "val_accuracy" not in told:
        if patience is not None:
            raise ValueError("patience must be None without a val part: there is nothing to choose by")
        return None
    tie = "" if monitor else "val_loss"
    return Stopping(monitor or "val_accuracy", patience=patience, min_delta=min_delta, tie=tie)
