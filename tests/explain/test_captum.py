"""Agreement with captum on seeded torchvision nets; the nets have random weights, so nothing is downloaded.

Two places where captum cannot be the oracle, and why:
- guided backpropagation: captum replaces the rule of nn.ReLU modules only; at a ReLU6 (MobileNetV2) or a functional
  ReLU it passes the plain gradient. MobileNetV2 is therefore compared with a copy in which ReLU stands for ReLU6, and
  functional ReLU is checked by hand (test_guided_backprop, and the spellings in the tests of models.probes).
- occlusion: captum cuts the last window of a row off at the edge, we move it inside, so the two are compared where
  the stride divides the image.
"""

from copy import deepcopy as copy_of

import pytest
import torch
import torchvision
from torch import Tensor, nn

from .nets import Functional

captum = pytest.importorskip("captum.attr", reason="the extra bench is not installed")
from pellucid import explain  # noqa: E402
from pellucid.explain._noise import noisy  # noqa: E402

IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
TARGETS = torch.tensor([3, 1])
NETS = {"resnet18": "layer4", "vgg11_bn": "features.27", "mobilenet_v2": "features.17", "functional": "second"}

each = pytest.mark.parametrize("name", NETS)


@pytest.fixture(scope="module")
def nets() -> dict[str, nn.Module]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        real = {name: torchvision.models.get_model(name, weights=None).eval() for name in list(NETS)[:3]}
    return real | {"functional": Functional()}


def agree(ours: Tensor, theirs: Tensor) -> None:
    assert theirs.abs().max() > 0
    assert (ours - theirs).abs().max() / theirs.abs().max() < 1e-4


@each
def test_saliency(name: str, nets: dict[str, nn.Module]) -> None:
    theirs = captum.Saliency(nets[name]).attribute(IMAGES.clone().requires_grad_(), target=TARGETS)
    agree(explain.saliency(nets[name], IMAGES, TARGETS), theirs.amax(dim=1))


@each
def test_gradient_times_input(name: str, nets: dict[str, nn.Module]) -> None:
    theirs = captum.InputXGradient(nets[name]).attribute(IMAGES.clone().requires_grad_(), target=TARGETS)
    agree(explain.saliency(nets[name], IMAGES, TARGETS, times_input=True, reduce="sum"), theirs.sum(dim=1))


@each
@pytest.mark.parametrize(("baseline", "value"), [("black", 0.0), (0.5, 0.5)])
def test_integrated_gradients(name: str, nets: dict[str, nn.Module], baseline: float | str, value: float) -> None:
    net, images = copy_of(nets[name]).double(), IMAGES.double()  # a rounding can take a ReLU to its other side
    theirs = captum.IntegratedGradients(net).attribute(
        images, baselines=value, target=TARGETS, n_steps=4, method="riemann_middle"
    )
    agree(explain.integrated_gradients(net, images, TARGETS, baseline=baseline, steps=4), theirs.sum(dim=1))


@pytest.mark.parametrize(("variant", "word"), [("mean", "smoothgrad"), ("squared", "smoothgrad_sq")])
def test_smooth_grad_on_the_same_noise(
    variant: str, word: str, nets: dict[str, nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    net, spread = nets["functional"], 0.2
    image, target = IMAGES[:1], TARGETS[:1]
    plan = noisy(image, 4, spread / float(image.max() - image.min()), None)
    copies = plan.vary(image, torch.arange(4), torch.arange(1))[:, 0]
    monkeypatch.setattr(torch, "normal", lambda _mean, _std: copies - image.repeat(4, 1, 1, 1))
    theirs = captum.NoiseTunnel(captum.Saliency(net)).attribute(
        image, nt_type=word, nt_samples=4, stdevs=spread, target=target, abs=False
    )
    std = spread / float(image.max() - image.min())
    agree(explain.smooth_grad(net, image, target, samples=4, std=std, variant=variant), theirs.abs().amax(dim=1))


@pytest.mark.parametrize("name", ["resnet18", "vgg11_bn", "mobilenet_v2"])
@pytest.mark.filterwarnings("ignore:Setting .*backward hooks:UserWarning")
def test_deconvnet(name: str, nets: dict[str, nn.Module]) -> None:
    theirs = captum.Deconvolution(as_relu(nets[name])).attribute(IMAGES.clone().requires_grad_(), target=TARGETS)
    agree(explain.deconvnet(nets[name], IMAGES, TARGETS), theirs.abs().amax(dim=1))


def as_relu(net: nn.Module) -> nn.Module:
    """A copy with a plain ReLU for every ReLU6: the same function as long as nothing reaches 6."""
    copy = copy_of(net)
    for module in list(copy.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU6):
                setattr(module, name, nn.ReLU())
    return copy.eval()


@pytest.mark.parametrize("name", ["resnet18", "vgg11_bn", "mobilenet_v2"])
@pytest.mark.filterwarnings("ignore:Setting .*backward hooks:UserWarning")
def test_guided_backprop(name: str, nets: dict[str, nn.Module]) -> None:
    net = as_relu(nets[name])
    assert torch.equal(net(IMAGES), nets[name](IMAGES)), "no activation reaches 6"
    theirs = captum.GuidedBackprop(net).attribute(IMAGES.clone().requires_grad_(), target=TARGETS)
    agree(explain.guided_backprop(nets[name], IMAGES, TARGETS), theirs.abs().amax(dim=1))


@pytest.mark.filterwarnings("ignore:Setting .*backward hooks:UserWarning")
@pytest.mark.parametrize("name", ["mobilenet_v2", "functional"])
def test_captum_leaves_relu6_and_functional_relu_alone(name: str, nets: dict[str, nn.Module]) -> None:
    net = nets[name]
    theirs = captum.GuidedBackprop(net).attribute(IMAGES.clone().requires_grad_(), target=TARGETS).abs().amax(dim=1)
    ours = explain.guided_backprop(net, IMAGES, TARGETS)
    assert (ours - theirs).abs().max() > 0.1 * theirs.abs().max()


@each
def test_grad_cam(name: str, nets: dict[str, nn.Module]) -> None:
    net = nets[name]
    found = captum.LayerGradCam(net, net.get_submodule(NETS[name])).attribute(
        IMAGES, target=TARGETS, relu_attributions=False, attr_dim_summation=True
    )
    theirs = captum.LayerAttribution.interpolate(found, (64, 64), "bilinear")[:, 0]
    agree(explain.grad_cam(net, IMAGES, TARGETS, layer=NETS[name], relu=False), theirs)


@each
def test_occlusion(name: str, nets: dict[str, nn.Module]) -> None:
    theirs = captum.Occlusion(nets[name]).attribute(
        IMAGES, (3, 16, 16), strides=(3, 8, 8), baselines=0.5, target=TARGETS
    )
    ours = explain.occlusion(nets[name], IMAGES, TARGETS, window=16, stride=8, fill=0.5, objective="score")
    agree(ours, theirs[:, 0])


@pytest.mark.parametrize("name", ["resnet18", "functional"])
def test_occlusion_by_tiles_is_feature_ablation(name: str, nets: dict[str, nn.Module]) -> None:
    tiles = torch.arange(16).view(4, 4).repeat_interleave(16, 0).repeat_interleave(16, 1)[None, None]
    theirs = captum.FeatureAblation(nets[name]).attribute(IMAGES, baselines=0.0, target=TARGETS, feature_mask=tiles)
    ours = explain.occlusion(nets[name], IMAGES, TARGETS, window=16, stride=16, fill="black", objective="score")
    agree(ours, theirs[:, 0])
