"""The answers of one `pellucid uncertainty`: every picture asked many times, and what that says of each."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid import models, uncertainty
from pellucid.metrics import (
    Interval,
    Reliability,
    bootstrap,
    brier,
    calibration_interval,
    proportion,
    reliability,
)
from pellucid.metrics.ranking import FailureTable, failure_table
from pellucid.models import Model
from pellucid.progress import steps

from ._reading import Read
from ._uncertain_samplers import Draw

AT_ONCE = 2**28
"""Bytes of samples, and of pictures as floats, held at a time."""

SCORES = (
    "mutual_information",
    "entropy",
    "expected_entropy",
    "variation_ratio",
    "least_confidence",
    "margin",
    "predicted_variance",
    "mean_class_variance",
    "total_class_variance",
)
"""Scores of samples, as `uncertainty.Summary` has them."""

READ = ("mean", "predicted", "voted", "votes")
"""What a summary says of each picture besides the scores."""

PLAIN = "plain max_probability"
"""What the scores are held against: one minus the largest probability of the network as it is."""

SAME_ORDER = ("total_class_variance",)
"""Scores that rank the images of one model as another does."""


@dataclass(frozen=True)
class Answers:
    """What was answered of N pictures in K classes and S samples; on the CPU, in the order they were read."""

    pictures: Read
    outputs: Tensor  # (N, K), float32, the network as it is: logits, or probabilities where it ends in a softmax
    plain: Tensor  # (N, K), float64, probabilities of the network as it is
    mean: Tensor  # (N, K), float32, mean probabilities of the samples
    predicted: Tensor  # (N,), int64, class of the largest mean
    voted: Tensor  # (N,), int64, class most samples vote for
    votes: Tensor  # (N, S), int64, the class of each sample
    scores: dict[str, Tensor]  # name -> (N,), higher = less to be trusted
    order: Tensor  # (N,), int64, places of the pictures, the most uncertain first
    drawn: dict[int, Tensor]  # place of a picture that is shown -> its samples (S, K)
    shown: tuple[int, ...]  # places of the most uncertain
    others: tuple[int, ...]  # places of as many drawn at random from the rest
    samples: Tensor | None  # (S, N, K), where they are kept
    seconds: float

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def disagrees(self) -> Tensor:
        """(N,), bool: the class of the largest mean is not the one most voted for."""
        return self.predicted != self.voted

    @property
    def correct(self) -> Tensor | None:
        """(N,), bool, whether the class of the largest mean is right; None without labels."""
        return None if self.pictures.labels is None else self.predicted == self.pictures.labels


@dataclass(frozen=True)
class Judged:
    """How far probabilities can be taken at their word, on labelled pictures."""

    accuracy: Interval  # Wilson's
    confidence: float  # mean probability of the predicted class
    bins: Reliability
    ece: Interval  # bootstrap
    loss: Interval  # negative log likelihood, nats, bootstrap
    brier: Interval  # bootstrap


def answered(
    model: Model, pictures: Read, draw: Draw, *, by: str, shown: int, seed: int, is_kept: bool = False
) -> Answers:
    """Ask of every picture, block by block; then once more of those that are shown.

    Args:
        model: asked as it is, beside the samples.
        pictures: in memory.
        draw: what is sampled.
        by: the score that orders the pictures.
        shown: how many of the most uncertain are shown, and of the others.
        seed: of the choice of the others.
        is_kept: keep every sample.
    """
    outputs, kept = [], []
    said: list[uncertainty.Summary] = []
    seconds, start = 0.0, 0
    with steps("asking how sure", len(pictures)) as done:
        while start < len(pictures):
            size = _block(pictures, said[-1] if said else None)
            images = pictures.images(slice(start, start + size), model.mean.device)
            outputs.append(_plain(model, images))
            begin = time.perf_counter()
            samples = draw(images)
            seconds += time.perf_counter() - begin
            said.append(uncertainty.summary(samples))
            kept += [samples.cpu()] if is_kept else []
            start += len(images)
            done(len(images))
    raw = torch.cat(outputs)
    scores = {name: torch.cat([getattr(one, name).cpu() for one in said]) for name in SCORES}
    order = scores[by].argsort(descending=True, stable=True)
    first = order[:shown].tolist()
    rest = torch.randperm(len(order) - len(first), generator=torch.Generator().manual_seed(seed))[:shown]
    others = order[len(first) :][rest].tolist()
    return Answers(
        pictures=pictures,
        outputs=raw,
        plain=raw.double() if models.are_probabilities(raw) else raw.double().softmax(dim=1),
        **{name: torch.cat([getattr(one, name).cpu() for one in said]) for name in READ},
        scores=scores,
        order=order,
        drawn=_again(draw, pictures, [*first, *others], model, _block(pictures, said[0])),
        shown=tuple(first),
        others=tuple(others),
        samples=torch.cat(kept, dim=1) if is_kept else None,
        seconds=seconds,
    )


def ranking(found: Answers) -> FailureTable | None:
    """How well each score ranks the wrong answers above the right ones; None without labels."""
    if found.correct is None:
        return None
    plain = {PLAIN: 1 - found.plain.amax(dim=1)}
    return failure_table(
        {**{name: score for name, score in found.scores.items() if name not in SAME_ORDER}, **plain}, found.correct
    )


def judged(probabilities: Tensor, labels: Tensor) -> Judged:
    """How far probabilities (N, K) and the truth (N,) agree."""
    stated, predicted = probabilities.double().max(dim=1)
    correct = predicted == labels
    of_label = probabilities.double().gather(1, labels[:, None])[:, 0]
    return Judged(
        accuracy=proportion(int(correct.sum()), len(labels)),
        confidence=float(stated.mean()),
        bins=reliability(stated, correct),
        ece=calibration_interval(stated, correct),
        loss=bootstrap(-of_label.clamp(min=torch.finfo(torch.float32).tiny).log()),
        brier=bootstrap(brier(probabilities.double(), labels)),
    )


def _block(pictures: Read, before: uncertainty.Summary | None) -> int:
    """Pictures at a time: one to begin with, which tells what a picture's samples take."""
    if before is None:
        return 1
    of_samples = 4 * before.votes.shape[1] * before.mean.shape[1]
    return max(1, min(AT_ONCE // of_samples, AT_ONCE // (4 * pictures.pixels[0].numel())))


def _plain(model: Model, images: Tensor) -> Tensor:
    """(n, K), float32, on the CPU."""
    return models.evaluate(model, models.unvaried(images), lambda out, _rows: out.float(), label="predicting")[0].cpu()


def _again(draw: Draw, pictures: Read, places: Sequence[int], model: Model, size: int) -> dict[int, Tensor]:
    """The samples of a few pictures, by place, (S, K): so many at a time, since some samplers build networks anew."""
    parts = torch.split(torch.tensor(places), size)
    samples = torch.cat([draw(pictures.images(some, model.mean.device)).cpu() for some in parts], dim=1)  # (S, n, K)
    return {place: samples[:, number].clone() for number, place in enumerate(places)}
