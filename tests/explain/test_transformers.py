"""Grad-CAM on transformers of two houses equals a plain recomputation in which tokens are laid out by hand.

No reshaping function is given anywhere: the class, distillation and register tokens, and channels that come last, are
found. Heads of torchvision's ViT start at zero, and with them every gradient; they are drawn anew.
"""

from collections.abc import Callable

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from pellucid.explain import cam, grad_cam, grad_cam_plus_plus, layer_cam, score_cam, smooth_grad_cam_plus_plus
from pellucid.models import cam_layers

SIZE = (3, 32, 32)
IMAGES = torch.rand(2, *SIZE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TARGETS = torch.tensor([4, 1])
TINY = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2, "num_classes": 5}


def vit(**told: object) -> nn.Module:
    net: nn.Module = timm.models.VisionTransformer(**TINY | told)
    return net


def deit() -> nn.Module:
    net: nn.Module = timm.models.deit.VisionTransformerDistilled(**TINY)
    return net


def torchvision_vit() -> nn.Module:
    net: nn.Module = torchvision.models.VisionTransformer(32, 8, 2, 2, 24, 48, num_classes=5)
    return net


def swin() -> nn.Module:
    told = {"patch_size": [2, 2], "embed_dim": 12, "depths": [2, 2], "num_heads": [2, 2], "window_size": [4, 4]}
    net: nn.Module = torchvision.models.SwinTransformer(**told, num_classes=5)
    return net


def timm_swin() -> nn.Module:
    told = {"embed_dim": 12, "depths": (2, 2), "num_heads": (2, 2), "window_size": 4, "num_classes": 5}
    net: nn.Module = timm.models.SwinTransformer(img_size=32, patch_size=2, **told)
    return net


def tokens(prefix: int, height: int = 4, width: int = 4) -> Callable[[Tensor], Tensor]:
    """(N, prefix + h * w, K) to (N, K, h, w)."""
    return lambda found: found[:, prefix:].transpose(1, 2).reshape(len(found), -1, height, width)


def last(found: Tensor) -> Tensor:
    return found.permute(0, 3, 1, 2)


NETS: dict[str, tuple[Callable[[], nn.Module], str, Callable[[Tensor], Tensor]]] = {
    "timm vit": (vit, "blocks.1.norm1", tokens(1)),
    "timm vit, registers": (lambda: vit(reg_tokens=4), "blocks.1.norm1", tokens(5)),
    "timm vit, mean of tokens": (lambda: vit(global_pool="avg"), "blocks.1.norm2", tokens(1)),
    "timm vit, norm before the mean": (lambda: vit(global_pool="avg", fc_norm=False), "norm", tokens(1)),
    "timm vit, no class token": (lambda: vit(global_pool="avg", class_token=False), "blocks.1.norm2", tokens(0)),
    "timm deit, distilled": (deit, "blocks.1.norm1", tokens(2)),
    "torchvision vit": (torchvision_vit, "encoder.layers.encoder_layer_1.ln_1", tokens(1)),
    "torchvision swin": (swin, "norm", last),
    "timm swin": (timm_swin, "norm", last),
}
each = pytest.mark.parametrize("name", NETS)


def built(name: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = NETS[name][0]()
        for parameter in net.parameters():  # biases and heads that start at zero hide what is looked for
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.2)
    return net.double().eval()


def seen(net: nn.Module, layer: str) -> tuple[Tensor, Tensor]:
    """A layer's output and the slope of the targets' logits with respect to it, as they come."""
    kept: list[Tensor] = []
    handle = net.get_submodule(layer).register_forward_hook(lambda _m, _i, output: kept.append(output))
    logits = net(IMAGES)
    handle.remove()
    (slope,) = torch.autograd.grad(logits.gather(1, TARGETS[:, None]).sum(), kept)
    return kept[0].detach(), slope


