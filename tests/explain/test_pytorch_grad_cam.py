"""Agreement with pytorch-grad-cam on seeded torchvision nets; the nets have random weights, so nothing is downloaded.

It cuts each map below zero, brings it to [0, 1] by its smallest and largest value, and enlarges it with OpenCV, in that
order. Its weights are compared instead of its pictures: what `get_cam_image` gives of the activations and gradients it
recorded is the raw small map, cut and enlarged here as ours is. Where it computes something else:
- Grad-CAM++: 1e-6 is added to the denominator 2 g^2 + sum(f) g^3, far more than g^2 in these nets. It is asked with the
  score multiplied by a million, beside which 1e-6 is small.
- Score-CAM: maps are enlarged with the corners aligned, ours without, as everywhere in the family; compared at a layer
  of the image's own size, where nothing is enlarged.
- LayerCAM, Grad-CAM: the same formula.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

peer = pytest.importorskip("pytorch_grad_cam", reason="the extra bench is not installed")
from pellucid import explain  # noqa: E402

IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TARGETS = torch.tensor([3, 1])
LAYERS = [("resnet18", "layer4"), ("resnet18", "layer3"), ("mobilenet_v2", "features.17"), ("vgg11_bn", "features.27")]

each = pytest.mark.parametrize(("name", "layer"), LAYERS)


@pytest.fixture(scope="module")
def nets() -> dict[str, nn.Module]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        found = {name: torchvision.models.get_model(name, weights=None, num_classes=5) for name, _ in LAYERS[1:]}
        found["vgg11_bn"].classifier = nn.Linear(25088, 5)  # instead of 120 million weights
    return {name: net.double().eval() for name, net in found.items()}


def theirs(method: str, net: nn.Module, layer: str, *, times: float = 1.0) -> Tensor:
    """The peer's raw map, cut below zero and enlarged."""
    scores: list[Callable[[Tensor], Tensor]] = [lambda logits, k=k: times * logits[k] for k in TARGETS.tolist()]  # type: ignore[misc]
    kept: list[np.ndarray[Any, Any]] = []
    with getattr(peer, method)(net, [net.get_submodule(layer)]) as extract:
        image = extract.get_cam_image
        extract.get_cam_image = lambda *told: kept.append(image(*told)) or kept[-1]  # type: ignore[func-returns-value]
        extract(IMAGES, scores)
    small = torch.from_numpy(kept[0]).relu()[:, None]
    return F.interpolate(small, (64, 64), mode="bilinear", align_corners=False)[:, 0]


def agree(ours: Tensor, other: Tensor) -> None:
    assert other.abs().max() > 0
    assert (ours - other).abs().max() / other.abs().max() < 1e-4


@each
def test_grad_cam(name: str, layer: str, nets: dict[str, nn.Module]) -> None:
    agree(explain.grad_cam(nets[name], IMAGES, TARGETS, layer=layer), theirs("GradCAM", nets[name], layer))


@each
def test_grad_cam_plus_plus(name: str, layer: str, nets: dict[str, nn.Module]) -> None:
    ours = explain.grad_cam_plus_plus(nets[name], IMAGES, lambda outputs: 1e6 * outputs[:, 3], layer=layer)
    agree(ours[:1], theirs("GradCAMPlusPlus", nets[name], layer, times=1e6)[:1])


@each
def test_layer_cam(name: str, layer: str, nets: dict[str, nn.Module]) -> None:
    agree(explain.layer_cam(nets[name], IMAGES, TARGETS, layer=layer), theirs("LayerCAM", nets[name], layer))


def test_score_cam_at_a_layer_of_the_images_size() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = torchvision.models.VGG(nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU()), num_classes=5)
        net.avgpool = nn.AdaptiveAvgPool2d(2)
        net.classifier = nn.Sequential(nn.Flatten(), nn.Linear(24, 5))
    net = net.double().eval()
    agree(explain.score_cam(net, IMAGES, TARGETS, layer="features.0"), theirs("ScoreCAM", net, "features.0"))
