import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pellucid.models import layers, zoo
from pellucid.models.zoo.lenet import TABLE, FixedCodes, LeNet5, ScaledTanh, SparseConv2d, Subsample


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("original", [False, True])
@pytest.mark.parametrize("size", [32, 28, 8])
def test_stage_sizes_of_every_size_that_is_padded(original: bool, size: int) -> None:
    net = LeNet5(10, 1, size=size, original=original)
    shapes = {layer.name: layer.shape[1:] for layer in layers(net, (1, size, size))}
    assert [shapes[name] for name in net.stages] == [(6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5)]


def test_28_is_32_with_a_frame_of_two_zeros() -> None:
    whole, padded = LeNet5(10, 1), LeNet5(10, 1, size=28)
    padded.load_state_dict(whole.state_dict())
    images = torch.rand(2, 1, 28, 28, generator=generator())
    torch.testing.assert_close(padded(images), whole(F.pad(images, (2, 2, 2, 2))))


def test_the_sparse_table_is_the_papers() -> None:
    assert [len(maps) for maps in TABLE] == [3] * 6 + [4] * 9 + [6]
    assert [sum(one in maps for maps in TABLE) for one in range(6)] == [10] * 6, "every map is used ten times"
    assert len(set(TABLE)) == 16, "no two look at the same maps, or they might find the same"


def test_a_sparse_convolution_is_a_dense_one_with_zeros() -> None:
    layer = SparseConv2d(6, TABLE, 5).double()
    images = torch.rand(2, 6, 7, 7, generator=generator(), dtype=torch.float64)
    pairs = iter(layer.weight)
    wanted = layer.bias[None, :, None, None].repeat(2, 1, 3, 3)
    for out, maps in enumerate(TABLE):
        for one in maps:
            wanted[:, out] += F.conv2d(images[:, one : one + 1], next(pairs)[None, None])[:, 0]
    torch.testing.assert_close(layer(images), wanted)
    assert layer.weight.numel() + layer.bias.numel() == 1516, "as the paper counts C3"


def test_subsampling_squashes_a_factor_times_the_sum_of_four() -> None:
    pool = Subsample(2)
    with torch.no_grad():
        pool.weight.copy_(torch.tensor([0.5, -1.0]).view(2, 1, 1))
        pool.bias.copy_(torch.tensor([0.25, 0.0]).view(2, 1, 1))
    maps = torch.rand(1, 2, 4, 4, generator=generator())
    summed = torch.tensor([[maps[0, c, :2, 2:].sum() for c in range(2)]])
    wanted = 1.7159 * torch.tanh(2 / 3 * (summed * torch.tensor([0.5, -1.0]) + torch.tensor([0.25, 0.0])))
    torch.testing.assert_close(pool(maps)[:, :, 0, 1], wanted)
    assert abs(float(ScaledTanh()(torch.tensor(1.0))) - 1) < 1e-4


def test_fixed_codes_answer_minus_the_squared_distance_and_are_no_weights() -> None:
    head = FixedCodes(84, 127)
    assert not list(head.parameters())
    assert bool((head.codes.abs() == 1).all())
    logits = head(head.codes)
    assert logits.diagonal().tolist() == [0] * 127
    assert float((logits - 1e9 * torch.eye(127)).max()) <= -4 * 20, "any two codes differ in at least 20 places"
    features = torch.rand(3, 84, generator=generator())
    torch.testing.assert_close(head(features)[1, 5], -((features[1] - head.codes[5]) ** 2).sum())


@pytest.mark.parametrize("original", [False, True])
def test_it_learns_64_images_by_heart(original: bool) -> None:
    torch.manual_seed(0)
    net = zoo.lenet5(size=8, original=original)
    images = torch.randn(64, 1, 8, 8, generator=generator())
    targets = torch.arange(64) % 10
    learner = torch.optim.Adam(net.parameters(), 2e-3)
    for _ in range(150):
        loss = nn.functional.cross_entropy(net(images), targets)
        learner.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        learner.step()
    assert (net(images).argmax(dim=1) == targets).float().mean() > 0.95


def test_refuses() -> None:
    with pytest.raises(ValueError, match="lenet5 has no layout for 224 x 224 images"):
        zoo.lenet5(size=224)
    with pytest.raises(ValueError, match=r"size must be in \[8, 32\], got 33"):
        zoo.lenet5(size=33)
    with pytest.raises(ValueError, match="classes must be at most 127 with original, which has no more codes, got 128"):
        zoo.lenet5(classes=128, original=True)
