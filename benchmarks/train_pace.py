"""How fast training goes, against the loop people write: a DataLoader with workers, PIL and transforms, and torch.

    PELLUCID_DATA=... python benchmarks/train_pace.py pace [--batches 16,128] [--images 10000] [--repeats 5]
    PELLUCID_DATA=... python benchmarks/train_pace.py reach [--target 0.60] [--seeds 3] [--batch 16]

Both sides train the same LeNet-style net (62,006 weights, 62,050 with batch norm) on CIFAR-10 with the same Adam, the
same augmentation (mirror, crop with 4 pixels of padding) and the same normalisation. The peer is what tutorials show:
pictures decoded to PIL images in memory, torchvision's transforms one picture at a time in two worker processes, and
a plain loop. Ours is `pellucid.training.fit` over `pellucid.data.batches_of`. Order, kernels and augmentation draws
differ; what is learned in an epoch does not (`reach` shows it).

pace prints the time of an epoch of each, taken in turn, and the median of the ratios of neighbours (above 1: we are
faster). reach prints the seconds of training, and epochs, until the test accuracy is reached, for each seed: the loop
at its batch size and constant rate, ours with the same net by a recipe of large steps (batch 128, one cycle).
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torchvision.transforms as T
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from pellucid.data import Pixels, batches_of
from pellucid.models import Model
from pellucid.training import Classify, Schedule, Sets, engine, fit, judge, open_sets, optimizer

MEAN = STD = (0.5, 0.5, 0.5)


def net(seed: int) -> nn.Sequential:
    """The spec's net B with batch norm: the same first weights for both sides."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 6, 5),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


class Pictures(Dataset[tuple[Tensor, int]]):
    """What a tutorial's data set does: a PIL image and a transform for each item."""

    def __init__(self, pixels: Pixels) -> None:
        self.pictures = [Image.fromarray(np.asarray(one.permute(1, 2, 0))) for one in pixels.pixels]
        self.targets = pixels.targets.tolist()
        self.transform = T.Compose(
            [T.RandomCrop(32, padding=4), T.RandomHorizontalFlip(), T.ToTensor(), T.Normalize(MEAN, STD)]
        )

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.pictures[index]), self.targets[index]


def peer(train: Pixels, batch_size: int, seed: int) -> tuple[nn.Module, Callable[[], float]]:
    """The plain loop: the module, and a function that trains an epoch and says how long it took."""
    module = net(seed)
    engine = torch.optim.Adam(module.parameters(), lr=1e-3)
    loader = DataLoader(
        Pictures(train), batch_size, shuffle=True, num_workers=2, drop_last=True, persistent_workers=True
    )
    loss_of = nn.CrossEntropyLoss()

    def epoch() -> float:
        module.train()
        started = time.perf_counter()
        running = 0.0
        for images, targets in loader:
            engine.zero_grad()
            loss = loss_of(module(images), targets)
            loss.backward()
            engine.step()
            running += loss.item()
        return time.perf_counter() - started

    return nn.Sequential(_Normalised(), module), epoch


class _Normalised(nn.Module):
    """What the loop's transform does, for judging images in [0, 1]."""

    def forward(self, images: Tensor) -> Tensor:
        return (images - 0.5) / 0.5


def ours(train: Pixels, batch_size: int, seed: int) -> tuple[nn.Module, Callable[[], float]]:
    """The same with pellucid."""
    model = Model(net(seed), mean=MEAN, std=STD, classes=train.classes, size=32)
    step = Classify(model)
    batches = batches_of(train, batch_size=batch_size, seed=seed, policy="cifar")
    records = fit(step, batches, optimizer("adam", step, lr=1e-3), epochs=1000, fabric=engine(device="cpu"))

    def epoch() -> float:
        started = time.perf_counter()
        next(records)
        return time.perf_counter() - started

    return model, epoch


def pace(sets: Sets, sizes: list[int], images: int, repeats: int) -> None:
    """Epochs in turn."""
    train = sets.train.subset(torch.randperm(len(sets.train), generator=torch.Generator().manual_seed(0))[:images])
    print(f"an epoch of {images} images; {torch.get_num_threads()} threads")
    print(f"{'batch':>6}{'ours':>9}{'loop':>9}{'ratio':>7}   ratios")
    for size in sizes:
        (_, our_epoch), (_, their_epoch) = ours(train, size, 0), peer(train, size, 0)
        our_epoch(), their_epoch()  # start the workers, warm the kernels
        pairs = [(our_epoch(), their_epoch()) for _ in range(repeats)]
        ratios = [their / our for our, their in pairs]
        our, their = (statistics.median(side) for side in zip(*pairs, strict=True))
        told = " ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"{size:6}{our:8.2f}s{their:8.2f}s{statistics.median(ratios):7.2f}   {told}", flush=True)


def reach(sets: Sets, target: float, seeds: range, batch_size: int, most: int) -> None:
    """Train until the test accuracy is reached; judging is not counted."""
    assert sets.test is not None
    ratios = []
    for seed in seeds:
        our = recipe(sets, target, seed)
        module, epoch = peer(sets.train, batch_size, seed)
        spent, accuracies = 0.0, [0.0]
        while accuracies[-1] < target and len(accuracies) <= most:
            spent += epoch()
            accuracies.append(judge(module, sets.test).accuracy)
        shown = " ".join(f"{accuracy:.3f}" for accuracy in accuracies[1:])
        print(f"seed {seed} loop: {spent:7.1f} s, {len(accuracies) - 1} epochs   {shown}", flush=True)
        ratios.append(spent / our)
    print(f"loop / ours: median {statistics.median(ratios):.2f} of {' '.join(f'{ratio:.2f}' for ratio in ratios)}")


def recipe(sets: Sets, target: float, seed: int) -> float:
    """Seconds of training the same net needs with large steps: batch 128, AdamW, one cycle of as few epochs as do."""
    assert sets.test is not None
    spent = 0.0
    for epochs in range(3, 9):
        model = Model(net(seed), mean=MEAN, std=STD, classes=sets.train.classes, size=32)
        step = Classify(model)
        batches = batches_of(sets.train, batch_size=128, seed=seed, policy="hflip")
        tuned = optimizer("adamw", step, lr=1e-2)
        rates = Schedule(tuned, "one_cycle", epochs=epochs, steps_per_epoch=len(batches))
        records = fit(step, batches, tuned, epochs=epochs, schedule=rates, fabric=engine(device="cpu"))
        spent += sum(record.seconds for record in records)  # a failed cycle counts
        accuracy = judge(model, sets.test).accuracy
        print(f"seed {seed} ours: {spent:7.1f} s, {epochs} epochs   {accuracy:.3f}", flush=True)
        if accuracy >= target:
            break
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pace", "reach"))
    parser.add_argument("--batches", default="16,128")
    parser.add_argument("--images", type=int, default=10000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--target", type=float, default=0.6)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first of the seeds")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--most", type=int, default=20, help="epochs after which reach gives up")
    args = parser.parse_args()
    sets = open_sets(str(Path(os.environ["PELLUCID_DATA"]) / "cifar10"), val=0)
    if args.what == "pace":
        pace(sets, [int(size) for size in args.batches.split(",")], args.images, args.repeats)
    else:
        reach(sets, args.target, range(args.first, args.first + args.seeds), args.batch, args.most)


if __name__ == "__main__":
    main()
