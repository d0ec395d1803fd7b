"""Logic gates: units that fire where w0 + w·x >= 0, one for each gate, two layers for any table.

W. McCulloch, W. Pitts, "A logical calculus of the ideas immanent in nervous activity", Bulletin of Mathematical
Biophysics 5, 1943. https://doi.org/10.1007/BF02478259
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.checks import check_count

from .hyperplane import activation

OR = (-0.5, 1.0, 1.0)
AND = (-2.0, 1.5, 1.0)
NOT = (0.5, -1.0)
NAND = (2.0, -1.5, -1.0)
"""Weights (w0, w1, ...) of a gate on inputs 0 and 1; NAND is AND with every sign turned."""

MOST = 4
"""Inputs of a table at most."""


@dataclass(frozen=True)
class GateNetwork:
    """Two layers of gates: an AND for each row that is true, and an OR over them."""

    hidden: Tensor  # (H, d + 1), float64: the weights of each AND, w0 first
    output: Tensor  # (H + 1,), float64: the weights of the OR

    def __call__(self, inputs: Tensor) -> Tensor:
        """0 or 1 for each row of inputs (N, d) of 0 and 1: (N,), float64."""
        return fires(self.output, self.fired(inputs))

    def fired(self, inputs: Tensor) -> Tensor:
        """Which hidden gates fire: (N, H), 0 or 1, float64."""
        gates = [fires(weights, inputs) for weights in self.hidden]
        return torch.stack(gates, dim=1) if gates else torch.zeros(len(inputs), 0, dtype=torch.float64)


def fires(weights: Tensor | tuple[float, ...], inputs: Tensor) -> Tensor:
    """A gate's output.

    Args:
        weights: (d + 1,), w0 first.
        inputs: (N, d), 0 or 1.

    Returns:
        (N,), float64: 1 where w0 + w·x >= 0, else 0.

    Raises:
        ValueError: an input is neither 0 nor 1.
    """
    _check_binary("inputs", inputs)
    return (activation(torch.as_tensor(weights, dtype=torch.float64), inputs.double()) >= 0).double()


def all_inputs(count: int) -> Tensor:
    """Every row of so many inputs of 0 and 1: (2**count, count), float64; the first input changes slowest."""
    check_count("inputs", count, 1, MOST)
    rows = torch.arange(2**count)[:, None]  # (2**d, 1)
    return (rows >> torch.arange(count - 1, -1, -1) & 1).double()


def gate_network(table: Tensor) -> GateNetwork:
    """Two layers of gates that answer a table: its disjunctive normal form.

    Args:
        table: (2**d,), 0 or 1, d from 1 to 4: the answers for the rows of `all_inputs(d)`.

    Raises:
        ValueError: another length, or an answer that is neither 0 nor 1.
    """
    lengths = [2**count for count in range(1, MOST + 1)]
    if table.ndim != 1 or len(table) not in lengths:
        raise ValueError(f"table must have 2, 4, 8 or 16 answers, one for each row, got shape {tuple(table.shape)}")
    _check_binary("table", table)
    rows = all_inputs(len(table).bit_length() - 1)[table.bool()]  # (H, d)
    literals = 2 * rows - 1  # an input that must be 0 weighs -1
    hidden = torch.cat([0.5 - rows.sum(dim=1, keepdim=True), literals], dim=1)  # 1/2 at its row, else -1/2 or less
    output = torch.cat([torch.tensor([-0.5], dtype=torch.float64), torch.ones(len(rows), dtype=torch.float64)])
    return GateNetwork(hidden, output)


def _check_binary(name: str, values: Tensor) -> None:
    if not bool(((values == 0) | (values == 1)).all()):
        raise ValueError(
            f"{name} must be 0 or 1, got {next(v for v in values.flatten().tolist() if v not in {0, 1}):g}"
        )
