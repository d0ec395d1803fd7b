"""Where a model looks: f(model, images, targets, *, options) -> heat (N, H, W), positive = evidence for the target."""

from .attention_rollout import attention_rollout
from .augmented_grad_cam import augmented_grad_cam
from .cam import cam
from .deconvnet import deconvnet
from .grad_cam import grad_cam
from .grad_cam_plus_plus import grad_cam_plus_plus
from .guided_backprop import guided_backprop
from .integrated_gradients import integrated_gradients
from .layer_cam import layer_cam
from .occlusion import occlusion
from .rise import rise
from .saliency import saliency
from .score_cam import score_cam
from .smooth_grad import smooth_grad
from .smooth_grad_cam_plus_plus import smooth_grad_cam_plus_plus

__all__ = [
    "attention_rollout",
    "augmented_grad_cam",
    "cam",
    "deconvnet",
    "grad_cam",
    "grad_cam_plus_plus",
    "guided_backprop",
    "integrated_gradients",
    "layer_cam",
    "occlusion",
    "rise",
    "saliency",
    "score_cam",
    "smooth_grad",
    "smooth_grad_cam_plus_plus",
]
