"""Isotonic calibration: each class's probability mapped by the rising steps that fit its frequency best.

B. Zadrozny, C. Elkan, "Transforming Classifier Scores into Accurate Multiclass Probability Estimates", KDD 2002,
section 4 (one class against the rest, normalised). https://doi.org/10.1145/775047.775151
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ._fitted import load_fitted, save_fitted
from ._labelled import check_calibration, check_logits


class IsotonicCalibration:
    """Softmax probabilities, each class's mapped by a rising function, then divided by their sum.

    The predicted class may change, and classes may come to be level; it takes hundreds of images of each class.
    """

    inputs_: Tensor  # (P,), float64, corners of all classes, one class after the other
    outputs_: Tensor  # (P,), float64, in [0, 1], rising within a class
    counts_: Tensor  # (K,), int64, corners of each class

    def fit(self, logits: Tensor, targets: Tensor) -> "IsotonicCalibration":
        """Find each class's rising function by least squares (pool adjacent violators).

        Args:
            logits: (N, K), float, of images that the model was not trained on.
            targets: (N,), int64, in [0, K), the true classes.

        Raises:
            ValueError: logits or targets are not as above.
        """
        from sklearn.isotonic import IsotonicRegression

        logits, targets = check_calibration(logits, targets)
        stated = logits.softmax(dim=1).numpy()
        corners = []
        for number in range(stated.shape[1]):
            search = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
            search.fit(stated[:, number], (targets == number).double().numpy())
            corners.append(torch.from_numpy(np.stack([search.X_thresholds_, search.y_thresholds_])))  # (2, P_k)
        self.inputs_, self.outputs_ = torch.cat(corners, dim=1)
        self.counts_ = torch.tensor([each.shape[1] for each in corners])
        return self

    def __call__(self, logits: Tensor) -> Tensor:
        """Calibrated probabilities (N, K) of logits (N, K), of their device and dtype.

        Where every class is mapped to 0 the row stays as the softmax gave it.
        """
        logits = check_logits(logits)
        if logits.shape[1] != len(self.counts_):
            raise ValueError(f"logits must be of the {len(self.counts_)} classes fitted on, got {logits.shape[1]}")
        stated = logits.cpu().double().softmax(dim=1)
        ends = self.counts_.cumsum(0)[:-1]
        inputs, outputs = (each.tensor_split(ends) for each in (self.inputs_, self.outputs_))
        mapped = [
            torch.from_numpy(np.interp(column.numpy(), x.numpy(), y.numpy()))
            for column, x, y in zip(stated.T, inputs, outputs, strict=True)
        ]
        rows = torch.stack(mapped, dim=1)  # (N, K)
        total = rows.sum(dim=1, keepdim=True)
        return torch.where(total > 0, rows / torch.where(total > 0, total, 1), stated).to(logits)

    def save(self, folder: str | Path) -> None:
        """Write what was fitted into a folder."""
        tensors = {"inputs": self.inputs_, "outputs": self.outputs_, "counts": self.counts_}
        save_fitted(folder, "isotonic_calibration", {}, tensors)

    @classmethod
    def load(cls, folder: str | Path) -> "IsotonicCalibration":
        """Read what `save` wrote."""
        _, tensors = load_fitted(folder, "isotonic_calibration", ["inputs", "outputs", "counts"])
        found = cls()
        found.inputs_, found.outputs_, found.counts_ = (tensors[name] for name in ("inputs", "outputs", "counts"))
        is_whole = found.counts_.dtype == torch.int64 and found.counts_.ndim == 1 and bool((found.counts_ > 0).all())
        if not is_whole or not int(found.counts_.sum()) == len(found.inputs_) == len(found.outputs_):
            raise ValueError(f"{folder}: counts must be the corners of each class, as many as inputs and outputs")
        return found
