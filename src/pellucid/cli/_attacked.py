"""The images of one `pellucid attack`: read, attacked, measured."""

import time
from argparse import Namespace
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pellucid import attack, models
from pellucid.attack import Alarm, Outcome, Robustness, Trace, outcome
from pellucid.class_names import ClassTable
from pellucid.data import ImageSet, Unreadable
from pellucid.methods import Method, taken

from ._reading import chosen, read

if TYPE_CHECKING:
    from pellucid.models import Model

TESTED = 16
"""Images on which the attack itself is tested."""


@dataclass(frozen=True)
class Asked:
    """The attack as it is asked for."""

    method: Method
    own: dict[str, Any]  # its options besides the three below
    epsilon: float | None
    norm: str  # that epsilon is measured in
    target: str  # the class to reach; "" for any other
    sweep: tuple[float, ...]

    @property
    def bound(self) -> Method:
        """The attack with its own options bound."""
        return partial(self.method, **self.own) if self.own else self.method


@dataclass
class Attacked:
    """What came of it; all tensors on the CPU."""

    asked: Asked
    name: str  # of the model
    classes: tuple[str, ...]
    files: tuple[str, ...]  # N
    images: Tensor  # (N, C, H, W)
    adversarial: Tensor  # (N, C, H, W)
    labels: Tensor  # (N,), the true classes, or what the model calls the images
    is_labelled: bool  # whether the labels are true ones
    outcome: Outcome
    trace: Trace
    seconds: float
    errors: tuple[Unreadable, ...]
    data: dict[str, Any]  # what was read
    curve: Robustness | None = None
    alarms: tuple[Alarm, ...] = ()
    transfer: "Transfer | None" = None


@dataclass(frozen=True)
class Transfer:
    """The same images, shown to a second model."""

    name: str
    outcome: Outcome


def attacked(model: "Model", args: Namespace, asked: Asked, other: "Model | None" = None) -> Attacked:
    """Read the images, attack them, measure what came of it, also of a second model that is shown the same images."""
    if other is not None:
        _check_frame(model, other, args.transfer)
    target = _target(model, asked.target) if asked.target else None
    files, images, given, pictures, errors = _read(model, args)
    labels = _called(model, images) if given is None else given.to(images.device)
    targets = labels if target is None else torch.full_like(labels, target)
    theirs = None if other is None else _matched(model, other, args.transfer, targets)  # refused before the long work
    trace = Trace()
    offered = {"norm": asked.norm, "targeted": bool(asked.target) or None, "trace": trace}
    told = taken(asked.method, offered | {"generator": torch.Generator().manual_seed(args.seed)})
    begin = time.perf_counter()
    made = asked.bound(model, images, targets, epsilon=asked.epsilon, **told)
    seconds = time.perf_counter() - begin
    found = Attacked(
        asked=asked,
        name=str(model.source.get("spec") or model.source.get("architecture") or "model").rstrip("/").split("/")[-1],
        classes=model.classes,
        files=files,
        images=images.cpu(),
        adversarial=made.cpu(),
        labels=labels.cpu(),
        is_labelled=given is not None,
        outcome=outcome(model, images, made, targets, targeted=bool(asked.target)),
        trace=trace,
        seconds=seconds,
        errors=errors,
        data={"path": pictures.path, "split": pictures.split, "images": len(pictures), "read": len(files)},
    )
    if other is not None and theirs is not None:
        shown = outcome(other, *(x.to(other.mean.device) for x in (images, made, theirs)), targeted=bool(asked.target))
        found.transfer = Transfer(args.transfer.rstrip("/").split("/")[-1], shown)
    how: dict[str, Any] = {"method": asked.bound, "norm": asked.norm, "targeted": bool(asked.target)}
    if asked.sweep:
        found.curve = attack.robustness(
            model, images, targets, epsilons=asked.sweep, generator=torch.Generator().manual_seed(args.seed), **how
        )
    if not args.no_alarms:
        some, source = slice(TESTED), torch.Generator().manual_seed(args.seed)
        found.alarms = attack.alarms(model, images[some], targets[some], epsilon=asked.epsilon, generator=source, **how)
    return found


def _called(model: "Model", images: Tensor) -> Tensor:
    """What the model calls the images, (N,)."""
    return models.evaluate(model, models.unvaried(images), lambda out, _rows: out.argmax(dim=1))[0]


def _target(model: "Model", word: str) -> int:
    """The one class to reach."""
    indices = models.find_classes(model, word)
    if len(indices) > 1:
        raise ValueError(f"targeted must be one class, got {len(indices)}: {word}")
    return indices[0]


def _check_frame(model: "Model", other: "Model", name: str) -> None:
    """Refuse a second model that takes other images."""
    if other.geometry.size != model.geometry.size or other.geometry.channels != model.geometry.channels:
        sizes = [f"{m.geometry.size[0]} x {m.geometry.size[1]} x {m.geometry.channels}" for m in (other, model)]
        raise ValueError(f"transfer needs a model of the same frame: {name} takes {sizes[0]}, the first {sizes[1]}")


def _matched(model: "Model", other: "Model", name: str, targets: Tensor) -> Tensor:
    """The second model's indices of these classes (N,), by key or name."""
    table = ClassTable(other.classes, other.class_ids)
    matched = []
    for index in targets.tolist():
        words = ([model.class_ids[index]] if model.class_ids else []) + [model.classes[index]]
        meant = next((m for m in (table.ids.get(w, table.by_name(w)) for w in words) if m is not None), None)
        if meant is None:
            raise ValueError(f"transfer: {name} has no class {model.classes[index]!r}")
        matched.append(meant)
    return torch.tensor(matched)


def _read(model: "Model", args: Namespace) -> tuple[tuple[str, ...], Tensor, Tensor | None, ImageSet, Any]:
    """Files, images on the model's device, their labels where there are any, the set, what could not be read."""
    some = chosen(
        model,
        args.images,
        split=args.split,
        class_level=args.class_level,
        class_map=args.class_map,
        limit=args.limit,
        seed=args.seed,
    )
    found = read(some, model)
    return found.files, found.images(device=model.mean.device), found.labels, some.images, found.errors
