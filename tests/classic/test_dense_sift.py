import sys
from math import atan2, floor, pi, sqrt
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.classic import dense_sift, gradients, grid
from pellucid.classic._gradients import gray
from pellucid.methods import options

IMAGES = torch.rand(2, 1, 37, 45, generator=torch.Generator().manual_seed(0)).double()
IMAGES = F.avg_pool2d(IMAGES, 3, 1, 1)  # edges wider than a pixel


def by_hand(image: Tensor, top: int, left: int, *, patch: int = 16, bins: int = 8, **told: Any) -> Tensor:
    """One descriptor (16 * bins,) of a gray image (H, W), pixel by pixel, as the books say."""
    usual = {"orientation": "hard", "cells": "hard", "sigma": 8.0, "floor": 0.5, "clamp": 0.2, "border": "replicate"}
    told = {**usual, **told}
    sobel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]).double() / 4
    framed = F.pad(image[None, None], (1, 1, 1, 1), mode=told["border"])
    right, down = (F.conv2d(framed, kernel[None, None])[0, 0] for kernel in (sobel, sobel.T))
    cell, found = patch / 4, torch.zeros(4, 4, bins).double()
    reach = patch // 8 if told["cells"] == "linear" else 0
    for y in range(max(0, top - reach), min(image.shape[0], top + patch + reach)):
        for x in range(max(0, left - reach), min(image.shape[1], left + patch + reach)):
            i_x, i_y = float(right[y, x]), float(down[y, x])
            far = (y - top - (patch - 1) / 2) ** 2 + (x - left - (patch - 1) / 2) ** 2
            weight = sqrt(i_x**2 + i_y**2) * np.exp(-far / (2 * told["sigma"] ** 2))
            turn = (atan2(i_y, i_x) % (2 * pi)) / (2 * pi / bins)
            row, column = (y - top + 0.5) / cell - 0.5, (x - left + 0.5) / cell - 0.5
            for r, share_r in shares(row, told["cells"]):
                for c, share_c in shares(column, told["cells"]):
                    for b, share_b in shares(turn, told["orientation"]):
                        if r in range(4) and c in range(4):
                            found[r, c, b % bins] += weight * share_r * share_c * share_b
    flat: Tensor = found.flatten()
    if flat.norm() < told["floor"]:
        return torch.zeros_like(flat)
    flat = (flat / flat.norm()).clamp(max=told["clamp"])
    return flat.div(flat.norm())


def shares(place: float, kind: str) -> list[tuple[int, float]]:
    if kind == "hard":
        return [(floor(place + 0.5), 1.0)]
    return [(floor(place), 1 - (place - floor(place))), (floor(place) + 1, place - floor(place))]


def edge(*, is_reversed: bool = False, side: int = 16) -> Tensor:
    """Dark on the left, bright on the right, the step in the middle: (1, 1, side, side)."""
    image = torch.zeros(1, 1, side, side).double()
    image[..., side // 2 :] = 1
    return 1 - image if is_reversed else image


def histograms(descriptors: Tensor) -> Tensor:
    """(P, 4, 4, 8) of the first image."""
    return descriptors[0].view(-1, 4, 4, 8)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"orientation": "linear"},
        {"cells": "linear"},
        {"orientation": "linear", "cells": "linear", "stride": 5},
        {"patch": 24, "stride": 7, "sigma": 5.0, "floor": 0.0, "border": "reflect"},
        {"patch": 20, "cells": "linear", "clamp": 0.4},
        {"patch": 12, "stride": 13, "bins": 5},
        {"patch": 4, "stride": 16, "bins": 2, "orientation": "linear", "floor": 0.0},
    ],
    ids=str,
)
def test_equals_the_loop_over_every_pixel_of_every_patch(told: dict[str, Any]) -> None:
    found = dense_sift(IMAGES, **told)
    where = grid(37, 45, **{name: told[name] for name in ("patch", "stride") if name in told})
    told = {name: value for name, value in told.items() if name != "stride"}
    few = slice(None, None, max(1, len(where) // 3))
    for image, descriptors in zip(IMAGES, found, strict=True):
        slow = torch.stack([by_hand(image[0], *corner, **told) for corner in where[few].tolist()])
        torch.testing.assert_close(descriptors[few], slow)
    assert found.any()


@pytest.mark.parametrize("border", ["replicate", "reflect"])
def test_two_separable_correlations_are_the_two_kernels(border: str) -> None:
    framed = F.pad(IMAGES, (1, 1, 1, 1), mode=border)
    kernel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]).double() / 4
    whole = F.conv2d(framed, torch.stack([kernel, kernel.T])[:, None])
    torch.testing.assert_close(gradients(IMAGES, border=border), whole, rtol=0, atol=1e-12)


