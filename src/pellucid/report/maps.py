"""Heat maps of one image as files: a panel to look at, each map as picture and as numbers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from .figures import panel
from .pictures import enlarged, overlay, pixels


@dataclass(frozen=True)
class Map:
    """One heat map and what it answers."""

    method: str
    target: int  # class index
    name: str  # class name
    heat: Tensor  # (H, W), raw
    told: dict[str, Any]  # for the manifest: layer, why, options


def save_maps(folder: Path, stem: str, image: Tensor, maps: list[Map], title: str) -> dict[str, Any]:
    """Write `stem.png` (a panel: a row for each target), and `stem/` with an overlay and a .npy for each map.

    Args:
        folder: exists.
        stem: a plain file name without suffix.
        image: (C, H, W), in [0, 1], what the model saw.
        maps: at least one.
        title: over the panel.

    Returns:
        The manifest's entry: file names relative to folder, and what is told of each map.
    """
    (folder / stem).mkdir()
    shown = enlarged(image, 112)
    rows: dict[int, tuple[list[np.ndarray], list[str]]] = {}
    entries = []
    for one in maps:
        drawn = overlay(shown, enlarged(one.heat[None], 112)[0])
        file = f"{stem}/{one.method}-{one.target}"
        Image.fromarray(drawn).save(folder / f"{file}.png")
        np.save(folder / f"{file}.npy", one.heat.detach().cpu().numpy(), allow_pickle=False)
        pictures, titles = rows.setdefault(one.target, ([pixels(shown)], ["what the model sees"]))
        pictures.append(drawn)
        titles.append(f"{one.method}: {one.name}")
        flat = bool((one.heat == one.heat.flatten()[0]).all())
        entries.append(
            {
                "method": one.method,
                "target": {"index": one.target, "name": one.name},
                "overlay": f"{file}.png",
                "heat": f"{file}.npy",
                "is_flat": flat,
                **one.told,
            }
        )
    panel([row[0] for row in rows.values()], [row[1] for row in rows.values()], folder / f"{stem}.png", title)
    return {"panel": f"{stem}.png", "maps": entries}
