"""Pairs: the very images that training sees."""

import pytest
import torch

from pellucid.data import Pixels, augment, batches_of

PIXELS = Pixels(
    torch.randint(0, 256, (10, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)),
    torch.tensor([0, 1] * 5),
    ("cat", "dog"),
    tuple(f"{place}.png" for place in range(10)),
)


@pytest.mark.parametrize("text", ["cifar", "rotate"])
def test_pairs_are_what_training_sees(text: str) -> None:
    pairs = augment.augmentation_pairs(PIXELS, augment.policy(text), seed=2, epoch=1)
    assert len(pairs.before) == 5
    assert pairs.classes == ("cat", "cat", "cat", "cat", "dog")  # 0, 2, 4, 6, 9
    met = torch.cat([images for images, _ in batches_of(PIXELS, batch_size=5, seed=2, policy=text, shuffle=False)(1)])
    assert torch.equal(pairs.after, met[[0, 2, 4, 6, 9]])
    assert torch.equal(pairs.before, PIXELS.images(torch.tensor([0, 2, 4, 6, 9])))
    assert all(text.replace("cifar", "crop") in told for told in pairs.told)


def test_no_more_pairs_than_images() -> None:
    assert len(augment.augmentation_pairs(PIXELS, augment.policy(), count=99).before) == 10
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        augment.augmentation_pairs(PIXELS, augment.policy(), count=0)
