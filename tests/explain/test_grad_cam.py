import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pellucid.explain import grad_cam, guided_backprop
from pellucid.models import rehearsal

from .nets import Functional, GapNet

IMAGES = torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TARGETS = torch.tensor([4, 1])


def test_equals_the_class_activation_map_of_a_net_with_global_pooling() -> None:
    model = GapNet()
    features = model.features(IMAGES)  # (N, 8, 4, 4)
    weight = model.head.weight[TARGETS]  # (N, 8)
    cam = torch.einsum("nk,nkhw->nhw", weight, features) / 16  # the mean over 4 x 4 divides
    for relu, expected in ((True, cam.relu()), (False, cam)):
        large = F.interpolate(expected[:, None], (9, 9), mode="bilinear", align_corners=False)[:, 0]
        heat = grad_cam(model, IMAGES, TARGETS, layer="features.2", relu=relu)
        torch.testing.assert_close(heat, large.detach())


def test_signed_map_plus_bias_sums_to_the_logit() -> None:
    model = GapNet()
    whole = nn.Sequential(model).eval()  # the layer's name follows the nesting
    images = torch.rand(1, 3, 9, 9, dtype=torch.float64)
    features = model.features(images)
    weights = torch.autograd.grad(model(images)[0, 3], model.head.weight)[0][3]  # mean of each map
    logit = (model.head.weight[3] * weights).sum() + model.head.bias[3]
    heat = grad_cam(whole, images, torch.tensor([3]), layer="0.features", relu=False)
    small = (model.head.weight[3][:, None, None] * features[0]).sum(dim=0) / 16
    torch.testing.assert_close((small.sum() + model.head.bias[3]).item(), logit.item())
    torch.testing.assert_close(heat[0], F.interpolate(small[None, None], (9, 9), mode="bilinear")[0, 0].detach())


def test_the_deepest_layer_with_maps_is_taken_by_default() -> None:
    model = GapNet()
    torch.testing.assert_close(grad_cam(model, IMAGES, TARGETS), grad_cam(model, IMAGES, TARGETS, layer="features.2"))


def test_scaling_the_score_scales_the_map() -> None:
    model = GapNet()
    twice = grad_cam(model, IMAGES, lambda outputs: 2 * outputs[:, 1])
    torch.testing.assert_close(twice, 2 * grad_cam(model, IMAGES, torch.tensor([1, 1])))


def test_a_layer_before_an_in_place_relu_is_seen_as_it_was() -> None:
    torch.manual_seed(0)
    body = [nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    inplace = nn.Sequential(*body).double().eval()
    apart = nn.Sequential(body[0], nn.ReLU(), *body[2:]).double().eval()
    expected = grad_cam(apart, IMAGES, TARGETS % 4, layer="0", relu=False)
    torch.testing.assert_close(grad_cam(inplace, IMAGES, TARGETS % 4, layer="0", relu=False), expected)
    assert (expected < 0).any(), "the convolution's output has negative values to lose"


def test_zero_activation_gives_a_zero_map() -> None:
    model = GapNet()
    with torch.no_grad():
        model.features[2].weight.zero_()  # type: ignore[operator]
        model.features[2].bias.zero_()  # type: ignore[operator]
    assert grad_cam(model, IMAGES, TARGETS).abs().max() == 0


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            "head",
            r"layer 'head' puts out no maps \(N, C, h, w\) but \(1, 5\); try features \(the deepest maps, 4x4\), ",
        ),
        ("feature", "layer 'feature' is not part of the model; did you mean features"),
        ("", "layer '' is not part of the model"),
    ],
)
def test_wrong_layers_are_refused(layer: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        grad_cam(GapNet(), IMAGES, TARGETS, layer=layer)


def test_a_layer_that_is_never_reached_is_refused() -> None:
    model = Functional()
    model.unused = nn.Conv2d(3, 3, 1).eval()
    with pytest.raises(ValueError, match="layer 'unused' is never reached in the forward pass"):
        grad_cam(model, IMAGES.float(), TARGETS, layer="unused")


def test_a_net_without_maps_is_refused() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(243, 5)).double().eval()
    with pytest.raises(ValueError, match="the model has no late layer with maps"):
        grad_cam(model, IMAGES, TARGETS)


def test_costs_one_pass_forward_and_back() -> None:
    with rehearsal() as cost:
        grad_cam(GapNet(), IMAGES, TARGETS)
    assert (cost.forward, cost.backward) == (2, 2)


def test_the_objective_is_what_is_differentiated() -> None:
    model, fours = GapNet(), torch.tensor([4, 4])
    by_softmax = grad_cam(model, IMAGES, lambda outputs: outputs.softmax(dim=1)[:, 4], relu=False)
    torch.testing.assert_close(grad_cam(model, IMAGES, fours, objective="prob", relu=False), by_softmax)
    loss, logprob = (grad_cam(model, IMAGES, fours, objective=told, relu=False) for told in ("loss", "logprob"))
    torch.testing.assert_close(loss, -logprob)
    with pytest.raises(ValueError, match="objective must be one of score, logprob, prob, loss, got 'logit'"):
        grad_cam(model, IMAGES, fours, objective="logit")


def test_several_layers_are_scaled_to_one_and_averaged() -> None:
    model, images = Functional(), torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    parts = [grad_cam(model, images, TARGETS, layer=name) for name in ("first", "second")]
    expected = sum(part / part.amax(dim=(1, 2), keepdim=True) for part in parts) / 2
    torch.testing.assert_close(grad_cam(model, images, TARGETS, layer="first, second"), expected)


def test_faint_layers_are_scaled_too() -> None:
    model, images = Functional(), torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    heat = grad_cam(model, images, lambda outputs: 1e-20 * outputs[:, 1], layer="first,first")
    torch.testing.assert_close(heat.amax(dim=(1, 2)), torch.ones(2))


def test_guided_is_the_product_with_guided_backpropagation() -> None:
    model = Functional()
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    plain = grad_cam(model, images, TARGETS, layer="second")
    product = plain * guided_backprop(model, images, TARGETS)
    torch.testing.assert_close(grad_cam(model, images, TARGETS, layer="second", guided=True), product)
    assert product.abs().max() > 0
    with pytest.raises(ValueError, match="guided_backprop needs ReLU"):
        grad_cam(GapNet(), IMAGES, TARGETS, guided=True)
