import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pellucid.foundations.convolution_sizes import (
    convolution_weights,
    dense_weights,
    output_size,
    padding_of,
    receptive_field,
    transposed_size,
)


def test_the_formula_and_where_it_is_undefined_over_a_sweep() -> None:
    for n, k, s, p, d in itertools.product(range(1, 13), range(1, 6), range(1, 4), range(5), range(1, 4)):
        image, weight = torch.zeros(1, 1, n, 1, device="meta"), torch.zeros(1, 1, k, 1, device="meta")
        if d * (k - 1) + 1 > n + 2 * p:
            with pytest.raises(ValueError, match=f"kernel {k}.* does not fit padded input {n + 2 * p}"):
                output_size(n, k, stride=s, padding=p, dilation=d)
        else:
            expected = F.conv2d(image, weight, stride=(s, 1), padding=(p, 0), dilation=(d, 1)).shape[2]
            assert output_size(n, k, stride=s, padding=p, dilation=d) == expected


def test_transposed_sizes_are_torchs() -> None:
    for n, k, s, p, d in itertools.product(range(1, 7), range(1, 5), range(1, 4), range(3), range(1, 3)):
        for more in range(max(s, d)):
            options = {"stride": s, "padding": p, "dilation": d, "output_padding": more}
            wanted = (n - 1) * s - 2 * p + d * (k - 1) + 1 + more
            if wanted < 1:
                with pytest.raises(ValueError, match=f"padding must leave something of {wanted + 2 * p} pixels"):
                    transposed_size(n, k, **options)
                continue
            image, weight = torch.zeros(1, 1, n, n, device="meta"), torch.zeros(1, 1, k, k, device="meta")
            found = F.conv_transpose2d(image, weight, None, s, p, more, 1, d)
            assert transposed_size(n, k, **options) == found.shape[2] == found.shape[3]


@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
def test_same_and_halving(kernel: int) -> None:
    sides = padding_of("same", (9, 9), (kernel, kernel))
    assert sides == ((kernel - 1) // 2,) * 4
    assert output_size(9, kernel, padding=sides[0]) == 9
    assert output_size(10, 2, stride=2) == 5


def test_an_even_kernel_pads_less_before() -> None:
    assert padding_of("same", (5, 5), (2, 4)) == (1, 2, 0, 1)  # left, right, top, bottom
    assert padding_of("full", (5, 5), (2, 4), dilation=2) == (6, 6, 2, 2)
    assert padding_of((3, 1), (5, 5), (2, 4)) == (1, 1, 3, 3)


def test_more_pixels_do_not_give_as_many_more_outputs() -> None:
    assert [output_size(224 + more, 3, stride=2, padding=1) for more in (0, 1, 2, 3, 4)] == [112, 113, 113, 114, 114]


def test_weights_are_counted() -> None:
    assert convolution_weights(3, 16, 5) == sum(p.numel() for p in nn.Conv2d(3, 16, 5).parameters())
    assert convolution_weights(8, 16, 3, groups=4) == sum(p.numel() for p in nn.Conv2d(8, 16, 3, groups=4).parameters())
    dense = nn.Linear(3 * 8 * 8, 2 * 6 * 6)
    assert dense_weights((3, 8, 8), (2, 6, 6)) == sum(p.numel() for p in dense.parameters())


def test_what_one_output_sees() -> None:
    assert receptive_field([5], [1]) == 5
    assert receptive_field([3, 5], [2, 1]) == 3 + (5 - 1) * 2
    assert receptive_field([3, 3], [1, 1], [1, 4]) == 3 + 8
    seen = torch.zeros(1, 1, 60, 60, requires_grad=True)
    out = seen
    for kernel, stride, dilation in ((3, 2, 1), (2, 2, 1), (3, 1, 2)):
        out = F.conv2d(out, torch.ones(1, 1, kernel, kernel), stride=stride, dilation=dilation)
    (slope,) = torch.autograd.grad(out[0, 0, 2, 2], seen)
    assert (
        receptive_field([3, 2, 3], [2, 2, 1], [1, 1, 2])
        == int((slope[0, 0].sum(dim=0) > 0).nonzero().flatten().diff().sum()) + 1
    )


def test_refusals() -> None:
    with pytest.raises(ValueError, match="kernel 7 does not fit padded input 5"):
        output_size(3, 7, padding=1)
    with pytest.raises(ValueError, match="stride must be at least 1, got 0"):
        output_size(3, 1, stride=0)
    with pytest.raises(ValueError, match=r"output_padding must be in \[0, 1\], got 2"):
        transposed_size(3, 2, stride=2, output_padding=2)
