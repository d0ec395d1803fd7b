"""Which score predicts a classifier's errors best: one fair table a seed, and means over the seeds.

    PELLUCID_DATA=... python benchmarks/failure.py --data mnist|cifar10 [--seeds 3] [--phase both] [--out F]

A small classifier with dropout is trained for each seed and kept in --runs; ConfidNet and the trust score are fitted on
the images that it was trained on (or, with --held, on a tenth of them that it never saw), and all scores are compared
on the test set. Each seed's table comes with bootstrap intervals, and with each score's difference to the maximum
probability on the same draws of the images: only an interval without 0 shows one, of this classifier. The end gives
means over the seeds with Student's intervals, also of the differences: what holds for classifiers trained like these.

C. Corbière et al., "Addressing Failure Prediction by Learning Model Confidence", NeurIPS 2019, table 1, AUPR of errors
in %: MNIST, convolutional net: max probability 35.05, MC dropout 38.50, trust score 35.88, ConfidNet 45.89; CIFAR-10,
VGG-16: 45.36, 46.40, 38.10, 49.94. AUPR depends on the error rate, so that only differences within one table mean
anything. https://arxiv.org/abs/1910.04851
"""

import argparse
import os
import warnings
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line does, before torch is imported

import torch
from torch import Tensor

from _seeds import BASELINE, print_means, told, write
from _trained import add_options, classifiers, parts
from pellucid.data import Pixels, split_indices
from pellucid.metrics.ranking import failure_differences
from pellucid.models import Model
from pellucid.uncertainty.failure import Comparison, ConfidNet, TrustScore, compare

SCORES = (
    "max_probability,entropy,margin,energy,doctor_alpha,mc_dropout,mc_dropout_mutual_information,"
    "mc_dropout_variation_ratio,mc_dropout_max_probability,tcp_oracle"
)
COLUMNS = ("aupr_error", "aupr_success", "auroc", "fpr95", "aurc")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--held", action="store_true", help="fit on images that the classifier was not trained on")
    parser.add_argument("--phase", choices=("head", "both"), default="both")
    parser.add_argument("--loss", default="mse")
    parser.add_argument("--head-epochs", type=int, default=500)
    parser.add_argument("--tune-epochs", type=int, default=20)
    parser.add_argument("--patience", type=int, default=50)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--out", type=Path, help="JSON file")
    args = parser.parse_args()
    train, test = parts(args)
    learned, asked = train, train
    if args.held:
        split = split_indices(train.targets, val=0.1, test=0.0, generator=torch.Generator().manual_seed(0))
        learned, asked = train.subset(split.train), train.subset(split.val)
    found = []
    for seed, model in classifiers(args, learned, test):
        compared, confidence = compared_on(model, asked, test, args, seed)
        print_table(compared)
        best = ", ".join(map(str, confidence.epochs_))
        print(f"ConfidNet: best epochs {best}; {confidence.errors_} errors among {confidence.images_}", flush=True)
        found.append({row.name: {c: getattr(row, c).value for c in COLUMNS} for row in compared.table.rows})
        write(args.out, "failure", args, found)
    print_means(found, COLUMNS, compared="aupr_error", oracles=["tcp_oracle"])


def compared_on(
    model: Model, asked: Pixels, test: Pixels, args: argparse.Namespace, seed: int
) -> tuple[Comparison, ConfidNet]:
    """All scores on the test set, the fitted ones fitted on the images asked."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the comparison tells them
        confidence = ConfidNet(
            phase=args.phase,
            loss=args.loss,
            epochs=args.head_epochs,
            tune_epochs=args.tune_epochs,
            patience=args.patience,
        )
        confidence.fit(model, asked, generator=torch.Generator().manual_seed(seed))
    trust = TrustScore().fit(model, asked)
    fitted: dict[str, Callable[[Tensor], Tensor]] = {"trust_score": trust, "confid_net": confidence}
    return compare(model, test, None, fitted, predictors=SCORES, samples=args.samples), confidence


def print_table(compared: Comparison) -> None:
    table, rate = compared.table, compared.table.error_rate
    print(
        f"{table.errors} errors among {table.images}: {100 * rate.value:.2f} % is the AUPR-error of a score by chance"
    )
    print(
        f"{'':31}{'AUPR-error':>20}{f'less {BASELINE}':>24}{'AUPR-success':>14}{'AUROC':>8}{'FPR95':>8}{'AURC':>8}, %"
    )
    gains = failure_differences(compared.scores, compared.correct, against=BASELINE)
    gained = {row.name: told(row.aupr_error, sign="+") for row in gains}
    for row in table.rows:
        rest = "".join(f"{100 * getattr(row, name).value:8.2f}" for name in COLUMNS[2:])
        gain, success = gained.get(row.name, ""), 100 * row.aupr_success.value
        print(f"{row.name:31}{told(row.aupr_error):>20}{gain:>24}{success:14.2f}{rest}")
    for line in compared.warnings:
        print(f"! {line}")


if __name__ == "__main__":
    main()
