"""What a network is really fed: the numbers that reach its first computing layer, of each part of a set."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pellucid.data import Pixels, batches_of
from pellucid.models import Model, load
from pellucid.models.probes import activations
from pellucid.training.runs import Run
from pellucid.training.sets import Sets

COUNT = 6
"""Images of each part."""

LAYERS = {"ladder_net": "first", "lenet5": "pad", "lenet5_bn": "pad"}
"""What stands before the first computing layer."""


@dataclass(frozen=True)
class Seen:
    """What one trained network is fed."""

    name: str  # of the run
    train: Tensor  # (n, C, H, W): the first images of the first epoch, as training fed them
    val: Tensor | None  # (n, C, H, W)
    test: Tensor  # (n, C, H, W)


def seen_by(folder: Path, sets: Sets) -> Seen:
    """What the network of a finished run is fed, after augmentation (train) and after all its normalisation.

    Raises:
        RuntimeError: what it is fed of the test or val part is not the same each time, so that it cannot be judged.
    """
    model, config = load(folder), Run(folder).config
    policy, seed = str(config["augmentation"]), int(config["seed"])
    batches = batches_of(sets.train, batch_size=min(COUNT, len(sets.train)), seed=seed, policy=policy)
    images, _ = next(batches(0))
    assert sets.test is not None
    return Seen(
        folder.name,
        _fed(model, images),
        None if sets.val is None else _judged(model, sets.val),
        _judged(model, sets.test),
    )


def _judged(model: Model, part: Pixels) -> Tensor:
    """Fed twice, with whatever is random at another place: it must be equal."""
    images = part.images(slice(COUNT))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        once = _fed(model, images)
        torch.manual_seed(1)
        again = _fed(model, part.images(slice(COUNT)))
    if not torch.equal(once, again):
        raise RuntimeError("what the network is fed to be judged differs from time to time")
    return once


@torch.no_grad()
def _fed(model: Model, images: Tensor) -> Tensor:
    assert model.build is not None
    layer = LAYERS[model.build[0]]
    with activations(model, [layer]) as recorded:
        model(images)
    return recorded[layer]
