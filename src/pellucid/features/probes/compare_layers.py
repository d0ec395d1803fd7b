"""Which layer's features are best for a new question: a probe at each, one line a layer.

J. Yosinski, J. Clune, Y. Bengio, H. Lipson, "How Transferable Are Features in Deep Neural Networks?", NeurIPS 2014.
https://arxiv.org/abs/1411.1792
"""

import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from pellucid.features.normaliser import Rows, as_rows
from pellucid.metrics import proportion
from pellucid.metrics.classification import Interval

from ._labelled import check_labels
from ._options import with_options
from .grid_search import COSTS, Search, Searched, grid_search
from .kernel_svm import KernelSVM
from .linear_svm import LinearSVM
from .logistic_regression import LogisticRegression
from .mlp_head import MLPHead
from .nearest_neighbours import NearestNeighbours

Probe: TypeAlias = LinearSVM | KernelSVM | LogisticRegression | NearestNeighbours | MLPHead


@dataclass(frozen=True)
class LayerScore:
    """How well a probe does on one layer's features; accuracies are shares in [0, 1] with Wilson's 95 % interval."""

    layer: str
    dimension: int  # D
    raw: Interval | None  # test accuracy of the probe as it was given, on rows as they are; None without test rows
    normalised: Interval | None  # the same on rows normalised as `normalise` says
    normalise: str  # l2, standard or minmax
    search: Search | None  # what cross-validation chose; None for a probe without C
    test: Interval | None  # test accuracy of the probe chosen, asked once; None without test rows
    seconds: float  # of the search, or the fit where there is none
    probe: Probe  # as chosen, fitted on all training rows

    @property
    def cost(self) -> float | None:
        """The best C."""
        return None if self.search is None else self.search.cost

    @property
    def validation(self) -> float | None:
        """Mean accuracy over the folds, in [0, 1]."""
        return None if self.search is None else self.search.score


def compare_layers(
    probe: Probe,
    train: Mapping[str, Rows],
    targets: Tensor,
    test: "Mapping[str, Rows] | None" = None,
    test_targets: Tensor | None = None,
    *,
    costs: Sequence[float] = COSTS,
    gammas: Sequence[float | str] = (),
    folds: int = 5,
    contents: Sequence[Hashable] | None = None,
    untuned: bool = True,
    generator: torch.Generator | None = None,
) -> tuple[LayerScore, ...]:
    """A probe chosen by cross-validation and fitted on each layer's features; layers are read one after the other.

    Args:
        probe: whose options are kept; a grid search chooses C, and gamma, where it has them.
        train: (N, D) for each layer, float, finite; D may differ.
        targets: (N,), whole numbers, at least two different ones.
        test: (M, D) for each layer; None leaves the test out.
        test_targets: (M,).
        costs: C to try.
        gammas: gammas to try, see `grid_search`.
        folds: of the cross-validation, the same ones for every layer.
        contents: a key for each training row, equal for twins, which then stay together.
        untuned: also score the probe as it was given, on raw and on normalised rows.
        generator: of the folds; None takes one of seed 0.

    Raises:
        ValueError: as of `grid_search`, told with the layer; or train and test do not hold the same layers.
    """
    if not train or (test is not None and set(test) != set(train)):
        raise ValueError(
            f"train and test must hold the same layers, at least one, got {', '.join(train) or 'none'} and "
            f"{', '.join(test or {}) or 'none'}"
        )
    if (test is None) != (test_targets is None):
        raise ValueError("test and test_targets must be given together")
    seed = int(torch.randint(2**62, (1,), generator=generator)) if generator is not None else 0
    found = []
    for layer in train:
        try:
            rows = as_rows(train[layer])
            asked = None if test is None else as_rows(test[layer])
            labels = None if asked is None or test_targets is None else check_labels(test_targets, len(asked))
            source = torch.Generator().manual_seed(seed)
            start = time.perf_counter()
            search: Search | None = None
            if isinstance(probe, Searched):
                search = grid_search(
                    probe, rows, targets, costs=costs, gammas=gammas, folds=folds, contents=contents, generator=source
                )
            best: Probe = with_options(probe).fit(rows, targets) if search is None else search.probe
            seconds = time.perf_counter() - start
        except ValueError as error:
            raise ValueError(f"layer {layer!r}: {error}") from error
        how = probe.normalise if probe.normalise != "none" else "l2"
        raw, normalised = (
            _tested(with_options(probe, normalise=one).fit(rows, targets), asked, labels) if untuned else None
            for one in ("none", how)
        )
        tested = _tested(best, asked, labels)
        found.append(LayerScore(layer, rows.shape[1], raw, normalised, how, search, tested, seconds, best))
    return tuple(found)


def _tested(probe: Probe, rows: Tensor | None, targets: Tensor | None) -> Interval | None:
    """Accuracy on test rows."""
    if rows is None or targets is None:
        return None
    return proportion(int((probe.predict(rows).cpu() == targets.cpu()).sum()), len(rows))
