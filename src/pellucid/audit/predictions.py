"""One pass over a labelled set: what the model says of each image, kept small."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.data import ImageSet, Unreadable, batches
from pellucid.metrics import brier, cross_entropy
from pellucid.models import Model, are_probabilities, class_logits, rank
from pellucid.progress import steps

KEPT = 2**25
"""Bytes of logits that are kept: of 8,388 images of 1,000 classes; of more, a sample drawn with the seed. What is read
off them takes some ten times as much for a moment."""


@dataclass(frozen=True)
class Restricted:
    """What the model says when only the classes of the set compete: the other logits are left out of the softmax."""

    classes: int  # how many compete
    is_correct: Tensor  # (N,), bool
    loss: Tensor  # (N,), float32, negative log probability of the target, in nats


@dataclass(frozen=True)
class Predictions:
    """A row for each image that could be read and has a label; all on the CPU."""

    positions: Tensor  # (N,), int64, place in the image set
    files: tuple[str, ...]  # N names
    targets: Tensor  # (N,), int64, class of the model
    ranked: Tensor  # (N, k), int64, most probable classes first
    probabilities: Tensor  # (N, k), float32, of those
    loss: Tensor  # (N,), float32, negative log probability of the target, in nats
    brier: Tensor  # (N,), float32, in [0, 2]
    restricted: Restricted | None  # the same with only the set's own classes competing; None where these are all
    errors: tuple[Unreadable, ...]  # images that were left out
    are_probabilities: bool  # whether the network's outputs already sum to 1 (softmax twice)
    kept: Tensor  # (M,), int64, rows whose logits are kept: all where they fit, else a sample
    logits: Tensor  # (M, K), float32, of those

    def __len__(self) -> int:
        return len(self.files)

    @property
    def predicted(self) -> Tensor:
        """(N,), int64."""
        return self.ranked[:, 0]

    @property
    def confidence(self) -> Tensor:
        """(N,), float32, probability of the predicted class."""
        return self.probabilities[:, 0]

    @property
    def correct(self) -> Tensor:
        """(N,), bool."""
        return self.predicted == self.targets


def predict_set(
    model: Model,
    images: ImageSet,
    targets: Sequence[int],
    *,
    competing: Sequence[int] = (),
    top: int = 5,
    seed: int = 0,
    batch_size: int | None = None,
    workers: int | None = None,
) -> Predictions:
    """Run the model over a set, in order.

    Args:
        model: in eval mode.
        images: the set; images whose target is negative are not read.
        targets: the model's class for each image of the set, negative where it has none.
        competing: the model's classes that the set names, with or without images of them.
        top: classes kept for each image.
        seed: of the images whose logits are kept, where not all are.
        batch_size: images a pass; None: 16 on a CPU, 128 elsewhere.
        workers: decoding processes, see `data.batches`.
    """
    if batch_size is None:
        batch_size = 16 if model.mean.device.type == "cpu" else 128
    labelled = [place for place, target in enumerate(targets) if target >= 0]
    chosen = images.subset(labelled)
    truth = torch.tensor([targets[place] for place in labelled], dtype=torch.int64)
    listed = torch.tensor(sorted({target for target in (*targets, *competing) if target >= 0}), dtype=torch.int64)
    keep = _sample(len(labelled), len(model.classes), seed)  # (L,), bool
    parts: list[tuple[Tensor, ...]] = []
    errors: list[Unreadable] = []
    normalised = True
    with steps("predicting", len(labelled)) as done:
        for batch in batches(chosen, model.geometry, batch_size=batch_size, workers=workers):
            errors += batch.errors
            if len(batch.indices):
                pixels, own = batch.images(model.mean.device), truth[batch.indices]
                part, sums = _one(model, pixels, own, listed, keep=keep[batch.indices], top=top)
                parts.append((batch.indices, *part))
                normalised = normalised and sums
            done(len(batch.indices) + len(batch.errors))
    if not parts:
        reason = f": {errors[0].file}: {errors[0].reason}" if errors else ""
        raise ValueError(f"{images.path}: none of the {len(labelled)} labelled images could be read{reason}")
    indices, ranked, probabilities, loss, distance, hits, own_loss, logits = map(torch.cat, zip(*parts, strict=True))
    positions = torch.tensor(labelled)[indices]
    files = tuple(images.items[place].file for place in positions.tolist())
    some = Restricted(len(listed), hits, own_loss) if len(listed) < len(model.classes) else None
    return Predictions(
        positions,
        files,
        truth[indices],
        ranked,
        probabilities,
        loss,
        distance,
        some,
        tuple(errors),
        normalised,
        keep[indices].nonzero()[:, 0],
        logits,
    )


def _sample(count: int, classes: int, seed: int) -> Tensor:
    """Of so many images those whose logits are kept, (count,), bool."""
    most = max(1, KEPT // (4 * classes))
    keep = torch.ones(count, dtype=torch.bool)
    if count > most:
        keep[torch.randperm(count, generator=torch.Generator().manual_seed(seed))[most:]] = False
    return keep


@torch.inference_mode()
def _one(
    model: Model, images: Tensor, targets: Tensor, listed: Tensor, *, keep: Tensor, top: int
) -> tuple[tuple[Tensor, ...], bool]:
    logits = class_logits(model, images)  # (n, K)
    targets = targets.to(logits.device)
    probabilities = logits.softmax(dim=1)
    ranked = rank(logits, min(top, logits.shape[1]))
    own, places = logits[:, listed.to(logits.device)], torch.searchsorted(listed.to(targets), targets)  # (n, L), (n,)
    kept = (
        ranked,
        probabilities.gather(1, ranked),
        cross_entropy(logits, targets),
        brier(probabilities, targets),
        rank(own, 1)[:, 0] == places,
        cross_entropy(own, places),
        logits[keep.to(logits.device)],
    )
    return tuple(column.cpu() for column in kept), are_probabilities(logits)
