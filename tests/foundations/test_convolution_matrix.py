import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.foundations.convolution_matrix import convolution_matrix
from pellucid.foundations.transposed_convolution import transposed_convolution


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_matrix_written_out() -> None:
    """A kernel (a, b) on a row of three: two windows, the same two weights one further."""
    found = convolution_matrix(torch.tensor([[[[2.0, 3.0]]]]), (1, 3))
    assert found.values.to_dense().tolist() == [[2, 3, 0], [0, 2, 3]]
    padded = convolution_matrix(torch.tensor([[[[2.0, 3.0]]]]), (1, 2), (1, 0, 0, 0))
    assert padded.values.to_dense().tolist() == [[3, 0], [2, 3]]


@pytest.mark.parametrize("groups", [1, 2])
def test_entries_and_distinct_values_are_counted(groups: int) -> None:
    weight = numbers(4, 4 // groups, 3, 3)
    found = convolution_matrix(weight, (7, 6), stride=1, groups=groups)
    outputs, high, wide = found.outputs
    assert found.outputs == (4, 5, 4)
    assert found.values.shape == (4 * 5 * 4, 4 * 7 * 6)
    assert found.values._nnz() == outputs * high * wide * (4 // groups) * 9
    assert len(set(found.values.values().tolist())) == 4 * (4 // groups) * 9


@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 0, 1), (2, 1, 1), (3, 2, 2), (1, 2, 2)])
def test_the_transpose_is_the_transposed_convolution_and_the_gradient(stride: int, padding: int, dilation: int) -> None:
    images, weight = numbers(1, 2, 9, 8).requires_grad_(), numbers(3, 2, 3, 2, seed=1)
    out = F.conv2d(images, weight, None, stride, padding, dilation)
    upstream = numbers(*out.shape, seed=2)
    shared = convolution_matrix(weight, (9, 8), (padding,) * 4, stride=stride, dilation=dilation)
    back = torch.sparse.mm(shared.values.t(), upstream.flatten()[:, None])[:, 0].view(2, 9, 8)
    (slope,) = torch.autograd.grad(out, images, upstream)
    torch.testing.assert_close(back, slope[0], rtol=0, atol=1e-10)
    pasted = transposed_convolution(upstream, weight, stride=stride, padding=padding, dilation=dilation)[0]
    high, wide = pasted.shape[1:]
    torch.testing.assert_close(back[:, :high, :wide], pasted, rtol=0, atol=1e-10)
    assert back[:, high:].abs().sum() + back[:, :, wide:].abs().sum() == pytest.approx(
        float(back.abs().sum() - pasted.abs().sum()), abs=1e-9
    )


@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "more"), [(1, 0, 1, 0), (2, 1, 1, 1), (3, 0, 2, 2), (1, 2, 3, 2)]
)
def test_pasting_equals_torch(stride: int, padding: int, dilation: int, more: int) -> None:
    images, weight, bias = numbers(2, 3, 4, 5), numbers(3, 2, 3, 3, seed=1), numbers(2, seed=2)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "output_padding": more}
    found = transposed_convolution(images, weight, bias, **options)
    expected = F.conv_transpose2d(images, weight, bias, stride, padding, more, 1, dilation)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="weight must have 2 channels"):
        transposed_convolution(numbers(1, 2, 3, 3), numbers(3, 2, 2, 2))
    with pytest.raises(ValueError, match="padding must leave something of 2 pixels, got 1"):
        transposed_convolution(numbers(1, 1, 1, 1), numbers(1, 1, 2, 2), padding=1)
