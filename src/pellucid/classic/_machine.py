"""Support vector machines on a kernel's values, by scikit-learn (libsvm), so that one matrix serves every C.

C. Cortes, V. Vapnik, "Support-Vector Networks", Machine Learning 20, 1995. https://doi.org/10.1007/BF00994018
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    import numpy as np

MULTICLASS = ("one_vs_one", "one_vs_rest")
"""A machine for each pair of classes, which vote; or one for each class against all others."""


class Machine:
    """One machine, or one a class.

    Args:
        values: (N, N), of training rows among each other.
        places: (N,), classes 0 to K - 1.
        cost: C.
        multiclass: one_vs_one or one_vs_rest.
    """

    def __init__(self, values: "np.ndarray", places: "np.ndarray", cost: float, multiclass: str) -> None:
        from sklearn.svm import SVC

        wide = values.astype("float64")  # libsvm's own; else each machine would copy it

        def learned(labels: Any) -> Any:
            return SVC(kernel="precomputed", C=cost, cache_size=500).fit(wide, labels)

        count = int(places.max()) + 1
        self.is_pair = count == 2
        each = [places] if multiclass == "one_vs_one" or self.is_pair else [places == number for number in range(count)]
        self.machines = [learned(labels) for labels in each]

    def scores(self, values: "np.ndarray") -> "np.ndarray":
        """(n, K), of rows' values (n, N) against the training rows."""
        import numpy as np

        found = [machine.decision_function(values.astype("float64")) for machine in self.machines]
        if self.is_pair:
            return np.stack([-found[0], found[0]], axis=1)
        return found[0] if len(found) == 1 else np.stack(found, axis=1)


def check_classes(rows: Tensor, targets: Tensor) -> None:
    """Refuse targets that are not int64, one a row, of at least 2 classes."""
    if not isinstance(targets, Tensor) or targets.dtype != torch.int64 or targets.shape != rows.shape[:1]:
        given = f"{targets.dtype} {tuple(targets.shape)}" if isinstance(targets, Tensor) else type(targets).__name__
        raise ValueError(f"targets must be int64 ({len(rows)},), one for each row, got {given}")
    if len(torch.unique(targets)) < 2:
        raise ValueError(f"targets must be of at least 2 classes, got {int(targets[0])} alone")
