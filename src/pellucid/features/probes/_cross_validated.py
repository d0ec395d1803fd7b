"""Held-out answers of many probes at once, for a grid search: what they share is computed once."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from pellucid.data import Fold
from pellucid.features.normaliser import Normaliser
from pellucid.progress import steps

from ._kernels import Kernel, gamma_of
from ._labelled import Labelled, one_against_rest
from ._pairs import machines, winners, workers
from ._squared_hinge import basis, products, solve
from .kernel_svm import KernelSVM
from .linear_svm import LinearSVM
from .logistic_regression import LogisticRegression, regression


def linear_hits(probe: LinearSVM, known: Labelled, costs: Sequence[float], folds: Sequence[Fold]) -> Tensor:
    """Held-out rows told right, (C, F), int64; all folds and classes at once, each C from the optimum before."""
    hits = torch.zeros(len(costs), len(folds), dtype=torch.int64)
    signs = one_against_rest(known.numbers, len(known.classes))  # (N, K)
    with steps("cross-validating", len(costs) * len(folds)) as done:
        for rows, together in _normalised(probe.normalise, known.rows, folds):
            turned = basis(rows, constant=probe.intercept_scaling)
            shown = torch.cat([signs * _is_in(folds[fold].train, signs)[:, None] for fold in together], dim=1)
            weight = None
            for place, cost in enumerate(costs):
                solved = solve(turned, shown, cost, weight)
                weight = solved.weight
                answers = solved.scores.view(len(rows), len(together), -1).argmax(dim=2)  # (N, F)
                for column, fold in enumerate(together):
                    hits[place, fold] = _right(answers[folds[fold].held, column], known, folds[fold])
                done(len(together))
    return hits


def kernel_hits(
    probe: KernelSVM, known: Labelled, costs: Sequence[float], gammas: Sequence[float | str], folds: Sequence[Fold]
) -> Tensor:
    """Held-out rows told right, (C, G, F), int64; one table of inner products serves all, folds run side by side."""
    hits = torch.zeros(len(costs), len(gammas), len(folds), dtype=torch.int64)
    is_given = probe.kernel == "precomputed"
    how = "none" if is_given else probe.normalise
    with steps("cross-validating", hits.numel()) as done:
        for rows, together in _normalised(how, known.rows, folds):
            inner = rows.double() if is_given else products(rows, rows)
            for place, gamma in enumerate(gammas):

                def told(fold: int, gamma: float | str = gamma, inner: Tensor = inner, rows: Tensor = rows) -> Tensor:
                    table = inner if is_given else _kernel_of(probe, gamma, rows, inner, folds[fold])
                    return _fold_hits(probe, table, known, costs, folds[fold])

                with ThreadPoolExecutor(workers(len(together))) as pool:  # LIBSVM lets other threads run meanwhile
                    for fold, found in zip(together, pool.map(told, together), strict=True):
                        hits[:, place, fold] = found
                        done(len(costs))
    return hits


def regression_hits(
    probe: LogisticRegression, known: Labelled, costs: Sequence[float], folds: Sequence[Fold]
) -> Tensor:
    """Held-out rows told right, (C, F), int64; in a basis of the rows, each C from the optimum of the one before."""
    hits = torch.zeros(len(costs), len(folds), dtype=torch.int64)
    with steps("cross-validating", hits.numel()) as done:
        for rows, together in _normalised(probe.normalise, known.rows, folds):
            turned = basis(rows, constant=0).rows.cpu().numpy()
            for fold in together:
                machine = regression(costs[0], goes_on=True)
                train, held = folds[fold].train.numpy(), folds[fold].held.numpy()
                learned = torch.unique(known.numbers[folds[fold].train])
                if len(learned) == 1:  # a single class is all that it can tell
                    hits[:, fold] = _right(learned.expand(len(held)), known, folds[fold])
                    done(len(costs))
                    continue
                for place, cost in enumerate(costs):
                    machine.set_params(C=cost).fit(turned[train], known.numbers.cpu().numpy()[train])
                    hits[place, fold] = _right(torch.from_numpy(machine.predict(turned[held])), known, folds[fold])
                    done(1)
    return hits


def _normalised(how: str, rows: Tensor, folds: Sequence[Fold]) -> Iterator[tuple[Tensor, list[int]]]:
    """All rows as each fold's training rows normalise them, with the folds they serve: all where nothing is learned."""
    if how in {"none", "l2"}:
        yield Normaliser(how).fit(rows).transform(rows), list(range(len(folds)))
        return
    for number, fold in enumerate(folds):
        yield Normaliser(how).fit(rows[fold.train]).transform(rows), [number]


def _is_in(chosen: Tensor, like: Tensor) -> Tensor:
    """(N,): 1 for the rows chosen, 0 for the others."""
    found = like.new_zeros(len(like))
    found[chosen] = 1
    return found


def _right(answers: Tensor, known: Labelled, fold: Fold) -> int:
    """How many of the held rows' classes are theirs."""
    return int((answers.cpu() == known.numbers.cpu()[fold.held]).sum())


def _kernel_of(probe: KernelSVM, gamma: float | str, rows: Tensor, inner: Tensor, fold: Fold) -> Tensor:
    """The kernel (N, N), with the gamma that the fold's training rows give."""
    kernel = Kernel(probe.kernel, gamma_of(gamma, rows[fold.train]), probe.degree, probe.offset)
    norms = inner.diagonal()
    return kernel.of(inner, norms, norms)


def _fold_hits(probe: KernelSVM, table: Tensor, known: Labelled, costs: Sequence[float], fold: Fold) -> Tensor:
    """Held-out rows told right, (C,), int64."""
    train, asked = table[fold.train[:, None], fold.train], table[fold.held[:, None], fold.train].cpu()
    numbers, classes = known.numbers[fold.train], len(known.classes)
    found = []
    for cost in costs:
        made = machines(train, numbers, classes, cost=cost, multiclass=probe.multiclass)
        answers = winners(asked @ made.forces + made.offsets, classes, probe.multiclass)
        found.append(_right(answers, known, fold))
    return torch.tensor(found)
