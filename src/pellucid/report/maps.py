"""Heat maps of one image: as files (a panel to look at, each map as picture and as numbers), and as rows of a page."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image
from torch import Tensor

from .figures import panel
from .pictures import boxed, data_uri, enlarged, fitted, overlay, pixels

Box: TypeAlias = tuple[float, float, float, float]
"""(x0, y0, x1, y1), pixels of the image, half open."""

SIDE = 224
"""Longest side of a picture in a page, in pixels."""


@dataclass(frozen=True)
class Map:
    """One heat map and what it answers."""

    method: str  # its plain name, for files
    title: str  # its name as people write it
    target: int  # class index
    name: str  # class name
    heat: Tensor  # (H, W), raw
    told: dict[str, Any] = field(default_factory=dict)  # for the manifest: layer, why, options
    boxes: tuple[Box, ...] = ()  # drawn over it

    @property
    def caption(self) -> str:
        """What is seen."""
        nothing = "holds NaN: nothing to see" if not self.heat.isfinite().all() else "the same everywhere: says nothing"
        return f"{self.title} for “{self.name}”" + (f" ({nothing})" if self.is_flat else "")

    @property
    def is_flat(self) -> bool:
        """Whether it is constant or not finite, and so says nothing."""
        return not bool(self.heat.isfinite().all()) or bool((self.heat == self.heat.flatten()[0]).all())


def save_maps(folder: Path, stem: str, image: Tensor, maps: Sequence[Map], title: str) -> dict[str, Any]:
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
        drawn = _drawn(shown, enlarged(one.heat[None], 112)[0], one)
        file = f"{stem}/{one.method}-{one.target}"
        Image.fromarray(drawn).save(folder / f"{file}.png")
        np.save(folder / f"{file}.npy", one.heat.detach().cpu().numpy(), allow_pickle=False)
        pictures, titles = rows.setdefault(one.target, ([pixels(shown)], ["what the model sees"]))
        pictures.append(drawn)
        titles.append(f"{one.title}: {one.name}")
        entries.append(
            {
                "method": one.method,
                "target": {"index": one.target, "name": one.name},
                "overlay": f"{file}.png",
                "heat": f"{file}.npy",
                "is_flat": one.is_flat,
                **one.told,
            }
        )
    panel([row[0] for row in rows.values()], [row[1] for row in rows.values()], folder / f"{stem}.png", title)
    return {"panel": f"{stem}.png", "maps": entries}


def map_rows(image: Tensor, maps: Sequence[Map]) -> list[list[tuple[str, str]]]:
    """Pictures (data URI, caption) for `gallery`: a row for each target; the first opens with the image itself."""
    small = min(image.shape[-2:]) < SIDE // 2
    shown = fitted(image, SIDE // 2, SIDE)
    rows: dict[int, list[tuple[str, str]]] = {}
    for one in maps:
        drawn = _drawn(shown, fitted(one.heat[None], SIDE // 2, SIDE)[0], one)
        rows.setdefault(one.target, []).append((data_uri(drawn, exact=small), one.caption))
    first = (data_uri(pixels(shown), exact=small), "what the model sees")
    found = list(rows.values()) or [[]]
    return [[first, *found[0]], *found[1:]]


def _drawn(image: Tensor, heat: Tensor, one: Map) -> np.ndarray:
    drawn = overlay(image, heat)
    return boxed(drawn, one.boxes, drawn.shape[0] / one.heat.shape[0]) if one.boxes else drawn
