import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.foundations.convolution import ROUTES, convolution
from pellucid.foundations.convolution_pixel import convolution_pixel

from .golden import IMAGE, KERNELS, RECTIFIED, STRIDED, STRIDED_RECTIFIED, VALID

each = pytest.mark.parametrize("route", ROUTES)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@each
def test_the_worked_example(route: str) -> None:
    torch.testing.assert_close(convolution(IMAGE, KERNELS, route=route)[0], VALID)
    torch.testing.assert_close(convolution(IMAGE, KERNELS, stride=2, route=route)[0], STRIDED)
    bias = -torch.ones(3, dtype=torch.float64)
    torch.testing.assert_close(convolution(IMAGE, KERNELS, bias, route=route)[0].relu(), RECTIFIED)
    torch.testing.assert_close(convolution(IMAGE, KERNELS, bias, stride=2, route=route)[0].relu(), STRIDED_RECTIFIED)


def sweep() -> list[tuple[int, int, int, int, int]]:
    """Length, kernel, stride, padding and dilation of every case of the sweep."""
    return list(itertools.product(range(1, 13), range(1, 6), range(1, 4), range(5), range(1, 4)))


@each
def test_equals_torch_over_a_sweep(route: str) -> None:
    """Rectangular images and kernels: each case is another one along the other axis; unfolding takes all of them."""
    kept = 0
    cases = sweep() if route == "unfold" else sweep()[::4]
    for number, (length, kernel, stride, padding, dilation) in enumerate(cases):
        if dilation * (kernel - 1) + 1 > length + 2 * padding:
            continue
        kept += 1
        groups, wide = 1 + number % 2, 1 + (kernel + number) % 2
        images, weight = numbers(1, 2, length, wide + 3, seed=number), numbers(2, 2 // groups, kernel, wide)
        options = {"stride": stride, "padding": (padding, 1), "dilation": dilation, "groups": groups}
        found = convolution(images, weight, route=route, **options)  # type: ignore[arg-type]
        expected = F.conv2d(images, weight, None, stride, (padding, 1), dilation, groups)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    assert kept > (2000 if route == "unfold" else 500)


@each
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_groups_and_channels(route: str, groups: int) -> None:
    images, weight = numbers(2, 4, 6, 5), numbers(8, 4 // groups, 3, 2, seed=1)
    found = convolution(images, weight, padding="full", groups=groups, route=route)
    torch.testing.assert_close(found, F.conv2d(images, weight, padding=(2, 1), groups=groups), rtol=0, atol=1e-10)


@each
def test_a_flipped_kernel_correlated_is_a_convolution(route: str) -> None:
    images, weight = numbers(1, 2, 7, 6), numbers(3, 2, 3, 2, seed=1)
    found = convolution(images, weight, mode="convolution", route=route)
    torch.testing.assert_close(found, convolution(images, weight.flip(2, 3), route=route))
    assert not torch.allclose(found, convolution(images, weight, route=route))
    from scipy.signal import convolve2d

    one = convolution(images[:, :1], weight[:1, :1], mode="convolution", padding="full", route=route)
    oracle = convolve2d(images[0, 0].numpy(), weight[0, 0].numpy(), mode="full")
    torch.testing.assert_close(one[0, 0], torch.from_numpy(oracle))


@each
def test_full_convolution_commutes_and_its_sum_is_the_product_of_sums(route: str) -> None:
    one, other = numbers(1, 1, 5, 4), numbers(1, 1, 3, 6, seed=1)
    there = convolution(one, other, padding="full", mode="convolution", route=route)
    back = convolution(other, one, padding="full", mode="convolution", route=route)
    torch.testing.assert_close(there, back)
    torch.testing.assert_close(there.sum(), one.sum() * other.sum())


@each
def test_a_single_one_in_the_middle_changes_nothing(route: str) -> None:
    images, delta = numbers(2, 1, 6, 7), torch.zeros(1, 1, 3, 5, dtype=torch.float64)
    delta[0, 0, 1, 2] = 1
    for mode in ("correlation", "convolution"):
        torch.testing.assert_close(convolution(images, delta, padding="same", mode=mode, route=route), images)


@each
def test_a_moved_image_moves_the_output(route: str) -> None:
    images, weight = numbers(1, 1, 9, 9), numbers(1, 1, 3, 3, seed=1)
    moved = images.roll((2, 1), dims=(2, 3))
    found, expected = (convolution(one, weight, route=route) for one in (moved, images))
    torch.testing.assert_close(found[..., 2:, 1:], expected[..., :-2, :-1])


@each
def test_float32_stays_and_gradients_flow(route: str) -> None:
    images, weight = numbers(1, 2, 5, 5).float().requires_grad_(), numbers(3, 2, 2, 2).float().requires_grad_()
    found = convolution(images, weight, stride=2, padding=1, route=route)
    assert found.dtype == torch.float32
    slopes = torch.autograd.grad(found.square().sum(), (images, weight))
    expected = torch.autograd.grad(F.conv2d(images, weight, stride=2, padding=1).square().sum(), (images, weight))
    torch.testing.assert_close(slopes, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("length", range(1, 9))
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_same_with_stride_gives_the_ceiling(length: int, stride: int) -> None:
    for kernel in (1, 2, 3):
        found = convolution(
            numbers(1, 1, length, length), numbers(1, 1, kernel, kernel), stride=stride, padding="same_ceil"
        )
        assert found.shape[2:] == (-(-length // stride),) * 2


def test_same_pads_less_on_the_left() -> None:
    images = torch.ones(1, 1, 1, 3)
    found = convolution(images, torch.tensor([[[[1.0, 10.0]]]]), padding="same")
    assert found.flatten().tolist() == [11, 11, 1]


def test_one_pixel_worked_out() -> None:
    bias = torch.tensor([-1.0, 0.0, 0.5], dtype=torch.float64)
    found = convolution_pixel(IMAGE[0], KERNELS, bias, output=0, row=0, column=4)
    assert found.window.tolist() == [[[1, 0], [0, 1]]]
    assert (found.total, found.excited) == (2, 1)
    assert str(found) == "1·1 + 0·0 + 0·0 + 1·1 = 2\n2 - 1 = 1, ReLU: 1"


@pytest.mark.parametrize("mode", ["correlation", "convolution"])
def test_each_pixel_is_that_of_the_convolution(mode: str) -> None:
    image, weight, bias = numbers(2, 5, 6), numbers(3, 2, 2, 3, seed=1), numbers(3, seed=2)
    whole = convolution(image[None], weight, bias, stride=2, padding=1, dilation=2, mode=mode)[0]
    for output, row, column in itertools.product(*map(range, whole.shape)):
        one = convolution_pixel(
            image, weight, bias, output=output, row=row, column=column, stride=2, padding=1, dilation=2, mode=mode
        )
        assert one.excited == pytest.approx(float(whole[output, row, column]))
        assert one.total == pytest.approx(one.excited - float(bias[output]))
    with pytest.raises(ValueError, match=r"row must be in \[0, 2\], got 3"):
        convolution_pixel(image, weight, row=3, stride=2, padding=1, dilation=2)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"weight": numbers(1, 1, 7, 7)}, "kernel 7 does not fit padded input 5"),
        ({"weight": numbers(1, 1, 3, 3), "dilation": 3}, r"kernel 3 \(spread over 7 by dilation 3\) does not fit"),
        ({"groups": 2}, "groups must divide 1 channels and 1 outputs, got 2"),
        ({"stride": 0}, "stride must be at least 1, got 0"),
        ({"stride": 2, "padding": "same"}, "padding same needs stride 1, got 2; same_ceil makes"),
        (
            {"padding": "smae"},
            r"padding must be valid, same, same_ceil, full or a number, got 'smae'; did you mean same",
        ),
        ({"padding": -1}, "padding must be at least 0, got -1"),
        ({"weight": torch.ones(1, 1, 2, 2)}, "must have one float dtype, got float32, float64"),
        ({"weight": numbers(1, 2, 2, 2)}, "weight must have 1 channels for each of its kernels, got 2"),
        ({"bias": numbers(2)}, r"bias must have shape \(1,\), one for each output, got \(2,\)"),
        ({"mode": "corelation"}, "mode must be one of correlation, convolution"),
        ({"route": "loop"}, "route must be one of loops, unfold, fourier, matrix, got 'loop'; did you mean loops"),
        ({"images": numbers(5, 5)}, r"images must be \(N, C, H, W\)"),
        ({"images": torch.full((1, 1, 5, 5), torch.nan, dtype=torch.float64)}, "images must be finite"),
        ({"bias": numbers(1) / 0}, "bias must be finite, got NaN or infinity"),
    ],
)
@each
def test_refusals(options: dict[str, object], told: str, route: str) -> None:
    given = {"images": numbers(1, 1, 5, 5), "weight": numbers(1, 1, 2, 2), "route": route, **options}
    with pytest.raises(ValueError, match=told):
        convolution(given.pop("images"), given.pop("weight"), given.pop("bias", None), **given)  # type: ignore[arg-type]
