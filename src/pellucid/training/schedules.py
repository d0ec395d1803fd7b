"""Learning rates over time, as closed forms of the time t in epochs (a fraction amid an epoch).

constant     1
step         r^floor(t / period)
exponential  r^t
inverse      1 / (1 + r t)
cosine       m + (1 - m) (1 + cos(pi t / T)) / 2         I. Loshchilov, F. Hutter, "SGDR", ICLR 2017
cyclic       cosine with the t since the cycle began, t mod period, and T = period: the same with restarts
one_cycle    1/25 up to 1 in 30 % of the steps, then down to 1/250,000, both as half cosines
                                                          L. Smith, N. Topin, "Super-Convergence", 2018
plateau      factor^k, k the times the watched value did not get better for `patience` epochs

All multiply the optimizer's own rate. A warm-up multiplies the first w epochs by a line from nearly 0 to 1
(P. Goyal et al., "Accurate, Large Minibatch SGD", 2017).
"""

import math
from collections.abc import Mapping
from typing import Any

import torch

from pellucid.checks import check_choice, check_count, check_range

NAMES = ("constant", "step", "exponential", "inverse", "cosine", "cyclic", "one_cycle", "plateau")

RATES = {"step": 0.1, "exponential": 0.95, "inverse": 0.1, "plateau": 0.5}
"""What r (for plateau: factor) is where nothing else is said."""

RISE, START, END = 0.3, 1 / 25, 1 / 250_000
"""Of one_cycle: the share of rising steps, the first and the last rate."""


class Schedule:
    """Sets the learning rate before every step; a plateau is told the watched value after each epoch.

    Args:
        optimizer: whose rates are multiplied.
        name: constant, step, exponential, inverse, cosine, cyclic, one_cycle or plateau.
        epochs: T, at least 1.
        steps_per_epoch: updates an epoch, at least 1.
        rate: r of the formulas, positive; None is step 0.1, exponential 0.95, inverse 0.1, plateau 0.5.
        period: epochs between two steps of `step`, or of a cycle of `cyclic`; None is a third of all.
        floor: m of cosine and cyclic, in [0, 1].
        patience: epochs a plateau waits, at least 0.
        warmup: epochs of rising rate at the start, at least 0; not with one_cycle, which rises by itself.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        name: str = "constant",
        *,
        epochs: int,
        steps_per_epoch: int,
        rate: float | None = None,
        period: float | None = None,
        floor: float = 0.0,
        patience: int = 3,
        warmup: float = 0.0,
    ) -> None:
        check_choice("schedule", name, NAMES)
        check_count("epochs", epochs, 1)
        check_count("steps_per_epoch", steps_per_epoch, 1)
        check_range("floor", floor, 0, 1)
        check_range("patience", patience, 0)
        check_range("warmup", warmup, 0, epochs)
        if name == "one_cycle" and warmup:
            raise ValueError(f"warmup must be 0 with one_cycle, which rises by itself, got {warmup}")
        self.rate = RATES.get(name, 1.0) if rate is None else rate
        self.period = epochs / 3 if period is None else period
        for told, value in (("rate", self.rate), ("period", self.period)):
            if not 0 < value < math.inf:
                raise ValueError(f"{told} must be positive, got {value}")
        self.optimizer, self.name = optimizer, name
        self.epochs, self.steps_per_epoch = epochs, steps_per_epoch
        self.floor, self.patience, self.warmup = floor, patience, warmup
        self.base = [float(group["lr"]) for group in optimizer.param_groups]
        self.steps, self.drops, self.waited = 0, 0, 0
        self.best: float | None = None
        self._set()

    def factor(self, steps: int) -> float:
        """What the rate is multiplied by after so many steps; a plateau's drops so far are in it."""
        t = steps / self.steps_per_epoch
        rising = self.warmup * self.steps_per_epoch
        warm = min(1.0, (steps + 1) / rising) if rising else 1.0
        return warm * self._formula(t, steps)

    def step(self) -> None:
        """One update was made."""
        self.steps += 1
        self._set()

    def told(self, value: float) -> None:
        """An epoch ended with this value of what a plateau watches; smaller is better. Others do not listen."""
        if self.name != "plateau":
            return
        if self.best is None or value < self.best * (1 - 1e-4 if self.best > 0 else 1 + 1e-4):
            self.best, self.waited = value, 0
            return
        self.waited += 1
        if self.waited > self.patience:
            self.drops, self.waited = self.drops + 1, 0
            self._set()

    def state_dict(self) -> dict[str, Any]:
        """How far it is."""
        return {"steps": self.steps, "drops": self.drops, "waited": self.waited, "best": self.best}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on where a saved one stood."""
        self.steps, self.drops, self.waited = (int(saved[name]) for name in ("steps", "drops", "waited"))
        self.best = None if saved["best"] is None else float(saved["best"])
        self._set()

    def _formula(self, t: float, steps: int) -> float:
        if self.name == "step":
            return float(self.rate ** math.floor(t / self.period))
        if self.name == "exponential":
            return float(self.rate**t)
        if self.name == "inverse":
            return 1 / (1 + self.rate * t)
        if self.name in {"cosine", "cyclic"}:
            passed = min(t / self.epochs, 1) if self.name == "cosine" else t % self.period / self.period
            return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * passed)) / 2
        if self.name == "one_cycle":
            return _one_cycle(steps, self.epochs * self.steps_per_epoch)
        return float(self.rate**self.drops) if self.name == "plateau" else 1.0

    def _set(self) -> None:
        factor = self.factor(self.steps)
        for base, group in zip(self.base, self.optimizer.param_groups, strict=True):
            group["lr"] = base * factor


def _one_cycle(steps: int, total: int) -> float:
    """Up, then down; counted as torch's OneCycleLR counts, whose last step has the last rate."""
    top, last = RISE * total - 1, total - 1
    if steps <= top:
        return _between(START, 1, steps / top)
    return _between(1, END, min(1.0, (steps - top) / (last - top))) if last > top else END


def _between(first: float, last: float, share: float) -> float:
    """From first to last along half a cosine."""
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2
