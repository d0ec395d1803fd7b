"""What `pellucid visualize activations`, `filters` and `patches` write."""

import itertools
import re
from argparse import Namespace
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from pellucid import data, models, report
from pellucid.checks import check_range
from pellucid.files import write_json
from pellucid.progress import steps
from pellucid.visualize.activations import Statistics, joined, statistics

from ._shared import given

if TYPE_CHECKING:
    from pellucid.data import ImageSet, Unreadable
    from pellucid.methods import Method
    from pellucid.models import Model


@dataclass(frozen=True)
class Made:
    """What was written."""

    count: str  # "3 class images", for the last line
    told: dict[str, Any]  # for the manifest
    options: dict[str, Any]  # for the record
    data: dict[str, Any] = field(default_factory=dict)  # for the record: what was read
    errors: tuple["Unreadable", ...] = ()
    said: tuple[str, ...] = ()  # lines for the terminal


def filters(folder: Path, model: "Model", args: Namespace, method: "Method") -> Made:
    """filters.png and filters.npy."""
    chosen = given(args, method)
    found: Tensor = method(model, **chosen)
    np.save(folder / "filters.npy", found.cpu().numpy(), allow_pickle=False)
    name = args.layer or "the first convolution"
    height, width = found.shape[2:]
    picture = report.mosaic(found, least=32)
    report.captioned(picture, f"{name}: {len(found)} filters of {height} x {width}").save(folder / "filters.png")
    told = {"picture": "filters.png", "filters": "filters.npy", "shape": list(found.shape)}
    return Made(f"{len(found)} filters", told, chosen)


def activations(folder: Path, model: "Model", args: Namespace, method: "Method") -> Made:
    """Of each picture: a sheet of channels, an overlay of their mean and the tensor, for each layer."""
    pictures = data.gather(args.images)
    entries: list[dict[str, Any]] = []
    errors = list(pictures.errors)
    seen: dict[str, list[Statistics]] = {}
    with steps("looking", len(pictures)) as done:
        for batch in data.batches(pictures, model.geometry, batch_size=1):
            errors += batch.errors
            for place, image in zip(batch.indices.tolist(), batch.images(model.mean.device), strict=True):
                found = method(model, image[None], layers=args.layers)
                for name, output in found.items():
                    seen.setdefault(name, []).append(statistics(output))
                stem = _fresh(folder, PurePath(pictures.items[place].file).stem)
                (folder / stem).mkdir()
                place_ = folder / stem
                layers = [_layer(place_, model, image, args, name=name, output=one) for name, one in found.items()]
                entries.append({"file": pictures.items[place].file, "layers": layers})
            done(1)
    _some(entries, errors)
    every = {name: joined(several).json() for name, several in seen.items()}
    told = {"images": entries, "layers": every}
    said = tuple(
        f"{name}: {'x'.join(map(str, one['shape']))}, mean {one['mean']:.3g}, max {one['max']:.3g}, "
        f"{100 * one['zeros']:.1f} % zeros, {len(one['dead'])} of {one['channels']} channels never above 0"
        for name, one in every.items()
    )
    chosen = {"layers": args.layers, "scale": args.scale, "most": args.most}
    read = {"path": pictures.path, "images": len(entries)}
    return Made(f"{len(seen)} layers of {len(entries)} pictures", told, chosen, read, tuple(errors), said)


def patches(folder: Path, model: "Model", args: Namespace, method: "Method") -> Made:
    """A sheet for each unit, and every box in patches.json."""
    check_range("most", args.most, 0)
    pictures = _set(args.images, args.split)
    chosen = given(args, method)
    found = method(model, pictures, **chosen)
    write_json(folder / "patches.json", found.json())
    sheets = []
    for row, unit in enumerate(found.units[: args.most]):
        crops = found.crops(pictures, unit)
        values = found.values[row].tolist()
        padded = found.is_padded[row].tolist()
        titles = [
            f"{value:.3g}  {PurePath(file).name[-24:]}{' (edge)' if edge else ''}"
            for value, file, edge in zip(values, found.files[row], padded, strict=True)
        ]
        file = f"unit-{unit:04d}.png"
        shown = [report.pixels(report.enlarged(crop, 112)) for crop in crops]
        report.contact_sheet(shown, titles, folder / file, f"{found.layer}, unit {unit}")
        sheets.append({"unit": unit, "sheet": file})
    seen = found.field
    told = {
        "layer": found.layer,
        "field": None if seen is None else {"size": [finite(n) for n in seen.size], "stride": list(seen.stride)},
        "boxes": "patches.json",
        "sheets": sheets,
    }
    read = {"path": pictures.path, "images": len(pictures) - len(found.errors)}
    errors = (*pictures.errors, *found.errors)
    return Made(f"{len(sheets)} of {len(found.units)} units shown", told, chosen, read, errors)


def _layer(place: Path, model: "Model", image: Tensor, args: Namespace, *, name: str, output: Tensor) -> dict[str, Any]:
    """One layer of one picture, in its folder."""
    folder, file = place.parent, f"{place.name}/{plain_stem(name)}"
    np.save(folder / f"{file}.npy", output[0].cpu().float().numpy(), allow_pickle=False)
    entry = {"layer": name, "tensor": f"{file}.npy", "sheet": f"{file}.png", **statistics(output).json()}
    maps = _maps(model, name, output, image)
    if maps is None:
        report.bar_chart(output[0].flatten(), folder / f"{file}.png", name, axis="unit")
        return entry
    entry["shown"] = report.channel_sheet(maps, folder / f"{file}.png", name, most=args.most, scale=args.scale)
    mean = F.interpolate(maps.mean(dim=0)[None, None], image.shape[1:], mode="bilinear", align_corners=False)[0, 0]
    Image.fromarray(report.overlay(image.cpu(), mean)).save(folder / f"{file}-overlay.png")
    return {**entry, "overlay": f"{file}-overlay.png"}


def _maps(model: "Model", name: str, output: Tensor, image: Tensor) -> Tensor | None:
    """(K, h, w), or None where the output has no positions."""
    if output.ndim not in {3, 4} or len(output) != 1:
        return None
    try:
        grid = models.find_grid(model, name.partition("[")[0], tuple(image.shape))
    except ValueError:  # no maps: shown as bars
        return None
    return grid.maps(output)[0].float().cpu()


def _set(paths: list[str], split: str) -> "ImageSet":
    """A data set where one folder or zip is named, else the pictures."""
    if len(paths) == 1 and (Path(paths[0]).is_dir() or paths[0].lower().endswith(".zip")):
        return data.open_images(paths[0], split=split)
    return data.gather(paths)


def _some(entries: list[Any], errors: "list[Unreadable]") -> None:
    if not entries:
        raise ValueError(f"none of the pictures could be read: {errors[0].file}: {errors[0].reason}")


def plain_stem(text: str) -> str:
    """A plain file name."""
    return re.sub(r"[^\w.-]+", "-", text, flags=re.ASCII).strip("-.")[:60] or "image"


def _fresh(folder: Path, text: str) -> str:
    """A plain file name that is not taken."""
    stem = plain_stem(text)
    return next(name for n in itertools.count() if not (folder / (name := f"{stem}-{n}" if n else stem)).exists())


def finite(value: float) -> float | str:
    return value if np.isfinite(value) else "image" if value > 0 else "none"
