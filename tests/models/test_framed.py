import pytest
import torch

from pellucid.models import create, framed


def test_another_size_changes_the_frame_alone() -> None:
    model = create("mobilenet_v1", classes=["a", "b"], width=0.25).eval()
    before = model.geometry
    small = framed(model, 64)
    assert small.geometry.size == (64, 64)
    assert model.geometry == before
    assert isinstance(before.resize, int)
    assert small.geometry.resize == round(64 * before.resize / before.size[0])
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(small(images), model(images))
    assert next(small.parameters()) is next(model.parameters())


def test_refuses() -> None:
    net = create("lenet5", classes=["a", "b"]).eval()
    with pytest.raises(ValueError, match=r"size must be one that the network takes, such as its own \d+, got 7 \("):
        framed(net, 7)
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        framed(net, 0)
    with pytest.raises(ValueError, match="eval"):
        framed(net.train(), 32)
