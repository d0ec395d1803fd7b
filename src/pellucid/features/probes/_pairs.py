"""Machines for several classes made of machines for two: their answers put together.

One against one: a machine for each pair of classes i < j, positive for i; most votes win, the lower class where votes
are equal (S. Knerr, L. Personnaz, G. Dreyfus, "Single-layer Learning Revisited", 1990, as LIBSVM has it).
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from ._labelled import one_against_rest

MULTICLASS = ("one_vs_one", "one_vs_rest")


@dataclass(frozen=True)
class Machines:
    """Binary machines over the same training rows, P of them."""

    forces: Tensor  # (N, P), float64: a machine's decision is its kernel's row times these ...
    offsets: Tensor  # (P,), float64: ... plus this


def machines(table: Tensor, numbers: Tensor, classes: int, *, cost: float, multiclass: str) -> Machines:
    """Support vector machines with the hinge, solved by LIBSVM.

    C.-C. Chang, C.-J. Lin, "LIBSVM: A Library for Support Vector Machines", ACM TIST 2, 2011.
    https://www.csie.ntu.edu.tw/~cjlin/libsvm

    Args:
        table: (N, N), float64, kernel of the training rows.
        numbers: (N,), int64, in [0, classes).
        classes: K.
        cost: C.
        multiclass: one_vs_one or one_vs_rest.
    """
    values = np.ascontiguousarray(table.cpu().numpy())
    if multiclass == "one_vs_one":
        return _against_one(values, numbers.cpu().numpy(), classes, cost)
    signs = (one_against_rest(numbers, classes) > 0).cpu().numpy()  # (N, K)
    with ThreadPoolExecutor(workers(classes)) as pool:  # LIBSVM lets other threads run meanwhile
        found = list(pool.map(lambda one: _against_one(values, ~one, 2, cost), signs.T))
    return Machines(torch.cat([one.forces for one in found], dim=1), torch.cat([one.offsets for one in found]))


def workers(count: int) -> int:
    """Threads for so many tasks: as many as torch may use."""
    return max(1, min(count, torch.get_num_threads()))


def scores(decisions: Tensor, classes: int, multiclass: str) -> Tensor:
    """Scores (N, K), float64: decisions of one against the rest; or votes, plus less than 1/2 for how clear they were.

    Args:
        decisions: (N, P), float64.
        classes: K.
        multiclass: how the machines were made.
    """
    if multiclass == "one_vs_rest":
        return decisions
    clear = decisions.new_zeros(len(decisions), classes)
    for place, (first, second) in enumerate(combinations(range(classes), 2)):
        clear[:, first] += decisions[:, place]
        clear[:, second] -= decisions[:, place]
    return votes(decisions, classes) + clear / (3 * (clear.abs() + 1))


def winners(decisions: Tensor, classes: int, multiclass: str) -> Tensor:
    """The class of each row, (N,), int64, in [0, K)."""
    if multiclass == "one_vs_rest":
        return decisions.argmax(dim=1)
    return (votes(decisions, classes) - torch.arange(classes, device=decisions.device) / (2 * classes)).argmax(dim=1)


def votes(decisions: Tensor, classes: int) -> Tensor:
    """Machines (N, K), float64, that are for each class."""
    found = decisions.new_zeros(len(decisions), classes)
    for place, (first, second) in enumerate(combinations(range(classes), 2)):
        is_first = (decisions[:, place] > 0).double()
        found[:, first] += is_first
        found[:, second] += 1 - is_first
    return found


def _against_one(values: "np.ndarray", numbers: "np.ndarray", classes: int, cost: float) -> Machines:
    """A machine for each pair of classes; one that no row is of, as in a fold whose other rows it has, always loses."""
    from sklearn.svm import SVC

    places = {pair: place for place, pair in enumerate(combinations(range(classes), 2))}
    present = np.unique(numbers.astype(np.int64)).tolist()
    forces = torch.zeros(len(values), len(places), dtype=torch.float64)
    offsets = torch.tensor([float(one in present) - float(other in present) for one, other in places]).double()
    if len(present) < 2:
        return Machines(forces, offsets)
    machine = SVC(C=cost, kernel="precomputed", cache_size=500).fit(values, numbers)
    held = torch.from_numpy(np.array(machine.dual_coef_)).double()  # (K - 1, S), K the classes present
    free = torch.from_numpy(np.array(machine.intercept_)).double()
    sign = -1.0 if len(present) == 2 else 1.0  # of two scikit-learn turns the sign, to be positive for the second
    support = torch.from_numpy(machine.support_.astype(np.int64))
    of = torch.from_numpy(numbers.astype(np.int64))[support]
    for number, (first, second) in enumerate(combinations(range(len(present)), 2)):
        place = places[present[first], present[second]]
        offsets[place] = sign * free[number]
        for one, other in ((first, second), (second, first)):
            mine = of == present[one]
            forces[support[mine], place] = sign * held[other - (other > one), mine]
    return Machines(forces, offsets)
