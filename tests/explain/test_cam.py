from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from pellucid.explain import cam, grad_cam
from pellucid.models import Model, rehearsal

from .nets import Functional, GapNet

IMAGES = torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TARGETS = torch.tensor([4, 1])


class Pooled(nn.Module):
    """Convolution, something behind it, a pooling over all positions, linear."""

    def __init__(self, pool: Callable[[Tensor], Tensor], behind: Callable[[Tensor], Tensor] = lambda x: x) -> None:
        super().__init__()
        body = GapNet()
        self.features, self.head, self.pool, self.behind = body.features, body.head, pool, behind
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.pool(self.behind(self.features(images)).flatten(2)))
        return logits


def large(small: Tensor) -> Tensor:
    return F.interpolate(small[:, None], (9, 9), mode="bilinear", align_corners=False)[:, 0].detach()


def by_hand(model: Pooled | GapNet, maps: Tensor) -> Tensor:
    """A plain loop over images and channels."""
    heat = torch.zeros(len(maps), *maps.shape[2:], dtype=maps.dtype)
    for n, target in enumerate(TARGETS.tolist()):
        for k in range(maps.shape[1]):
            heat[n] += model.head.weight[target, k].item() * maps[n, k].detach()
    return heat


def test_is_the_weighted_sum_of_maps_with_both_signs() -> None:
    model = GapNet()
    expected = by_hand(model, model.features(IMAGES))
    assert (expected < 0).any()
    torch.testing.assert_close(cam(model, IMAGES, TARGETS), large(expected))
    torch.testing.assert_close(cam(model, IMAGES, TARGETS, relu=True), large(expected.relu()))
    torch.testing.assert_close(cam(model, IMAGES, TARGETS, layer="features.2"), large(expected))


def test_its_mean_plus_bias_is_the_logit() -> None:
    model = GapNet()
    small = by_hand(model, model.features(IMAGES))  # (N, 4, 4)
    logits = model(IMAGES).gather(1, TARGETS[:, None])[:, 0]
    torch.testing.assert_close(small.mean(dim=(1, 2)) + model.head.bias[TARGETS], logits)
    images = torch.rand(
        2, 3, 4, 4, dtype=torch.float64
    )  # maps of the image's own size: what is returned is not enlarged
    model.features[2] = nn.Conv2d(6, 8, 1).double().eval()
    logits = model(images).gather(1, TARGETS[:, None])[:, 0]
    torch.testing.assert_close(cam(model, images, TARGETS).mean(dim=(1, 2)) + model.head.bias[TARGETS], logits)


def test_grad_cam_is_its_positive_part_over_the_positions() -> None:
    model = GapNet()
    small = by_hand(model, model.features(IMAGES))
    torch.testing.assert_close(grad_cam(model, IMAGES, TARGETS), large(small.relu() / 16))
    torch.testing.assert_close(grad_cam(model, IMAGES, TARGETS, relu=False) * 16, cam(model, IMAGES, TARGETS))


@pytest.mark.parametrize("pool", [lambda x: x.sum(dim=2), lambda x: x.amax(dim=2)], ids=["sum", "max"])
def test_sum_and_maximum_pool_the_same_map(pool: Callable[[Tensor], Tensor]) -> None:
    model = Pooled(pool)
    torch.testing.assert_close(cam(model, IMAGES, TARGETS), large(by_hand(model, model.features(IMAGES))))


@pytest.mark.parametrize("relu", [F.relu, lambda x: F.relu(x, inplace=True)], ids=["functional", "in place"])
def test_a_relu_before_the_pooling_is_seen(relu: Callable[[Tensor], Tensor]) -> None:
    model = Pooled(lambda x: x.mean(dim=2), relu)
    maps = model.features(IMAGES).relu()
    torch.testing.assert_close(cam(model, IMAGES, TARGETS), large(by_hand(model, maps)))
    logits = model(IMAGES).gather(1, TARGETS[:, None])[:, 0]
    torch.testing.assert_close(by_hand(model, maps).mean(dim=(1, 2)) + model.head.bias[TARGETS], logits)


def test_a_network_that_ends_in_a_convolution_has_its_class_maps() -> None:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(inplace=True))
    last = nn.Conv2d(6, 5, 1)
    head = nn.Sequential(nn.Dropout(), last, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1))
    net = nn.Sequential(body, head, nn.Flatten()).double().eval()
    maps = last(body(IMAGES)).relu()[torch.arange(2), TARGETS]
    for layer in (None, "1.1", "1.2"):
        torch.testing.assert_close(cam(net, IMAGES, TARGETS, layer=layer), large(maps))
    with pytest.raises(ValueError, match="layer '0' is not followed by a global pooling"):  # a named layer is meant
        cam(net, IMAGES, TARGETS, layer="0")


