"""Whether it notices what it does not know: pictures from elsewhere beside its own, shown to detectors."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.data import ImageSet, Unreadable, batches
from pellucid.metrics.ranking import DetectionRow
from pellucid.models import Model, are_probabilities, predict
from pellucid.models.dropouts import random_sites
from pellucid.progress import steps
from pellucid.uncertainty import ood

MOST, ROOM = 128, 2**28
"""Images of either set that are shown, drawn with the seed; and the bytes they may take: fewer of large ones."""

DETECTORS = ("max_probability", "max_logit", "energy", "entropy", "odin")
"""Those that need no fitting; MC dropout joins them where the network drops."""

OF_LOGITS = frozenset({"max_logit", "energy"})
"""Those that a last softmax takes the scale away from."""

DRAWN = 12
"""Images shown that pass as known."""


@dataclass(frozen=True)
class Passed:
    """One image from elsewhere that passes as known."""

    file: str
    predicted: int
    confidence: float  # probability of the predicted class
    image: Tensor  # (C, H, W), in [0, 1]


@dataclass(frozen=True)
class Elsewhere:
    """Pictures from elsewhere, and how well each detector tells them from the model's own."""

    path: str
    compared: ood.Comparison
    passed: tuple[Passed, ...]  # by the best detector, the most trusted first
    notes: tuple[str, ...]  # detectors that this model does not allow, with the reason, and files that were left out

    @property
    def best(self) -> DetectionRow:
        """The detector with the largest AUROC."""
        return max(self.compared.table.rows, key=lambda row: row.auroc.value)


def look_elsewhere(model: Model, images: ImageSet, others: ImageSet, *, seed: int) -> Elsewhere:
    """Show a sample of both sets to the detectors.

    Args:
        model: in eval mode.
        images: its own kind of pictures.
        others: pictures from elsewhere; labels are not looked at.
        seed: of the samples, the masks and the draws.

    Raises:
        ValueError: nothing of a set can be read, or the sets share a picture.
    """
    known, _, lost = _read(model, images, seed)
    strange, files, gone = _read(model, others, seed)
    names, notes = _possible(model, known[:1])
    generator = torch.Generator().manual_seed(seed)
    compared = ood.compare(ood.detectors(model, names, generator=generator), known, strange, generator=generator)
    left = [f"{len(some)} files could not be read" for some in (lost, gone) if some]
    found = Elsewhere(others.path, compared, (), (*notes, *left))
    rows = compared.passed[found.best.name][:DRAWN]
    return Elsewhere(others.path, compared, _passed(model, strange, files, rows), found.notes)


def _read(model: Model, images: ImageSet, seed: int) -> tuple[Tensor, list[str], list[str]]:
    """A sample (n, C, H, W) on the model's device, the files' names, and those of files that cannot be read."""
    height, width = model.geometry.size
    most = max(8, min(MOST, ROOM // (4 * model.geometry.channels * height * width)))
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:most].sort().values.tolist()
    chosen = images.subset(order)
    parts: list[Tensor] = []
    files: list[str] = []
    errors: list[Unreadable] = []
    with steps("reading", len(order)) as done:
        for batch in batches(chosen, model.geometry, batch_size=32, workers=0):
            if len(batch.indices):
                parts.append(batch.images(model.mean.device))
                files += [chosen.items[place].file for place in batch.indices.tolist()]
            errors += batch.errors
            done(len(batch.indices) + len(batch.errors))
    if not parts:
        reason = f": {errors[0].file}: {errors[0].reason}" if errors else ""
        raise ValueError(f"{images.path}: none of {len(order)} pictures drawn from it could be read{reason}")
    return torch.cat(parts), files, [error.file for error in errors]


def _possible(model: Model, image: Tensor) -> tuple[list[str], list[str]]:
    """The detectors that suit the model, and why the others do not."""
    names, notes = list(DETECTORS), []
    with torch.inference_mode():
        ends_in_softmax = are_probabilities(model(image))
    if ends_in_softmax:
        names = [name for name in names if name not in OF_LOGITS]
        notes.append("max_logit and energy are not asked: the network ends in a softmax, which takes their scale away")
    if any(rate for _, rate in random_sites(model, image)[0]):
        names.append("mc_dropout")
    return names, notes


def _passed(model: Model, images: Tensor, files: list[str], rows: Tensor) -> tuple[Passed, ...]:
    if not len(rows):
        return ()
    some = images[rows.to(images.device)]
    said = predict(model, some, top=1)
    return tuple(
        Passed(files[row], int(said.indices[place, 0]), float(said.probabilities[place, 0]), some[place].cpu())
        for place, row in enumerate(rows.tolist())
    )
