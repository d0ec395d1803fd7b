"""Jigsaw puzzles: one convention for the permutation, each shuffle with its own label, and metrics by counting."""

from itertools import permutations

import pytest
import torch

from pellucid.data import Pixels, jigsaw

EVERY = torch.arange(24)
IMAGES = torch.rand(2, 3, 4, 6, generator=torch.Generator().manual_seed(0))


def quarters(image: torch.Tensor) -> list[torch.Tensor]:
    """Top left, top right, bottom left, bottom right, cut by hand."""
    high, wide = image.shape[-2] // 2, image.shape[-1] // 2
    return [image[..., :high, :wide], image[..., :high, wide:], image[..., high:, :wide], image[..., high:, wide:]]


def numbered() -> torch.Tensor:
    """(1, 1, 4, 4): every quarter holds its own number."""
    return torch.tensor([[0, 0, 1, 1]] * 2 + [[2, 2, 3, 3]] * 2)[None, None]


def test_labels_are_the_lexicographic_ranks() -> None:
    assert jigsaw.permutation(EVERY).tolist() == [list(pi) for pi in sorted(permutations(range(4)))]
    assert torch.equal(jigsaw.label_of(jigsaw.permutation(EVERY)), EVERY)


def test_at_place_q_lies_the_quarter_pi_of_q() -> None:
    for label, pi in enumerate(permutations(range(4))):
        shuffled = jigsaw.shuffle(IMAGES[:1], torch.tensor([label]))
        original = quarters(IMAGES[0])
        for place, part in enumerate(quarters(shuffled[0])):
            assert torch.equal(part, original[pi[place]])


def test_deshuffle_puts_every_pixel_back() -> None:
    for kind in (IMAGES, (IMAGES * 255).byte()):
        many = kind[:1].expand(24, -1, -1, -1)
        assert torch.equal(jigsaw.deshuffle(jigsaw.shuffle(many, EVERY), EVERY), many)
    assert torch.equal(jigsaw.shuffle(IMAGES, torch.zeros(2, dtype=torch.int64)), IMAGES)


def test_two_shuffles_are_the_product_of_their_permutations() -> None:
    first, second = EVERY.repeat_interleave(24), EVERY.repeat(24)
    whole = numbered().expand(576, -1, -1, -1)
    twice = jigsaw.shuffle(jigsaw.shuffle(whole, first), second)
    one, other = jigsaw.permutation(first), jigsaw.permutation(second)
    assert torch.equal(twice, jigsaw.shuffle(whole, jigsaw.label_of(one.gather(1, other))))


def test_all_shuffles_have_a_label_of_their_own() -> None:
    images, labels = jigsaw.augment_all(IMAGES)
    assert images.shape == (48, 3, 4, 6)
    for place in range(2):
        mine, theirs = images[24 * place : 24 * place + 24], labels[24 * place : 24 * place + 24]
        assert sorted(theirs.tolist()) == list(range(24))
        assert len({image.numpy().tobytes() for image in mine}) == 24
        assert torch.equal(jigsaw.deshuffle(mine, theirs), IMAGES[place].expand(24, -1, -1, -1))


def test_shuffled_images_are_restored_by_their_labels_first() -> None:
    before = torch.tensor([7, 23])
    found = jigsaw.augment_all(jigsaw.shuffle(IMAGES, before), before)
    for one, other in zip(found, jigsaw.augment_all(IMAGES), strict=True):
        assert torch.equal(one, other)


def test_a_constant_answer_is_as_good_as_chance_exactly() -> None:
    labels = EVERY.repeat(5)
    for answer in (0, 13):
        found = jigsaw.accuracy(torch.full_like(labels, answer), labels)
        assert found.top1 == pytest.approx(1 / 24)
        assert (found.quarter, found.count) == (0.25, 120)


def test_places_right_beside_the_identity() -> None:
    right = [round(4 * jigsaw.accuracy(torch.zeros(1, dtype=torch.int64), one[None]).quarter) for one in EVERY]
    assert [right.count(number) for number in range(5)] == [9, 8, 6, 0, 1]


