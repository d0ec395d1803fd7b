"""Ladder: one network, the usual improvements one after the other, and what each of them is worth.

Every rung is trained several times, each time with another seed for the split, the first weights, the order and the
augmentation; two rungs are compared seed by seed, so that what a seed brings both is no part of the difference.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from pellucid.checks import check_choice, check_count, check_range
from pellucid.data import augment
from pellucid.models import load
from pellucid.training.classify import judge
from pellucid.training.preparing import FIRST, check_memory
from pellucid.training.runs import Run
from pellucid.training.schedules import Schedule
from pellucid.training.sets import Sets, frame_of, open_sets
from pellucid.training.start import inside

from ._ladder_page import write_page
from ._ladder_table import results_of, table_lines
from ._rungs import Plan, Rung, planned
from ._seen import Seen, seen_by
from ._told import Told
from .classify import classify

if TYPE_CHECKING:
    from lightning_fabric import Fabric

SIDE = 32
"""Side of the images the ladder is made for; others must be brought to a size by an option."""


def ladder(
    data: str,
    run: "Run",
    fabric: "Fabric",
    /,
    *,
    steps: str = "base,norm,aug,sched,dropout,bn",
    step: str = "",
    mode: str = "cumulative",
    repeats: int = 1,
    net: str = "ladder_net",
    norm: str = "channel",
    zca_epsilon: float = 0.01,
    augmentation: str = "cifar",
    schedule: str = "exponential",
    rate: float | None = None,
    period: float | None = None,
    dropout: float = 0.5,
    size: int | None = None,
    val: float = 0.1,
    limit: int | None = None,
    epochs: int = 50,
    batch_size: int = 128,
    optimizer: str = "sgd",
    lr: float = 0.1,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    seed: int = 0,
) -> Iterator[Told]:
    """Add the usual improvements to one network, step by step, and tell what each is worth.

    Args:
        data: a built-in set (cifar10), or a folder or zip of labelled 32 x 32 pictures.
        run: the folder it is told in; every training is a run in it, and those that are there are not done again.
        fabric: devices, processes and precision.
        steps: of base, norm, aug, sched, dropout and bn, base first, each once; each adds to those before.
        step: only the gain of this one is wanted: its training, and the one it is compared with.
        mode: cumulative, only (base, and base with one step each) or without (all steps, and all but one each).
        repeats: trainings of each rung, each with a seed of its own; 2 and more give intervals.
        net: ladder_net (1.2 million weights), or lenet5 (62,006; it has no dropout step).
        norm: what the norm step does: channel (mean and std), half (0.5 and 0.5), mean_image, per_image or zca.
        zca_epsilon: added to every variance by norm zca, at least 0.
        augmentation: what the aug step does: cifar, or operations, as hflip=0.5,crop=4; crop=0:side=28 takes 28-crops.
        schedule: what the sched step does: exponential, step, inverse, cosine, cyclic, one_cycle or plateau.
        rate: of the schedule; None is step 0.1, exponential 0.95 an epoch, inverse 0.1, plateau 0.5.
        period: epochs between two steps of schedule step, or of a cycle of cyclic; None is a third of all.
        dropout: what the dropout step does: share of the 1000 features dropped in training, above 0 and below 1.
        size: side the pictures are brought to, 8 to 64; None asks for 32 x 32 pictures.
        val: share of the training part (below 1), or number of its images, held out to choose the best epoch by.
        limit: images of the training part that are used, chosen by class; None uses all.
        epochs: of every training, at least 1.
        batch_size: images a step, at least 1.
        optimizer: of every rung: sgd, momentum, nesterov, rmsprop, adam, adamw or adagrad.
        lr: learning rate of every rung, positive; sgd, momentum and nesterov like 0.1, the others 0.001.
        momentum: of momentum and nesterov, in [0, 1).
        weight_decay: at least 0, of all but biases and norms.
        seed: of the first repeat; the next one has the next.

    Yields:
        Told, as each training goes on, and the table at the end, line by line.

    Raises:
        ValueError: an option is out of range, steps that do not go together, or a set that cannot be used.
    """
    check_count("repeats", repeats, 1)
    check_count("seed", seed, 0)
    plan = planned(steps, step=step, mode=mode)
    choices = Choices(
        net=net,
        norm=norm,
        augmentation=augmentation,
        schedule=schedule,
        rate=rate,
        period=period,
        dropout=dropout,
        val=val,
        every={
            "size": size,
            "val": val,
            "limit": limit,
            "epochs": epochs,
            "batch_size": batch_size,
            "optimizer": optimizer,
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "zca_epsilon": zca_epsilon,
        },
    )
    if not run.is_finished:
        choices.check(data, plan)
        yield from _Climb(run, fabric, data, plan, choices, repeats, seed)()
    for line in table_lines(run.results):
        yield Told(line, {})


@dataclass(frozen=True)
class Choices:
    """What the steps do, and what holds for all rungs."""

    net: str
    norm: str
    augmentation: str
    schedule: str
    rate: float | None
    period: float | None
    dropout: float
    val: float
    every: dict[str, Any]  # options of classify, the same for all

    def options(self, rung: Rung) -> dict[str, Any]:
        """What classify is asked for."""
        on = set(rung.steps)
        scheduled = {"schedule": self.schedule, "rate": self.rate, "period": self.period}
        return {
            **self.every,
            "model": self._model(on),
            "normalization": self.norm if "norm" in on else "none",
            "augmentation": self.augmentation if "aug" in on else "none",
            **(scheduled if "sched" in on else {"schedule": "constant"}),
        }

    def check(self, data: str, plan: Plan) -> None:
        """Refuse before the first training what the last one would refuse."""
        on = {step for rung in plan.rungs for step in rung.steps}
        check_choice("net", self.net, ("ladder_net", "lenet5"))
        check_choice("norm", self.norm, ("channel", "half", *FIRST))
        if self.net == "lenet5" and ("dropout" in on or ("norm" in on and self.norm in FIRST)):
            lacks = "step dropout" if "dropout" in on else f"norm {self.norm}"
            raise ValueError(f"net must be ladder_net for {lacks}, got lenet5: leave that out with --steps or --norm")
        if "dropout" in on and not 0 < self.dropout < 1:
            raise ValueError(f"dropout must be above 0 and below 1, got {self.dropout}")
        check_range("val", self.val, 0)
        if "sched" in on and self.schedule == "plateau" and not self.val:
            raise ValueError("val must be above 0 for step sched with plateau, which watches the val loss")
        rates = Schedule(
            torch.optim.SGD([torch.zeros(1)], lr=1.0),
            self.schedule,
            epochs=self.every["epochs"],
            steps_per_epoch=1,
            rate=self.rate,
            period=self.period,
        )
        if "sched" in on and rates.name == "constant":
            raise ValueError("schedule must not be constant for step sched, which would add nothing")
        frame = frame_of(data, size=self.every["size"])
        if self.every["size"] is None and frame.size != (SIDE, SIDE):
            there = " x ".join(map(str, frame.size))
            raise ValueError(
                f"{data}: pictures must be {SIDE} x {SIDE}, got {there}; bring them to that size with --size {SIDE}"
            )
        if "norm" in on and self.norm == "zca":
            check_memory(torch.Size([frame.channels, *frame.size]))
        if "aug" in on:
            self._crop(frame.size[0])

    def _model(self, on: set[str]) -> str:
        if self.net == "lenet5":
            return "lenet5_bn" if "bn" in on else "lenet5"
        parts = [self.net]
        crop = self._crop(self.every["size"] or SIDE) if "aug" in on else 0
        parts += [f"crop={crop}"] if crop else []
        parts += [f"dropout={self.dropout}"] if "dropout" in on else []
        parts += ["batch_norm=true"] if "bn" in on else []
        return ",".join(parts)

    def _crop(self, side: int) -> int:
        """The side that augmentation leaves of an image; 0 where it keeps all."""
        drawn = augment.policy(self.augmentation).draw(torch.zeros(1, dtype=torch.int64), (1, 1, side, side))
        left = drawn.sizes[-1]
        if left == (side, side):
            return 0
        if self.net == "lenet5" or left[0] != left[1]:
            raise ValueError(f"augmentation must keep {side} x {side} images, got {self.augmentation!r}")
        return left[0]


@dataclass(frozen=True)
class _Climb:
    """The trainings of a ladder, one after the other."""

    run: Run
    fabric: "Fabric"
    data: str
    plan: Plan
    choices: Choices
    repeats: int
    seed: int

    def __call__(self) -> Iterator[Told]:
        """Do what is not done yet; then the table and the page."""
        self.run.restore({}, self.fabric.global_rank)
        if not self.run.records() and self.fabric.is_global_zero:  # no checkpoint yet: nothing is learned
            self.run.log({"rungs": [rung.name for rung in self.plan.rungs], "repeats": self.repeats})
        self.fabric.barrier()
        seen: list[Seen] = []
        for repeat in range(self.repeats):
            sets = self._sets(self.seed + repeat)
            for rung in self.plan.rungs:
                yield from self._rung(rung, repeat, sets)
                if repeat == 0:
                    seen.append(seen_by(self.run.folder / f"{rung.name}-0", sets))
        if self.fabric.is_global_zero:
            results = results_of(self.run.records(), self.plan)
            write_page(self.run, self.plan, results, seen)
            self.run.finish(results)
        self.fabric.barrier()

    def _rung(self, rung: Rung, repeat: int, sets: Sets) -> Iterator[Told]:
        """Train one rung, unless that was done before."""
        name = f"{rung.name}-{repeat}"
        if any(line.get("folder") == name for line in self.run.records()):
            return
        options = {**self.choices.options(rung), "seed": self.seed + repeat}
        inner = inside(self.run, name, "classify", self.fabric, **options)
        for line in () if inner.is_finished else classify(self.data, inner, self.fabric, sets, **options):
            yield Told(f"{name}: {line.text}", line.values)
        kept = load(inner.folder).to(self.fabric.device)
        learned = judge(kept, sets.train, fabric=self.fabric)
        found = inner.results
        self._log(
            {
                "rung": rung.name,
                "repeat": repeat,
                "folder": name,
                "test_accuracy": found["test"]["accuracy"],
                "test_loss": found["test"]["loss"],
                **({"val_accuracy": found["val"]["accuracy"]} if "val" in found else {}),
                "train_accuracy": learned.accuracy,
                "best_epoch": found["best_epoch"],
                "epochs": found["epochs"],
                "seconds": found["training_seconds"],
                "parameters": found["parameters"],
            }
        )
        self.fabric.barrier()

    def _sets(self, seed: int) -> Sets:
        """One split for all rungs of a repeat."""
        asked = self.choices.every
        sets = open_sets(self.data, size=asked["size"], val=asked["val"], limit=asked["limit"], seed=seed)
        if sets.test is None:
            raise ValueError(f"{self.data}: has no test part to judge the steps on")
        counts = sets.train.targets.bincount(minlength=len(sets.train.classes)).tolist()
        if 0 in counts:
            raise ValueError(f"{self.data}: class {sets.train.classes[counts.index(0)]} has no picture to train on")
        return sets

    def _log(self, values: dict[str, Any]) -> None:
        if self.fabric.is_global_zero:
            self.run.log(values)
            self.run.checkpoint({})
