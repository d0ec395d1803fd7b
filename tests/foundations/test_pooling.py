import pytest
import torch
import torch.nn.functional as F

from pellucid.foundations.pooling import pooling

IMAGES = torch.randn(2, 3, 7, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(("size", "stride"), [(2, None), (3, 1), (3, 2), (1, 2), (6, None)])
def test_equals_torch(size: int, stride: int | None) -> None:
    torch.testing.assert_close(pooling(IMAGES, size=size, stride=stride), F.max_pool2d(IMAGES, size, stride))
    average = pooling(IMAGES, kind="average", size=size, stride=stride)
    torch.testing.assert_close(average, F.avg_pool2d(IMAGES, size, stride))
    least = pooling(IMAGES, kind="min", size=size, stride=stride)
    torch.testing.assert_close(least, -F.max_pool2d(-IMAGES, size, stride))


def test_stride_one_still_shrinks() -> None:
    assert pooling(IMAGES, size=3, stride=1).shape[2:] == (5, 4)


def test_the_gradient_reaches_the_largest_pixel_only() -> None:
    images = IMAGES.clone().requires_grad_()
    found = pooling(images, size=2)
    (slope,) = torch.autograd.grad(found.sum(), images)
    assert int((slope != 0).sum()) == found.numel()
    assert set(slope.flatten().tolist()) == {0, 1}
    torch.testing.assert_close((images * slope).sum(), found.sum())
    flat = torch.ones(1, 1, 2, 2, requires_grad=True)
    (slope,) = torch.autograd.grad(pooling(flat).sum(), flat)
    assert sorted(slope.flatten().tolist()) == [0, 0, 0, 1], "one of equals gets all"


def test_refusals() -> None:
    with pytest.raises(ValueError, match="kind must be one of max, average, min, got 'median'"):
        pooling(IMAGES, kind="median")
    with pytest.raises(ValueError, match="kernel 7 does not fit padded input 6"):
        pooling(IMAGES, size=7)
    with pytest.raises(ValueError, match="stride must be at least 1, got 0"):
        pooling(IMAGES, stride=0)
