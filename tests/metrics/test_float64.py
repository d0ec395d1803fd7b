"""Some devices have no float64 (MPS): what is counted in it is counted on the CPU."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from pellucid import metrics
from pellucid.metrics import explanation

from .explanation.nets import HEAT, IMAGES, TARGETS, Small, gradient


class Elsewhere(TorchFunctionMode):
    """Some tensors, and all that is made of them, are taken to be on a device without float64, until `.cpu()`."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        there = any(getattr(leaf, "is_elsewhere", False) for leaf in tree_leaves((args, kwargs)))
        found = func(*args, **(kwargs or {}))
        if func is Tensor.cpu:
            return found.clone() if there else found
        if there:
            self.mark(found)
        return found

    @staticmethod
    def mark(found: Any) -> None:
        with torch._C.DisableTorchFunction():
            for leaf in tree_leaves(found):
                if isinstance(leaf, Tensor):
                    if leaf.dtype == torch.float64:
                        raise TypeError("no float64 on this device")
                    leaf.is_elsewhere = True  # type: ignore[attr-defined]


BOXES = [torch.tensor([[1.0, 1.0, 4.0, 6.0]])] * 3
CASES: dict[str, Callable[..., Any]] = {
    "average_drop": lambda model, images, heat: explanation.average_drop(model, images, TARGETS, heat),
    "completeness": lambda model, images, heat: explanation.completeness(model, images, TARGETS, heat),
    "deletion": lambda model, images, heat: explanation.deletion(model, images, TARGETS, heat, steps=4),
    "insertion": lambda model, images, heat: explanation.insertion(model, images, TARGETS, heat, steps=4),
    "pointing_game": lambda _model, _images, heat: explanation.pointing_game(heat, BOXES, tolerance=1),
    "model_randomisation": lambda model, images, _heat: explanation.model_randomisation(
        partial(gradient), model, images, TARGETS, stages=2
    ),
    "baselines": lambda _model, images, _heat: explanation.baselines(images),
    "bootstrap": lambda _model, images, _heat: metrics.bootstrap(images.flatten(), draws=5),
    "reliability": lambda _model, images, _heat: metrics.reliability(images.flatten(), images.flatten() > 0.5),
    "per_class": lambda _model, _images, heat: metrics.per_class(
        heat.flatten().gt(0).long(), heat.flatten().gt(1).long(), 2
    ),
    "heat_boxes": lambda _model, _images, heat: metrics.heat_boxes(heat),
    "failure_table": lambda _model, images, _heat: metrics.ranking.failure_table(
        {"x": images.flatten()}, images.flatten() > 0.5, draws=2
    ),
    "detection_table": lambda _model, images, heat: metrics.ranking.detection_table(
        {"x": images.flatten()}, {"x": heat.flatten()}, draws=2
    ),
    "threshold_for_accuracy": lambda _model, images, _heat: metrics.ranking.threshold_for_accuracy(
        images.flatten(), images.flatten() > 0.5
    ),
}
PROPERTIES = ("accuracy", "drop_percent", "increase_percent", "final", "lowest")


@pytest.mark.parametrize("name", CASES)
def test_no_float64_beside_the_cpu(name: str) -> None:
    images, heat, model = IMAGES.float(), HEAT.float(), Small().float()
    for tensor in (images, heat):
        Elsewhere.mark(tensor)
    with Elsewhere():
        found = CASES[name](model, images, heat)
        for told in PROPERTIES:
            getattr(found, told, None)


def test_the_guard_sees_float64() -> None:
    heat = HEAT.float()
    Elsewhere.mark(heat)
    with Elsewhere():
        heat.cpu().double()
        with pytest.raises(TypeError, match="no float64"):
            (heat + 1).double()
