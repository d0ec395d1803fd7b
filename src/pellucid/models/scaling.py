"""Scaling of a table's columns, fitted on the rows to train on and kept with the model that needs it.

Y. LeCun, L. Bottou, G. Orr, K.-R. Müller, "Efficient BackProp", Neural Networks: Tricks of the Trade, 1998,
section 4.3. https://doi.org/10.1007/3-540-49430-8_2
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pellucid.checks import check_choice, near

SCALERS = ("minmax", "standard", "whiten", "none")

FLAT = 1e-10
"""A spread below this share of the largest is none: what remains of equal numbers after rounding."""


class Scaler:
    """Brings columns (N, d) to one scale: z = (x - shift) / scale; whiten rotates in between, by the principal axes.

    minmax     shift: smallest value, scale: largest - smallest; rows it was fitted on lie in [0, 1], others may leave
    standard   shift: mean, scale: standard deviation (of all rows, not N - 1)
    whiten     shift: mean, rotated to the principal axes, scale: standard deviation along them; covariance is identity
    none       z = x

    What has no spread becomes 0, whatever its value. A missing value (NaN) is replaced by the column's mean before.

    Args:
        kind: minmax, standard, whiten or none.
        fills: whether missing values are replaced; else they are refused.
    """

    fill_: Tensor  # (d,), float64, column means
    shift_: Tensor  # (d,), float64
    scale_: Tensor  # (d,), float64, 0 where there is no spread
    rotation_: Tensor | None  # (d, d), float64, principal axes as columns; None: none

    def __init__(self, kind: str = "minmax", *, fills: bool = False) -> None:
        check_choice("scaler", kind, SCALERS)
        self.kind, self.fills = kind, fills

    def fit(self, values: Tensor, columns: Sequence[str] = ()) -> "Scaler":
        """Learn from rows.

        Args:
            values: (N, d), the rows to train on, and no others: what is learned of the rest is a leak.
            columns: d names, for what is said about them.

        Raises:
            ValueError: values are no rows of numbers, one is missing and may not be, or a column has none at all.
        """
        names = list(columns) or [str(place) for place in range(values.shape[-1])]
        _check(values, len(names))
        values = values.detach().cpu().double()
        known = values.isfinite()
        for is_wrong, told in (
            (~known.all(dim=0) & (not self.fills), "lacks a value: let it be filled, or leave such rows out"),
            (~known.any(dim=0), "has no value at all: leave it out"),
        ):
            if is_wrong.any():
                raise ValueError(f"column {names[int(is_wrong.int().argmax())]!r} {told}")
        self.fill_ = values.nanmean(dim=0)
        filled = torch.where(known, values, self.fill_)
        self.rotation_ = None
        low, high = filled.amin(dim=0), filled.amax(dim=0)
        constant = [name for name, is_flat in zip(names, (low == high).tolist(), strict=True) if is_flat]
        if constant and self.kind != "none":
            warnings.warn(f"column {', '.join(constant)} is constant in training and becomes 0", stacklevel=2)
        if self.kind == "minmax":
            self.shift_, self.scale_ = low, high - low
        elif self.kind == "standard":
            self.shift_ = filled.mean(dim=0)
            self.scale_ = torch.where(low == high, 0, filled.std(dim=0, correction=0))
        elif self.kind == "whiten":
            self._whiten(filled)
        else:
            self.shift_, self.scale_ = torch.zeros_like(low), torch.ones_like(low)
        return self

    def transform(self, values: Tensor) -> Tensor:
        """Rows (N, d) on the learned scale, of their dtype and device; differentiable."""
        _check(values, len(self.shift_))
        if not self.fills and values.isnan().any():
            raise ValueError(f"row {int(values.isnan().any(dim=1).int().argmax()) + 1} lacks a value")
        shift, scale = self.shift_.to(values), self.scale_.to(values)
        centred = torch.where(values.isnan(), self.fill_.to(values), values) - shift
        if self.rotation_ is not None:
            centred = centred @ self.rotation_.to(values)
        return torch.where(scale > 0, centred / torch.where(scale > 0, scale, 1), 0)

    def inverse(self, scaled: Tensor) -> Tensor:
        """Rows (N, d) in the table's own units again; a column without spread becomes its one value."""
        spread = scaled * self.scale_.to(scaled)
        if self.rotation_ is not None:
            spread = spread @ self.rotation_.to(scaled).T
        return spread + self.shift_.to(scaled)

    def state(self) -> dict[str, Any]:
        """What was learned, as plain numbers."""
        rotation = None if self.rotation_ is None else self.rotation_.tolist()
        learned = {"fill": self.fill_.tolist(), "shift": self.shift_.tolist(), "scale": self.scale_.tolist()}
        return {"kind": self.kind, "fills": self.fills, **learned, "rotation": rotation}

    @classmethod
    def from_state(cls, told: Mapping[str, Any], columns: int) -> "Scaler":
        """A fitted scaler from plain numbers, which are checked.

        Raises:
            ValueError: a key is missing or unknown, a number not finite, or a length wrong.
        """
        wanted = ("kind", "fills", "fill", "shift", "scale", "rotation")
        wrong = sorted(set(told) ^ set(wanted))
        if wrong:
            hint = near(wrong[0], wanted)
            raise ValueError(f"scaler must give {', '.join(wanted)}, got {', '.join(map(str, told))}{hint}")
        if not isinstance(told["fills"], bool):
            raise ValueError(f"scaler: fills must be true or false, got {told['fills']!r}")
        scaler = cls(told["kind"], fills=told["fills"])
        scaler.fill_, scaler.shift_, scaler.scale_ = (
            _tensor(key, told[key], (columns,)) for key in ("fill", "shift", "scale")
        )
        if (scaler.scale_ < 0).any():
            raise ValueError("scaler: scale must be at least 0")
        if (told["rotation"] is None) != (scaler.kind != "whiten"):
            raise ValueError(f"scaler: rotation must be given with whiten and only then, the kind is {scaler.kind}")
        rotation = told["rotation"]
        scaler.rotation_ = None if rotation is None else _tensor("rotation", rotation, (columns, columns))
        return scaler

    def _whiten(self, filled: Tensor) -> None:
        """Principal axes and spreads, from the singular values of the centred rows."""
        self.shift_ = filled.mean(dim=0)
        _, singular, axes = torch.linalg.svd(filled - self.shift_, full_matrices=True)  # axes (d, d), one a row
        spread = torch.zeros(len(axes), dtype=filled.dtype)
        spread[: len(singular)] = singular / len(filled) ** 0.5
        self.rotation_ = axes.T.contiguous()
        self.scale_ = torch.where(spread > FLAT * spread.max(), spread, 0)
        flat = int((self.scale_ == 0).sum())
        if flat:
            warnings.warn(f"{flat} of {len(axes)} principal axes have no spread and become 0", stacklevel=3)


def _check(values: Tensor, columns: int) -> None:
    shape = tuple(values.shape)
    if values.ndim != 2 or not len(values) or shape[1] != columns or not values.is_floating_point():
        raise ValueError(f"rows must be float numbers (N, {columns}), N at least 1, got {values.dtype} {shape}")
    infinite = values.isinf().any(dim=1)
    if infinite.any():
        raise ValueError(f"rows must be finite, got infinity in row {int(infinite.int().argmax()) + 1}")


def _tensor(key: str, numbers: Any, shape: tuple[int, ...]) -> Tensor:
    """Finite numbers of that shape."""
    told = f"scaler: {key} must be {'x'.join(map(str, shape))} finite numbers"
    try:
        found = torch.tensor(numbers, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise ValueError(told) from error
    if found.shape != shape or not found.isfinite().all():
        raise ValueError(f"{told}, got shape {tuple(found.shape)}")
    return found
