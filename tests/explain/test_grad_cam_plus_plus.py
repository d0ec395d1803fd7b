import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.explain import grad_cam_plus_plus

from .nets import Functional, GapNet, bright

IMAGES = torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TARGETS = torch.tensor([4, 1])


def large(small: Tensor) -> Tensor:
    return F.interpolate(small[:, None], (9, 9), mode="bilinear", align_corners=False)[:, 0].detach()


class Flat(nn.Module):
    """Convolution, then a weight for each channel and position: gradients differ from place to place."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.features = nn.Conv2d(3, 4, 3, stride=2)
            self.head = nn.Linear(4 * 16, 5)
        self.double().eval()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images).relu().flatten(1))
        return logits


def by_hand(f: Tensor, g: Tensor, *, normalise: bool = False) -> Tensor:
    """The formula of the paper for one image, in plain loops: (K, h, w) and (K, h, w) to (h, w)."""
    heat = torch.zeros(f.shape[1:], dtype=f.dtype)
    for k in range(len(f)):
        alphas = torch.zeros_like(g[k])
        for i in range(f.shape[1]):
            for j in range(f.shape[2]):
                below = 2 * g[k, i, j] ** 2 + f[k].sum() * g[k, i, j] ** 3
                alphas[i, j] = g[k, i, j] ** 2 / below if below != 0 else 0
        if normalise and (alphas * (g[k] > 0)).sum() != 0:
            alphas /= (alphas * (g[k] > 0)).sum()
        heat += (alphas * g[k].clamp(min=0)).sum() * f[k]
    return heat


@pytest.mark.parametrize("normalise", [False, True])
def test_equals_the_formula_in_plain_loops(normalise: bool) -> None:
    model = Flat()
    features = model.features(IMAGES).detach().requires_grad_()
    logits = model.head(features.relu().flatten(1)).gather(1, TARGETS[:, None])
    slopes = torch.autograd.grad(logits.sum(), features)[0]
    assert (slopes < 0).any()
    assert (slopes == 0).any()
    expected = torch.stack([by_hand(f, g, normalise=normalise) for f, g in zip(features.detach(), slopes, strict=True)])
    told = {"layer": "features", "normalise": normalise}
    torch.testing.assert_close(grad_cam_plus_plus(model, IMAGES, TARGETS, relu=False, **told), large(expected))  # type: ignore[arg-type]
    torch.testing.assert_close(grad_cam_plus_plus(model, IMAGES, TARGETS, **told), large(expected.relu()))  # type: ignore[arg-type]


def test_with_global_pooling_the_weights_are_known() -> None:
    model = GapNet()
    features = model.features(IMAGES).detach()
    head = model.head.weight[TARGETS].detach()  # (N, 8)
    weights = head.relu() / (2 + head * features.mean(dim=(2, 3)))
    expected = torch.einsum("nk,nkhw->nhw", weights, features).relu()
    torch.testing.assert_close(grad_cam_plus_plus(model, IMAGES, TARGETS), large(expected))
    normalised = torch.einsum("nk,nkhw->nhw", head.relu() / 16, features).relu()  # 16 equal alphas
    torch.testing.assert_close(grad_cam_plus_plus(model, IMAGES, TARGETS, normalise=True), large(normalised))


def test_the_score_is_the_logit_unless_told_otherwise() -> None:
    model = GapNet()
    fours = torch.tensor([4, 4])
    as_logit = grad_cam_plus_plus(model, IMAGES, lambda outputs: outputs[:, 4])
    torch.testing.assert_close(grad_cam_plus_plus(model, IMAGES, fours), as_logit)
    as_probability = grad_cam_plus_plus(model, IMAGES, lambda outputs: outputs.softmax(dim=1)[:, 4])
    torch.testing.assert_close(grad_cam_plus_plus(model, IMAGES, fours, objective="prob"), as_probability)
    assert not torch.allclose(as_logit, as_probability)


def test_order_of_channels_changes_nothing() -> None:
    model, other = GapNet(), GapNet()
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        last: nn.Conv2d = other.features[2]  # type: ignore[assignment]
        last.weight.copy_(last.weight[order])
        last.bias.copy_(last.bias[order])  # type: ignore[union-attr,index]
        other.head.weight.copy_(other.head.weight[:, order])
    torch.testing.assert_close(grad_cam_plus_plus(other, IMAGES, TARGETS), grad_cam_plus_plus(model, IMAGES, TARGETS))


def test_small_gradients_do_not_vanish() -> None:
    model = GapNet().float()  # g^2 is below the smallest float32
    slight = grad_cam_plus_plus(model, IMAGES.float(), lambda outputs: 1e-24 * outputs[:, 1], relu=False)
    slighter = grad_cam_plus_plus(model, IMAGES.float(), lambda outputs: 1e-25 * outputs[:, 1], relu=False)
    assert slight.abs().max() > 0
    torch.testing.assert_close(slight * 1e24, slighter * 1e25)


def test_zero_activation_gives_a_zero_map() -> None:
    model = GapNet()
    with torch.no_grad():
        model.features[2].weight.zero_()  # type: ignore[operator]
        model.features[2].bias.zero_()  # type: ignore[operator]
    for normalise in (False, True):
        assert grad_cam_plus_plus(model, IMAGES, TARGETS, normalise=normalise).abs().max() == 0


def test_a_zero_denominator_counts_for_nothing() -> None:
    body, head = nn.Conv2d(1, 1, 1, bias=False), nn.Linear(4, 2, bias=False)
    net = nn.Sequential(body, nn.Flatten(), head).eval()
    with torch.no_grad():
        body.weight.fill_(-1.0)
        head.weight.fill_(1.0)
    images = torch.full((1, 1, 2, 2), 0.5)  # maps sum to -2, so 2 + sum(f) g = 0 everywhere
    for normalise in (False, True):
        heat = grad_cam_plus_plus(net, images, torch.tensor([0]), layer="0", normalise=normalise, relu=False)
        assert torch.equal(heat, torch.zeros(1, 2, 2))


def test_several_layers_are_scaled_and_averaged() -> None:
    model, images = Functional(), torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    parts = [grad_cam_plus_plus(model, images, TARGETS, layer=name) for name in ("first", "second")]
    expected = sum(part / part.amax(dim=(1, 2), keepdim=True) for part in parts) / 2
    torch.testing.assert_close(grad_cam_plus_plus(model, images, TARGETS, layer="first, second"), expected)


def test_a_layer_without_maps_is_refused() -> None:
    with pytest.raises(ValueError, match=r"layer 'head' puts out no maps \(N, C, h, w\) but \(1, 5\); try features"):
        grad_cam_plus_plus(GapNet(), IMAGES, TARGETS, layer="head")


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_holds_sums_over_a_large_map(normalise: bool, dtype: torch.dtype) -> None:
    net, images = bright(), torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)).to(dtype)
    fine = grad_cam_plus_plus(net, images.float(), torch.tensor([1]), layer="0", normalise=normalise)
    heat = grad_cam_plus_plus(net.to(dtype), images, torch.tensor([1]), layer="0", normalise=normalise)
    assert heat.dtype == dtype
    torch.testing.assert_close(heat.float() / fine.max(), fine / fine.max(), rtol=0, atol=0.03)
