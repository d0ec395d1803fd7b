"""The main job: a model and a folder of labelled images in, findings out."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pellucid.checks import check_eval, check_range
from pellucid.data import ImageSet, Unreadable, class_matches
from pellucid.files import new_folder, write_json
from pellucid.metrics import in_top_k, per_class, proportion, reliability
from pellucid.models import Model
from pellucid.records import record
from pellucid.report import Fact

from .attacked import Attacked, attack_rows, check_second
from .certainty import certainty_of
from .elsewhere import look_elsewhere
from .explained import chosen_methods, explain_rows
from .findings import Findings
from .learned import look_at_learned
from .page import audit_page
from .predictions import Predictions, predict_set
from .sections import PARTS
from .shifted import shift_rows
from .trust import judge

TOP = 5


class Audit(Findings):
    """What was found, with the ways to keep it: as numbers, as a page, as a folder of both."""

    @property
    def facts(self) -> tuple[Fact, ...]:
        """The things worth knowing, each a sentence that stands alone."""
        return tuple(fact for part in PARTS for fact in part.facts(self))

    def summary(self) -> dict[str, Any]:
        """The numbers, as `summary.json` holds them; shares in [0, 1]."""
        told = {key: value for part in PARTS for key, value in part.numbers(self).items()}
        facts = [fact.text for fact in self.facts]
        made = {"model": dict(self.record.model), "record": self.record.json()}
        return {"format": 1, **told, "facts": facts, **made}

    def page(self) -> str:
        """The report as one HTML page."""
        return audit_page(self)

    def save(self, folder: str | Path, *, force: bool = False) -> Path:
        """Write index.html, predictions.parquet, summary.json and record.json; all of them or nothing.

        Args:
            folder: made, with its parents; must not exist unless force.
            force: replace a report written before; nothing else is replaced.
        """
        with new_folder(folder, force=force, command="audit") as place:
            (place / "index.html").write_text(self.page(), encoding="utf-8", errors="backslashreplace")
            self._write_table(place / "predictions.parquet")
            write_json(place / "summary.json", self.summary())
            write_json(place / "record.json", self.record.json())
        return Path(folder)

    def _write_table(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = self.predictions
        names = self.classes
        columns: dict[str, Any] = {
            "file": list(rows.files),
            "target": rows.targets.numpy(),
            "predicted": rows.predicted.numpy(),
            "probability": rows.confidence.numpy(),
            "loss": rows.loss.numpy(),
            "target_name": [names[index] for index in rows.targets.tolist()],
            "predicted_name": [names[index] for index in rows.predicted.tolist()],
        }
        for place in range(rows.ranked.shape[1]):
            columns[f"top{place + 1}"] = rows.ranked[:, place].numpy()
        table = pa.table(columns)
        told = {"classes": json.dumps(names), "record": json.dumps(self.record.json())}
        pq.write_table(table.replace_schema_metadata(told), path)


def audit(
    model: Model,
    images: ImageSet,
    *,
    methods: str = "saliency,grad_cam",
    shown: int = 12,
    judged: int = 12,
    attacked: int = 24,
    second: Model | None = None,
    accuracy: float = 0.95,
    corrupted: int = 24,
    ood: ImageSet | None = None,
    train: ImageSet | None = None,
    bins: int = 15,
    seed: int = 0,
    batch_size: int | None = None,
    workers: int | None = None,
    class_map: Mapping[str, str | int] | None = None,
) -> Audit:
    """Say how good a model is on labelled images, where and why it fails, and how far its confidence can be trusted.

    Args:
        model: in eval mode.
        images: a set with labels; classes are matched to the model's by wnid, name or number before any work.
        methods: explanations drawn for the shown images, separated by commas; "" for none.
        shown: images shown of each kind (mistakes, unsure hits, random sample), 0 to 100.
        judged: images on which those explanations are tested, 0 to 1000; under 5 none is.
        attacked: images on which it is tried how small a change breaks the model, 0 to 1000; under 5 none is.
        second: another model of the same classes, asked whether what breaks the first breaks it too.
        accuracy: share of its answers asked to be right, above 0 and below 1: how much can it answer then?
        corrupted: images on which noise, blur, low contrast and JPEG are tried, 0 to 1000; under 5 none is.
        ood: pictures from elsewhere, labelled or not: does the model notice?
        train: the labelled pictures it learned from: what are its mistakes near, and what has it seen before?
        bins: of the reliability diagrams, 1 to 100.
        seed: of the random samples.
        batch_size: images a forward pass; 16 on a CPU and 128 elsewhere when none is given.
        workers: decoding processes; None chooses.
        class_map: the user's own table, class of the set -> class of the model.

    Raises:
        ValueError: no labels, classes that do not match, or nothing that can be read.
    """
    check_range("shown", shown, 0, 100)
    for name, count in (("judged", judged), ("attacked", attacked), ("corrupted", corrupted)):
        check_range(name, count, 0, 1000)
    if not 0 < accuracy < 1:
        raise ValueError(f"accuracy must be between 0 and 1, such as 0.95, got {accuracy}")
    check_range("bins", bins, 1, 100)
    _check_asked(model, images, second)
    options = {
        **{"methods": methods, "shown": shown, "judged": judged, "attacked": attacked},
        "second": None if second is None else dict(second.source),
        **{"accuracy": accuracy, "corrupted": corrupted, "ood": None if ood is None else ood.path},
        **{"train": None if train is None else train.path, "bins": bins},
        **{"batch_size": batch_size, "workers": workers, "class_map": class_map},
    }
    names = chosen_methods(methods)
    matches = class_matches(images, model.classes, model.class_ids, class_map)
    index = {match.target: match.index for match in matches}
    own = [-1 if item.target is None else index[item.target] for item in images.items]
    elsewhere = None if ood is None else look_elsewhere(model, images, ood, seed=seed)  # may refuse: before the rest
    listed = [*index.values()]
    rows = predict_set(model, images, own, competing=listed, top=TOP, seed=seed, batch_size=batch_size, workers=workers)
    certainty, uncertain = certainty_of(model, images, rows, accuracy=accuracy, bins=bins, seed=seed)
    learned = None
    if train is not None:
        learned = look_at_learned(model, images, rows, train, count=shown, seed=seed, class_map=class_map)
    shown_rows = explain_rows(model, images, rows, names, count=shown, seed=seed)
    visible = [one.row for kind in (shown_rows.sample, shown_rows.unsure) for one in kind]
    broken, unattacked = _attacked(model, images, rows, visible, count=attacked, seed=seed, second=second)
    hits = in_top_k(rows.ranked, rows.targets)
    nameless = [item.file for item, target in zip(images.items, own, strict=True) if target < 0]
    return Audit(
        classes=model.classes,
        predictions=rows,
        top1=proportion(int(rows.correct.sum()), len(rows)),
        top5=proportion(int(hits.sum()), len(rows)),
        per_class=per_class(rows.targets, rows.predicted, len(model.classes)),
        bins=reliability(rows.confidence, rows.correct, bins=bins),
        errors=(*images.errors, *(Unreadable(file, "has no label") for file in nameless), *rows.errors),
        matches=tuple(matches),
        shown=shown_rows,
        trust=judge(model, images, rows, names, count=judged, seed=seed),
        attacked=broken,
        unattacked=unattacked,
        certainty=certainty,
        uncertain=uncertain,
        shifted=shift_rows(model, images, rows, count=corrupted, seed=seed),
        elsewhere=elsewhere,
        learned=learned,
        record=record(
            "audit",
            options=options,
            model=model.source,
            seed=seed,
            data={"path": images.path, "split": images.split, "images": len(images), "read": len(rows)},
            device=str(model.mean.device),
        ),
    )


def _check_asked(model: Model, images: ImageSet, second: Model | None) -> None:
    """Refuse models that train or do not fit together, and a set without labels."""
    check_eval(model)
    if second is not None:
        check_eval(second)
        check_second(model, second)
    if not images.labels or all(item.target is None for item in images.items):
        raise ValueError(f"{images.path}: has no labels: an audit needs class folders or a labels.csv")


def _attacked(
    model: Model,
    images: ImageSet,
    rows: Predictions,
    visible: Sequence[int],
    *,
    count: int,
    seed: int,
    second: Model | None,
) -> tuple[Attacked | None, str]:
    """What small changes do, and why nothing can be said of it, if so."""
    try:
        return attack_rows(model, images, rows, visible, count=count, seed=seed, second=second), ""
    except ValueError as error:  # a network that hides its slope, or has one class: the page repeats it
        return None, str(error)
