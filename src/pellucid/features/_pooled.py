"""Rows of features: pooled, in memory of their own, and looked through for what is not finite."""

import torch
from torch import Tensor

from pellucid.models import Grid
from pellucid.models.pooling import pooled


def own_rows(output: Tensor, pool: str, post: str, grid: Grid | None, name: str) -> Tensor:
    """A layer's output (N, ...) as rows (N, D), float32, in memory of their own; see `pooled`."""
    made = pooled(output, pool, post, grid, name)
    shares = made.untyped_storage().data_ptr() == output.untyped_storage().data_ptr()
    return made.clone() if shares else made.contiguous()


def first_not_finite(rows: Tensor) -> int | None:
    """The first row (N, D) that holds NaN or infinity; None where all are finite."""
    if torch.isfinite(rows.sum()):  # one pass over memory; a sum of finite numbers may overflow, so look closer then
        return None
    bad = ~torch.isfinite(rows).all(dim=1)
    return int(bad.nonzero()[0, 0]) if bool(bad.any()) else None
