"""What one `pellucid uncertainty` leaves: the table, the arrays behind it, numbers, pictures, models and the page."""

import csv
from argparse import Namespace
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from torch import Tensor

from pellucid import report
from pellucid.files import write_json
from pellucid.models import Model
from pellucid.records import Record, record
from pellucid.report import fitted, pixels

from ._shared import given
from ._uncertain_answers import SCORES
from ._uncertain_asked import Found
from ._uncertain_calibration import KINDS, write_calibration
from ._uncertain_facts import NAMES, amount, summary
from ._uncertain_page import says, uncertainty_page
from ._uncertain_samplers import SHARED

LOW, HIGH = 160, 240
"""Sides of the pictures of the sheet, in pixels: smaller ones are enlarged, larger ones reduced."""


def written(folder: Path, model: Model, args: Namespace, found: Found) -> None:
    """Every file of OUT."""
    made = _record(model, args, found)
    _write_table(folder / "images.csv", found)
    _write_arrays(folder / "arrays.npz", found)
    _write_sheet(folder / "most-uncertain.png", found)
    write_json(folder / "summary.json", {**summary(found), "record": made.json()})
    write_json(folder / "record.json", made.json())
    if found.calibration is not None:
        write_calibration(folder, found.calibration, made)
    if found.ready.fitted is not None:
        found.ready.fitted.save(folder / "fitted")
    (folder / "index.html").write_text(uncertainty_page(found, made), "utf-8", "backslashreplace")


def _record(model: Model, args: Namespace, found: Found) -> Record:
    names = ("by", "limit", "on", "on_split", "on_limit", "calibrate", "ood", "shown", "keep_samples", "memory")
    options: dict[str, Any] = {
        "sampler": args.sampler,
        "samples": found.answers.votes.shape[1],
        "with": list(getattr(args, "with")),
        **{name: getattr(args, name) for name in names},
        args.sampler: given(getattr(args, args.sampler, Namespace()), found.sampler.made, SHARED),
    }
    if args.calibrate:
        options[args.calibrate] = given(getattr(args, args.calibrate, Namespace()), KINDS[args.calibrate])
    pictures = found.answers.pictures
    return record(
        "uncertainty",
        options=options,
        model=model.source,
        seed=args.seed,
        data={"path": pictures.path, "split": pictures.split, "images": found.found, "read": len(pictures)},
        device=str(model.mean.device),
    )


def _write_table(path: Path, found: Found) -> None:
    """A row an image, the most uncertain first."""
    answers = found.answers
    labels, samples = answers.pictures.labels, answers.votes.shape[1]
    head = ["rank", "file", "predicted", "predicted_name", "mean_probability", "voted", "voted_name", "vote_share"]
    head += ["disagrees", *SCORES, "plain", "plain_name", "plain_probability"]
    head += ["label", "label_name", "correct"] if labels is not None else []
    sure, plain = answers.plain.max(dim=1)
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        table = csv.writer(file)
        table.writerow(head)
        for rank, place in enumerate(answers.order.tolist(), start=1):
            predicted, voted, alone = (int(some[place]) for some in (answers.predicted, answers.voted, plain))
            share = 1 - float(answers.scores["variation_ratio"][place])
            row = [rank, answers.pictures.files[place], predicted, found.classes[predicted]]
            row += [
                float(answers.mean[place, predicted]),
                voted,
                found.classes[voted],
                round(share * samples) / samples,
            ]
            row += [int(predicted != voted), *(float(answers.scores[name][place]) for name in SCORES)]
            row += [alone, found.classes[alone], float(sure[place])]
            if labels is not None:
                label = int(labels[place])
                row += [label, found.classes[label], int(label == predicted)]
            table.writerow(row)


def _write_arrays(path: Path, found: Found) -> None:
    """What the table and the page are made of; every row of an array is that of images.csv."""
    answers, order = found.answers, found.answers.order
    places = [*answers.shown, *answers.others]
    rank = {place: number for number, place in enumerate(order.tolist())}
    arrays: dict[str, Tensor] = {
        "mean": answers.mean[order],  # (N, K)
        "plain": answers.plain[order].float(),  # (N, K)
        "votes": answers.votes[order].short() if len(found.classes) < 2**15 else answers.votes[order],  # (N, S)
        **{name: answers.scores[name][order] for name in SCORES},  # (N,)
        "shown": order.new_tensor([rank[place] for place in places]),  # (n,), rows of the table
        "shown_samples": _stacked([answers.drawn[place] for place in places]),  # (S, n, K)
    }
    if answers.samples is not None:
        arrays["samples"] = answers.samples[:, order]  # (S, N, K)
    np.savez_compressed(path, **{name: array.numpy() for name, array in arrays.items()}, allow_pickle=False)


def _stacked(samples: list[Tensor]) -> Tensor:
    import torch

    return torch.stack(samples, dim=1)


def _write_sheet(path: Path, found: Found) -> None:
    answers = found.answers
    shown = [pixels(fitted(answers.pictures.image(place), LOW, HIGH)) for place in answers.shown]
    titles = [
        f"{PurePath(answers.pictures.files[place]).name}\n{says(found, place)}, "
        f"{amount(found.by, float(answers.scores[found.by][place]))}"
        for place in answers.shown
    ]
    name = f"Most uncertain of {len(answers)} by {NAMES[found.by]}, {found.sampler.name}"
    report.contact_sheet(shown, titles, path, name, columns=min(4, len(shown)))
