"""Learning from a table: one net on the rows of one split, which are few enough to stand in memory as one tensor.

The scaler is fitted on the rows to train on; every choice (the best epoch, when to stop) is made on the val rows.
"""

import math
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.checks import check_choice, check_count
from pellucid.data import Split, Table
from pellucid.models import Scaler, TableModel, create_table_model

from .classify import Classify
from .engine import placed
from .fit import fit
from .optimizers import optimizer as optimizer_of
from .runs import Part
from .schedules import Schedule
from .state import State
from .stopping import Stopping

if TYPE_CHECKING:
    from lightning_fabric import Fabric

MONITORS = ("val_loss", "val_accuracy", "loss", "accuracy")
FAR = 1_000_003
"""Seeds of the orders of two trainings whose own seeds are near never meet before so many epochs."""


class TableTraining:
    """One net to be trained on a split of a table; call it for its epochs, then ask for `best()`.

    First weights and dropout come from torch's global generator, the order of the rows from the seed and the epoch.

    Args:
        table: rows and classes.
        split: train rows, val rows to choose the epoch by (none: the last epoch is kept), test rows, not looked at.
        scaler: minmax, standard, whiten or none; missing values are filled where the table has some.
        hidden: units of each hidden layer.
        layers: hidden layers.
        dropout: share of hidden units that are silent in a training step, in [0, 1).
        epochs: passes over the train rows at most, at least 1.
        batch_size: rows a step, at least 1.
        optimizer: by the names of `optimizer`.
        lr: learning rate, positive.
        momentum: of momentum and nesterov, in [0, 1).
        weight_decay: at least 0; biases are not decayed.
        schedule: by the names of `Schedule`; a plateau watches the val loss.
        monitor: val_loss, val_accuracy, loss or accuracy: by which the best epoch is chosen.
        patience: epochs without a better value after which it stops; None never stops.
        min_delta: what counts as better must differ by more than this, at least 0.
        seed: of the order of the rows, at least 0.
        fabric: device and precision; None is the CPU.
    """

    def __init__(
        self,
        table: Table,
        split: Split,
        *,
        scaler: str = "minmax",
        hidden: int = 16,
        layers: int = 1,
        dropout: float = 0.0,
        epochs: int = 500,
        batch_size: int = 16,
        optimizer: str = "adam",
        lr: float = 1e-3,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        schedule: str = "constant",
        monitor: str = "val_loss",
        patience: int | None = 100,
        min_delta: float = 0.0,
        seed: int = 0,
        fabric: "Fabric | None" = None,
    ) -> None:
        check_count("epochs", epochs, 1)
        check_count("batch_size", batch_size, 1)
        check_choice("monitor", monitor, MONITORS)
        self.epochs, self.batch_size, self.seed, self.fabric = epochs, batch_size, seed, fabric
        fitted = Scaler(scaler, fills=bool(table.values.isnan().any()))
        fitted.fit(table.values[split.train], table.columns)
        self.model = create_table_model(
            table.columns,
            scaler=fitted,
            classes=table.classes,
            target=table.target,
            hidden=hidden,
            layers=layers,
            dropout=dropout,
        )
        self.step = Classify(self.model.network)
        placed(self.step, fabric)
        scaled = fitted.transform(table.values).float().to(next(self.step.parameters()))
        targets = table.targets.to(scaled.device)
        self.train = (scaled[split.train], targets[split.train])
        self.val = (scaled[split.val], targets[split.val])
        self.optimizer = optimizer_of(optimizer, self.step, lr=lr, momentum=momentum, weight_decay=weight_decay)
        count = math.ceil(len(split.train) / batch_size)
        self.schedule = Schedule(self.optimizer, schedule, epochs=epochs, steps_per_epoch=count)
        self.stopping = Stopping(monitor, patience=patience, min_delta=min_delta)
        self.chooses = len(split.val) > 0
        self.state = State()
        self.kept = _Kept(self.model.network)

    @property
    def parts(self) -> dict[str, Part]:
        """All that a checkpoint needs; random state apart."""
        learner: dict[str, Part] = {"step": self.step, "optimizer": self.optimizer, "schedule": self.schedule}
        return {**learner, "stopping": self.stopping, "state": self.state, "kept": self.kept}

    @property
    def is_over(self) -> bool:
        """Whether all epochs are done, or patience is at its end."""
        return self.state.epoch >= self.epochs or (self.chooses and self.stopping.is_over)

    def __call__(self) -> Iterator[dict[str, Any]]:
        """Train from where it stands.

        Yields:
            After each epoch its number, lr, loss and accuracy (as met while the weights changed), the val rows' too,
            seconds, and whether it is the best so far.
        """
        if self.is_over:
            return
        for record in fit(
            self.step,
            self._batches,
            self.optimizer,
            epochs=self.epochs,
            schedule=self.schedule,
            state=self.state,
            fabric=self.fabric,
        ):
            values: dict[str, Any] = {"epoch": record.epoch, "steps": record.steps, "lr": record.lr, **record.values}
            if self.chooses:
                values |= self._judged()
            self.schedule.told(values.get("val_loss", values["loss"]))
            is_best = not self.chooses or self.stopping.is_better(record.epoch, values)
            if is_best:
                self.kept.keep(record.epoch, values)
            self.kept.seconds += record.seconds
            yield {**values, "seconds": round(record.seconds, 4), "best": is_best}
            if self.is_over:
                return

    def best(self) -> TableModel:
        """A copy of the model with the weights of its best epoch so far, in eval mode, on the CPU."""
        copy = deepcopy(self.model).cpu().float()
        copy.network.load_state_dict(self.kept.weights)
        return copy.eval()

    def _batches(self, epoch: int, skip: int) -> Iterator[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(self.seed * FAR + epoch)
        order = torch.randperm(len(self.train[1]), generator=generator).to(self.train[1].device)
        for chosen in torch.split(order, self.batch_size)[skip:]:
            yield self.train[0][chosen], self.train[1][chosen]

    @torch.no_grad()
    def _judged(self) -> dict[str, float]:
        self.step.eval()
        rows, targets = self.val
        logits = self.model.network(rows)
        loss, hits = F.cross_entropy(logits, targets), (logits.argmax(dim=1) == targets).float().mean()
        if not loss.isfinite():
            raise ValueError(f"val_loss became {float(loss):g} in epoch {self.state.epoch}: lower lr")
        return {"val_loss": float(loss), "val_accuracy": float(hits)}


class _Kept:
    """The weights of the best epoch so far."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        self.epoch = 0
        self.values: dict[str, Any] = {}
        self.seconds = 0.0  # of training, until now

    def keep(self, epoch: int, values: Mapping[str, Any]) -> None:
        """These are the best."""
        for name, tensor in self.network.state_dict().items():
            self.weights[name].copy_(tensor)
        self.epoch, self.values = epoch, dict(values)

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"weights": self.weights, "epoch": self.epoch, "values": self.values, "seconds": self.seconds}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on where a saved one stood."""
        self.weights = {name: tensor.to(self.weights[name]) for name, tensor in saved["weights"].items()}
        self.epoch, self.values, self.seconds = int(saved["epoch"]), dict(saved["values"]), float(saved["seconds"])
