"""What `pellucid visualize neuron` and `class` write: pictures, curves, frames, and sheets of settings."""

import itertools
import re
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pellucid import data, models, report
from pellucid.checks import check_choice, near
from pellucid.methods import options
from pellucid.progress import steps
from pellucid.visualize import PRESETS

from ._shared import counted, fresh_stem
from ._visualized import Made, finite

if TYPE_CHECKING:
    from pellucid.methods import Method, Option
    from pellucid.models import Model

STARTS = ("noise", "uniform", "gray")
"""Starts that are no picture."""


def climbed(folder: Path, model: "Model", args: Namespace, method: "Method") -> Made:
    """A picture for each target or unit, of each setting that is swept, and how the score rose."""
    check_choice("format", args.format, report.FORMATS)
    sweeps = [_sweep(text, options(method)) for text in args.sweep]
    names = [name for name, _ in sweeps]
    if len(set(names)) < len(names):
        raise ValueError(f"sweep must name an option once, got {', '.join(names)}: give all its values in one")
    chosen = _chosen(args, options(method))
    fixed = chosen | {"start": _start(model, chosen["start"])}
    goals = _goals(model, args)
    settings = [dict(zip(names, values, strict=True)) for values in itertools.product(*(v for _, v in sweeps))]
    rows: list[list[np.ndarray]] = [[] for _ in goals]
    entries: list[list[dict[str, Any]]] = [[] for _ in goals]
    with steps("settings", len(settings)) as done:
        for number, setting in enumerate(settings):
            found = _climb(model, args, method, goals, fixed | setting)
            for place, (_, label) in enumerate(goals):
                stem = fresh_stem(folder, label, f"-{number + 1:02d}" if sweeps else "")
                entry = _keep(folder, stem, found[place], label, args.format)
                entries[place].append({"label": label, **entry, **({"setting": setting} if sweeps else {})})
                rows[place].append(report.pixels(report.enlarged(found[place].image, 112)))
            done(1)
    told: dict[str, Any] = {"images": [entry for several in entries for entry in several]}
    if sweeps:
        titles = [_titled(one) for one in settings]
        columns = len(sweeps[-1][1])
        told["sheets"] = []
        for shown, (_, label) in zip(rows, goals, strict=True):
            file = f"{fresh_stem(folder, label, '-sweep')}.png"
            report.contact_sheet(shown, titles, folder / file, label, columns=columns)
            told["sheets"].append(file)
    kept = {name: value for name, value in chosen.items() if name not in names}
    kept |= {"preset": args.preset, "sweep": args.sweep, "of": [label for _, label in goals]}
    return Made(counted(len(told["images"]), "picture"), told, kept, said=_silences(told["images"]))


def _chosen(args: Namespace, known: "list[Option]") -> dict[str, Any]:
    """Options as they were given; else as the preset says; else their defaults."""
    check_choice("preset", args.preset, ("", *PRESETS))
    preset = PRESETS.get(args.preset, {})
    return {o.name: getattr(args, o.name, preset.get(o.name, o.default)) for o in known if o.name != "unit"}


def _silences(entries: list[dict[str, Any]]) -> tuple[str, ...]:
    """A line for each picture whose score gave no gradient, at some step or at all."""
    lines = []
    for one in entries:
        name = ", ".join(text for text in (one["label"], _titled(one.get("setting", {}))) if text)
        revived, count = one["revived_steps"], len(one["trace"]) - 1
        if one["is_dead"] and not revived:
            lines.append(f"{name}: no gradient arrives at all: nothing was learned")
        elif one["is_dead"]:
            lines.append(f"{name}: its gradient was zero at every step; {revived} of {count} went through silent ReLUs")
        elif revived:
            lines.append(
                f"{name}: its gradient was zero at {revived} of {count} steps, which went through silent ReLUs"
            )
    return tuple(lines)


@dataclass(frozen=True)
class Climbed:
    """One image of an ascent."""

    image: Tensor  # (C, H, W)
    trace: Tensor  # (steps + 1,)
    frames: Tensor  # (F, C, H, W)
    steps: tuple[int, ...]
    revived: int
    is_dead: bool
    probability: float | None


