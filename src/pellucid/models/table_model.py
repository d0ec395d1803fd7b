"""A model of tables: a network that owns its column names, scaling and class names. Call it on rows, get logits."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.checks import check_count

from .scaling import Scaler


class TableModel(nn.Module):
    """A classifier to be called on rows (N, d) in the table's own units; the answer is its logits (N, K).

    Args:
        network: maps scaled rows to logits; kept as it is, in the mode it is in.
        columns: d names, in the order of a row's numbers.
        scaler: fitted on the rows the network was trained on.
        classes: K names in output order.
        target: what the classes are of, as the table's heading says.
        source: how the model was named and found; stamped on every record.
        build: architecture and arguments that build the network anew, where known; needed to save it.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        columns: Sequence[str],
        scaler: Scaler,
        classes: Sequence[str],
        target: str = "class",
        source: Mapping[str, Any] = MappingProxyType({}),
        build: tuple[str, Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__()
        for name, words in (("columns", columns), ("classes", classes)):
            if isinstance(words, str) or not words or len(set(words)) < len(words):
                raise ValueError(f"{name} must be a list of at least one name, each another, got {words!r}")
        if not hasattr(scaler, "scale_") or len(scaler.scale_) != len(columns):
            raise ValueError(f"scaler must be fitted on {len(columns)} columns")
        self.network = network
        self.columns, self.classes = tuple(columns), tuple(classes)
        self.scaler, self.target = scaler, target
        self.source, self.build = dict(source), build
        self.training = network.training

    def forward(self, rows: Tensor) -> Tensor:
        """Logits (N, K) of rows (N, d) in the table's own units."""
        scaled = self.scaler.transform(rows)  # in the rows' own precision, which is better than the network's
        first = next(self.network.parameters(), rows)
        logits: Tensor = self.network(scaled.to(first))
        return logits


def mlp(*, inputs: int, classes: int, hidden: int = 16, layers: int = 1, dropout: float = 0.0) -> nn.Sequential:
    """A freshly initialised net of fully connected layers, each hidden one followed by a ReLU.

    F. Rosenblatt, "Principles of Neurodynamics", Spartan Books, 1962; D. Rumelhart, G. Hinton, R. Williams, "Learning
    Representations by Back-propagating Errors", Nature 323, 1986. https://doi.org/10.1038/323533a0

    Args:
        inputs: d, numbers in a row, 1 to 100,000.
        classes: K, at least 2.
        hidden: units of each hidden layer, 1 to 100,000.
        layers: hidden layers, 0 (a linear model) to 100.
        dropout: share of hidden units that are silent in a training step, in [0, 1).
    """
    for name, value, low, high in (
        ("inputs", inputs, 1, 100_000),
        ("classes", classes, 2, 1_000_000),
        ("hidden", hidden, 1, 100_000),
        ("layers", layers, 0, 100),
    ):
        check_count(name, value, low, high)
    if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise ValueError(f"dropout must be in [0, 1), got {dropout!r}")
    parts: list[nn.Module] = []
    width = inputs
    for _ in range(layers):
        parts += [nn.Linear(width, hidden), nn.ReLU(), *([nn.Dropout(dropout)] if dropout else [])]
        width = hidden
    return nn.Sequential(*parts, nn.Linear(width, classes))


def create_table_model(
    columns: Sequence[str],
    *,
    scaler: Scaler,
    classes: Sequence[str],
    target: str = "class",
    hidden: int = 16,
    layers: int = 1,
    dropout: float = 0.0,
) -> TableModel:
    """A freshly initialised TableModel, in training mode.

    Args:
        columns: d names.
        scaler: fitted on the rows to train on.
        classes: K names, in output order.
        target: what the classes are of.
        hidden: units of each hidden layer.
        layers: hidden layers.
        dropout: share of hidden units that are silent in a training step, in [0, 1).
    """
    arguments = {
        "inputs": len(columns),
        "classes": len(classes),
        "hidden": hidden,
        "layers": layers,
        "dropout": dropout,
    }
    source = {"architecture": "mlp", "weights": "none"}
    return TableModel(
        mlp(**arguments),  # type: ignore[arg-type]  # whole numbers, but for dropout
        columns=columns,
        scaler=scaler,
        classes=classes,
        target=target,
        source=source,
        build=("mlp", arguments),
    )


@torch.no_grad()
def ramp_logits(model: TableModel) -> list[float]:
    """The first eight logits, in eval mode, of a fixed row: a ramp from 0 to 1 over the columns."""
    modes = {module: module.training for module in model.modules()}
    first = next(model.network.parameters(), torch.zeros(()))
    ramp = torch.linspace(0, 1, len(model.columns), device=first.device)
    try:
        logits: Tensor = model.eval()(ramp[None])
    finally:
        for module, mode in modes.items():
            module.training = mode
    return [float(value) for value in logits[0, :8]]
