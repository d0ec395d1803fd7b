"""Features: what a network has made of images at any of its layers.

A. Razavian, H. Azizpour, J. Sullivan, S. Carlsson, "CNN Features off-the-shelf: an Astounding Baseline for
Recognition", CVPR Workshops 2014, section 3. https://arxiv.org/abs/1403.6382
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pellucid.checks import check_eval, check_images, check_range
from pellucid.models import evaluate, unvaried

from ._network import Reader
from ._pooled import first_not_finite
from .column import Column


def extract(
    model: nn.Module,
    images: Tensor,
    layers: Sequence[str],
    *,
    pool: str = "auto",
    post: str = "none",
    limit: int = 4 * 2**30,
) -> dict[str, Tensor]:
    """Rows of features of images at layers named, all from one pass that ends behind the last of them.

    Args:
        model: a Model or any module; in eval mode, left untouched. A Model of three channels takes gray images too.
        images: (N, C, H, W), float, in [0, 1]; gray ones (N, 1, H, W) are repeated to the channels of a Model.
        layers: dotted names, or one; of a layer that puts out several tensors, name[0] or name[key].
        pool: auto, flat, gap, max, class (token) or gridM (M x M cells, averaged); auto: maps gap, tokens class or gap.
        post: none, or relu: negative values are set to 0 before pooling.
        limit: bytes the features may take together, at least 1; more is refused.

    Returns:
        For each layer (N, D), float32, on the device of images. Vectors stay as they are, whatever the pool. With
        pool=flat an image's values come in the layer's own order; with gridM channel by channel, row by row.

    Raises:
        ValueError: no such layer (names the nearest), one that is never reached or cannot be pooled so, features that
            are not finite (tells row and layer), or more bytes than the limit.
    """
    check_eval(model)
    check_images(images)
    check_range("limit", limit, 1)
    names = [layers] if isinstance(layers, str) else list(dict.fromkeys(layers))
    reader = Reader(model, [Column(name, pool, post) for name in names])

    def read(rows: Tensor, _numbers: Tensor) -> Tensor:
        _check_room(reader, len(images), limit)
        return rows

    every = evaluate(reader, unvaried(images.detach()), read, label="reading features")[0]
    found = {column.layer: part for column, part in reader.split(every).items()}
    for name, rows in found.items():
        bad = first_not_finite(rows)
        if bad is not None:
            raise ValueError(
                f"features must be finite, got {_told(rows[bad])} in row {bad}, layer {name!r}: the weights hold NaN, "
                "or the input overflows"
            )
    return {name: found[name] for name in names}


def _check_room(reader: Reader, count: int, limit: int) -> None:
    """Refuse more bytes than the limit; told as soon as the widths are known."""
    needed = 4 * count * sum(reader.widths.values())
    if needed > limit:
        widest = max(reader.widths, key=lambda column: reader.widths[column])
        raise ValueError(
            f"features must take at most limit = {limit:,} bytes, but {count:,} rows need {needed:,} (layer "
            f"{widest.layer!r} alone has {reader.widths[widest]:,} values): pool them with pool=gap, max or grid2, "
            "take fewer images, or raise limit; features.Store keeps any number on disk"
        )


def _told(row: Tensor) -> str:
    return "NaN" if bool(torch.isnan(row).any()) else "an infinite value"
