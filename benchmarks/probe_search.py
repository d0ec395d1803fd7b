"""How fast the grid search of C is, against scikit-learn's GridSearchCV on the same folds in the same process.

    python benchmarks/probe_search.py [--rows 1500] [--dimension 4096] [--classes 15] [--repeats 3] [--workers 2]
        [--features FILE.npy --targets FILE.npy] [--probe linear_svm] [--seed 0]

Both sides are asked in turn (ours, theirs, ours, ...) for the best of 10 values of C by 5 folds, fitted on all rows;
ours on as many threads as theirs (LinearSVC, n_jobs, the features already normalised to length 1). Theirs works in
threads too, for LIBLINEAR lets go of the interpreter: no process to start and nothing to copy; --backend loky gives it
scikit-learn's processes, whose time --clock cpu cannot see. Printed are medians and the median of the ratios of
neighbours (above 1: we are faster), by the wall and by processor time (on a busy machine the wall says little), then
whether both chose the same C and how far the fifty scores are apart. LinearSVC stops at a tolerance of 1e-4, ours at a
relative duality gap of 1e-10, so that a row on the boundary may fall to either side: --check runs LinearSVC once more,
to a tolerance of 1e-8.

Without files the rows are made up: 64 latent numbers, normal around a centre for each class, through a random map,
noise and a ReLU, as a network's are. Exits 1 when the median ratio is below 4.
"""

import argparse
import os
import statistics
import sys
import time
import warnings
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line does, before torch is imported

import numpy as np
import torch
import torch.nn.functional as F
from joblib import parallel_config  # type: ignore[import-untyped]
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC, LinearSVC
from torch import Tensor

from pellucid.data import Fold, k_folds
from pellucid.features import grid_search
from pellucid.features.probes import KernelSVM, LinearSVM, Search

COSTS = (0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 50.0, 100.0)

warnings.filterwarnings("ignore", category=ConvergenceWarning)  # told below, where it costs agreement


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1500)
    parser.add_argument("--dimension", type=int, default=4096)
    parser.add_argument("--classes", type=int, default=15)
    parser.add_argument("--features", help=".npy, (N, D), instead of made-up rows")
    parser.add_argument("--targets", help=".npy, (N,), whole numbers")
    parser.add_argument("--probe", choices=("linear_svm", "rbf"), default="linear_svm")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--backend", choices=("threading", "loky"), default="threading", help="of GridSearchCV")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="which ratio must be at least 4")
    parser.add_argument("--check", action="store_true", help="once more against LinearSVC to a tolerance of 1e-8")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(args.workers)
    if args.features:
        rows, targets = (torch.from_numpy(np.load(path)) for path in (args.features, args.targets))
        rows, targets = rows.float(), targets.long()
    else:
        rows, targets = made_up(args.rows, args.dimension, args.classes, args.seed)
    rows = F.normalize(rows, dim=1)
    folds = k_folds(targets, folds=5, generator=torch.Generator().manual_seed(args.seed))
    probe = LinearSVM(normalise="none") if args.probe == "linear_svm" else KernelSVM(normalise="none")
    machine = LinearSVC() if args.probe == "linear_svm" else SVC()
    print(
        f"{len(rows)} x {rows.shape[1]}, {int(targets.max()) + 1} classes, {len(COSTS)} values of C, 5 folds",
        flush=True,
    )
    parallel_config(backend=args.backend)  # from here on
    spent = []
    for _ in range(args.repeats):
        before = clocks()
        ours = grid_search(probe, rows, targets, costs=COSTS, splits=folds)
        between = clocks()
        print(f"  ours {between['wall'] - before['wall']:.1f} s", end=", ", flush=True)
        theirs = search(machine, rows, targets, folds, args.workers)
        after = clocks()
        print(f"GridSearchCV {after['wall'] - between['wall']:.1f} s", flush=True)
        spent.append({name: (between[name] - before[name], after[name] - between[name]) for name in after})
    ratios = {}
    for name in ("wall", "cpu"):
        ratios[name] = statistics.median(one[name][1] / one[name][0] for one in spent)
        our, their = (statistics.median(one[name][side] for one in spent) for side in (0, 1))
        print(f"{name} medians: ours {our:.2f} s, GridSearchCV {their:.2f} s, ratio {ratios[name]:.2f}")
    compare(ours, theirs)
    if args.check:
        compare(ours, search(LinearSVC(tol=1e-8, max_iter=10**6), rows, targets, folds, args.workers))
    if ratios[args.clock] < 4:
        sys.exit(f"the search must be at least 4 times as fast, got {ratios[args.clock]:.2f}")


def clocks() -> dict[str, float]:
    """Seconds so far: of the wall, and of the processors over all threads."""
    return {"wall": time.perf_counter(), "cpu": time.process_time()}


def made_up(count: int, dimension: int, classes: int, seed: int) -> tuple[Tensor, Tensor]:
    """Rows (N, D) as a network's behind a ReLU, and targets (N,)."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, 64, generator=generator)
    targets = torch.arange(count) % classes
    latent = centres[targets] + 2.5 * torch.randn(count, 64, generator=generator)  # (N, 64)
    noise = torch.randn(count, dimension, generator=generator)
    return F.relu(latent @ torch.randn(64, dimension, generator=generator) / 8 + noise / 2 - 0.3), targets


def search(machine: Any, rows: Tensor, targets: Tensor, folds: list[Fold], workers: int) -> Any:
    splits = [(fold.train.numpy(), fold.held.numpy()) for fold in folds]
    table = rows.double().numpy()  # what LIBLINEAR works on: given so, no fit has to copy it
    return GridSearchCV(machine, {"C": list(COSTS)}, cv=splits, n_jobs=workers).fit(table, targets.numpy())


def compare(ours: Search, theirs: Any) -> None:
    """Print both choices, and how far the scores are apart."""
    held = np.stack([theirs.cv_results_[f"split{fold}_test_score"] for fold in range(5)], axis=1)
    apart = np.abs(ours.accuracies[:, 0].numpy() - held)
    means = np.abs(ours.accuracies.mean(dim=(1, 2)).numpy() - theirs.cv_results_["mean_test_score"])
    chosen = theirs.best_params_["C"]
    print(f"C: ours {ours.cost:g} ({ours.score:.4f}), theirs {chosen:g} ({theirs.best_score_:.4f})", end="; ")
    print(
        f"scores equal in {(apart < 1e-12).sum()} of {apart.size} fits; largest difference of a mean {means.max():.5f}"
    )


if __name__ == "__main__":
    main()
