"""When to stop, and which epoch was best."""

import math
from collections.abc import Mapping
from typing import Any

from pellucid.checks import check_choice, check_count, check_range, near


class Stopping:
    """Watches one value of the records: asked after each epoch, it says whether it is the best so far, and the end.

    L. Prechelt, "Early Stopping - But When?", Neural Networks: Tricks of the Trade, 1998.

    Args:
        monitor: name of the value, such as val_loss.
        patience: epochs without a better value after which it is over; None never ends.
        min_delta: what counts as better must differ by more than this, at least 0.
        mode: min (smaller is better) or max; "" is max for names with accuracy in them, else min.
        tie: name of a value whose smallness decides among equals, such as val_loss; it does not lengthen the patience.
    """

    def __init__(
        self, monitor: str, *, patience: int | None = None, min_delta: float = 0.0, mode: str = "", tie: str = ""
    ) -> None:
        check_choice("mode", mode, ["", "min", "max"])
        check_range("min_delta", min_delta, 0)
        if patience is not None:
            check_count("patience", patience, 1)
        self.monitor, self.patience, self.min_delta = monitor, patience, min_delta
        self.mode = mode or ("max" if "accuracy" in monitor else "min")
        self.tie = tie
        self.best: float | None = None
        self.best_tie = math.inf
        self.best_epoch = 0
        self.waited = 0

    def is_better(self, epoch: int, values: Mapping[str, float]) -> bool:
        """Take an epoch's values in; whether they are the best so far (the first are)."""
        if self.monitor not in values:
            hint = near(self.monitor, values)
            raise ValueError(f"monitor must be one of {', '.join(values)}, got {self.monitor!r}{hint}")
        value = values[self.monitor]
        if math.isnan(value):
            raise ValueError(f"{self.monitor} became nan in epoch {epoch}: lower lr")
        sign = 1 if self.mode == "max" else -1
        tie = values[self.tie] if self.tie else math.inf
        if self.best is None or sign * (value - self.best) > self.min_delta:
            self.best, self.best_tie, self.best_epoch, self.waited = value, tie, epoch, 0
            return True
        self.waited += 1
        if value == self.best and tie < self.best_tie:
            self.best_tie, self.best_epoch = tie, epoch
            return True
        return False

    @property
    def is_over(self) -> bool:
        """Whether patience is at its end."""
        return self.patience is not None and self.waited >= self.patience

    def state_dict(self) -> dict[str, Any]:
        """What was learned so far."""
        counts = {"best_epoch": self.best_epoch, "waited": self.waited}
        return {"best": self.best, "best_tie": self.best_tie, **counts}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on where a saved one stood."""
        self.best = None if saved["best"] is None else float(saved["best"])
        self.best_tie = float(saved["best_tie"])
        self.best_epoch, self.waited = int(saved["best_epoch"]), int(saved["waited"])
