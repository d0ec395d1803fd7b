"""All that one `pellucid uncertainty` asks, in order: sets opened, room counted, learned, read, answered, compared."""

from argparse import Namespace
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from pellucid import data, uncertainty
from pellucid.data import ImageSet, Pixels
from pellucid.metrics.ranking import FailureTable
from pellucid.models import Model

from ._reading import Chosen, Read, chosen, read, shared
from ._uncertain_answers import Answers, Judged, answered, judged, ranking
from ._uncertain_calibration import Calibration, calibration, check_calibrates
from ._uncertain_detection import Detection, detection, elsewhere, is_made
from ._uncertain_room import Asking, check_room
from ._uncertain_samplers import Ready, Sampler, ready


@dataclass(frozen=True)
class Found:
    """What came of it."""

    name: str  # of the model
    classes: tuple[str, ...]
    sampler: Sampler
    by: str  # the score that orders the pictures
    answers: Answers
    ready: Ready
    table: FailureTable | None  # None without labels
    judged: dict[str, Judged]  # whose probabilities -> how far these can be taken at their word; empty without labels
    calibration: Calibration | None
    detection: Detection | None
    learned_from: Read | None
    shared: int  # pictures asked about that something was fitted on as well
    found: int  # pictures that were chosen, some of which may be unreadable


def asked(model: Model, args: Namespace, sampler: Sampler) -> Found:
    """Everything; what is refused is refused before the long work, as far as it can be known."""
    if args.calibrate:
        check_calibrates(args.calibrate, model)
    how = {"class_level": args.class_level, "class_map": args.class_map, "seed": args.seed}
    known = chosen(model, args.images, split=args.split, limit=args.limit, **how)
    learning = _learning(model, args, sampler, known) if args.on else None
    if args.class_map and not known.index and (learning is None or not learning.index):
        raise ValueError(f"class-map was given, but {known.path} has no labels")
    others = None
    if args.ood and not is_made(args.ood):
        others = chosen(model, [args.ood], limit=args.limit, seed=args.seed, is_labelled=False)
    wanted = Asking(model, known, learning, others, is_ood=bool(args.ood))
    early = None if args.samples is None else (args.samples, len(model.classes))
    check_room(replace(wanted, samples=early, is_kept=args.keep_samples), args.memory)
    learned_from = None if learning is None else _read_labelled(learning, model)
    fitted = calibration(model, args.calibrate, args, learned_from) if args.calibrate and learned_from else None
    asking = ready(sampler, model, args, _members(args), _pixels(learned_from, model) if learned_from else None)
    shape = _shape(asking, model)
    if args.samples is not None and shape[0] - args.samples not in {0, 1}:  # views: so many, and the image as it is
        raise ValueError(f"samples was given, but {sampler.name} with these options always asks {shape[0]} times")
    check_room(replace(wanted, samples=shape, is_kept=args.keep_samples), args.memory)
    pictures = read(known, model)
    strange = None if others is None else _read_others(others, pictures, model)
    answers = answered(
        model, pictures, asking.draw, by=args.by, shown=args.shown, seed=args.seed, is_kept=args.keep_samples
    )
    detected = None
    if args.ood:
        out = elsewhere(args.ood, pictures, strange, args.seed)
        detected = detection(
            model, pictures, out, asking.draw, sampler.name, by=args.by, learned_from=learned_from, seed=args.seed
        )
    return Found(
        name=str(model.source.get("spec") or model.source.get("architecture") or "model").rstrip("/").split("/")[-1],
        classes=model.classes,
        sampler=sampler,
        by=args.by,
        answers=answers,
        ready=asking,
        table=ranking(answers),
        judged=_judged(answers, fitted),
        calibration=fitted,
        detection=detected,
        learned_from=learned_from,
        shared=0 if learned_from is None else shared(learned_from, pictures),
        found=len(known.images),
    )


def _learning(model: Model, args: Namespace, sampler: Sampler, known: Chosen) -> Chosen:
    """The set that is fitted on, in the split that suits: trained on, or for a calibration held out."""
    how = {"class_level": args.class_level, "class_map": args.class_map, "limit": args.on_limit, "seed": args.seed}
    if args.on_split:
        found = chosen(model, [args.on], split=args.on_split, **how)
    else:
        splits = _splits(args.on)
        wanted = "val" if args.calibrate and sampler.kind != "fitted" else "train"
        first = wanted if wanted in splits else None
        found = chosen(model, [args.on], split=first, **how)
        if _is_same(found, known) and "train" in splits:
            found = chosen(model, [args.on], split="train", **how)
    if _is_same(found, known):
        split = f", split {found.images.split}: name another with --on-split" if found.images.split else ""
        raise ValueError(f"on must be other pictures than those asked about, but both are {found.path}{split}")
    if not found.index:
        raise ValueError(f"{args.on}: has no labels, but what is fitted on it needs them")
    return found


def _splits(path: str) -> tuple[str, ...]:
    if path == "digits" and not Path(path).exists():
        return ("train", "test")
    opened: ImageSet = data.open_images(path)
    return opened.splits


def _is_same(one: Chosen, other: Chosen) -> bool:
    places = [Path(some.path).resolve() if Path(some.path).exists() else some.path for some in (one, other)]
    return places[0] == places[1] and one.images.split == other.images.split


def _read_labelled(learning: Chosen, model: Model) -> Read:
    """Refuses what cannot be read: what is learned must not hang on a broken file."""
    found = read(learning, model)
    lost = [error for error in found.errors if error.reason != "has no label"]
    if lost:
        raise ValueError(f"{found.path}: {lost[0].file}: {lost[0].reason}; mend or remove it, since it is learned from")
    return found


def _read_others(others: Chosen, pictures: Read, model: Model) -> Read:
    """Refuses pictures that are among those asked about."""
    found = read(others, model)
    if same := shared(found, pictures):
        raise ValueError(f"ood must be other pictures than those asked about, but {same} are both in {found.path}")
    return found


def _pixels(found: Read, model: Model) -> Pixels:
    """The same as a set in memory, of the model's classes."""
    assert found.labels is not None
    return Pixels(found.pixels, found.labels, model.classes, found.files).to(model.mean.device)


def _members(args: Namespace) -> list[Model]:
    specs = [word.strip() for text in getattr(args, "with") for word in text.split(",") if word.strip()]
    return uncertainty.members(args.model, *specs)[1:] if specs else []


def _shape(asking: Ready, model: Model) -> tuple[int, int]:
    """(S, K), found by asking about a grey image; a model that does not suit the sampler is refused here."""
    gray = torch.full((1, model.geometry.channels, *model.geometry.size), 0.5, device=model.mean.device)
    samples, _, classes = asking.draw(gray).shape
    return samples, classes


def _judged(answers: Answers, fitted: Calibration | None) -> dict[str, Judged]:
    """The network as it is, the samples' mean, and the calibrated network."""
    labels = answers.pictures.labels
    if labels is None:
        return {}
    found = {"the model as it is": answers.plain, f"mean of {answers.votes.shape[1]} samples": answers.mean}
    if fitted is not None:
        found[f"calibrated: {fitted.told}"] = fitted.fitted(answers.outputs)
    return {name: judged(probabilities, labels) for name, probabilities in found.items()}
