"""What one `pellucid attack` leaves: pictures, tables, numbers and the page."""

from argparse import Namespace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from PIL import Image

from pellucid import report
from pellucid.files import write_json
from pellucid.methods import title
from pellucid.records import record

from ._attack_facts import summary
from ._attack_made import write_made
from ._attack_page import attack_page, caption, shown_rows
from ._attacked import Asked, Attacked
from ._shared import fresh_stem

if TYPE_CHECKING:
    from pellucid.models import Model


def written(folder: Path, model: "Model", args: Namespace, asked: Asked, found: Attacked) -> None:
    """Every file of OUT."""
    made = record(
        "attack",
        options={
            "method": args.method,
            "epsilon": asked.epsilon,
            "norm": asked.norm,
            "targeted": asked.target,
            "sweep": list(asked.sweep),
            "transfer": args.transfer,
            "limit": args.limit,
            "alarms": not args.no_alarms,
            args.method: asked.own,
        },
        model=model.source,
        seed=args.seed,
        data=found.data,
        device=str(model.mean.device),
    )
    pictures = _write_pictures(folder, found)
    rows = shown_rows(found, args.shown)
    if rows:
        said = [(caption(found, row, "before"), caption(found, row, "after")) for row in rows]
        name = f"{title(asked.method)} on {found.name}"
        before, after = ([images[row] for row in rows] for images in (found.images, found.adversarial))
        report.change_sheet(before, after, said, folder / "before-after.png", name)
    write_made(folder, found.trace.made, pictures, (found.images.shape[2], found.images.shape[3]))
    _write_table(folder / "outcome.parquet", found, pictures)
    write_json(folder / "summary.json", {**summary(found), "record": made.json()})
    write_json(folder / "record.json", made.json())
    (folder / "index.html").write_text(attack_page(found, rows, made), "utf-8", "backslashreplace")


def _write_pictures(folder: Path, found: Attacked) -> list[str]:
    """The adversarial images as 8-bit PNG, which is what `success_8bit` was measured on; their names below OUT."""
    names = []
    place = folder / "adversarial"
    place.mkdir()
    for file, image in zip(found.files, found.adversarial, strict=True):
        stem = fresh_stem(place, PurePath(file).stem)
        levels = (image * 255).round().byte().permute(1, 2, 0).numpy()
        picture = Image.fromarray(levels[..., 0] if levels.shape[2] == 1 else levels)
        picture.save(place / f"{stem}.png", "PNG")
        names.append(f"adversarial/{stem}.png")
    return names


def _write_table(path: Path, found: Attacked, pictures: list[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    one, trace = found.outcome, found.trace
    columns: dict[str, Any] = {"file": list(found.files), "picture": pictures, "label": found.labels.numpy()}
    for name in ("targets", "before", "after", "probability_before", "probability_after", "target_before"):
        columns[name] = getattr(one, name).numpy()
    for name in ("target_after", "is_done", "success", "success_8bit", "l0", "l1", "l2", "linf"):
        columns[name] = getattr(one, name).numpy()
    for name in ("label", "targets", "before", "after"):
        indices = found.labels if name == "label" else getattr(one, name)
        columns[f"{name}_name"] = [found.classes[index] for index in indices.tolist()]
    for name in ("forward", "backward", "iterations", "vanished"):
        columns[name] = getattr(trace, name).numpy()
    if found.curve is not None:
        columns["smallest_epsilon"] = found.curve.smallest.numpy()
    if found.transfer is not None:
        columns["transferred"] = found.transfer.outcome.success.numpy()
        columns["transfer_is_done"] = found.transfer.outcome.is_done.numpy()
    pq.write_table(pa.table(columns), path)
