"""What the fitted detectors share: being fitted, and layers as one word."""

from typing import Any

from torch import Tensor

from pellucid.checks import check_eval, check_images


def check_asked(detector: Any, learned: str, images: Tensor) -> None:
    """Refuse a detector that learned nothing yet or whose model is training, and what is no images."""
    if not hasattr(detector, learned):
        raise ValueError(f"{type(detector).__name__} must be fitted on known images first: call fit(model, images)")
    check_eval(detector.model)
    check_images(images)


def layer_names(layers: str | None) -> tuple[str, ...]:
    """Dotted names joined by commas, apart; none for none."""
    return tuple(name for name in (part.strip() for part in (layers or "").split(",")) if name)
