"""Weights as a network has them before it learns, for any layer.

The paper draws each layer's weights as its training did, which a finished network does not tell. Here the weights of
fully connected, convolution and attention layers are normal with variance 1 / inputs, which neither floods nor starves
the layers behind (with 2 / inputs, networks that hold values below 6 saturate and have no gradient); norms, frozen
ones too, have scale 1, shift 0 and the statistics of a standard normal; biases are 0; anything else (tokens,
positions, scales of branches) is normal with the mean and spread it had.
"""

import torch
from torch import Tensor, nn

WEIGHTED = (nn.Linear, nn.modules.conv._ConvNd, nn.MultiheadAttention)
NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)

FRESH = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}
"""Of a norm that has learned nothing."""


@torch.inference_mode(False)
@torch.no_grad()
def redraw(module: nn.Module, generator: torch.Generator) -> None:
    """Draw a module's own parameters anew, and its statistics; those of its parts are left as they are."""
    for name, parameter in module.named_parameters(recurse=False):
        if isinstance(module, NORMS):
            parameter.fill_(float(name == "weight"))
        elif "bias" in name:
            parameter.zero_()
        elif isinstance(module, WEIGHTED) and parameter.ndim >= 2:
            parameter.copy_(_normal(parameter, generator) / _inputs(module, parameter) ** 0.5)
        else:
            mean, spread = parameter.mean(), parameter.std(correction=0)
            parameter.copy_(mean + spread * _normal(parameter, generator))
    if isinstance(module, nn.modules.batchnorm._NormBase):
        module.reset_running_stats()
    elif _is_frozen_norm(module):
        for name, buffer in module.named_buffers(recurse=False):
            if name in FRESH:
                buffer.fill_(FRESH[name])


def has_own(module: nn.Module) -> bool:
    """Whether there is anything to draw anew in a module itself, its parts left out."""
    return next(module.parameters(recurse=False), None) is not None or _has_statistics(module)


def _has_statistics(module: nn.Module) -> bool:
    return {"running_mean", "running_var"} <= {name for name, _ in module.named_buffers(recurse=False)}


def _is_frozen_norm(module: nn.Module) -> bool:
    """A norm whose scale and shift are buffers like its statistics, as detectors have it."""
    return _has_statistics(module) and next(module.parameters(recurse=False), None) is None


def _inputs(module: nn.Module, weight: Tensor) -> int:
    """How many numbers go into one output: a transposed convolution lists them first, all else behind the outputs."""
    outputs = weight.shape[1] if getattr(module, "transposed", False) else weight.shape[0]
    return weight.numel() // outputs


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal, drawn where the generator is, so that every device gets the same."""
    return torch.randn(like.shape, generator=generator, device=generator.device).to(like)
