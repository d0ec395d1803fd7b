"""Batches of an epoch: the order, the blocks, skipping, shares of processes."""

import pytest
import torch
from torch import Tensor

from pellucid.data import Batches, Pixels, augment, batches_of, epochs

COUNT = 70
PIXELS = Pixels(
    torch.randint(0, 256, (COUNT, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)),
    torch.arange(COUNT),  # a class each, so that a batch tells which images it holds
    tuple(map(str, range(COUNT))),
    tuple(f"{place}.png" for place in range(COUNT)),
)
STRONG = "crop=2,hflip,rotate,brightness,noise,erase=2"


def whole(batches: Batches, epoch: int = 0, skip: int = 0) -> tuple[Tensor, Tensor]:
    read = list(batches(epoch, skip))
    return torch.cat([images for images, _ in read]), torch.cat([targets for _, targets in read])


def test_an_epoch_has_every_image_once_and_the_next_another_order() -> None:
    batches = batches_of(PIXELS, batch_size=7)
    orders = [whole(batches, epoch)[1] for epoch in (0, 1, 0)]
    assert len(batches) == len(list(batches(0))) == 10
    assert orders[0].sort().values.tolist() == list(range(COUNT))
    assert not torch.equal(orders[0], orders[1])
    assert torch.equal(orders[0], orders[2])
    assert not torch.equal(orders[0], whole(batches_of(PIXELS, batch_size=7, seed=1))[1])


def test_plain_batches_are_the_pixels() -> None:
    images, targets = whole(batches_of(PIXELS, batch_size=10))
    assert torch.equal(images, PIXELS.images(targets))
    assert images.dtype == torch.float32
    untouched, order = whole(batches_of(PIXELS, batch_size=10, shuffle=False))
    assert order.tolist() == list(range(COUNT))
    assert torch.equal(untouched, PIXELS.images())


@pytest.mark.parametrize("policy", ["cifar", STRONG, augment.policy("hflip")])
def test_each_image_is_what_the_policy_makes_of_it(policy: str | augment.Policy) -> None:
    images, targets = whole(batches_of(PIXELS, batch_size=5, seed=3, policy=policy), epoch=2)
    chosen = augment.policy(policy) if isinstance(policy, str) else policy
    expected = chosen(PIXELS.pixels[targets], targets, 3, 2)
    assert torch.equal(images, expected.float() / 255 if expected.dtype == torch.uint8 else expected)


@pytest.mark.parametrize("policy", ["cifar", STRONG])
@pytest.mark.parametrize("block", [1, 20, 33])
def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch, policy: str, block: int) -> None:
    expected = whole(batches_of(PIXELS, batch_size=6, policy=policy, drop_last=False))
    monkeypatch.setattr(epochs, "BLOCK", block)
    found = whole(batches_of(PIXELS, batch_size=6, policy=policy, drop_last=False))
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])


@pytest.mark.parametrize("skip", [0, 1, 4, 9, 10, 12])
def test_skipped_batches_are_the_first_ones(skip: int) -> None:
    batches = batches_of(PIXELS, batch_size=7, policy=STRONG, seed=2)
    every, rest = list(batches(3)), list(batches(3, skip))
    assert len(rest) == max(0, 10 - skip)
    for (images, targets), (expected, theirs) in zip(rest, every[skip:], strict=True):
        assert torch.equal(images, expected)
        assert torch.equal(targets, theirs)


@pytest.mark.parametrize("world", [2, 5])
def test_processes_share_every_batch_between_them(world: int) -> None:
    alone = list(batches_of(PIXELS, batch_size=20, policy=STRONG)(1))
    shares = [list(batches_of(PIXELS, batch_size=20, policy=STRONG, shard=(rank, world))(1)) for rank in range(world)]
    assert {len(one) for one in shares} == {len(alone)} == {3}
    for step, (images, targets) in enumerate(alone):
        for rank in range(world):
            assert torch.equal(shares[rank][step][0], images[rank::world])
            assert torch.equal(shares[rank][step][1], targets[rank::world])


def test_the_last_batch_is_left_out_or_small() -> None:
    assert [len(targets) for _, targets in batches_of(PIXELS, batch_size=32)(0)] == [32, 32]
    small = batches_of(PIXELS, batch_size=32, drop_last=False)
    assert [len(targets) for _, targets in small(0)] == [32, 32, 6]
    assert len(small) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"batch_size": 71}, "batch_size must be at most 70, the number of images, got 71"),
        ({"batch_size": 7, "shard": (0, 2)}, "batch_size must be a multiple of 2 processes"),
        ({"batch_size": 8, "shard": (2, 2)}, r"shard's rank must be in \[0, 1\], got 2"),
        ({"policy": "cifer", "batch_size": 7}, "did you mean cifar"),
    ],
)
def test_refuses(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        batches_of(PIXELS, **options)  # type: ignore[arg-type]
