"""What holds for every operation: shape, range, purity, batch independence, masks, refusals."""

import dataclasses
from pathlib import Path

import pytest
import torch

from pellucid.data import augment
from pellucid.data.augment._op import Paint

IMAGES = torch.rand(40, 3, 20, 24, generator=torch.Generator().manual_seed(0))
BYTES = (IMAGES * 255).round().to(torch.uint8)
INDICES = torch.arange(40)
each = pytest.mark.parametrize("name", augment.OPS)


def certain(name: str) -> augment.Policy:
    return augment.policy(f"{name}:probability=1" if "=" in name else f"{name}={default(name)}:probability=1")


def default(name: str) -> object:
    fields = sorted(dataclasses.fields(augment.OPS[name]), key=lambda one: one.name == "probability")
    return 1.0 if fields[0].name == "probability" else fields[0].default


@each
def test_shape_range_and_dtype_are_kept_and_nothing_given_is_changed(name: str) -> None:
    policy, before = certain(name), IMAGES.clone()
    for images in (IMAGES, IMAGES.double(), IMAGES[:, :1], IMAGES.contiguous(memory_format=torch.channels_last)):
        done = policy(images, INDICES, 3, 1)
        assert (done.shape, done.dtype) == (images.shape, images.dtype)
        assert 0 <= done.min() <= done.max() <= 1
    assert torch.equal(IMAGES, before)


@each
def test_every_operation_does_something(name: str) -> None:
    assert not torch.equal(certain(name)(IMAGES, INDICES), IMAGES)


@each
def test_never_is_the_identity(name: str) -> None:
    policy = augment.policy(f"{name}={0 if default(name) == 1.0 else default(name)}:probability=0")
    assert torch.equal(policy(IMAGES, INDICES), IMAGES)


@each
@pytest.mark.parametrize("odds", [1, 0.5])
def test_an_image_is_the_same_in_any_batch_and_order(name: str, odds: float) -> None:
    main = odds if default(name) == 1.0 else default(name)
    policy = augment.policy(f"{name}={main}:probability={odds}")
    whole = policy(IMAGES, INDICES, 5, 2)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    assert torch.equal(policy(IMAGES[order], order, 5, 2), whole[order])
    for size in (1, 3, 17):
        parts = [policy(IMAGES[part], part, 5, 2) for part in torch.split(INDICES, size)]
        assert torch.equal(torch.cat(parts), whole)


@each
def test_seed_and_epoch_draw_anew_and_repeat(name: str) -> None:
    policy = augment.policy(name)
    first = policy(IMAGES, INDICES, 1, 4)
    assert torch.equal(policy(IMAGES, INDICES, 1, 4), first)
    if name != "solarise":
        assert not torch.equal(policy(IMAGES, INDICES, 2, 4), first)
        assert not torch.equal(policy(IMAGES, INDICES, 1, 5), first)


@each
def test_bytes_come_out_as_floats_would(name: str) -> None:
    policy = augment.policy(name)
    done, expected = policy(BYTES, INDICES), policy(BYTES.float() / 255, INDICES)
    assert (done.dtype == torch.uint8) == policy.keeps_bytes
    assert torch.equal(done.float() / 255 if policy.keeps_bytes else done, expected)


@each
def test_masks_follow_geometry_and_ignore_light(name: str) -> None:
    policy = certain(name)
    masks = (torch.arange(20 * 24).view(1, 20, 24) // 40).repeat(40, 1, 1)
    drawn = policy.draw(INDICES, IMAGES.shape)
    moved = policy.apply(IMAGES, drawn, masks=masks).masks
    assert moved is not None
    assert moved.dtype == masks.dtype
    assert {*moved.flatten().tolist()} <= {*masks.flatten().tolist()}  # nothing in between
    assert torch.equal(moved, masks) == isinstance(policy.ops[0], Paint)


@each
def test_the_text_of_an_operation_reads_back(name: str) -> None:
    for text in (name, f"{name}:probability=0.25" if name != "crop" else "crop=2:mode=reflect"):
        policy = augment.policy(text)
        assert augment.policy(str(policy)) == policy
        assert policy.draw(INDICES, IMAGES.shape).text(0)


@each
def test_a_probability_outside_zero_one_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name}.probability must be in \[0, 1\], got 1.5"):
        augment.OPS[name](probability=1.5)


def test_every_operation_is_in_the_list() -> None:
    written = {
        line.split("(")[0].split()[1]
        for file in ("moves", "warps", "paints")
        for line in Path(str(augment.__file__)).with_name(f"{file}.py").read_text(encoding="utf-8").splitlines()
        if line.startswith("class ")
    }
    assert {kind.__name__ for kind in augment.OPS.values()} == written
