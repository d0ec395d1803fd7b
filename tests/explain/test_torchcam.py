"""Agreement with torch-cam on seeded torchvision nets; the nets have random weights, so nothing is downloaded.

torch-cam returns maps of the layer's size, each brought to [0, 1] by its smallest and largest value; `normalized=False`
leaves them raw, and they are compared raw, after the same bilinear enlargement. Where it computes something else:
- Grad-CAM++: the division of alpha is made on a copy (an indexed tensor divided in place) and lost, so that alpha is
  g^2 there. That this is the difference is what the test shows; the formula itself is checked by loops elsewhere.
- Smooth Grad-CAM++: alpha is formed of the mean derivatives (our average="derivatives"), but the sum over positions
  runs over the product g^3 f and not over f alone, alpha is multiplied by the gradient of the last copy and not by
  their mean, and noise is drawn from torch's global generator, of a deviation that does not follow the image's range.
  At a layer that is pooled globally g is the same at all positions; there, without noise, both are Grad-CAM++.
- Score-CAM: a channel's map is brought to [0, 1] before it is enlarged, so that the mask need not reach 0 and 1; the
  paper, and we, do it after. Compared at a layer of the image's own size, where the two orders are the same.
- LayerCAM, Grad-CAM, CAM: the same formula.
"""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

torchcam = pytest.importorskip("torchcam.methods", reason="the extra bench is not installed")
from pellucid import explain  # noqa: E402
from pellucid.explain._cam import enlarged, weighed  # noqa: E402
from pellucid.models import find_grid, unvaried  # noqa: E402

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


def theirs(method: str, net: nn.Module, layer: str, **told: Any) -> Tensor:
    """torch-cam's raw map, enlarged."""
    asked = {key: told.pop(key) for key in ("eps",) if key in told}
    with getattr(torchcam, method)(net, layer, **told) as extract:
        scores = net(IMAGES)
        needs_scores = {} if method.startswith("Smooth") else {"scores": scores}
        (small,) = extract(class_idx=TARGETS.tolist(), normalized=False, **needs_scores, **asked)
    return F.interpolate(small[:, None], (64, 64), mode="bilinear", align_corners=False)[:, 0].detach()


def agree(ours: Tensor, other: Tensor) -> None:
    assert other.abs().max() > 0
    assert (ours - other).abs().max() / other.abs().max() < 1e-4


@each
def test_grad_cam(name: str, layer: str, nets: dict[str, nn.Module]) -> None:
    agree(explain.grad_cam(nets[name], IMAGES, TARGETS, layer=layer), theirs("GradCAM", nets[name], layer))


@each
def test_the_peers_grad_cam_plus_plus_lacks_its_division(name: str, layer: str, nets: dict[str, nn.Module]) -> None:
    def weigh(slopes: Tensor, maps: Tensor) -> Tensor:
        weights = (slopes**2 * slopes.relu()).sum(dim=(2, 3), keepdim=True)
        return (weights * maps).sum(dim=1).relu()

    at = (layer, find_grid(nets[name], layer, (3, 64, 64)))
    small = weighed(nets[name], unvaried(IMAGES), TARGETS, at, weigh)[0]
    agree(enlarged(small, (64, 64)), theirs("GradCAMpp", nets[name], layer))


@pytest.mark.parametrize(("name", "layer"), [("resnet18", "layer4"), ("mobilenet_v2", "features")])
def test_smooth_grad_cam_plus_plus_of_pooled_maps(name: str, layer: str, nets: dict[str, nn.Module]) -> None:
    other = theirs("SmoothGradCAMpp", nets[name], layer, num_samples=2, std=1e-12, eps=1e-300)
    for average in ("maps", "derivatives"):
        told = {"samples": 2, "std": 0.0, "average": average}
        ours = explain.smooth_grad_cam_plus_plus(nets[name], IMAGES, TARGETS, layer=layer, **told)  # type: ignore[arg-type]
        agree(ours, other)


@each
def test_layer_cam(name: str, layer: str, nets: dict[str, nn.Module]) -> None:
    agree(explain.layer_cam(nets[name], IMAGES, TARGETS, layer=layer), theirs("LayerCAM", nets[name], layer))


@pytest.mark.parametrize(
    ("name", "layer", "head"), [("resnet18", "layer4", "fc"), ("mobilenet_v2", "features", "classifier.1")]
)
def test_cam(name: str, layer: str, head: str, nets: dict[str, nn.Module]) -> None:
    agree(explain.cam(nets[name], IMAGES, TARGETS), theirs("CAM", nets[name], layer, fc_layer=head))


def test_score_cam_at_a_layer_of_the_images_size() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = torchvision.models.VGG(nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU()), num_classes=5)
        net.avgpool = nn.AdaptiveAvgPool2d(2)
        net.classifier = nn.Sequential(nn.Flatten(), nn.Linear(24, 5))
    net = net.double().eval()
    agree(explain.score_cam(net, IMAGES, TARGETS, layer="features.0"), theirs("ScoreCAM", net, "features.0"))
