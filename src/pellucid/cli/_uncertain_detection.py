"""The detection of one `pellucid uncertainty`: known pictures and others from elsewhere, shown to every detector."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pellucid import uncertainty
from pellucid.data import OUT_SETS, out_set
from pellucid.models import Model
from pellucid.progress import steps
from pellucid.uncertainty import ood
from pellucid.uncertainty.ood import Comparison, Detector

from ._reading import Read
from ._uncertain_samplers import Draw

BLOCK = 64
"""Pictures that are sampled at a time."""

SAMPLED = ("entropy", "mutual_information")
"""Scores of samples that serve as detectors, besides the one the pictures are ordered by."""


@dataclass(frozen=True)
class Elsewhere:
    """Pictures that are not what the model knows, on the CPU."""

    path: str  # of the folder, or the name of a built-in set
    files: tuple[str, ...]  # M; names of the known pictures where they were made of these
    images: Tensor  # (M, C, H, W), float32


@dataclass(frozen=True)
class Detection:
    """What came of it."""

    elsewhere: Elsewhere
    compared: Comparison
    notes: tuple[str, ...]  # detectors that this model or these pictures do not suit, with the reason
    fitted_on: int  # pictures that some were fitted on; 0 for none

    @property
    def best(self) -> str:
        """The detector with the largest AUROC on these very pictures."""
        return max(self.compared.table.rows, key=lambda row: row.auroc.value).name


def is_made(word: str) -> bool:
    """Whether a word names a set that is made of the known pictures, and no folder."""
    return word in OUT_SETS and not Path(word).exists()


def elsewhere(word: str, known: Read, read: Read | None, seed: int) -> Elsewhere:
    """The pictures from elsewhere: those read, or made of the known ones."""
    if read is not None:
        return Elsewhere(read.path, read.files, read.images())
    made = out_set(known.images(), word, generator=torch.Generator().manual_seed(seed))
    return Elsewhere(word, known.files, made)


def detection(
    model: Model,
    known: Read,
    others: Elsewhere,
    draw: Draw,
    sampler: str,
    *,
    by: str,
    learned_from: Read | None,
    seed: int,
) -> Detection:
    """Ask every detector that can be asked; those that need it are fitted on `learned_from`, where there is some."""
    device = model.mean.device
    images, out_images = known.images(device=device), others.images.to(device)
    names = [name for name in ood.PLAIN if name != sampler]
    trials: dict[str, Callable[[], Detector]] = {name: _plain(model, name, seed) for name in names}
    if learned_from is not None:
        trials |= {name: _fitted(model, name, learned_from) for name in ood.FITTED}
    detectors: dict[str, Detector] = {}
    notes = []
    with steps("making the detectors", len(trials)) as done:
        for name, make in trials.items():
            try:
                detector = make()
                detector(images[:1])
                detectors[name] = detector
            except ValueError as error:  # says why this model does not suit it; the page repeats it
                notes.append(f"{name} is not among them: {error}")
            done(1)
    detectors |= _of_samples(draw, sampler, dict.fromkeys((by, *SAMPLED)))
    found = ood.compare(detectors, images, out_images, generator=torch.Generator().manual_seed(seed))
    return Detection(others, found, tuple(notes), 0 if learned_from is None else len(learned_from))


def _plain(model: Model, name: str, seed: int) -> Callable[[], Detector]:
    return lambda: ood.detectors(model, [name], generator=torch.Generator().manual_seed(seed))[name]


def _fitted(model: Model, name: str, some: Read) -> Callable[[], Detector]:
    def make() -> Detector:
        device = model.mean.device
        labels = None if some.labels is None else some.labels.to(device)
        return ood.detectors(model, [name], some.images(device=device), labels)[name]

    return make


def _of_samples(draw: Draw, sampler: str, scores: dict[str, None]) -> dict[str, Detector]:
    """Detectors that read scores off samples, which are drawn once for each set of pictures."""
    last: list[tuple[Tensor, dict[str, Tensor]]] = []

    def asked(images: Tensor) -> dict[str, Tensor]:
        if not last or last[0][0] is not images:
            said = [uncertainty.summary(draw(some)) for some in torch.split(images, BLOCK)]
            last[:] = [(images, {name: torch.cat([getattr(one, name) for one in said]) for name in scores})]
        return last[0][1]

    def detector(name: str) -> Detector:
        return lambda images: asked(images)[name]

    return {f"{sampler} {name}": detector(name) for name in scores}
