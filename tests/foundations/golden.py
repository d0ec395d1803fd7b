"""The worked example of convolution: one image, three kernels, and every number that comes out, done on paper."""

import torch
from torch import Tensor


def rows(text: str) -> Tensor:
    """A matrix of digits: "100 010" has two rows."""
    return torch.tensor([[float(digit) for digit in row] for row in text.split()], dtype=torch.float64)


IMAGE = rows("100110 010001 001100 100010 100001")[None, None]
KERNELS = torch.stack([rows("10 01"), rows("10 10"), rows("11 00")])[:, None]
VALID = torch.stack([rows("20012 02100 00120 10002"), rows("11011 01110 10111 20001"), rows("10121 11001 01210 10011")])
RECTIFIED = torch.stack(
    [rows("10001 01000 00010 00001"), rows("00000 00000 00000 10000"), rows("00010 00000 00100 00000")]
)
STRIDED = torch.stack([rows("202 010"), rows("101 111"), rows("111 020")])
STRIDED_RECTIFIED = torch.stack([rows("101 000"), rows("000 000"), rows("000 010")])
