"""A calibrated copy of a model: the scaling folded into the weights of its last layer, to be saved as any other.

A network whose last layer is linear answers W h + b; scaled logits w (W h + b) + c are those of the weights w W and the
offsets w b + c.
"""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from pellucid.checks import check_eval
from pellucid.models import Model
from pellucid.models.probes import activations

from .temperature_scaling import TemperatureScaling
from .vector_scaling import VectorScaling

NEAR = 1e-4
"""How far, relative to the largest logit, the copy's answers may be from the scaled ones: rounding of float32."""


@torch.no_grad()
def calibrated(model: Model, scaling: TemperatureScaling | VectorScaling) -> Model:
    """A copy of a model that answers with calibrated logits; it is saved and loaded as the model itself.

    Args:
        model: in eval mode, left untouched.
        scaling: fitted on logits of this model.

    Returns:
        A Model of the same architecture, classes and images; its source tells of the scaling.

    Raises:
        ValueError: the network does not end in a linear layer or convolution with an output for each class, or in more
            than such a layer: a softmax, say; or vector scaling needs an offset that the layer does not have.
    """
    check_eval(model)
    if not isinstance(model, Model):
        raise ValueError(f"model must be a pellucid.models.Model, got {type(model).__name__}")
    told = {"kind": type(scaling).__name__}
    if isinstance(scaling, TemperatureScaling):
        told["temperature"] = f"{scaling.temperature_:.6g}"
    count = len(model.classes)
    images = _trial(model)
    before = model(images)
    expected = scaling.scale(before)
    offsets = scaling.scale(before.new_zeros(1, count))[0]  # (K,)
    factors = scaling.scale(before.new_ones(1, count))[0] - offsets  # (K,)
    for name in _candidates(model, images):
        network = copy.deepcopy(model.network)
        if not _fold(network.get_submodule(name), factors, offsets):
            continue
        found = _renewed(model, network, told)
        if float((found(images) - expected).abs().max()) <= NEAR * max(1.0, float(expected.abs().max())):
            return found
    raise ValueError(
        "the scaling cannot be folded into the network: its answer is not that of a last linear layer or convolution "
        f"of {count} outputs (with an offset, for vector scaling); keep the scaling beside it with save, and call it "
        "on the model's logits"
    )


def _candidates(model: Model, images: Tensor) -> Iterator[str]:
    """Linear layers and convolutions with an output for each class, those called last first."""
    names = [
        name
        for name, module in model.network.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d) and module.weight.shape[0] == len(model.classes)
    ]
    if "" in names:  # the network is one layer
        yield ""
        return
    with activations(model, names) as recorded:
        model(images)
    yield from reversed(list(recorded))


def _fold(layer: nn.Module, factors: Tensor, offsets: Tensor) -> bool:
    """Put the scaling into a layer's weights, in place; False where it lacks the offset that it would need."""
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    if layer.bias is None and float(offsets.abs().max()) > 0:
        return False
    layer.weight.mul_(factors.view(-1, *[1] * (layer.weight.ndim - 1)))
    if layer.bias is not None:
        layer.bias.mul_(factors).add_(offsets)
    return True


def _renewed(model: Model, network: nn.Module, told: dict[str, str]) -> Model:
    """The model around another network of the same build."""
    geometry = model.geometry
    return Model(
        network,
        mean=model.mean.flatten().tolist(),
        std=model.std.flatten().tolist(),
        classes=model.classes,
        size=geometry.size,
        resize=geometry.resize,
        interpolation=geometry.interpolation,
        class_ids=model.class_ids,
        source={**model.source, "calibration": told},
        build=model.build,
    )


def _trial(model: Model) -> Tensor:
    """Four images of noise, (4, C, H, W), on which the copy is compared with what it should answer."""
    noise = torch.rand(4, model.geometry.channels, *model.geometry.size, generator=torch.Generator().manual_seed(0))
    return noise.to(model.mean.device)
