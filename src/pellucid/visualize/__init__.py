"""What a network responds to: f(model, ...) -> images in [0, 1], or a frozen result that holds them.

`activations` and `patches` look at pictures through the network; `filters` shows its weights; `neuron` and
`class_image` paint the image it asks for.
"""

from ._ascent import PRESETS
from .activations import activations
from .class_image import class_image
from .filters import filters
from .neuron import neuron
from .patches import patches

__all__ = ["PRESETS", "activations", "class_image", "filters", "neuron", "patches"]