def _climb(
    model: "Model", args: Namespace, method: "Method", goals: list[tuple[int | None, str]], chosen: dict[str, Any]
) -> list[Climbed]:
    """Every goal under one setting; classes all at once, units one after the other."""
    wanted: list[dict[str, Any]]
    if hasattr(args, "target"):
        targets = torch.tensor([goal for goal, _ in goals], device=model.mean.device)
        wanted = [{"targets": targets}]
    else:
        wanted = [{"unit": goal} for goal, _ in goals]
    made: list[Climbed] = []
    for one in wanted:
        found = method(model, **one, **chosen, generator=torch.Generator().manual_seed(args.seed))
        sure = None
        if "targets" in one:
            logits = models.class_logits(model, found.images)
            sure = logits.softmax(dim=1).gather(1, one["targets"][:, None])[:, 0].tolist()
        made += [
            Climbed(
                found.images[n].cpu(),
                found.trace[:, n].cpu(),
                found.frames[:, n].cpu(),
                found.frame_steps,
                int(found.revived[n]),
                bool(found.is_dead[n]),
                sure[n] if sure else None,
            )
            for n in range(len(found.images))
        ]
    return made


def _keep(folder: Path, stem: str, one: Climbed, label: str, form: str) -> dict[str, Any]:
    """Write one image, its curve and its frames; the manifest's entry."""
    Image.fromarray(report.pixels(one.image)).save(folder / f"{stem}.png")
    report.curves(one.trace[:, None], [label], folder / f"{stem}-trace.png", axis="step", label="score")
    entry: dict[str, Any] = {
        "picture": f"{stem}.png",
        "curve": f"{stem}-trace.png",
        "trace": [finite(value) for value in one.trace.tolist()],
        "revived_steps": one.revived,
        "is_dead": one.is_dead,
    }
    if one.probability is not None:
        entry["probability"] = one.probability
    if len(one.frames):
        file = f"{stem}-frames{report.FORMATS[form]}"
        report.save_frames(one.frames, folder / file, form=form)
        entry |= {"frames": file, "frame_steps": list(one.steps)}
    return entry


def _goals(model: "Model", args: Namespace) -> list[tuple[int | None, str]]:
    """Class or unit numbers, each with its label."""
    if hasattr(args, "target"):
        return [(index, f"{index} {model.classes[index]}") for index in models.find_classes(model, args.target)]
    words = [word.strip() for word in args.unit.split(",") if word.strip()]
    if not all(word.isdecimal() for word in words):
        raise ValueError(f'unit must be numbers with commas, such as "3,5", got {args.unit!r}')
    if not words:
        return [(None, args.layer)]
    return [(int(word), f"{args.layer} {args.objective} {word}") for word in dict.fromkeys(words)]


def _start(model: "Model", text: str) -> str | Tensor:
    if text in STARTS:
        return text
    if not Path(text).exists():
        raise ValueError(f"start must be {', '.join(STARTS)} or a picture file, got {text!r}{near(text, STARTS)}")
    return data.read_image(text, model.geometry)


def _sweep(text: str, known: "list[Option]") -> tuple[str, list[Any]]:
    """Option and values of NAME=VALUE,VALUE."""
    name, _, values = text.partition("=")
    name = name.strip().replace("-", "_")
    by_name = {one.name: one for one in known if one.name not in {"frames", "layer", "unit"}}
    check_choice("sweep", name, by_name)
    words = [word.strip() for word in values.split(",") if word.strip()]
    if not words:
        raise ValueError(f"sweep must be NAME=VALUE,VALUE,..., got {text!r}")
    return name, list(dict.fromkeys(_value(name, word, str(by_name[name].annotation)) for word in words))


def _value(name: str, word: str, kinds: str) -> Any:
    """A word as the option's type says."""
    if "None" in kinds and word.lower() in {"none", "null"}:
        return None
    if "bool" in kinds and word.lower() in {"true", "false"}:
        return word.lower() == "true"
    for kind, read in (("int", int), ("float", float)):
        if re.search(rf"\b{kind}\b", kinds):
            try:
                return read(word)
            except ValueError:
                continue
    if "str" in kinds:
        return word
    raise ValueError(f"sweep: {name} must be {kinds.removeprefix('<class ').strip(chr(39) + '>')}, got {word!r}")


def _titled(setting: dict[str, Any]) -> str:
    return ", ".join(f"{name} {_shown(value)}" for name, value in setting.items())


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
