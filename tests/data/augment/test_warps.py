"""Warps: against whole turns, plain matrices, the corners of a perspective, and a disc and its mask."""

import math

import pytest
import torch
from torch import Tensor

from pellucid.data import augment
from pellucid.data.augment import warps
from pellucid.data.augment._op import Warp
from pellucid.data.augment._sampling import warped

IMAGES = torch.rand(6, 3, 12, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
INDICES = torch.arange(200)
WIDE = (20, 30)


def drawn(text: str, size: tuple[int, int] = WIDE, seed: int = 0) -> tuple[dict[str, Tensor], Tensor]:
    policy = augment.policy(text)
    values = dict(policy.draw(INDICES, size, seed=seed).values[0])
    op = policy.ops[0]
    assert isinstance(op, Warp)
    return values, op.matrix(values, size)


def test_four_quarter_turns_are_the_identity_and_one_turns_against_the_clock() -> None:
    quarter = warps.about_centre((12, 12), degrees=torch.full((6,), 90.0, dtype=torch.float64))
    turned = IMAGES
    for number in range(1, 5):
        turned = warped(turned, quarter, "bilinear")
        torch.testing.assert_close(turned, IMAGES.rot90(number, (2, 3)))


def test_whole_pixel_shifts_move_pixels() -> None:
    down, right = (torch.full((6,), number, dtype=torch.float64) for number in (3.0, -2.0))
    moved = warped(IMAGES, warps.about_centre((12, 12), down=down, right=right), "bilinear")
    torch.testing.assert_close(moved[:, :, 3:, :-2], IMAGES[:, :, :-3, 2:])
    assert moved[:, :, :3].abs().max() < 1e-12


def test_a_zoom_by_two_shows_the_middle_half() -> None:
    factor = torch.full((200,), 2.0, dtype=torch.float64)
    matrix = warps.about_centre(WIDE, factor=factor)[0]
    corners = torch.tensor([[0.0, 30.0], [0, 20], [1, 1]], dtype=torch.float64)
    torch.testing.assert_close(matrix @ corners, torch.tensor([[7.5, 22.5], [5, 15], [1, 1]], dtype=torch.float64))


def test_a_lean_moves_what_is_above_the_centre_to_the_right() -> None:
    lean = torch.full((1,), 45.0, dtype=torch.float64)
    back = warps.about_centre((20, 20), lean=lean)[0]
    top = torch.tensor([15.0, 5.0, 1.0], dtype=torch.float64)  # five above the centre, and five right of it
    torch.testing.assert_close(back @ top, torch.tensor([10.0, 5.0, 1.0], dtype=torch.float64))


@pytest.mark.parametrize(
    ("text", "name", "low", "high"),
    [
        ("rotate=15", "degrees", -15, 15),
        ("shear=10", "lean", -10, 10),
        ("zoom=0.2", "factor", 0.8, 1.2),
        ("shift=0.1", "down", -2, 2),
        ("shift=0.1", "right", -3, 3),
    ],
)
def test_draws_fill_their_range(text: str, name: str, low: float, high: float) -> None:
    values = drawn(text)[0][name]
    assert low <= values.min() < low + 0.1 * (high - low)
    assert high - 0.1 * (high - low) < values.max() <= high


def test_affine_is_its_parts_one_after_the_other() -> None:
    values, matrix = drawn("affine=40:shift=0.2:zoom=0.3:shear=20")
    parts = [
        warps.about_centre(WIDE, lean=values["lean"]),
        warps.about_centre(WIDE, factor=values["factor"]),
        warps.about_centre(WIDE, degrees=values["degrees"]),
        warps.about_centre(WIDE, right=values["right"], down=values["down"]),
    ]
    torch.testing.assert_close(matrix, parts[0] @ parts[1] @ parts[2] @ parts[3])


def test_neighbouring_warps_are_one_look_up_and_equal_their_product() -> None:
    policy = augment.policy("rotate=30,shift=0.2,zoom=0.3")
    draws = policy.draw(INDICES[:6], (12, 12), seed=2)
    matrix = torch.eye(3, dtype=torch.float64)
    for op, values in zip(draws.ops, draws.values, strict=True):
        assert isinstance(op, Warp)
        matrix = matrix @ op.matrix(values, (12, 12))
    torch.testing.assert_close(policy.apply(IMAGES, draws).images, warped(IMAGES, matrix, "bilinear"))


def test_perspective_puts_the_corners_where_it_says() -> None:
    values, matrix = drawn("perspective=0.5:p=1")
    for corner, place in enumerate([(0.0, 0.0), (30, 0), (30, 20), (0, 20)]):
        put = torch.stack([values[f"x{corner}"], values[f"y{corner}"], torch.ones(200)], dim=1)
        back = (matrix @ put[:, :, None])[..., 0]
        expected = torch.tensor(place, dtype=torch.float64).expand(200, 2)
        torch.testing.assert_close(back[:, :2] / back[:, 2:], expected)
        assert ((put[:, :2] - expected).abs() <= torch.tensor([7.5, 5.0])).all()
        assert ((put[:, :2] >= 0) & (put[:, :2] <= torch.tensor([30.0, 20.0]))).all()  # inwards


@pytest.mark.parametrize("size", [(20, 30), (10, 40), (16, 16)])
def test_a_resized_crop_lies_inside_and_has_the_drawn_area(size: tuple[int, int]) -> None:
    values, matrix = drawn("resized_crop=0.08", size)
    share = values["height"] * values["width"] / math.prod(size)
    assert 0.08 - 1e-9 <= share.min() < 0.15
    assert 0.95 < share.max() <= 1 + 1e-9
    assert abs(float(share.mean()) - 0.54) < 0.06  # uniform from 0.08 to 1, whatever shapes fit
    assert (values["down"] >= 0).all()
    assert (values["down"] + values["height"] <= size[0] + 1e-9).all()
    assert (values["right"] + values["width"] <= size[1] + 1e-9).all()
    corner = torch.tensor([size[1], size[0], 1.0], dtype=torch.float64)
    expected = torch.stack([values["right"] + values["width"], values["down"] + values["height"]], dim=1)
    torch.testing.assert_close((matrix @ corner)[:, :2], expected)


def test_the_shape_of_a_resized_crop_is_within_its_ratio() -> None:
    values, _ = drawn("resized_crop=0.08:most=0.5", (32, 32))
    shape = values["width"] / values["height"]
    assert 0.75 - 1e-9 <= shape.min() < 0.8
    assert 1.25 < shape.max() <= 4 / 3 + 1e-9


@pytest.mark.parametrize("text", ["affine=60:shift=0.2:zoom=0.3", "perspective=0.3:p=1", "resized_crop=0.5", "hflip=1"])
def test_a_disc_and_its_mask_stay_together(text: str) -> None:
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    disc = (((y - 30) ** 2 + (x - 25) ** 2) <= 12**2).float()
    images, count = disc.expand(20, 1, 64, 64).contiguous(), 20
    policy = augment.policy(text)
    draws = policy.draw(torch.arange(count), images.shape, seed=3)
    done = policy.apply(images, draws, masks=(disc * 7).long().expand(count, 64, 64))
    assert done.masks is not None
    differ = (done.images[:, 0] - (done.masks == 7).float()).abs()
    assert differ.max() < 0.76  # the nearest of four pixels weighs a quarter or more; a shifted edge differs by 1
    assert (differ > 0.51).sum() < 0.03 * disc.sum() * count


@pytest.mark.parametrize("text", ["affine=60:shift=0.2:zoom=0.3", "perspective=0.3:p=1", "vflip=1", "crop=6,rotate=90"])
def test_a_box_is_that_of_its_transformed_mask(text: str) -> None:
    mask = torch.zeros(64, 64, dtype=torch.int64)
    mask[22:40, 15:45] = 1
    policy, count = augment.policy(text), 30
    draws = policy.draw(torch.arange(count), (64, 64), seed=5)
    box = torch.tensor([[15.0, 22, 45, 40]])
    done = policy.apply(torch.zeros(count, 1, 64, 64), draws, mask.expand(count, 64, 64), [box] * count)
    assert done.masks is not None
    assert done.boxes is not None
    for moved, boxes in zip(done.masks, done.boxes, strict=True):
        rows, columns = (moved.any(dim=axis).nonzero()[:, 0] for axis in (1, 0))
        seen = torch.tensor([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).float()
        assert (boxes[0] - seen).abs().max() <= 1.01


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rotate=200", r"rotate.degrees must be in \[0, 180\], got 200"),
        ("perspective=0.7", r"perspective.distortion must be in \[0, 0.6\], got 0.7"),
        ("resized_crop=0.5:most=0.2", "resized_crop.least must be at most most, got 0.5 and 0.2"),
        ("shift=2", r"shift.fraction must be in \[0, 1\], got 2"),
    ],
)
def test_refuses(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        augment.policy(text)
