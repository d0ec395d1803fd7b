"""The small classifiers of the experiments on uncertainty, trained once for each data set, seed and length."""

import argparse
import os
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from pellucid.data import Pixels, batches_of, stamp_of
from pellucid.files import new_folder, read_object, write_json
from pellucid.models import Model
from pellucid.models.weights import put_weights, read_weights
from pellucid.models.zoo.fast_net import PatchWhitening, Stage
from pellucid.records import record
from pellucid.training import Classify, Schedule, engine, fit, judge, open_sets, optimizer

FED = {
    "mnist": ((0.1307,), (0.3081,)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
}
"""Mean and standard deviation of the training images."""

EPOCHS = {"mnist": 5, "cifar10": 6}
POLICIES = {"mnist": "none", "cifar10": "cifar"}
FILE, WEIGHTS = "trained.json", "weights.safetensors"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", choices=tuple(FED), default="mnist")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first of the seeds")
    parser.add_argument("--epochs", type=int, help=f"of the classifiers; unless given {EPOCHS}")
    parser.add_argument("--train-images", type=int, help="fewer, for a quick look")
    parser.add_argument("--test-images", type=int, help="fewer, for a quick look")
    parser.add_argument("--runs", type=Path, default=Path("runs/uncertainty"), help="where classifiers are kept")


def parts(args: argparse.Namespace) -> tuple[Pixels, Pixels]:
    """The training and the test part of the set asked for."""
    sets = open_sets(str(Path(os.environ["PELLUCID_DATA"]) / args.data), val=0)
    assert sets.test is not None
    return _cut(sets.train, args.train_images), _cut(sets.test, args.test_images)


def classifiers(args: argparse.Namespace, train: Pixels, test: Pixels) -> Iterator[tuple[int, Model]]:
    """Each seed and its classifier, of which is said how good it is."""
    for seed in range(args.first, args.first + args.seeds):
        model, right = classifier(args.data, train, seed, args.epochs or EPOCHS[args.data], args.runs)
        tested = judge(model, test).accuracy
        print(f"\nseed {seed}: accuracy {right:.4f} in training, {tested:.4f} on {len(test)} test images", flush=True)
        yield seed, model


def classifier(data: str, train: Pixels, seed: int, epochs: int, runs: Path) -> tuple[Model, float]:
    """The one kept in a folder of runs, or a new one, which is kept there, in eval mode; its accuracy in training."""
    folder = runs / f"{data}-{len(train)}-images-{epochs}-epochs-seed-{seed}"
    asked = {
        "data": data,
        "epochs": epochs,
        "seed": seed,
        "images": stamp_of(train.pixels, train.targets, train.classes),
    }
    mean, std = FED[data]
    torch.manual_seed(seed)
    net = digits_net() if data == "mnist" else photographs_net()
    model = Model(net, mean=mean, std=std, classes=train.classes, size=train.pixels.shape[2])
    if folder.exists():
        found = read_object(folder / FILE)
        if found["record"]["options"] != asked:
            raise ValueError(f"{folder} must hold a classifier of {asked}: give other --runs, or remove it")
        put_weights(net, read_weights(folder / WEIGHTS), str(folder / WEIGHTS))
        return model.to(memory_format=torch.channels_last).eval(), found["accuracy"]
    began = time.perf_counter()
    _learn(model, train, data, epochs, seed)
    seconds, right = round(time.perf_counter() - began), judge(model, train).accuracy
    with new_folder(folder, mark=FILE, command="benchmark") as place:
        save_file({name: value.contiguous() for name, value in net.state_dict().items()}, place / WEIGHTS)
        stamp = record("benchmark", options=asked, seed=seed, model={"network": type(net).__name__})
        write_json(place / FILE, {"seconds": seconds, "accuracy": right, "record": stamp.json()})
    print(f"trained in {seconds} s: {folder}", flush=True)
    return model.eval(), right


def digits_net() -> nn.Sequential:
    """1,199,882 weights: F. Chollet's example for Keras, with dropout before both linear layers."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25)),
        *(nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10)),
    )


def photographs_net() -> nn.Sequential:
    """The stages of the zoo's fast_net at half their width, then the linear layers and dropout of the digits' net."""
    stages = (PatchWhitening(3), nn.GELU(), Stage(24, 16), Stage(16, 32), Stage(32, 48), nn.Flatten())
    return nn.Sequential(*stages, nn.Dropout(0.25), nn.Linear(432, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10))


def _learn(model: Model, train: Pixels, data: str, epochs: int, seed: int) -> None:
    if isinstance(model.network, nn.Sequential) and isinstance(model.network[0], PatchWhitening):
        spread = torch.linspace(0, len(train) - 1, min(5000, len(train)), dtype=torch.float64).long()
        model.network[0].fit((train.images(spread) - model.mean) / model.std)
    step = Classify(model.to(memory_format=torch.channels_last))
    batches = batches_of(train, batch_size=128, seed=seed, policy=POLICIES[data])
    tuned = optimizer("adamw", step, lr=2e-3)
    rates = Schedule(tuned, "one_cycle", epochs=epochs, steps_per_epoch=len(batches))
    for epoch in fit(step.train(), batches, tuned, epochs=epochs, schedule=rates, fabric=engine()):
        told = ", ".join(f"{name} {value:.4f}" for name, value in epoch.values.items())
        print(f"{data} seed {seed}, epoch {epoch.epoch} of {epochs}: {told}; {epoch.seconds:.0f} s", flush=True)


def _cut(pixels: Pixels, most: int | None) -> Pixels:
    """At most so many images, drawn."""
    order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))
    return pixels if most is None else pixels.subset(order[:most])