def test_quarters_are_right_at_least_as_often_as_pictures_and_no_more_than_half_beyond() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(24, (200,), generator=generator)
    for share in (0.0, 0.3, 1.0):
        guessed = torch.randint(24, (200,), generator=generator)
        found = jigsaw.accuracy(torch.where(torch.rand(200, generator=generator) < share, labels, guessed), labels)
        assert found.top1 <= found.quarter <= found.top1 + (1 - found.top1) / 2


def pixels(count: int) -> Pixels:
    images = torch.arange(count, dtype=torch.uint8)[:, None, None, None] * 10 + numbered().byte()
    return Pixels(images, torch.zeros(count, dtype=torch.int64), ("a",), ("",) * count)


def test_the_batches_of_an_epoch_hold_every_shuffle_of_every_picture_once() -> None:
    batches = jigsaw.JigsawBatches(pixels(3), 8, seed=4)
    assert len(batches) == 9
    seen = []
    for images, labels in batches(0):
        restored = (jigsaw.deshuffle(images, labels) * 255).round()
        assert torch.equal(restored - restored[:, :, :1, :1], numbered().float().expand(8, -1, -1, -1))
        seen += list(zip((restored[:, 0, 0, 0] / 10).long().tolist(), labels.tolist(), strict=True))
    assert sorted(seen) == [(picture, label) for picture in range(3) for label in range(24)]


def test_the_order_goes_by_seed_and_epoch_and_may_begin_amid_it() -> None:
    batches = jigsaw.JigsawBatches(pixels(3), 8, seed=4)
    whole = [labels for _, labels in batches(1)]
    assert all(torch.equal(one, labels) for one, (_, labels) in zip(whole[5:], batches(1, 5), strict=True))
    assert not all(torch.equal(one, labels) for one, (_, labels) in zip(whole, batches(0), strict=True))
    shares = [[labels for _, labels in jigsaw.JigsawBatches(pixels(3), 8, 4, (rank, 2))(1)] for rank in range(2)]
    for one, first, second in zip(whole, *shares, strict=True):
        assert torch.equal(torch.stack([first, second], dim=1).flatten(), one)


@pytest.mark.parametrize("shape", [(1, 3, 5, 4), (1, 3, 4, 5)])
def test_refuses_odd_sides(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"images must have even sides .*, got \(1, 3, \d, \d\): crop them to 4 x 4"):
        jigsaw.shuffle(torch.zeros(shape), torch.zeros(1, dtype=torch.int64))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([0, 24]), r"labels must be in \[0, 23\], got 24"),
        (torch.tensor([-1, 0]), r"labels must be in \[0, 23\], got -1"),
        (torch.tensor([0.0, 1.0]), r"labels must be whole numbers \(N,\), got torch.float32"),
        (torch.tensor([0]), r"images must be \(N, C, H, W\), one a label \(1\), got \(2, 3, 4, 6\)"),
    ],
)
def test_refuses_labels(labels: torch.Tensor, message: str) -> None:
    for method in (jigsaw.shuffle, jigsaw.deshuffle, jigsaw.augment_all):
        with pytest.raises(ValueError, match=message):
            method(IMAGES, labels)


def test_refuses_what_is_no_permutation() -> None:
    with pytest.raises(ValueError, match="pi must be rows"):
        jigsaw.label_of(torch.tensor([[0, 1, 2, 2]]))
    with pytest.raises(ValueError, match="predicted must be one a label, at least one, got 1 for 2"):
        jigsaw.accuracy(EVERY[:1], EVERY[:2])
    with pytest.raises(ValueError, match=r"batch_size must be in \[1, 72\], got 73"):
        jigsaw.JigsawBatches(pixels(3), 73, seed=0)
    with pytest.raises(ValueError, match="batch_size must be a multiple of 2 processes, got 3"):
        jigsaw.JigsawBatches(pixels(3), 3, 0, (0, 2))
