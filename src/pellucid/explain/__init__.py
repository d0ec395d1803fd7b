"""Where a model looks: f(model, images, targets, *, options) -> heat (N, H, W), positive = evidence for the target."""

from .grad_cam import grad_cam
from .guided_backprop import guided_backprop
from .occlusion import occlusion
from .saliency import saliency

__all__ = ["grad_cam", "guided_backprop", "occlusion", "saliency"]