@each
def test_the_layer_and_its_grid_are_found(name: str) -> None:
    _, layer, laid_out = NETS[name]
    net = built(name)
    found = cam_layers(net, SIZE)
    assert layer in found[:2], found
    output, slope = (laid_out(some) for some in seen(net, layer))
    small = (slope.mean(dim=(2, 3), keepdim=True) * output).sum(dim=1)
    for relu, expected in ((True, small.relu()), (False, small)):
        large = F.interpolate(expected[:, None], (32, 32), mode="bilinear", align_corners=False)[:, 0]
        torch.testing.assert_close(grad_cam(net, IMAGES, TARGETS, layer=layer, relu=relu), large)
    assert small.abs().max() > 0
    heat = grad_cam(net, IMAGES, TARGETS, relu=False)
    torch.testing.assert_close(heat, grad_cam(net, IMAGES, TARGETS, layer=found[0], relu=False))
    assert heat.abs().amax(dim=(1, 2)).min() > 0


@each
@pytest.mark.parametrize("method", [grad_cam_plus_plus, smooth_grad_cam_plus_plus, layer_cam, score_cam])
def test_the_family_takes_them(name: str, method: Callable[..., Tensor]) -> None:
    told = {"samples": 2} if method is smooth_grad_cam_plus_plus else {}
    heat = method(built(name), IMAGES, TARGETS, relu=False, **told)
    assert heat.shape == (2, 32, 32)
    assert heat.abs().amax(dim=(1, 2)).min() > 0


def test_images_that_are_not_square() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = timm.models.VisionTransformer(**TINY | {"img_size": (32, 48)}).double().eval()
    images = torch.rand(1, 3, 32, 48, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    kept: list[Tensor] = []
    handle = net.blocks[1].norm1.register_forward_hook(lambda _m, _i, output: kept.append(output))
    score = net(images)[0, 4]
    handle.remove()
    output, slope = (tokens(1, 4, 6)(some) for some in (kept[0], torch.autograd.grad(score, kept[0])[0]))
    small = (slope.mean(dim=(2, 3), keepdim=True) * output).sum(dim=1).detach()
    expected = F.interpolate(small[:, None], (32, 48), mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(grad_cam(net, images, TARGETS[:1], relu=False), expected)
    as_told = grad_cam(net, images, TARGETS[:1], relu=False, layer="blocks.1.norm1", grid="4x6")
    torch.testing.assert_close(as_told, expected)


@pytest.mark.parametrize(
    ("name", "head"),
    [("torchvision swin", "head"), ("timm swin", "head.fc"), ("timm vit, norm before the mean", "head")],
)
def test_the_mean_of_normed_tokens_has_a_class_activation_map(name: str, head: str) -> None:
    net = built(name)
    output, _ = seen(net, "norm")
    maps = NETS[name][2](output)
    weight = net.get_parameter(f"{head}.weight")[TARGETS]
    expected = F.interpolate(torch.einsum("nk,nkhw->nhw", weight, maps)[:, None], (32, 32), mode="bilinear")[:, 0]
    torch.testing.assert_close(cam(net, IMAGES, TARGETS), expected.detach())


@pytest.mark.parametrize("name", ["timm vit", "timm deit, distilled", "timm vit, mean of tokens", "torchvision vit"])
def test_a_class_token_or_a_norm_behind_the_mean_has_none(name: str) -> None:
    with pytest.raises(ValueError, match=r"not followed by a global pooling and one linear layer alone, but by .*head"):
        cam(built(name), IMAGES, TARGETS)


WRONG = {
    "timm vit": ("head", r"\(1, 5\); try blocks.1.norm1 \(the deepest maps, 4x4\), blocks.0.norm1 \(maps, 4x4\)"),
    "torchvision vit": ("heads.head", r"\(1, 5\); try encoder.layers.encoder_layer_1.ln_1 \(the deepest maps, 4x4\)"),
    "timm swin": ("head.fc", r"\(1, 5\); try norm \(the deepest maps, 8x8\)"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_layer_names_better_ones(name: str) -> None:
    layer, message = WRONG[name]
    with pytest.raises(ValueError, match=rf"layer '{layer}' puts out no maps \(N, C, h, w\) but {message}"):
        grad_cam(built(name), IMAGES, TARGETS, layer=layer)


@pytest.mark.parametrize(
    ("grid", "message"),
    [("4", "grid must be HxW, such as \"14x14\", got '4'"), ("9x9", r"no maps \(N, C, h, w\) in a grid of 9x9 but")],
)
def test_a_wrong_grid_is_refused(grid: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        grad_cam(built("timm vit"), IMAGES, TARGETS, layer="blocks.1.norm1", grid=grid)
