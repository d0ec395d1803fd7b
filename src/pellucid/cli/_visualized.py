"""What `pellucid visualize activations`, `filters` and `patches` write."""

import math
from argparse import Namespace
from dataclasses import dataclass, field, replace
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
from pellucid.visualize.filters import convolution

from ._shared import counted, fresh_stem, given

if TYPE_CHECKING:
    from pellucid.data import ImageSet, Unreadable
    from pellucid.methods import Method
    from pellucid.models import Grid, Model


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
    name, _ = convolution(model, args.layer)
    height, width = found.shape[2:]
    picture = report.mosaic(found, least=32)
    report.captioned(picture, f"{name}: {counted(len(found), 'filter')} of {height}x{width}").save(
        folder / "filters.png"
    )
    told = {"layer": name, "picture": "filters.png", "filters": "filters.npy", "shape": list(found.shape)}
    return Made(counted(len(found), "filter"), told, chosen)


def activations(folder: Path, model: "Model", args: Namespace, method: "Method") -> Made:
    """Of each picture: a sheet of channels, an overlay of their mean and the tensor, for each layer."""
    pictures = data.gather(args.images)
    entries: list[dict[str, Any]] = []
    errors = list(pictures.errors)
    seen: dict[str, list[Statistics]] = {}
    grids: dict[str, Grid | None] = {}
    with steps("looking", len(pictures)) as done:
        for batch in data.batches(pictures, model.geometry, batch_size=1):
            errors += batch.errors
            for place, image in zip(batch.indices.tolist(), batch.images(model.mean.device), strict=True):
                found = method(model, image[None], layers=args.layers)
                own = folder / fresh_stem(folder, PurePath(pictures.items[place].file).stem)
                own.mkdir()
                layers = []
                for name, output in found.items():
                    if name not in grids:
                        grids[name] = _grid(model, name, tuple(image.shape))
                    maps = _maps(grids[name], output)
                    like = _statistics(output, maps)
                    seen.setdefault(name, []).append(like)
                    layers.append({**_layer(own, image, args, name=name, output=output, maps=maps), **like.json()})
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
    return Made(
        f"{counted(len(seen), 'layer')} of {counted(len(entries), 'picture')}", told, chosen, read, tuple(errors), said
    )


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
    return Made(f"{len(sheets)} of {counted(len(found.units), 'unit')} shown", told, chosen, read, errors)


def _layer(
    own: Path, image: Tensor, args: Namespace, *, name: str, output: Tensor, maps: Tensor | None
) -> dict[str, Any]:
    """One layer of one picture, in the picture's own folder."""
    stem = fresh_stem(own, name)
    file = f"{own.name}/{stem}"
    np.save(own / f"{stem}.npy", _of_one(output).cpu().float().numpy(), allow_pickle=False)
    entry = {"layer": name, "tensor": f"{file}.npy", "sheet": f"{file}.png"}
    if maps is None:
        report.bar_chart(output[0].flatten(), own / f"{stem}.png", name, axis="unit")
        return entry
    shown = report.channel_sheet(maps[0], own / f"{stem}.png", name, most=args.most, scale=args.scale)
    mean = F.interpolate(maps.mean(dim=1)[None], image.shape[1:], mode="bilinear", align_corners=False)[0, 0]
    Image.fromarray(report.overlay(image.cpu(), mean)).save(own / f"{stem}-overlay.png")
    return {**entry, "shown": shown, "overlay": f"{file}-overlay.png"}


def _of_one(output: Tensor) -> Tensor:
    """What a layer puts out for the one image; whole where it folds parts of the image into the batch."""
    return output[0] if len(output) == 1 else output


def _grid(model: "Model", name: str, shape: tuple[int, ...]) -> "Grid | None":
    """How the layer's output is read as maps; None where it has no positions."""
    try:
        return models.find_grid(model, name.partition("[")[0], shape)
    except ValueError:  # no maps: shown as bars
        return None


def _maps(grid: "Grid | None", output: Tensor) -> Tensor | None:
    """(1, K, h, w) of one image's output; None where it does not lie in the grid, as another output of the layer."""
    if grid is None or len(output) != 1:
        return None
    sides = {"first": output.shape[2:], "last": output.shape[1:-1]}.get(grid.form, ())
    is_tokens = output.ndim == 3 and output.shape[1] == grid.prefix + math.prod(grid.size)
    if not (is_tokens if grid.form == "tokens" else tuple(sides) == grid.size):
        return None
    return grid.maps(output).float().cpu()


def _statistics(output: Tensor, maps: Tensor | None) -> Statistics:
    """Of the maps where there are any (class tokens are no positions), else of the output; rows have channels last."""
    firsts = maps if maps is not None else output.movedim(-1, 1) if output.ndim == 3 else output
    return replace(statistics(firsts), shape=tuple(_of_one(output).shape))


def _set(paths: list[str], split: str) -> "ImageSet":
    """A data set where one folder or zip is named, else the pictures."""
    if len(paths) == 1 and (Path(paths[0]).is_dir() or paths[0].lower().endswith(".zip")):
        return data.open_images(paths[0], split=split)
    return data.gather(paths)


def _some(entries: list[Any], errors: "list[Unreadable]") -> None:
    if not entries:
        raise ValueError(f"none of the pictures could be read: {errors[0].file}: {errors[0].reason}")


def finite(value: float) -> float | str:
    return value if np.isfinite(value) else "image" if value > 0 else "none"
