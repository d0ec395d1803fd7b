"""Which of the drawn maps to believe: each is tested on a sample of the images, beside maps that cost nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.data import ImageSet, batches
from pellucid.metrics import Interval, bootstrap
from pellucid.metrics.explanation import (
    baselines,
    deletion,
    insertion,
    is_flat,
    model_randomisation,
    sensitivity,
)
from pellucid.models import Model, cam_layers
from pellucid.progress import steps

from .explained import bound
from .predictions import Predictions

STEPS = 6
"""Parts in which pixels are taken away and given back; fewer than a study takes, for a ranking needs no more."""

PROBED = 4
"""Images on which noise and random weights are tried, which cost the method itself several times."""

FEWEST = 5
"""Images below which nothing is said: their interval would mean little."""

STAGES = 4
"""In which the weights are made random; a coarse map may meet that of one draw by chance."""

CHANCE = ("random", "blobs")
"""Maps that a map must clearly beat: pixels in random order, and patches as coarse as a deep layer's maps."""

INSENSITIVE = 0.5
"""Rank correlation with the map of random weights above which a map is said not to depend on the weights."""


@dataclass(frozen=True)
class Judged:
    """One method's maps, tested."""

    method: str
    insertion: Tensor  # (n,), float32, mean probability while the hottest pixels come back first; higher is better
    deletion: Tensor  # (n,), float32, while they go first; lower is better
    sensitivity: float  # largest relative change of a map under noise of 0.02, mean over images; lower is steadier
    randomised: float  # lowest rank correlation with the map while weights are made random; near 0 is best
    flat: int  # maps that say the same everywhere, or hold NaN

    @property
    def faithfulness(self) -> Tensor:
        """(n,), insertion minus deletion, in [-1, 1]; higher is better."""
        return self.insertion - self.deletion

    @property
    def interval(self) -> Interval:
        """Mean faithfulness with its bootstrap interval."""
        return bootstrap(self.faithfulness)

    @property
    def is_insensitive(self) -> bool:
        """Whether the map hardly depends on the weights."""
        return self.randomised > INSENSITIVE


@dataclass(frozen=True)
class Trust:
    """The methods, the most faithful first, and what costs nothing."""

    images: int  # n, of the sample
    judged: tuple[Judged, ...]
    beside: dict[str, Tensor]  # (n,), faithfulness of random, blobs, centre
    notes: tuple[str, ...]  # methods that could not be tested, with the reason

    @property
    def best(self) -> Judged | None:
        """The most faithful map that depends on the weights and is clearly better than chance, if any."""
        return next((one for one in self.judged if self.passes(one)), None)

    def passes(self, one: Judged) -> bool:
        """Whether a map depends on the weights, says something, and is clearly better than chance."""
        ahead = min(bootstrap(one.faithfulness - self.beside[name]).low for name in CHANCE)
        return not one.is_insensitive and one.flat < self.images and ahead > 0

    def equals(self, best: Judged) -> list[Judged]:
        """Others that pass the same tests and are not clearly worse than the best, by their paired differences."""
        near = []
        for one in self.judged:
            if one is not best and self.passes(one):
                behind = bootstrap(best.faithfulness - one.faithfulness)
                near += [one] if behind.low <= 0 else []
        return near


def judge(
    model: Model, images: ImageSet, predictions: Predictions, names: Sequence[str], *, count: int, seed: int
) -> Trust | None:
    """Test the maps of the predicted class on `count` images drawn with the seed; None for too few."""
    if not names or min(count, len(predictions)) < FEWEST:
        return None
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(predictions), generator=generator)[:count].sort().values.tolist()
    chosen = images.subset([int(predictions.positions[row]) for row in rows])
    found = list(batches(chosen, model.geometry, batch_size=len(rows), workers=0))
    there = [rows[place] for batch in found for place in batch.indices.tolist()]
    if len(there) < FEWEST:  # the others are gone since they were predicted
        return None
    pixels = torch.cat([batch.images(model.mean.device) for batch in found if len(batch.indices)])
    targets = predictions.predicted[there].to(pixels.device)
    layer = next(iter(cam_layers(model)), None)
    judged: list[Judged] = []
    notes: list[str] = []
    with steps("testing the maps", len(names) + 1) as done:
        for name in names:
            try:
                judged.append(_judge(model, pixels, targets, name, layer=layer, seed=seed))
            except ValueError as error:  # the method says why this model does not suit it; the page repeats it
                notes.append(f"{name} is not tested: {error}")
            done(1)
        cheap = baselines(pixels, draws=1, generator=torch.Generator().manual_seed(seed))
        del cheap["edges"]  # each costs as much as a map that is tested
        beside = {
            name.removesuffix("_1"): insertion(model, pixels, targets, heat, steps=STEPS).auc.cpu()
            - deletion(model, pixels, targets, heat, steps=STEPS).auc.cpu()
            for name, heat in cheap.items()
        }
        done(1)
    judged.sort(key=lambda one: -float(one.faithfulness.mean()))
    return Trust(len(there), tuple(judged), beside, tuple(notes))


def _judge(model: Model, images: Tensor, targets: Tensor, name: str, *, layer: str | None, seed: int) -> Judged:
    explain = bound(name, layer, seed)
    heat = explain(model, images, targets)
    flat = is_flat(heat)
    heat = torch.where(heat.isfinite(), heat, torch.zeros_like(heat))  # such a map is counted as flat
    some, few = images[:PROBED], targets[:PROBED]
    back = insertion(model, images, targets, heat, steps=STEPS).auc
    away = deletion(model, images, targets, heat, steps=STEPS).auc
    generator = torch.Generator().manual_seed(seed)
    noisy = sensitivity(explain, model, some, few, samples=3, generator=generator)
    random = model_randomisation(explain, model, some, few, stages=STAGES, generator=generator)
    return Judged(name, back.cpu(), away.cpu(), float(noisy.largest.mean()), random.lowest, int(flat.sum()))