def test_a_vertical_edge_points_right_and_a_horizontal_one_down() -> None:
    upright = edge()
    for image, only in ((upright, 0), (1 - upright, 4), (upright.mT, 2), (1 - upright.mT, 6)):
        found = histograms(dense_sift(image))
        assert found[..., only].any()
        assert not found[..., [b for b in range(8) if b != only]].any()
        assert found.norm() == pytest.approx(1)


def test_an_edge_between_directions_falls_between_bins() -> None:
    ramp = torch.arange(16.0)[:, None] + torch.arange(16.0)  # brighter to the right and downwards
    framed = F.pad(ramp, (1, 1, 1, 1))[None, None] / 40
    inner = histograms(dense_sift(framed[..., 2:-2, 2:-2].expand(1, 1, -1, -1), patch=12, floor=0.0))[0, 1:3, 1:3]
    assert inner[..., 1].all()
    assert not inner[..., [0, 2, 3, 4, 5, 6, 7]].any()


def test_linear_orientation_shares_in_proportion() -> None:
    turn = torch.tensor(pi / 4 * 1.25)  # a quarter of the way from bin 1 to bin 2
    ramp = torch.arange(18.0)[:, None] * turn.sin() + torch.arange(18.0) * turn.cos()
    descriptors = dense_sift(ramp[None, None] / 40, orientation="linear", clamp=1.0)
    found = histograms(descriptors)[0, 1:3, 1:3]
    torch.testing.assert_close(found[..., 2] / found[..., 1], torch.full((2, 2), 1 / 3))


def test_a_turn_by_a_quarter_moves_bins_by_two_and_cells_with_the_picture() -> None:
    image = IMAGES[:1, :, :16, :16]
    before = histograms(dense_sift(image))[0]
    after = histograms(dense_sift(image.rot90(-1, (2, 3))))[0]  # clockwise: right becomes down
    torch.testing.assert_close(after, before.rot90(-1, (0, 1)).roll(2, dims=2))


def test_flat_patches_and_weak_edges_are_zeros() -> None:
    assert not dense_sift(torch.full((1, 3, 24, 24), 0.7)).any()
    strong, weak = edge() * 0.052, edge() * 0.051  # a full edge has norm 9.74, of which 0.5 are 5.1 %
    assert dense_sift(strong).any()
    assert not dense_sift(weak).any()
    assert dense_sift(edge() * 1e-3, floor=0.0).any()


def test_a_full_edge_has_the_norm_it_should() -> None:
    for limit, is_kept in ((9.73, True), (9.75, False)):
        assert bool(dense_sift(edge(), floor=limit).any()) is is_kept


def test_light_and_contrast_change_nothing() -> None:
    image = (IMAGES - 0.25).clamp(0, 1).float()
    torch.testing.assert_close(dense_sift(image * 0.8 + 0.15), dense_sift(image), rtol=0, atol=1e-5)


def test_norms_are_one_or_zero_and_the_clamp_holds_before_the_last() -> None:
    image = IMAGES.clone()
    image[:, :, :, :20] = 0.5
    found = dense_sift(image)
    norms = found.norm(dim=2)
    assert ((norms - 1).abs() < 1e-12).logical_or(norms == 0).all()
    assert (norms == 0).any()
    kept = norms > 0
    plain = dense_sift(image, clamp=1.0)[kept]
    cut = plain.clamp(max=0.2)
    torch.testing.assert_close(found[kept], cut / cut.norm(dim=1, keepdim=True))
    assert (plain > 0.2).any()


def test_the_grid_holds_all_patches_that_fit() -> None:
    assert grid(256, 256).shape == (961, 2)
    assert grid(16, 31).tolist() == [[0, 0], [0, 8]]
    assert grid(33, 20, patch=12, stride=10).tolist() == [[0, 0], [10, 0], [20, 0]]
    assert dense_sift(IMAGES).shape == (2, len(grid(37, 45)), 128)


def test_each_patch_is_described_where_the_grid_says() -> None:
    image = torch.full((1, 1, 40, 56), 0.5)
    image[:, :, 20:24, 44:47] = 1.0  # a spot
    touched = dense_sift(image, stride=4, floor=0.0)[0].any(dim=1)
    corners = grid(40, 56, stride=4)
    reaches = ((corners < torch.tensor([25, 48])) & (corners + 16 > torch.tensor([19, 43]))).all(dim=1)
    torch.testing.assert_close(touched, reaches)


