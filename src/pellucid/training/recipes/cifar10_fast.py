"""CIFAR-10, fast: as good a classifier of 32 x 32 photographs as a few minutes on a CPU can give."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pellucid.training.sets import Sets

from ._told import Told
from .classify import classify

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from pellucid.training.runs import Run


def cifar10_fast(
    data: str,
    run: "Run",
    fabric: "Fabric",
    sets: Sets | None = None,
    /,
    *,
    model: str = "fast_net,mirrored=true",
    epochs: int = 16,
    batch_size: int = 512,
    lr: float = 0.8,
    weight_decay: float = 1.3e-3,
    label_smoothing: float = 0.2,
    augmentation: str = "hflip=0.5,crop=2:mode=reflect",
    average: float = 0.0,
    val: float = 0.0,
    limit: int | None = None,
    every: int | None = 500,
    seed: int = 0,
) -> Iterator[Told]:
    """Learn 32 x 32 photographs in minutes on a CPU; `classify` with other defaults.

    Args:
        data: cifar10, or a folder or zip of labelled pictures.
        run: the folder it is told in; where it holds a checkpoint, the training goes on there.
        fabric: devices, processes and precision.
        sets: the set, where it has been read already.
        model: as of classify; fast_net,width=N is faster or better.
        epochs: passes over the training part, at least 1.
        batch_size: images a step, at least 1.
        lr: highest learning rate of a one-cycle schedule, for SGD with Nesterov's momentum.
        weight_decay: at least 0; biases and norm parameters are not decayed.
        label_smoothing: share of each label spread over all classes, in [0, 1).
        augmentation: operations on the training part.
        average: decay of a moving average of the weights; 0 keeps none.
        val: share or number of training images held out; 0 learns from all and keeps the last epoch.
        limit: images of the training part that are used, chosen by class; None uses all.
        every: updates between two checkpoints amid an epoch; None checkpoints after each epoch only.
        seed: of everything random.

    Yields:
        As classify.
    """
    yield from classify(
        data,
        run,
        fabric,
        sets,
        model=model,
        epochs=epochs,
        batch_size=batch_size,
        optimizer="nesterov",
        lr=lr,
        momentum=0.85,
        weight_decay=weight_decay,
        schedule="one_cycle",
        augmentation=augmentation,
        label_smoothing=label_smoothing,
        average=average,
        channels_last=True,
        val=val,
        limit=limit,
        every=every,
        seed=seed,
    )
