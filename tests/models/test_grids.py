from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from pellucid.models import Grid, cam_layers, find_grid

SIZE = (3, 24, 16)
NUMBERED = torch.arange(2 * 6 * 4 * 5.0).view(2, 6, 4, 5)  # (N, h, w, K)


class Given(nn.Module):
    """A layer `found` of a chosen output (1, ...), and logits that see all of it."""

    def __init__(self, shape: tuple[int, ...], prefix: int | None = None) -> None:
        super().__init__()
        self.found = nn.LayerNorm(shape[-1])
        self.shape = shape
        if prefix is not None:
            self.num_prefix_tokens = prefix
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        seen: Tensor = self.found(images.mean(dim=(1, 2, 3))[:, None].expand(-1, 2)[:, :1].new_ones(1, *self.shape))
        return (seen + images.mean()).flatten(1)[:, :2]


@pytest.mark.parametrize(
    ("form", "laid_out"),
    [
        ("first", lambda x: x.permute(0, 3, 1, 2)),
        ("last", lambda x: x),
        ("tokens", lambda x: torch.cat([x.new_full((2, 3, 5), -1.0), x.flatten(1, 2)], dim=1)),
    ],
)
def test_every_form_is_read_as_the_same_maps(form: str, laid_out: Callable[[Tensor], Tensor]) -> None:
    maps = Grid(form, (6, 4), 3 if form == "tokens" else 0).maps(laid_out(NUMBERED))
    assert torch.equal(maps, NUMBERED.permute(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("shape", "prefix", "expected"),
    [
        ((7, 6, 4), None, Grid("first", (6, 4))),
        ((6, 4, 7), None, Grid("last", (6, 4))),
        ((6, 4, 2), None, Grid("last", (6, 4))),
        ((6, 4, 3), None, Grid("first", (4, 3))),  # either would do: channels come first in most networks
        ((4, 6, 4), None, Grid("first", (6, 4))),
        ((24, 7), None, Grid("tokens", (6, 4), 0)),
        ((25, 7), None, Grid("tokens", (6, 4), 1)),
        ((29, 7), None, Grid("tokens", (6, 4), 5)),
        ((25, 7), 1, Grid("tokens", (6, 4), 1)),
        ((16, 7), 10, Grid("tokens", (3, 2), 10)),
        ((25, 7), 9, Grid("tokens", (6, 4), 1)),
    ],
)
def test_a_grid_keeps_the_images_ratio(shape: tuple[int, ...], prefix: int | None, expected: Grid) -> None:
    assert find_grid(Given(shape, prefix), "found", SIZE) == expected


@pytest.mark.parametrize(
    ("shape", "given", "expected"),
    [
        ((24, 7), "4x6", Grid("tokens", (4, 6), 0)),
        ((25, 7), "12x2", Grid("tokens", (12, 2), 1)),
        ((7, 4, 6), "4x6", Grid("first", (4, 6))),
        ((4, 6, 7), "4x6", Grid("last", (4, 6))),
    ],
)
def test_a_grid_may_be_told(shape: tuple[int, ...], given: str, expected: Grid) -> None:
    assert find_grid(Given(shape), "found", SIZE, given) == expected


@pytest.mark.parametrize(
    ("shape", "given", "message"),
    [
        ((7,), "", r"layer 'found' puts out no maps \(N, C, h, w\) but \(1, 7\); no layer suits: use saliency"),
        ((7, 1, 1), "", r"puts out no maps \(N, C, h, w\) but \(1, 7, 1, 1\)"),
        ((23, 7), "6x4", r"puts out no maps \(N, C, h, w\) in a grid of 6x4 but \(1, 23, 7\)"),
        ((60, 7), "6x4", r"puts out no maps \(N, C, h, w\) in a grid of 6x4 but \(1, 60, 7\)"),
        ((24, 7), "6", "grid must be HxW, such as \"14x14\", got '6'"),
        ((24, 7), "0x24", "grid must be HxW, such as \"14x14\", got '0x24'"),
        ((24, 7), "-6x-4", "grid must be HxW, such as \"14x14\", got '-6x-4'"),
    ],
)
def test_what_is_no_grid_is_refused(shape: tuple[int, ...], given: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_grid(Given(shape), "found", SIZE, given)


def test_a_refusal_names_three_layers_and_why() -> None:
    def block(channels: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 1))

    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)]
    net = nn.Sequential(block(3), block(4), block(4), *head).eval()
    message = r"layer '5' puts .* but \(1, 5\); try 2 \(the deepest maps, 3x2\), 1 \(maps, 6x4\), 0 \(maps, 12x8\)$"
    with pytest.raises(ValueError, match=message):
        find_grid(net, "5", SIZE)


def test_a_layer_behind_which_only_a_class_token_counts_is_left_out() -> None:
    timm = pytest.importorskip("timm")
    told = {"img_size": 16, "patch_size": 4, "embed_dim": 8, "depth": 3, "num_heads": 2, "num_classes": 5}
    by_token = timm.models.VisionTransformer(**told).eval()
    assert cam_layers(by_token, (3, 16, 16)) == ("blocks.2.norm1", "blocks.1.norm1", "blocks.0.norm1")
    by_mean = timm.models.VisionTransformer(**told, global_pool="avg", fc_norm=False).eval()
    assert cam_layers(by_mean, (3, 16, 16))[0] == "norm"


class Windowed(nn.Module):
    """Tokens of four windows as a batch of four, and afterwards all of them again; in one order or another."""

    def __init__(self, order: list[int]) -> None:
        super().__init__()
        self.embed, self.inner, self.whole = nn.Conv2d(3, 5, 4, stride=4), nn.LayerNorm(5), nn.LayerNorm(5)
        self.head, self.order = nn.Linear(5, 2), order
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        maps = self.embed(images)  # (N, 5, 6, 4)
        windows = maps.unflatten(2, (2, 3)).unflatten(4, (2, 2)).permute(0, 2, 4, 3, 5, 1)  # (N, 2, 2, 3, 2, 5)
        inner = self.inner(windows.reshape(-1, 6, 5)).view(windows.shape)
        tokens = inner.permute(0, 1, 3, 2, 4, 5).reshape(len(images), 24, 5)
        found: Tensor = self.head(self.whole(tokens[:, self.order]).square().mean(dim=1))
        return found


def test_windows_in_the_place_of_images_are_no_grid() -> None:
    model = Windowed([*range(24)])
    assert cam_layers(model, SIZE)[-1:] == ("whole",)
    assert "inner" not in cam_layers(model, SIZE)
    with pytest.raises(ValueError, match=r"layer 'inner' puts out no maps \(N, C, h, w\) but \(4, 6, 5\); try"):
        find_grid(model, "inner", SIZE)


def test_tokens_in_another_order_are_not_offered() -> None:
    order = torch.randperm(24, generator=torch.Generator().manual_seed(1)).tolist()
    assert "whole" not in cam_layers(Windowed(order), SIZE)
