"""A head trained on features that were read once: the trunk never changes, so it is asked once an image."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.data import Batches, Pixels
from pellucid.models import Model, evaluate, find_head, network_of, unvaried
from pellucid.models.probes import inputs_of
from pellucid.training.classify import Judgement
from pellucid.training.frozen import FineTune
from pellucid.training.sets import Sets

CHUNK = 256
"""Images turned to floats at a time."""


class OnFeatures(FineTune):
    """The step of a head: a batch (features (N, D), targets (N,)) to its loss and accuracy.

    Args:
        model: the whole model, which is what is kept.
        kept: as of FineTune.
        label_smoothing: as of Classify.
    """

    def __init__(self, model: Model, kept: Sequence[nn.Module], *, label_smoothing: float = 0.0) -> None:
        super().__init__(model, kept, label_smoothing=label_smoothing)
        self.place = find_head(model)

    @property
    def head(self) -> nn.Module:
        """Features (N, D) to logits (N, K)."""
        return network_of(self.model).get_submodule(self.place)

    def forward(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Mean loss and accuracy of features (N, D) and targets (N,)."""
        features, targets = batch
        logits = self.head(features)
        return {
            "loss": self._loss(logits, targets),
            "accuracy": (logits.detach().argmax(dim=1) == targets).float().mean(),
        }

    @torch.no_grad()
    def judge(self, features: Tensor, targets: Tensor) -> Judgement:
        """How good the head is on features (N, D), in eval mode; its mode is as it was afterwards."""
        modes = {module: module.training for module in self.head.modules()}
        try:
            logits = self.head.eval()(features).float()
        finally:
            for module, mode in modes.items():
                module.training = mode
        hits = int((logits.argmax(dim=1) == targets).sum())
        return Judgement(float(F.cross_entropy(logits, targets)), hits, len(targets))


@dataclass(frozen=True)
class FeatureBatches:
    """The batches of an epoch, in the order of a set's, made of features instead of its images."""

    batches: Batches
    step: OnFeatures
    features: Tensor  # (N, D), of the training part
    targets: Tensor  # (N,), on the same device
    held: Tensor | None  # (V, D), of the val part

    def __len__(self) -> int:
        return len(self.batches)

    def __call__(self, epoch: int, skip: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Features (n, D) and targets (n,), from the skip-th batch on; epoch from 0."""
        for chosen in self.batches.shares(epoch)[skip:]:
            there = chosen.to(self.features.device)
            yield self.features[there], self.targets[there]

    def judge(self, _model: nn.Module, part: Pixels) -> Judgement:
        """How good the head is on the val part."""
        assert self.held is not None
        return self.step.judge(self.held, part.targets.to(self.held.device))


def on_features(step: OnFeatures, batches: Batches, sets: Sets) -> FeatureBatches:
    """Read the features of the training and the val part, each once.

    Args:
        step: of the head, on its device.
        batches: of the training part's images; their order is kept.
        sets: the parts.

    Raises:
        ValueError: the head is not the last thing the network does, so that it could not learn alone.
    """
    model = step.model
    assert isinstance(model, Model)
    learned = features_of(model, step.place, sets.train)
    held = None if sets.val is None else features_of(model, step.place, sets.val)
    return FeatureBatches(batches, step, learned, sets.train.targets.to(learned.device), held)


def features_of(model: Model, head: str, pixels: Pixels) -> Tensor:
    """What the head is given of each image of a set, in eval mode: (N, D), on the model's device.

    Raises:
        ValueError: the head is not the last thing the network does, so that it could not learn alone.
    """
    first = next(model.parameters())
    modes = {module: module.training for module in model.modules()}
    model.eval()

    def read(images: Tensor) -> Tensor:
        with inputs_of(model, head) as found:
            model(images)
        return next(iter(found.values()))

    parts = []
    try:
        _check_alone(model, head, read, pixels.images(slice(2)).to(first))
        for chosen in torch.split(torch.arange(len(pixels)), CHUNK):
            images = pixels.images(chosen).to(first)
            found = evaluate(read, unvaried(images), lambda features, _rows: features, label="reading features")
            parts.append(found[0])  # (n, D)
    finally:
        for module, mode in modes.items():
            module.training = mode
    return torch.cat(parts)


@torch.no_grad()
def _check_alone(model: Model, head: str, read: Callable[[Tensor], Tensor], images: Tensor) -> None:
    """Refuse a head whose answer to its features is not the network's answer."""
    features = read(images)
    if features.ndim == 2:
        alone = model.network.get_submodule(head)(features)
        logits = model(images)
        if alone.shape == logits.shape and torch.allclose(alone, logits, rtol=1e-3, atol=1e-4):
            return
    shape = " x ".join(map(str, features.shape[1:]))
    raise ValueError(
        f"mode standalone must have a head that takes features (N, D) and is the network's last step; {head} is not "
        f"(it takes {shape}): take mode frozen"
    )
