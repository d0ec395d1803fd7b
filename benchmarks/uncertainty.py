"""How fast MC dropout is beside the loop people write, and which score predicts a classifier's errors best.

    python benchmarks/uncertainty.py pace [--nets vgg16,mobilenet_v2] [--passes 100] [--timed 4] [--repeats 5]
    PELLUCID_DATA=... python benchmarks/uncertainty.py failure --data mnist|cifar10 [--seeds 3] [--phase both] [--out F]

pace: torchvision's nets with random weights, 8 images of 224 x 224. The loop puts the dropout modules into training
mode and passes all images through the whole net, again and again; every one of its passes is the same work, so that
only `timed` of them are timed and their time is taken `passes / timed` times. Both sides in turn, in one process;
printed are the medians and the median of the ratios of neighbours, loop / ours (above 1: we are faster).

failure: trains a small classifier with dropout for each seed, fits ConfidNet and the trust score on the images that it
was trained on (or, with --held, on a tenth of them that it never saw), and compares all scores on the test set. Each
seed's table comes with bootstrap intervals; the end gives means over the seeds with Student's intervals, and each
score's difference to the maximum probability, seed by seed: only an interval without 0 shows one. --out keeps all in
JSON. C. Corbière et al., NeurIPS 2019, table 1, AUPR of errors in %: MNIST, convolutional net: max probability 35.05,
MC dropout 38.50, trust score 35.88, ConfidNet 45.89; CIFAR-10, VGG-16: 45.36, 46.40, 38.10, 49.94. AUPR depends on the
error rate, so that only differences within one table mean anything.
"""

import argparse
import json
import math
import os
import statistics
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line does, before torch is imported

import torch
import torchvision
from torch import Tensor, nn

from pellucid.data import Pixels, batches_of, split_indices
from pellucid.metrics import student
from pellucid.metrics.ranking import FailureTable
from pellucid.models import Model
from pellucid.training import Classify, Schedule, engine, fit, judge, open_sets, optimizer
from pellucid.uncertainty import mc_dropout
from pellucid.uncertainty.failure import Comparison, ConfidNet, TrustScore, compare

SCORES = (
    "max_probability,entropy,margin,energy,doctor_alpha,mc_dropout,mc_dropout_mutual_information,"
    "mc_dropout_variation_ratio,mc_dropout_max_probability,tcp_oracle"
)
COLUMNS = ("aupr_error", "aupr_success", "auroc", "fpr95", "aurc")


def pace(nets: Sequence[str], passes: int, timed: int, repeats: int) -> None:
    print(
        f"{passes} passes, 8 images of 224 x 224, {torch.get_num_threads()} threads; {timed} passes of the loop timed"
    )
    print(f"{'net':14}{'ours':>9}{'loop':>9}{'loop / ours':>13}   turns", flush=True)
    images = torch.rand(8, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    for name in nets:
        net = getattr(torchvision.models, name)(weights=None).eval()
        mc_dropout(net, images, samples=2), loop(net, images, 1)  # warm
        turns = []
        for _ in range(repeats):
            began = time.perf_counter()
            mc_dropout(net, images, samples=passes)
            ours = time.perf_counter() - began
            began = time.perf_counter()
            loop(net, images, timed)
            turns.append((ours, (time.perf_counter() - began) * passes / timed))
        ratios = [theirs / ours for ours, theirs in turns]
        ours, theirs = (statistics.median(side) for side in zip(*turns, strict=True))
        told = " ".join(f"{ratio:.1f}" for ratio in ratios)
        print(f"{name:14}{ours:8.2f}s{theirs:8.2f}s{statistics.median(ratios):13.1f}   {told}", flush=True)


def loop(net: nn.Module, images: Tensor, passes: int) -> Tensor:
    """What tutorials show: samples (S, N, K)."""
    dropouts = [module for module in net.modules() if isinstance(module, nn.Dropout)]
    for module in dropouts:
        module.train()
    try:
        with torch.no_grad():
            return torch.stack([net(images).softmax(dim=1) for _ in range(passes)])
    finally:
        for module in dropouts:
            module.eval()


def failure(args: argparse.Namespace) -> None:
    sets = open_sets(str(Path(os.environ["PELLUCID_DATA"]) / args.data), val=0)
    assert sets.test is not None
    train, test = cut(sets.train, args.train_images), cut(sets.test, args.test_images)
    found = []
    for seed in range(args.first, args.first + args.seeds):
        learned, asked = train, train
        if args.held:
            parts = split_indices(train.targets, val=0.1, test=0.0, generator=torch.Generator().manual_seed(seed))
            learned, asked = train.subset(parts.train), train.subset(parts.val)
        began = time.perf_counter()
        model = classifier(learned, args.data, args.epochs, seed)
        print(
            f"\nseed {seed}: accuracy {judge(model, learned).accuracy:.4f} in training, "
            f"{judge(model, test).accuracy:.4f} on {len(test)} test images; {time.perf_counter() - began:.0f} s",
            flush=True,
        )
        compared, confidence = compared_on(model, asked, test, args, seed)
        print_table(compared.table, compared.warnings)
        best = ", ".join(map(str, confidence.epochs_))
        print(f"ConfidNet: best epochs {best}; {confidence.errors_} errors among {confidence.images_}", flush=True)
        found.append({row.name: {c: getattr(row, c).value for c in COLUMNS} for row in compared.table.rows})
    print_means(found)
    if args.out:
        options = {name: value for name, value in vars(args).items() if name != "what"}
        Path(args.out).write_text(json.dumps({"options": options, "seeds": found}, indent=1) + "\n", encoding="utf-8")


def cut(pixels: Pixels, most: int | None) -> Pixels:
    """At most so many images, drawn."""
    order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))
    return pixels if most is None else pixels.subset(order[:most])


