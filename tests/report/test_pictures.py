import base64
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from pellucid.report import colour, data_uri, enlarged, fitted, overlay, pixels, thumbnail
from pellucid.report.pictures import scaled


def test_pixels_round_and_repeat_gray() -> None:
    found = pixels(torch.tensor([[[0.0, 0.5, 1.0]]]))
    assert found.dtype == np.uint8
    assert found.tolist() == [[[0, 0, 0], [128, 128, 128], [255, 255, 255]]]


def test_scaling_keeps_zero_and_sign() -> None:
    found = scaled(torch.tensor([[-4.0, 0.0, 2.0]]), clip=100)
    assert found.tolist() == [[-1.0, 0.0, 0.5]]
    assert scaled(torch.tensor([[1.0, 3.0, 5.0]]), clip=100).tolist() == [[0.0, 0.5, 1.0]]


def test_an_outlier_does_not_hide_the_rest() -> None:
    heat = torch.ones(10, 100)
    heat[0, 0], heat[5:] = 1e6, 0.0
    assert scaled(heat)[2, 3] == 1.0
    assert scaled(heat, clip=100)[2, 3] < 1e-5


@pytest.mark.parametrize("value", [0.0, -3.0, 7.5])
def test_flat_heat_is_drawn_as_nothing(value: float) -> None:
    assert scaled(torch.full((4, 4), value)).abs().max() == 0
    assert colour(torch.full((4, 4), value)).max() == 0


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_heat_that_is_not_finite_says_nothing(value: float) -> None:
    image = torch.rand(3, 2, 2)
    drawn = overlay(image, torch.tensor([[0.0, value], [1.0, 1.0]]))
    np.testing.assert_array_equal(drawn, overlay(image, torch.zeros(2, 2)))


def test_evidence_for_is_warm_and_against_is_blue() -> None:
    heat = torch.tensor([[1.0, 0.0, -1.0]])
    warm, none, cold = overlay(torch.full((3, 1, 3), 0.5), heat)[0].astype(int)
    assert warm[0] > warm[2] + 50
    assert cold[2] > cold[0] + 50
    assert none[0] == none[1] == none[2], "no evidence leaves the gray image"


def test_enlarging_repeats_pixels() -> None:
    image = torch.arange(6.0).view(1, 2, 3)
    found = enlarged(image, 5)
    assert found.shape == (1, 6, 9)
    assert torch.equal(found[:, ::3, ::3], image)
    assert enlarged(torch.zeros(3, 200, 300), 160).shape == (3, 200, 300)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((8, 9), (112, 126)), ((150, 200), (150, 200)), ((448, 896), (112, 224)), ((300, 300), (224, 224))],
)
def test_pictures_are_brought_to_a_size_for_the_page(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert tuple(fitted(torch.rand(3, *size), 112, 224).shape[1:]) == expected


def test_reducing_averages() -> None:
    board = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(200, 200)[None]
    torch.testing.assert_close(fitted(board, 50, 100)[:, 5:-5, 5:-5], torch.full((1, 90, 90), 0.5), atol=0.02, rtol=0)


@pytest.mark.parametrize("exact", [True, False])
def test_data_uris_hold_the_picture(exact: bool) -> None:
    picture = np.full((8, 9, 3), 77, dtype=np.uint8)
    head, body = data_uri(picture, exact=exact).split(",")
    assert head == f"data:image/{'png' if exact else 'jpeg'};base64"
    read = np.asarray(Image.open(BytesIO(base64.b64decode(body))))
    assert np.abs(read.astype(int) - 77).max() <= (0 if exact else 2)
    assert read.shape == (8, 9, 3)


@pytest.mark.parametrize(("size", "kind", "shape"), [((8, 8), "png", (96, 96)), ((300, 400), "jpeg", (144, 192))])
def test_a_thumbnail_is_small_and_exact_where_enlarged(
    size: tuple[int, int], kind: str, shape: tuple[int, int]
) -> None:
    head, body = thumbnail(torch.rand(1, *size)).split(",")
    assert head == f"data:image/{kind};base64"
    assert np.asarray(Image.open(BytesIO(base64.b64decode(body)))).shape == (*shape, 3)
