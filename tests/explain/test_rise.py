from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.explain import rise
from pellucid.models import Model, rehearsal
from pellucid.models._live_bytes import LiveBytes

from .nets import Functional, Linear

WEIGHT = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
IMAGES = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
TARGETS = torch.tensor([4, 1])


class Shown(nn.Module):
    """One logit for each pixel: what the network is shown of it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images)
        return images.mean(dim=1).flatten(1)


def shown(**options: Any) -> Tensor:
    """The masks of a call, (P, H, W): a white image shows them."""
    model = Shown()
    rise(model, torch.ones(1, 3, 9, 13, dtype=torch.float64), torch.tensor([0]), **options)
    return torch.cat(model.seen)[:, 0]


def kernel(cells: int, side: int, mode: str) -> Tensor:
    """The enlargement of each cell alone, (cells, side), at its first place."""
    length = (cells + 1) * -(-side // cells)
    return F.interpolate(torch.eye(cells, dtype=torch.float64)[None], length, mode=mode)[0, :, :side]


def test_equals_a_plain_loop() -> None:
    model = Functional().double()
    masks = torch.rand(6, 3, 3, generator=torch.Generator().manual_seed(5)) < 0.4
    moves = torch.Generator().manual_seed(5)
    torch.rand(6, 3, 3, generator=moves)
    tops, lefts = (torch.randint(3, (6, 1), generator=moves)[:, 0] for _ in range(2))
    total, kept = torch.zeros(2, 8, 8, dtype=torch.float64), torch.zeros(8, 8, dtype=torch.float64)
    for grid, top, left in zip(masks, tops, lefts, strict=True):
        large = F.interpolate(grid[None, None].double(), (12, 12), mode="bilinear", align_corners=False)[0, 0]
        mask = large[top : top + 8, left : left + 8]
        probabilities = model(IMAGES * mask).softmax(dim=1)[range(2), TARGETS]
        total += probabilities[:, None, None] * mask
        kept += mask
    told: dict[str, Any] = {"masks": 6, "cells": 3, "keep": 0.4}
    seeds = [torch.Generator().manual_seed(5) for _ in range(2)]
    torch.testing.assert_close(rise(model, IMAGES, TARGETS, **told, generator=seeds[0]), (total / kept).detach())
    expected = rise(model, IMAGES, TARGETS, **told, generator=seeds[1], normalise="expected")
    torch.testing.assert_close(expected, (total / (6 * 0.4)).detach())


def limit(p: float, mixed: tuple[Tensor, Tensor]) -> Tensor:
    """What the maps of the linear model come to: p sum(a u) + (1 - p) sum over i of K(i, j) a(i) u(i)."""
    rows, columns = mixed  # (H, H), (W, W): the mean product of two pixels' weights
    effect = (WEIGHT[TARGETS] * IMAGES).sum(dim=1)  # (N, H, W)
    near = torch.einsum("nhw,hi,wj->nij", effect, rows, columns)
    return p * effect.sum(dim=(1, 2), keepdim=True) + (1 - p) * near


@pytest.mark.parametrize("normalise", ["pixel", "expected"])
def test_a_linear_model_comes_to_the_closed_form(normalise: str) -> None:
    weights = kernel(4, 8, "nearest")
    same_cell = weights.T @ weights
    assert set(same_cell.flatten().tolist()) == {0.0, 1.0}
    far = []
    for count in (1000, 16000):
        heat = rise(
            Linear(WEIGHT),
            IMAGES,
            TARGETS,
            masks=count,
            cells=4,
            objective="score",
            upsample="nearest",
            shift=False,
            normalise=normalise,
        )
        far.append((heat - limit(0.5, (same_cell, same_cell))).square().mean().sqrt().item())
    assert far[1] < 0.2
    assert 2 < far[0] / far[1] < 8, "16 times the masks, a quarter of the error"


def test_the_general_closed_form_of_shifted_smooth_masks() -> None:
    length = 12  # of 3 cells and one more, each 3 pixels
    weights = F.interpolate(torch.eye(3, dtype=torch.float64)[None], length, mode="linear")[0].T  # (12, 3)
    mixed = torch.stack([weights[top : top + 8] @ weights[top : top + 8].T for top in range(3)]).mean(dim=0)
    heat = rise(Linear(WEIGHT), IMAGES, TARGETS, masks=16000, cells=3, keep=0.3, objective="score")
    expected = limit(0.3, (mixed, mixed))
    assert (heat - expected).abs().max() < 0.1 * (expected.amax() - expected.amin())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_constant_score_gives_an_exactly_flat_map(dtype: torch.dtype) -> None:
    def same(outputs: Tensor) -> Tensor:
        return torch.full_like(outputs[:, 0], 0.3)

    heat = rise(Functional().to(dtype), IMAGES.to(dtype), same, masks=70)
    assert torch.equal(heat, torch.full_like(heat, 0.3))


def test_the_mean_of_the_masks_is_the_share_that_is_kept() -> None:
    masks = shown(masks=20000, cells=3, keep=0.3)
    assert masks.min() >= 0
    assert masks.max() <= 1
    assert (masks.mean(dim=0) - 0.3).abs().max() < 0.015  # at every pixel, five standard errors of the least mixed
    assert abs(masks.mean().item() - 0.3) < 0.005


def test_nearest_masks_hold_nothing_between() -> None:
    assert set(shown(masks=50, cells=3, upsample="nearest").flatten().tolist()) == {0.0, 1.0}
    smooth = shown(masks=50, cells=3)
    assert 0.1 < (smooth * (1 - smooth)).mul(4).mean() < 0.9


def test_shifts_move_the_cells() -> None:
    fixed = shown(masks=200, cells=3, upsample="nearest", shift=False)
    moved = shown(masks=200, cells=3, upsample="nearest")
    edges = [(masks.diff(dim=2).abs().sum(dim=(0, 1)) > 0).sum() for masks in (fixed, moved)]
    assert edges[0] == 1, "cells of 20 / 3 pixels, 13 pixels wide"
    assert edges[1] > 6


def test_keeping_all_gives_the_score_itself() -> None:
    model = Functional().double()
    heat = rise(model, IMAGES, TARGETS, masks=3, keep=1.0, objective="score")
    torch.testing.assert_close(heat, model(IMAGES)[range(2), TARGETS][:, None, None].expand(2, 8, 8).detach())


def test_a_pixel_that_no_mask_keeps_gets_zero() -> None:
    heat = rise(Linear(WEIGHT), IMAGES, TARGETS, masks=1, cells=2, upsample="nearest", shift=False, objective="score")
    kept = heat[0] != 0
    assert 0 < kept.float().mean() < 1
    assert len(set(heat[0][kept].tolist())) == 1


def test_several_classes_at_once_equal_separate_runs() -> None:
    model = Functional().double()
    several = torch.tensor([[0, 3, 4], [2, 2, 1]])
    heat = rise(model, IMAGES, several, masks=70, cells=4)
    assert heat.shape == (2, 3, 8, 8)
    for number in range(3):
        torch.testing.assert_close(heat[:, number], rise(model, IMAGES, several[:, number], masks=70, cells=4))
    with rehearsal() as cost:
        assert rise(model, IMAGES, several, masks=70).shape == (2, 3, 8, 8)
    assert (cost.forward, cost.backward) == (140, 0), "classes are free"


def test_what_stands_where_a_mask_hides() -> None:
    hidden: dict[str, Any] = {"masks": 1, "cells": 1, "keep": 1e-9}
    images = torch.rand(1, 3, 16, 32, dtype=torch.float64)
    seen = {}
    for fill in ("mean", "black", "blur"):
        network = Shown()
        model = Model(network, mean=[0.25, 0.5, 0.75], std=[0.5] * 3, classes=["a"] * 512, size=(16, 32))
        rise(model, images, torch.tensor([0]), fill=fill, **hidden)
        seen[fill] = network.seen[0][0] * 0.5 + torch.tensor([0.25, 0.5, 0.75]).view(3, 1, 1)
    mean = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
    torch.testing.assert_close(seen["mean"], mean.view(3, 1, 1).expand(3, 16, 32))
    assert seen["black"].abs().max() < 1e-7
    std = 16 * 10 / 224
    line = torch.exp(-(torch.arange(-40, 41, dtype=torch.float64) ** 2) / (2 * std**2))
    line /= line.sum()
    blurred = F.conv2d(images[0][:, None, 4:12], line[38:43].view(1, 1, 5, 1))  # the tails beyond weigh under 1 %
    torch.testing.assert_close(seen["blur"].mean(), images.mean(), rtol=0.02, atol=0)
    blurred = F.conv2d(blurred, line[36:45].view(1, 1, 1, 9))
    torch.testing.assert_close(seen["blur"][:, 6:10, 4:28], blurred[:, 0], rtol=0, atol=0.02)


def test_a_plain_network_is_shown_zero() -> None:
    model = Shown()
    rise(model, IMAGES, torch.tensor([0, 0]), masks=1, keep=1e-9)
    assert torch.cat(model.seen).abs().max() == 0


def test_the_seed_decides() -> None:
    model = Functional().double()

    def again(seed: int | None) -> Tensor:
        source = None if seed is None else torch.Generator().manual_seed(seed)
        return rise(model, IMAGES, TARGETS, masks=9, generator=source)

    assert torch.equal(again(0), again(None))
    assert not torch.allclose(again(1), again(0))


def test_masks_are_never_held_all_at_once() -> None:
    most = []
    for count in (200, 2000):
        with LiveBytes() as live:
            rise(Linear(WEIGHT), IMAGES[:1], TARGETS[:1], masks=count)
        most.append(live.most)
    grids = 1800 * (7 * 7 * (4 + 1 + 8) + 2 * 9 * 8)  # drawn, compared, kept; places
    assert most[1] - most[0] < 1.2 * grids + 1800 * 8 * 8


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("normalise", ["pixel", "expected"])
def test_half_precision_counts_thousands_of_masks(dtype: torch.dtype, normalise: str) -> None:
    told: dict[str, Any] = {"masks": 5000, "cells": 2, "keep": 0.9, "normalise": normalise}
    images, bump = torch.full((1, 3, 4, 4), 0.5), torch.zeros(2, 3, 4, 4)
    bump[1, :, 0, 0] = 4.0
    fine, half = (
        rise(Linear(bump), images.to(kind), torch.tensor([1]), objective="score", **told)
        for kind in (torch.float32, dtype)
    )
    assert half.dtype == dtype
    torch.testing.assert_close(half.float(), fine, rtol=0.01, atol=0)


@pytest.mark.parametrize("fill", ["mean", "blur"])
def test_autocast_around_it_crashes_nothing_and_coarsens_the_net_alone(fill: str) -> None:
    images = IMAGES.float()
    plain = rise(Linear(WEIGHT.float()), images, TARGETS, masks=50, objective="score", fill=fill)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        heat = rise(Linear(WEIGHT.float()), images, TARGETS, masks=50, objective="score", fill=fill)
    assert heat.dtype == torch.float32
    torch.testing.assert_close(heat, plain, rtol=0, atol=0.03 * plain.abs().max().item())


@pytest.mark.parametrize("fill", [0.25, "0.25"])
def test_a_number_fills(fill: float | str) -> None:
    seen = Shown()
    rise(seen, torch.ones(1, 3, 8, 8), torch.tensor([0]), masks=20, fill=fill)
    assert torch.cat(seen.seen).min().item() == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"masks": 0}, "masks must be at least 1, got 0"),
        ({"cells": 0}, r"cells must be in \[1, 8\], got 0"),
        ({"cells": 9}, r"cells must be in \[1, 8\], got 9"),
        ({"keep": 0.0}, r"keep must be in \(0, 1\], got 0"),
        ({"keep": 1.5}, r"keep must be in \(0, 1\], got 1.5"),
        ({"fill": "white"}, "fill must be mean, black, blur or a number in .*, got 'white'"),
        ({"fill": None}, r"fill must be mean, black, blur or a number in \[0, 1\], got None"),
        ({"upsample": "cubic"}, "upsample must be one of bilinear, nearest, got 'cubic'"),
        ({"normalise": "pixels"}, "normalise must be one of pixel, expected, got 'pixels'; did you mean pixel"),
        ({"objective": "odds"}, "objective must be one of score, logprob, prob, loss, got 'odds'"),
    ],
)
def test_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rise(Linear(WEIGHT), IMAGES, TARGETS, **options)
