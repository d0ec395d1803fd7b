"""Which digits MC dropout is least sure of: do they look ambiguous, are they errors, and which score says so best.

    PELLUCID_DATA=... python benchmarks/mc_dropout.py [--data mnist] [--seeds 3] [--samples 100] [--sheets FOLDER]

A small classifier with dropout is trained for each seed and kept in --runs; all test images are asked of its thinned
networks. An error is an image whose largest mean probability is not its class's; "off" is the maximum probability with
dropout off, of the same errors. Printed are, for each score, the AUROC of errors and how many of the MOST images it is
least sure of are errors; and how often the class of the largest mean and the one most voted for agree. --sheets writes,
for each seed, the most uncertain digits by variation ratio, and SHOWN of them beside as many random ones with their
votes and the histograms of each class's probability over the samples.

Y. Gal, Z. Ghahramani, "Dropout as a Bayesian Approximation: Representing Model Uncertainty in Deep Learning", ICML
2016, whose figure 4 turns a digit until it looks like others. https://arxiv.org/abs/1506.02142
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line does, before torch is imported

import torch
from torch import Tensor

from _seeds import print_means, write
from _trained import add_options, classifiers, parts
from pellucid.data import Pixels
from pellucid.metrics.ranking import auroc
from pellucid.models import Model
from pellucid.report import contact_sheet, pixels
from pellucid.uncertainty import Summary, mc_dropout, ood, summary

MOST, SHOWN = 30, 5
SCORES = {
    "max_probability": "least_confidence",
    "entropy": "entropy",
    "mutual_information": "mutual_information",
    "variation_ratio": "variation_ratio",
    "predicted_variance": "predicted_variance",
    "mean_class_variance": "mean_class_variance",
}
"""Score -> what it is called in a summary."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--sheets", type=Path, help="folder of the pictures")
    parser.add_argument("--out", type=Path, help="JSON file")
    args = parser.parse_args()
    train, test = parts(args)
    found = []
    for seed, model in classifiers(args, train, test):
        drawn = mc_dropout(model, test.images(), samples=args.samples)  # (S, N, K)
        told = summary(drawn)
        found.append(measured(model, test, told))
        write(args.out, "mc_dropout", args, found)
        if args.sheets:
            args.sheets.mkdir(parents=True, exist_ok=True)
            draw(test, told, drawn, args.sheets, seed)
    print_means(found, ("auroc", "errors_among_most"), compared="auroc")


def measured(model: Model, test: Pixels, told: Summary) -> dict[str, dict[str, float]]:
    """Of each score how well it finds the errors; printed with how the two ways to answer agree."""
    wrong = told.predicted != test.targets
    scores = {name: getattr(told, field) for name, field in SCORES.items()}
    scores["off"] = ood.max_probability(model, test.images())
    voted, differ = told.voted != test.targets, told.disagrees
    print(
        f"{int(wrong.sum())} errors of the mean's class among {len(wrong)}, {int(voted.sum())} of the vote's; "
        f"the two differ on {int(differ.sum())} ({100 * float((~differ).double().mean()):.2f} % agree)"
    )
    print(f"{'':24}{'AUROC of errors, %':>20}{f'errors among {MOST}':>20}{'classes voted for':>20}")
    found = {}
    for name, score in scores.items():
        most = score.argsort(descending=True, stable=True)[:MOST]
        area, errors = auroc(score, wrong), float(wrong[most].double().mean())
        classes = float((told.vote_counts[most] > 0).sum(dim=1).double().mean())
        print(f"{name:24}{100 * area:20.2f}{int(wrong[most].sum()):20}{classes:20.1f}", flush=True)
        found[name] = {"auroc": area, "errors_among_most": errors}
    return found


def draw(test: Pixels, told: Summary, drawn: Tensor, folder: Path, seed: int) -> None:
    """Two sheets of a seed."""
    order = told.variation_ratio.argsort(descending=True, stable=True)
    random = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[:SHOWN]
    titles = [
        f"true {test.classes[test.targets[one]]}; mean {test.classes[told.predicted[one]]}, "
        f"vote {test.classes[told.voted[one]]}; ratio {float(told.variation_ratio[one]):.2f}"
        for one in order[:MOST].tolist()
    ]
    pictures = [pixels(image) for image in test.images(order[:MOST])]
    title = f"The {MOST} digits with the largest variation ratio, seed {seed}"
    contact_sheet(pictures, titles, folder / f"most-uncertain-{seed}.png", title, columns=6)
    draw_answers(test, told, drawn, torch.cat([order[:SHOWN], random]), folder / f"answers-{seed}.png")


def draw_answers(test: Pixels, told: Summary, drawn: Tensor, rows: Tensor, path: Path) -> None:
    """A row for each image: itself, its votes, and each class's probabilities; all on the same axes."""
    from matplotlib.figure import Figure

    samples, _, count = drawn.shape
    figure = Figure(figsize=(2.6 + 0.85 * count, 0.95 * len(rows)), dpi=120, layout="constrained")
    axes = figure.subplots(len(rows), count + 2, width_ratios=[1, 1.8, *[0.85] * count])
    for row, (image, places) in enumerate(zip(rows.tolist(), axes, strict=True)):
        kind = "uncertain" if row < SHOWN else "random"
        places[0].imshow(pixels(test.images(torch.tensor([image]))[0]))
        places[0].set(xticks=[], yticks=[])
        places[0].set_ylabel(f"{kind}\ntrue {test.classes[test.targets[image]]}", fontsize=7)
        places[1].bar(range(count), told.vote_counts[image], color="#33638d")
        places[1].set(ylim=(0, samples), xticks=range(count))
        for column, place in enumerate(places[2:]):
            place.hist(drawn[:, image, column].numpy(), 20, range=(0, 1), color="#33638d")
            place.set(xlim=(0, 1), ylim=(0, samples), xticks=[0, 1], yticks=[])
        for place in places[1:]:
            place.tick_params(labelsize=6, labelbottom=row == len(rows) - 1)
    axes[0][1].set_title(f"votes of {samples}", fontsize=8)
    for name, place in zip(test.classes, axes[0][2:], strict=True):
        place.set_title(f"p({name})", fontsize=8)
    title = f"{SHOWN} most uncertain digits and {SHOWN} random ones: how {samples} thinned networks vote, and how many"
    figure.suptitle(f"{title} give each class a probability from 0 to 1", fontsize=9)
    figure.savefig(path)


if __name__ == "__main__":
    main()