def test_a_head_that_is_a_convolution_behind_the_pooling() -> None:
    model = GapNet()
    one = nn.Conv2d(8, 5, 1).double()
    with torch.no_grad():
        one.weight.copy_(model.head.weight[:, :, None, None])
        one.bias.copy_(model.head.bias)  # type: ignore[union-attr]
    net = nn.Sequential(model.features, nn.AdaptiveAvgPool2d(1), one, nn.Flatten()).eval()
    torch.testing.assert_close(cam(net, IMAGES, TARGETS), cam(model, IMAGES, TARGETS))


def test_a_score_of_several_classes_weighs_their_maps() -> None:
    model = GapNet()
    heat = cam(model, IMAGES, lambda outputs: 2 * outputs[:, 3] - outputs[:, 0])
    three, zero = (cam(model, IMAGES, torch.full((2,), label)) for label in (3, 0))
    torch.testing.assert_close(heat, 2 * three - zero)


def test_order_of_channels_changes_nothing() -> None:
    model, other = GapNet(), GapNet()
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        last: nn.Conv2d = other.features[2]  # type: ignore[assignment]
        last.weight.copy_(last.weight[order])
        last.bias.copy_(last.bias[order])  # type: ignore[union-attr,index]
        other.head.weight.copy_(other.head.weight[:, order])
    torch.testing.assert_close(cam(other, IMAGES, TARGETS), cam(model, IMAGES, TARGETS))


def test_half_precision_is_verified_too() -> None:
    model = GapNet().bfloat16()
    heat = cam(model, IMAGES.bfloat16(), TARGETS)
    assert heat.dtype == torch.bfloat16
    assert (heat - cam(GapNet(), IMAGES, TARGETS)).abs().max() < 0.05


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "squeezenet1_1", "densenet121", "googlenet"])
def test_published_networks_suit(name: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        told = {"init_weights": True} if name == "googlenet" else {}
        net = torchvision.models.get_model(name, weights=None, **told).eval()
    model = Model(net, mean=(0.5,) * 3, std=(0.25,) * 3, classes=[str(k) for k in range(1000)], size=64)
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    heat = cam(model, images, torch.tensor([7]))
    signed = grad_cam(model, images, torch.tensor([7]), relu=False)
    assert heat.shape == (1, 64, 64)
    if name not in ("squeezenet1_1", "densenet121"):  # there a ReLU comes between the layer of Grad-CAM and the pooling
        torch.testing.assert_close(heat / heat.abs().max(), signed / signed.abs().max(), rtol=1e-4, atol=1e-4)


def test_what_is_behind_the_maps_is_named() -> None:
    message = (
        r"layer 'features.11' is not followed by a global pooling and one linear layer alone, but by features.12 "
        r"\(MaxPool2d\), avgpool \(AdaptiveAvgPool2d\), classifier.0 \(Linear\), ..., classifier.3 \(Linear\), "
        r"classifier.4 \(ReLU\), classifier.6 \(Linear\): use grad_cam, or train such a head"
    )
    net = torchvision.models.AlexNet(num_classes=5).eval()
    net.classifier = nn.Sequential(
        nn.Linear(9216, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 5)
    ).eval()
    with pytest.raises(ValueError, match=message):
        cam(net, torch.rand(1, 3, 64, 64), torch.tensor([0]))


class Squared(nn.Module):
    """Right shapes, wrong formula."""

    def __init__(self) -> None:
        super().__init__()
        self.body = GapNet()
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.body.head(self.body.features(images).mean(dim=(2, 3)).square())
        return logits


def test_the_formula_must_hold_and_not_only_the_shapes() -> None:
    with pytest.raises(ValueError, match=r"layer 'body.features' is not followed by a global .* by body.head \(Linear"):
        cam(Squared(), IMAGES, TARGETS)
    with pytest.raises(ValueError, match=r"layer 'features.0' is not followed by a global"):
        cam(GapNet(), IMAGES, TARGETS, layer="features.0")
    with pytest.raises(ValueError, match="use grad_cam"):
        cam(Functional(), torch.rand(1, 3, 16, 16), torch.tensor([0]))


def test_scores_without_a_slope_are_refused() -> None:
    with pytest.raises(ValueError, match="the score does not depend on the logits: is there a detach or an argmax"):
        cam(GapNet(), IMAGES, lambda outputs: outputs.argmax(dim=1).double())
    with pytest.raises(ValueError, match=r"a class activation map needs logits \(N, K\): use grad_cam"):
        cam(Twice(), IMAGES, lambda outputs: outputs[0][:, 0])


class Twice(nn.Module):
    """Logits in a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.body = GapNet()
        self.eval()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.body(images)
        return logits, logits


def test_costs_one_pass_and_no_gradient() -> None:
    with rehearsal() as cost:
        cam(GapNet(), IMAGES, TARGETS)
    assert (cost.forward, cost.backward) == (2, 0)
