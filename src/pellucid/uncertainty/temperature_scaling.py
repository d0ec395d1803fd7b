"""Temperature scaling: one number that all logits are divided by, so that a stated 80 % is right 80 times of 100.

C. Guo, G. Pleiss, Y. Sun, K. Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, section 4.2.
https://arxiv.org/abs/1706.04599
"""

import warnings
from pathlib import Path

import torch
from torch import Tensor

from ._fitted import load_fitted, save_fitted
from ._labelled import check_calibration, check_logits

LOWEST, HIGHEST = 0.01, 100.0
"""Temperatures beyond these are not told apart from none that would do."""

STEPS = 100
"""Of Newton's method, or of halving where that leaves the bracket: 100 halvings exhaust a float."""


class TemperatureScaling:
    """Probabilities softmax(logits / T), T fitted by likelihood; the predicted class never changes."""

    temperature_: float

    def fit(self, logits: Tensor, targets: Tensor) -> "TemperatureScaling":
        """Find the temperature under which the labels are most likely.

        The negative log-likelihood is convex in 1 / T, so that its one minimum is found by Newton's method. Warns where
        there is none, and takes the nearest temperature in [0.01, 100].

        Args:
            logits: (N, K), float, of images that the model was not trained on.
            targets: (N,), int64, in [0, K), the true classes.

        Raises:
            ValueError: logits or targets are not as above.
        """
        logits, targets = check_calibration(logits, targets)
        low, high = 1 / HIGHEST, 1 / LOWEST
        is_right = logits.gather(1, targets[:, None])[:, 0] == logits.amax(dim=1)
        if is_right.all() or _slopes(logits, targets, high)[0] < 0:
            warnings.warn(
                f"the likelihood only grows as the temperature falls to {LOWEST}, which is taken: {int(is_right.sum())}"
                f" of {len(logits)} images are right; take more, some of which the model gets wrong",
                stacklevel=2,
            )
            self.temperature_ = LOWEST
        elif _slopes(logits, targets, low)[0] > 0:
            warnings.warn(
                f"the likelihood only grows as the temperature rises to {HIGHEST:g}, which is taken: the logits tell "
                "nothing of the targets; are these in the order of the model's classes?",
                stacklevel=2,
            )
            self.temperature_ = HIGHEST
        else:
            self.temperature_ = 1 / _root(logits, targets, low, high)
        return self

    def scale(self, logits: Tensor) -> Tensor:
        """Calibrated logits (N, K): the given ones over the temperature."""
        return check_logits(logits) / self.temperature_

    def __call__(self, logits: Tensor) -> Tensor:
        """Calibrated probabilities (N, K) of logits (N, K), of their device and dtype."""
        return self.scale(logits).softmax(dim=1)

    def save(self, folder: str | Path) -> None:
        """Write what was fitted into a folder."""
        save_fitted(
            folder, "temperature_scaling", {}, {"temperature": torch.tensor(self.temperature_, dtype=torch.float64)}
        )

    @classmethod
    def load(cls, folder: str | Path) -> "TemperatureScaling":
        """Read what `save` wrote."""
        _, tensors = load_fitted(folder, "temperature_scaling", ["temperature"])
        found = cls()
        found.temperature_ = float(tensors["temperature"])
        if not found.temperature_ > 0:
            raise ValueError(f"{folder}: temperature must be above 0, got {found.temperature_}")
        return found


def _root(logits: Tensor, targets: Tensor, low: float, high: float) -> float:
    """The 1 / T at which the slope is 0, in a bracket."""
    inverse = 1.0
    for _ in range(STEPS):
        slope, curvature = _slopes(logits, targets, inverse)
        low, high = (inverse, high) if slope < 0 else (low, inverse)
        newton = inverse - slope / curvature if curvature > 0 else low
        following = newton if low < newton < high else (low * high) ** 0.5
        if abs(following - inverse) <= 1e-12 * inverse:
            break
        inverse = following
    return inverse


def _slopes(logits: Tensor, targets: Tensor, inverse: float) -> tuple[float, float]:
    """First and second derivative of the mean negative log-likelihood in 1 / T: E_p[z] - z_target, and Var_p[z]."""
    expected = (inverse * logits).softmax(dim=1)
    mean = (expected * logits).sum(dim=1)
    of_target = logits.gather(1, targets[:, None])[:, 0]
    variance = (expected * (logits - mean[:, None]).square()).sum(dim=1)
    return float((mean - of_target).mean()), float(variance.mean())
