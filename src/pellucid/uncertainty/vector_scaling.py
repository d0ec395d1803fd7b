"""Vector scaling: a factor and an offset for each class's logit.

C. Guo, G. Pleiss, Y. Sun, K. Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, section 4.2.
https://arxiv.org/abs/1706.04599
"""

import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.checks import check_count, check_range

from ._fitted import load_fitted, save_fitted
from ._labelled import check_calibration, check_logits

FLAT = 1e-5
"""A gradient's largest entry below which the minimum counts as found."""


class VectorScaling:
    """Probabilities softmax(w * logits + b), w and b (K,) fitted by likelihood; the predicted class may change.

    Args:
        penalty: of (w - 1)^2 + b^2, summed, beside the mean negative log-likelihood; at least 0 (the paper's).
        steps: of the L-BFGS method at most, at least 1.
    """

    weight_: Tensor  # (K,), float64
    bias_: Tensor  # (K,), float64

    def __init__(self, *, penalty: float = 0.0, steps: int = 500) -> None:
        check_range("penalty", penalty, 0)
        check_count("steps", steps, 1)
        self.penalty, self.steps = penalty, steps

    def fit(self, logits: Tensor, targets: Tensor) -> "VectorScaling":
        """Find the factors and offsets under which the labels are most likely, from none (1 and 0); it is convex.

        Warns where the minimum was not reached, as with data that the offsets can separate.

        Args:
            logits: (N, K), float, of images that the model was not trained on, many more than classes.
            targets: (N,), int64, in [0, K), the true classes.

        Raises:
            ValueError: logits or targets are not as above, or a class without an image leaves its offset unbounded.
        """
        logits, targets = check_calibration(logits, targets)
        missing = (torch.bincount(targets, minlength=logits.shape[1]) == 0).nonzero()[:, 0].tolist()
        if missing and self.penalty == 0:
            raise ValueError(
                f"targets must hold every class where penalty is 0, but none is {missing[0]} ({len(missing)} classes "
                "lack one): without an image an offset falls for ever; give a penalty such as 1e-3, or more images"
            )
        with torch.enable_grad():
            self.weight_, self.bias_, gradient = self._minimum(logits, targets)
        if gradient > FLAT:
            warnings.warn(
                f"vector scaling has not reached its minimum in {self.steps} steps (gradient {gradient:.1g}): give a "
                "penalty such as 1e-3, more images, or take temperature scaling",
                stacklevel=2,
            )
        return self

    def scale(self, logits: Tensor) -> Tensor:
        """Calibrated logits (N, K)."""
        logits = check_logits(logits)
        if logits.shape[1] != len(self.weight_):
            raise ValueError(f"logits must be of the {len(self.weight_)} classes fitted on, got {logits.shape[1]}")
        return logits * self.weight_.to(logits) + self.bias_.to(logits)

    def __call__(self, logits: Tensor) -> Tensor:
        """Calibrated probabilities (N, K) of logits (N, K), of their device and dtype."""
        return self.scale(logits).softmax(dim=1)

    def save(self, folder: str | Path) -> None:
        """Write what was fitted into a folder."""
        options = {"penalty": self.penalty, "steps": self.steps}
        save_fitted(folder, "vector_scaling", options, {"weight": self.weight_, "bias": self.bias_})

    @classmethod
    def load(cls, folder: str | Path) -> "VectorScaling":
        """Read what `save` wrote."""
        options, tensors = load_fitted(folder, "vector_scaling", ["weight", "bias"])
        if set(options) != {"penalty", "steps"}:
            raise ValueError(f"{folder}: options must give penalty and steps, got {', '.join(options)}")
        found = cls(penalty=float(options["penalty"]), steps=int(options["steps"]))
        found.weight_, found.bias_ = tensors["weight"], tensors["bias"]
        if found.weight_.ndim != 1 or found.weight_.shape != found.bias_.shape:
            raise ValueError(f"{folder}: weight and bias must have shape (K,)")
        return found

    def _minimum(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, float]:
        """Factors (K,), offsets (K,), and the largest entry of the gradient there."""
        weight = torch.ones(logits.shape[1], dtype=torch.float64, requires_grad=True)
        bias = torch.zeros(logits.shape[1], dtype=torch.float64, requires_grad=True)
        search = torch.optim.LBFGS(
            [weight, bias],
            max_iter=self.steps,
            tolerance_grad=FLAT / 100,
            tolerance_change=1e-14,
            history_size=20,
            line_search_fn="strong_wolfe",
        )

        def loss() -> Tensor:
            search.zero_grad()
            apart = (weight - 1).square().sum() + bias.square().sum()
            value = F.cross_entropy(logits * weight + bias, targets) + self.penalty * apart
            value.backward()  # type: ignore[no-untyped-call]
            return value

        search.step(loss)  # type: ignore[no-untyped-call]
        loss()
        gradient = max(float(each.grad.abs().max()) for each in (weight, bias) if each.grad is not None)
        return weight.detach(), bias.detach() - bias.detach().mean(), gradient
