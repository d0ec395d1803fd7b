import re
from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn

from pellucid.visualize import activations
from pellucid.visualize.activations import joined, statistics

from .nets import small

IMAGES = torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(0))
ROWS = ("100110", "010001", "001100", "100010", "100001")
GRID = torch.tensor([[float(n) for n in row] for row in ROWS])[None, None]  # (1, 1, 5, 6)


def worked(stride: int) -> nn.Module:
    """The worked example of three 2 x 2 kernels and bias -1."""
    conv = nn.Conv2d(1, 3, 2, stride=stride)
    kernels = [[[1, 0], [0, 1]], [[1, 0], [1, 0]], [[1, 1], [0, 0]]]
    with torch.no_grad():
        conv.weight.copy_(torch.tensor(kernels, dtype=torch.float32)[:, None])
        conv.bias.fill_(-1.0)  # type: ignore[union-attr]
    return nn.Sequential(OrderedDict(conv=conv, relu=nn.ReLU(inplace=True))).eval()


def test_the_worked_example_at_stride_one() -> None:
    found = activations(worked(1), GRID, layers="relu")["relu"]
    expected = torch.zeros(1, 3, 4, 5)
    expected[0, 0] = torch.tensor([[1, 0, 0, 0, 1], [0, 1, 0, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1]])
    expected[0, 1, 3, 0] = 1
    expected[0, 2, 0, 3] = expected[0, 2, 2, 2] = 1
    assert torch.equal(found, expected)


def test_the_worked_example_at_stride_two() -> None:
    found = activations(worked(2), GRID, layers="relu")["relu"]
    expected = torch.zeros(1, 3, 2, 3)
    expected[0, 0, 0] = torch.tensor([1.0, 0, 1])
    expected[0, 2, 1, 1] = 1
    assert torch.equal(found, expected)


def test_a_layer_is_shown_before_what_works_in_place_on_it() -> None:
    net = worked(1)
    found = activations(net, GRID, layers="*")
    assert list(found) == ["conv", "relu"]
    assert found["conv"].min() == -1
    assert torch.equal(found["conv"].relu(), found["relu"])
    assert not found["conv"].requires_grad


def test_many_layers_equal_a_manual_split_and_take_one_pass() -> None:
    model = small()
    passed: list[int] = []
    handle = model.network.register_forward_pre_hook(lambda _m, inputs: passed.append(len(inputs[0])))
    found = activations(model, IMAGES, layers="0,3,7")
    handle.remove()
    assert sum(passed) == len(IMAGES)
    x = (IMAGES - model.mean) / model.std
    net = model.network
    assert isinstance(net, nn.Sequential)
    with torch.no_grad():
        for name in found:
            torch.testing.assert_close(found[name], net[: int(name) + 1](x))


def test_the_network_is_run_no_further_than_the_last_wanted_layer() -> None:
    model = small()
    net = model.network
    assert isinstance(net, nn.Sequential)
    reached: list[int] = []
    handle = net[7].register_forward_hook(lambda *_: reached.append(1))
    activations(model, IMAGES, layers="0,3")
    handle.remove()
    assert len(reached) == 1, "only the first pass, which counts the calls, goes to the end"


class Reused(nn.Module):
    """A module called twice, and one that puts out several tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.twice, self.split = nn.Conv2d(3, 3, 1), Split()
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        first, (second,) = self.split(self.twice(images))
        out: Tensor = self.twice(first + second).flatten(1)
        return out


class Split(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        return x, (2 * x,)


class Pair(nn.Module):
    def __init__(self, kind: type) -> None:
        super().__init__()
        self.both = Both(kind)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        found = self.both(images)
        out: Tensor = (found["a"] if isinstance(found, dict) else found[0]).flatten(1)
        return out


class Both(nn.Module):
    def __init__(self, kind: type) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> object:
        return {"a": x, "b": 2 * x} if self.kind is dict else (x, 2 * x)


def test_of_several_calls_the_last_is_kept_for_every_image() -> None:
    net = Reused()
    with torch.no_grad():
        expected = net(IMAGES)
    torch.testing.assert_close(activations(net, IMAGES, layers="twice")["twice"].flatten(1), expected)


@pytest.mark.parametrize(("kind", "key", "other"), [(tuple, "1", "0"), (dict, "b", "a")])
def test_of_several_outputs_one_is_asked_for(kind: type, key: str, other: str) -> None:
    net = Pair(kind)
    found = activations(net, IMAGES, layers=f"both[{key}]")
    torch.testing.assert_close(found[f"both[{key}]"], 2 * IMAGES)
    said = re.escape(f"layer 'both' puts out 2 things, say which: both[{other}], both[{key}]")
    with pytest.raises(ValueError, match=said):
        activations(net, IMAGES, layers="both")
    with pytest.raises(ValueError, match=said):
        activations(net, IMAGES, layers="both[9]")


def test_patterns_name_many_and_keep_the_networks_order() -> None:
    assert list(activations(small(), IMAGES, layers="4, [0-2], 4")) == ["0", "1", "2", "4"]


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ("", "layers must name at least one layer"),
        ("cov", "'cov' matches no layer of the model; did you mean conv"),
        ("rel*x", "'rel\\*x' matches no layer of the model; did you mean relu"),
        ("relu[0]", "layer 'relu' puts out one tensor: leave \\[0\\] away"),
    ],
)
def test_refuses(layers: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        activations(worked(1), GRID, layers=layers)


def test_a_layer_that_is_never_reached_is_told() -> None:
    net = worked(1)
    net.add_module("unused", nn.Identity().eval())
    net.forward = lambda x: net.relu(net.conv(x))  # type: ignore[operator]
    with pytest.raises(ValueError, match="layer 'unused' is never reached"):
        activations(net, GRID, layers="unused")


def test_statistics_by_hand() -> None:
    output = torch.tensor([[[0.0, 2], [0, 0]], [[4.0, 0], [0, -1]]])[..., None]  # (2, 2, 2, 1)
    found = statistics(output)
    assert (found.shape, found.channels, found.dead) == ((2, 2, 1), 2, (1,))
    assert (found.mean, found.max, found.zeros) == (5 / 8, 4.0, 5 / 8)
    assert joined([statistics(output[:1]), statistics(output[1:])]) == found
