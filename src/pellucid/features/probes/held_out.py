"""Scores of rows that a probe did not learn from, each in its turn: what a calibration can be fitted on."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.data import Fold
from pellucid.features.normaliser import Rows

from ._labelled import labelled
from ._options import with_options
from .compare_layers import Probe


@dataclass(frozen=True)
class HeldOut:
    """Scores of held-out rows, and what is true of them."""

    scores: Tensor  # (M, K), float32
    targets: Tensor  # (M,), int64, in [0, K): places among the classes, which are the labels that occur, rising
    rows: Tensor  # (M,), int64, in the order of the folds


def held_out(probe: Probe, features: Rows, targets: Tensor, *, splits: Sequence[Fold]) -> HeldOut:
    """The scores of each fold's held rows, from a probe with the same options fitted on its training rows.

    Args:
        probe: whose options are taken; left as it is.
        features: (N, D), float, finite.
        targets: (N,), whole numbers, at least two different ones.
        splits: train and held rows of each fold; one whose training rows lack a class is left out.

    Raises:
        ValueError: features or targets are not so, or no fold has every class among its training rows.
    """
    known = labelled(features, targets)
    scores, rows = [], []
    for fold in splits:
        if len(torch.unique(known.numbers[fold.train])) == len(known.classes):
            fitted = with_options(probe).fit(known.rows[fold.train], known.numbers[fold.train])
            scores.append(fitted.scores(known.rows[fold.held]))
            rows.append(fold.held)
    if not rows:
        raise ValueError("splits must hold a fold whose training rows have every class, got none")
    which = torch.cat(rows)
    return HeldOut(torch.cat(scores), known.numbers[which], which)
