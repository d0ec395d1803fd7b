import math

import pytest
import torch
from torch import Tensor

from pellucid.classic import match_images, match_views
from pellucid.classic.match_views import _enlarged, _reduced, _turned, _turned_back

from .test_match_images import photograph, warped


@pytest.fixture(scope="module")
def image() -> Tensor:
    return photograph("astronaut")


@pytest.mark.parametrize(("scale", "angle"), [(1.0, 130.0), (0.6, -75.0)])
def test_any_turn_and_another_size_are_found(image: Tensor, scale: float, angle: float) -> None:
    other, matrix = warped(image, scale, angle)
    found = match_views(image, other, turns=6, zooms=3, fine=3)
    assert found.alignment is not None
    assert found.alignment.scale == pytest.approx(scale, abs=0.02)
    assert found.alignment.angle == pytest.approx(angle, abs=1)
    middle = torch.tensor([[99.5, 99.5], [20.0, 60.0]])
    across_down = torch.cat([middle.flip(1), torch.ones(2, 1)], dim=1).double() @ torch.from_numpy(matrix).T
    torch.testing.assert_close(found.alignment.move(middle), across_down[:, [1, 0]], atol=2.0, rtol=0)
    far = (found.alignment.move(found.first) - found.second).square().sum(dim=1).sqrt()
    assert (far[found.alignment.agreed] <= 4 / min(1.0, scale)).all()
    assert found.alignment.agreed.double().mean() > 0.7


def test_without_turns_and_sizes_it_is_plain_matching(image: Tensor) -> None:
    other = image[:, :, 22:, 36:]
    plain, found = match_images(image, other), match_views(image, other, turns=1, zooms=1)
    for name in ("first", "second", "ratio"):
        torch.testing.assert_close(getattr(found, name), getattr(plain, name))
    assert plain.alignment is not None
    assert found.alignment is not None
    assert found.alignment.shift == pytest.approx(plain.alignment.shift)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_right_angles_are_exact(image: Tensor, quarters: int) -> None:
    turned = torch.rot90(image, -quarters, (2, 3))  # clockwise
    torch.testing.assert_close(_turned(image, 90.0 * quarters), turned, atol=1e-4, rtol=0)
    found = match_views(image[..., :150], _turned(image[..., :150], 90.0 * quarters), turns=4, zooms=1, fine=4)
    assert found.alignment is not None
    assert found.alignment.agreed.double().mean() > 0.98
    expected = {1: 90, 2: 180, 3: -90}[quarters]
    assert abs(math.remainder(found.alignment.angle - expected, 360)) < 0.5


@pytest.mark.parametrize("degrees", [25.0, 200.0])
def test_places_of_a_turned_picture_are_turned_back(degrees: float) -> None:
    image = torch.zeros(1, 1, 40, 60)
    image[0, 0, 10:13, 44:47] = 1
    turned = _turned(image, degrees)
    rows, columns = torch.meshgrid(*(torch.arange(side).double() for side in turned.shape[-2:]), indexing="ij")
    weights = turned[0, 0].double() / turned.sum()
    spot = torch.stack([(rows * weights).sum(), (columns * weights).sum()])[None]
    back = _turned_back(spot, image, turned, degrees)
    torch.testing.assert_close(back, torch.tensor([[11.0, 45.0]]).double(), atol=0.05, rtol=0)


def test_places_beyond_the_border_are_no_matches(image: Tensor) -> None:
    other, _ = warped(image, 0.8, 40.0)
    found = match_views(image, other, turns=9, zooms=1, fine=3)
    assert ((found.second >= -0.5) & (found.second <= 199.5)).all()
    assert ((found.first >= -0.5) & (found.first <= 199.5)).all()


def test_unrelated_pictures_agree_in_nothing(image: Tensor) -> None:
    found = match_views(image, photograph("coffee"), turns=4, zooms=1, fine=4)
    assert found.alignment is None or int(found.alignment.agreed.sum()) < 10
    flat = match_views(image, torch.full_like(image, 0.5), turns=4, zooms=1, fine=8)
    assert (len(flat.first), flat.alignment) == (0, None)


def test_a_size_is_left_as_it_is_or_reduced(image: Tensor) -> None:
    assert _reduced(image, 1.0) is image
    small = _reduced(image, 0.5)
    assert small.shape == (1, 3, 100, 100)
    edges = torch.tensor([[-0.5, 99.5], [49.5, 10.0]])
    torch.testing.assert_close(_enlarged(edges, small, image), torch.tensor([[-0.5, 199.5], [99.5, 20.5]]))


def test_refusals(image: Tensor) -> None:
    with pytest.raises(ValueError, match="turns must be in \\[1, 360\\], got 0"):
        match_views(image, image, turns=0)
    with pytest.raises(ValueError, match="zooms must be odd, so that the middle one is 1, got 2"):
        match_views(image, image, zooms=2)
    with pytest.raises(ValueError, match="patch must be at most the pictures' shorter side, got 16 for 12 x 200"):
        match_views(image, image[..., :12])
    with pytest.raises(ValueError, match="must be one picture"):
        match_views(image, image.expand(2, -1, -1, -1))
    with pytest.raises(ValueError, match="images must be in \\[0, 1\\]"):
        match_views(image * 255, image)