def test_colour_is_read_as_gray_and_types_stay() -> None:
    colour = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    weights = torch.tensor([0.299, 0.587, 0.114])
    torch.testing.assert_close(gray(colour), (colour * weights[:, None, None]).sum(dim=1))
    torch.testing.assert_close(dense_sift(colour), dense_sift(gray(colour)[:, None]))
    assert dense_sift(colour.half()).dtype == dense_sift(colour).dtype == torch.float32
    assert dense_sift(colour.double()).dtype == torch.float64


@pytest.mark.parametrize("pixels", [1, 700, 2000, 5000])
@pytest.mark.parametrize("cells", ["hard", "linear"])
def test_what_is_worked_on_at_a_time_changes_nothing(pixels: int, cells: str, monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.cat([IMAGES, IMAGES.flip(2), IMAGES.flip(3)])
    whole = dense_sift(images, cells=cells)
    monkeypatch.setattr(sys.modules["pellucid.classic.dense_sift"], "CPU_PIXELS", pixels)
    torch.testing.assert_close(dense_sift(images, cells=cells), whole)
    torch.testing.assert_close(dense_sift(images[3:4], cells=cells), whole[3:4])


def test_images_are_left_as_they_are() -> None:
    before = IMAGES.clone()
    dense_sift(IMAGES, orientation="linear")
    assert torch.equal(IMAGES, before)
    assert not dense_sift(IMAGES.clone().requires_grad_()).requires_grad


@pytest.mark.parametrize("name", ["camera", "astronaut"])
def test_agrees_with_opencv(name: str) -> None:
    cv2 = pytest.importorskip("cv2")
    photographs = pytest.importorskip("skimage.data")
    picture = np.ascontiguousarray(np.atleast_3d(getattr(photographs, name)())[100:300, 130:330, 0])
    corners = grid(200, 200).tolist()
    # cells 4 wide, not turned; its bins turn upwards; sigma=0.5 leaves out its blur
    points = [cv2.KeyPoint(left + 8.0, top + 8.0, 16 / 6, 0.0, 0.0, 0) for top, left in corners]
    theirs = cv2.SIFT_create(sigma=0.5).compute(picture, points)[1].reshape(-1, 4, 4, 8)
    turned = torch.from_numpy(np.roll(theirs[..., ::-1], 1, axis=-1).copy()).flatten(1)
    images = torch.from_numpy(picture)[None, None].float() / 255
    ours = dense_sift(images, orientation="linear", cells="linear")[0]
    strong = ours.any(dim=1)
    assert strong.sum() > 200
    assert F.cosine_similarity(ours, turned)[strong].median() > 0.95


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"patch": 18}, "patch must be a multiple of 4, got 18"),
        ({"patch": 40}, "images must be at least 40 x 40, one patch, got 37 x 45"),
        ({"patch": 2}, "patch must be at least 4, got 2"),
        ({"stride": 0}, "stride must be at least 1, got 0"),
        ({"stride": 2.5}, "stride must be a whole number, got 2.5"),
        ({"bins": 1}, "bins must be at least 2, got 1"),
        ({"orientation": "lineer"}, "orientation must be one of hard, linear, got 'lineer'; did you mean linear"),
        ({"cells": "soft"}, "cells must be one of hard, linear, got 'soft'"),
        ({"border": "zero"}, "border must be one of replicate, reflect, got 'zero'"),
        ({"sigma": 0.0}, "sigma must be above 0 and finite, got 0.0"),
        ({"floor": -1.0}, "floor must be at least 0, got -1.0"),
        ({"clamp": 0.0}, r"clamp must be in \(0, 1\], got 0.0"),
    ],
    ids=str,
)
def test_refuses(told: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dense_sift(IMAGES, **told)


def test_gradients_refuse() -> None:
    with pytest.raises(ValueError, match="border must be one of replicate, reflect, got 'wrap'"):
        gradients(IMAGES, border="wrap")
    with pytest.raises(ValueError, match="images must have 1 or 3 channels, got 2"):
        gradients(IMAGES.expand(-1, 2, -1, -1))
    with pytest.raises(ValueError, match="images must be at least 2 x 2, got 1 x 45"):
        gradients(IMAGES[:, :, :1])


def test_refuses_images_that_are_none() -> None:
    with pytest.raises(ValueError, match=r"images must be at least 16 x 16, one patch, got 15 x 45"):
        dense_sift(IMAGES[:, :, :15])
    with pytest.raises(ValueError, match=r"images must be in \[0, 1\], got 0 to 255"):
        dense_sift(edge() * 255)
    with pytest.raises(ValueError, match="images must have 1 or 3 channels, got 2"):
        dense_sift(IMAGES.expand(-1, 2, -1, -1))


def test_every_option_is_told() -> None:
    assert {option.name for option in options(dense_sift)} >= {"patch", "stride", "bins", "clamp"}
