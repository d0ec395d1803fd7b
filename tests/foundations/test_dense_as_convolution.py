import pytest
import torch
from torch import nn
from torchvision.models import vgg16

from pellucid.foundations.dense_as_convolution import dense_as_convolution, fully_convolutional, read_maps


def small_vgg() -> tuple[nn.Sequential, nn.Sequential]:
    """A net that halves twice and reads maps of 4 x 4 at 16 pixels."""
    torch.manual_seed(0)
    maps = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 3, padding=1), nn.MaxPool2d(2)
    )
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(5 * 4 * 4, 12), nn.ReLU(), nn.Dropout(), nn.Linear(12, 6))
    return maps.eval(), classifier.eval()


def test_one_layer_at_its_own_size() -> None:
    torch.manual_seed(0)
    layer, maps = nn.Linear(3 * 5 * 4, 7), torch.rand(2, 3, 5, 4)
    found = dense_as_convolution(layer, (5, 4))(maps)
    assert found.shape == (2, 7, 1, 1)
    torch.testing.assert_close(found[:, :, 0, 0], layer(maps.flatten(1)), rtol=0, atol=1e-6)


def test_a_network_at_its_own_size_and_at_a_larger_one() -> None:
    maps, classifier = small_vgg()
    network = fully_convolutional(maps, classifier, (4, 4))
    assert not network.training
    images = torch.rand(2, 3, 24, 20)
    own = classifier(maps(images[..., :16, :16]))
    torch.testing.assert_close(network(images[..., :16, :16])[:, :, 0, 0], own, rtol=0, atol=1e-6)
    found = network(images)
    assert found.shape == (2, 6, 3, 2)
    corner = maps(images)[:, :, 2:6, 1:5]
    torch.testing.assert_close(found[:, :, 2, 1], classifier(corner), rtol=0, atol=1e-6)


@pytest.mark.parametrize("side", [224, 256, 300, 448])
def test_vgg16_gives_maps_of_the_stated_size(side: int) -> None:
    with torch.device("meta"):
        net = vgg16(weights=None)
        network = fully_convolutional(net.features, net.classifier, (7, 7))
        assert network(torch.zeros(1, 3, side, side)).shape == (1, 1000, side // 32 - 6, side // 32 - 6)


def test_places_are_read_by_softmax_and_then_joined() -> None:
    logits = torch.randn(2, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    each = [logits[:, :, row, column].softmax(dim=1) for row in (0, 1) for column in (0, 1)]
    torch.testing.assert_close(read_maps(logits), sum(each[1:], each[0]) / 4)
    torch.testing.assert_close(read_maps(logits, over="max"), torch.stack(each).amax(dim=0))
    torch.testing.assert_close(read_maps(logits).sum(dim=1), torch.ones(2))


def test_refusals() -> None:
    with pytest.raises(ValueError, match="size must divide the layer's 10 inputs, got 3 x 3"):
        dense_as_convolution(nn.Linear(10, 2), (3, 3))
    with pytest.raises(ValueError, match="classifier must hold a Linear layer, got none"):
        fully_convolutional(nn.Identity(), nn.Sequential(nn.ReLU()), (1, 1))
    with pytest.raises(ValueError, match="over must be one of average, max"):
        read_maps(torch.zeros(1, 2, 1, 1), over="mean")
