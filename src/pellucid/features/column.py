"""Columns of features, and what makes them: any source that turns images into rows can fill a `Store`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from pellucid.geometry import Geometry


@dataclass(frozen=True)
class Column:
    """One kind of row: of a layer, pooled in one way."""

    layer: str  # dotted name, or what a source calls it
    pool: str = "auto"  # auto, flat, gap, max, class, grid2, ...
    post: str = "none"  # none or relu

    def __str__(self) -> str:
        how = [self.pool, *([self.post] if self.post != "none" else [])]
        return f"{self.layer} ({', '.join(how)})"


class FeatureSource(Protocol):
    """Anything that turns images into rows: a network's layers, a dictionary of visual words, a trained head."""

    @property
    def about(self) -> Mapping[str, Any]:
        """What every row depends on, as plain JSON: a name, a hash of what was learned, the preprocessing.

        Rows of sources that tell the same may stand in one store; `name` and `weights` are told where two differ.
        """

    @property
    def geometry(self) -> Geometry:
        """The frame a picture is brought to."""

    @property
    def images_a_pass(self) -> int:
        """How many images it is given at a time, unless the caller says otherwise."""

    def rows(self, images: Tensor, columns: Sequence[Column]) -> Mapping[Column, Tensor]:
        """(N, D), float32, on the CPU, for each column asked for.

        Args:
            images: (N, C, H, W), float32, in [0, 1], on the CPU, in the frame.
            columns: which; each is its own, so that a row never depends on what else is asked or which images are near.

        Raises:
            ValueError: a column it does not have.
        """