def classifier(train: Pixels, data: str, epochs: int, seed: int) -> Model:
    """A small net with dropout, trained."""
    torch.manual_seed(seed)
    channels, side = train.pixels.shape[1], train.pixels.shape[2]
    mean, std = ((0.1307,), (0.3081,)) if channels == 1 else ((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616))
    net = digits_net() if data == "mnist" else pictures_net()
    model = Model(net, mean=mean, std=std, classes=train.classes, size=side)
    step = Classify(model)
    batches = batches_of(train, batch_size=128, seed=seed, policy="none" if data == "mnist" else "cifar")
    tuned = optimizer("adamw", step, lr=2e-3)
    rates = Schedule(tuned, "one_cycle", epochs=epochs, steps_per_epoch=len(batches))
    for _ in fit(step, batches, tuned, epochs=epochs, schedule=rates, fabric=engine()):
        pass
    return model.eval()


def digits_net() -> nn.Sequential:
    """1,199,882 weights."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25)),
        *(nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10)),
    )


def pictures_net() -> nn.Sequential:
    """Three stages of two convolutions with batch norm, then as above."""
    layers: list[nn.Module] = []
    for inputs, outputs in ((3, 64), (64, 128), (128, 256)):
        for channels in (inputs, outputs):
            layers += [nn.Conv2d(channels, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        layers += [nn.MaxPool2d(2)]
    head = (nn.Flatten(), nn.Dropout(0.25), nn.Linear(4096, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10))
    return nn.Sequential(*layers, *head)


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


def print_table(table: FailureTable, warned: Sequence[str]) -> None:
    rate = table.error_rate
    print(
        f"{table.errors} errors among {table.images}: {100 * rate.value:.2f} % is the AUPR-error of a score by chance"
    )
    print(f"{'':31}{'AUPR-error':>19}{'AUPR-success':>14}{'AUROC':>14}{'FPR95':>14}{'AURC':>14}  (all in %)")
    for row in table.rows:
        error = row.aupr_error
        told = f"{100 * error.value:6.2f} ({100 * error.low:.1f}-{100 * error.high:.1f})"
        rest = "".join(f"{100 * getattr(row, name).value:14.2f}" for name in COLUMNS[1:])
        print(f"{row.name:31}{told:>19}{rest}")
    for line in warned:
        print(f"! {line}")


def print_means(found: Sequence[Mapping[str, Mapping[str, float]]]) -> None:
    """Means over the seeds, and differences to the maximum probability."""
    print(f"\nAUPR-error over {len(found)} seeds: mean, and difference to max_probability (Student's 95 %)")
    shown = []
    for name in found[0]:
        values = [100 * seed[name]["aupr_error"] for seed in found]
        gains = [100 * (seed[name]["aupr_error"] - seed["max_probability"]["aupr_error"]) for seed in found]
        if any(math.isnan(value) for value in values):
            print(f"{name:31}   undefined: a seed without errors")
            continue
        mean, gain = student(values), student(gains)
        print(
            f"{name:31}{mean.value:7.2f} ({mean.low:.2f} to {mean.high:.2f})"
            f"{gain.value:+9.2f} ({gain.low:+.2f} to {gain.high:+.2f})"
        )
        if name not in {"tcp_oracle", "max_probability"} and gain.low > 0:
            shown.append(name)
    print(f"shown to rank errors better than max_probability: {', '.join(shown) or 'none'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pace", "failure"))
    parser.add_argument("--nets", default="vgg16,mobilenet_v2")
    parser.add_argument("--passes", type=int, default=100)
    parser.add_argument("--timed", type=int, default=4, help="passes of the loop that are timed")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--data", choices=("mnist", "cifar10"), default="mnist")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first of the seeds")
    parser.add_argument("--epochs", type=int, default=12, help="of the classifier")
    parser.add_argument("--held", action="store_true", help="fit on images that the classifier was not trained on")
    parser.add_argument("--phase", choices=("head", "both"), default="both")
    parser.add_argument("--loss", default="mse")
    parser.add_argument("--head-epochs", type=int, default=500)
    parser.add_argument("--tune-epochs", type=int, default=20)
    parser.add_argument("--patience", type=int, default=50)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--train-images", type=int, help="fewer, for a quick look")
    parser.add_argument("--test-images", type=int, help="fewer, for a quick look")
    parser.add_argument("--out", help="JSON file")
    args = parser.parse_args()
    if args.what == "pace":
        pace(args.nets.split(","), args.passes, args.timed, args.repeats)
    else:
        failure(args)


if __name__ == "__main__":
    main()
