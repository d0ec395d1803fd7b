"""Policies: their text, their draws, boxes, keypoints and class labels that move with the images."""

import pytest
import torch
from scipy.stats import chisquare, kstest

from pellucid.data import augment
from pellucid.data.augment._hashing import below, keys, uniform

IMAGES = torch.rand(16, 3, 10, 10, generator=torch.Generator().manual_seed(0))
INDICES = torch.arange(16)


@pytest.mark.parametrize("name", augment.PRESETS)
def test_presets_read_write_and_run(name: str) -> None:
    policy = augment.policy(name)
    assert augment.policy(str(policy)) == policy
    done = policy(IMAGES, INDICES)
    assert torch.equal(done, IMAGES) == (name == "none")


def test_digits_are_never_mirrored() -> None:
    assert not {op.name() for op in augment.policy("digits").ops} & {"hflip", "vflip"}


def test_the_text_says_order_numbers_and_probabilities() -> None:
    policy = augment.policy(" cifar, rotate=15:p=0.5 ,erase=8:fill=0")
    assert str(policy) == "crop=4,hflip=0.5,rotate=15.0:probability=0.5,erase=8:fill=0.0"
    assert [op.probability for op in policy.ops] == [1, 0.5, 0.5, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cifer", r"augmentation must be one of none, cifar, .*, got 'cifer'; did you mean cifar"),
        ("rotate=15:degree=3", "option of rotate must be one of degrees, probability, got 'degree'; did you mean deg"),
        ("cifar=3", "augmentation cifar must stand alone, .* got 'cifar=3'"),
        ("hflip=1.5", r"hflip.probability must be in \[0, 1\], got 1.5"),
        ("rotate=much", "rotate.degrees must be a number, got 'much'"),
    ],
)
def test_refuses_text(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        augment.policy(text)


def test_what_is_told_is_what_is_done() -> None:
    policy = augment.policy("crop=2,hflip")
    draws = policy.draw(INDICES, IMAGES.shape)
    down, right = (int(draws.values[0][name][3]) for name in ("down", "right"))
    flipped = ", hflip" if draws.chosen[1][3] else ""
    assert draws.text(3) == f"crop {down:+d} {right:+d}{flipped}"
    assert augment.policy("hflip=0").draw(INDICES, IMAGES.shape).text(0) == "as it is"


def test_one_operation_twice_draws_twice() -> None:
    once, again = augment.policy("hflip,hflip").draw(torch.arange(1000), (8, 8)).chosen
    assert 400 < int((once ^ again).sum()) < 600


def test_hashed_numbers_are_uniform_and_their_uses_do_not_go_together() -> None:
    key = keys(0, 0, 0, torch.arange(20_000))
    columns = [uniform(key, stream) for stream in (-1, 0, 1)]
    columns += [uniform(keys(*use, torch.arange(20_000)), 0) for use in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
    for column in columns:
        assert column.min() >= 0
        assert column.max() < 1
        assert kstest(column.numpy(), "uniform").pvalue > 1e-3
    together = torch.corrcoef(torch.stack([*columns, columns[0].roll(1)]))
    assert float((together - torch.eye(7)).abs().max()) < 0.03
    assert chisquare(below(key, 3, 7).bincount().numpy()).pvalue > 1e-3


def test_large_and_negative_seeds_are_seeds() -> None:
    draws = [uniform(keys(seed, 0, 0, INDICES), 0) for seed in (0, -1, 2**63, 2**40)]
    assert len({tuple(one.tolist()) for one in draws}) == 4


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES * 255, r"images must be in \[0, 1\]"),
        (IMAGES[:4], r"images must be those drawn for, 16 of \(10, 10\), got \(4, 3, 10, 10\)"),
        (IMAGES[0], r"images must have shape \(N, C, H, W\)"),
        ((IMAGES[0] * 255).byte(), r"images must have shape \(N, C, H, W\)"),
        (IMAGES.long(), "images must be a float tensor"),
    ],
)
def test_refuses_images(images: torch.Tensor, message: str) -> None:
    policy = augment.policy("cifar")
    with pytest.raises(ValueError, match=message):
        policy.apply(images, policy.draw(INDICES, (10, 10)))


def test_refuses_indices_and_what_is_not_one_an_image() -> None:
    policy = augment.policy("cifar")
    with pytest.raises(ValueError, match=r"indices must be int64 \(N,\), got torch.float32 \(3,\)"):
        policy.draw(torch.rand(3), (4, 4))
    with pytest.raises(ValueError, match="masks must be one for each of 16 images, got 3"):
        policy.apply(IMAGES, policy.draw(INDICES, (10, 10)), masks=torch.zeros(3, 10, 10))


def test_a_box_mostly_outside_is_dropped_and_the_rest_cut() -> None:
    policy = augment.policy("crop=0:side=6")
    draws = policy.draw(torch.arange(1), (10, 10))
    down, right = (float(draws.values[0][name][0]) for name in ("down", "right"))
    window = torch.tensor([right, down, right, down])
    inside = torch.tensor([1.0, 1, 5, 5])
    boxes = (
        torch.stack(
            [inside, torch.tensor([-4.0, 0, 6, 6]), torch.tensor([-19.0, 0, 1, 4]), torch.tensor([7.0, 8, 9, 9])]
        )
        + window
    )
    done = policy.apply(IMAGES[:1], draws, boxes=[boxes])
    assert done.boxes is not None
    assert done.kept is not None
    assert done.kept[0].tolist() == [True, True, False, False]  # 5 % of the third is left, nothing of the last
    assert torch.equal(done.boxes[0], torch.stack([inside, torch.tensor([0.0, 0, 6, 6])]))


def test_keypoints_move_and_change_names_in_a_mirror() -> None:
    points = torch.tensor([[2.0, 3.0], [7.0, 3.0], [5.0, 8.0]]).expand(16, 3, 2)
    policy = augment.policy("hflip")
    draws = policy.draw(INDICES, (10, 10))
    moved = policy.apply(IMAGES, draws, keypoints=points, flip_map=[1, 0, 2]).keypoints
    assert moved is not None
    for place, flipped in enumerate(draws.chosen[0].tolist()):
        mirrored = torch.tensor([[3.0, 3.0], [8.0, 3.0], [5.0, 8.0]])  # the right one is now on the left
        torch.testing.assert_close(moved[place], mirrored if flipped else points[place])


@pytest.mark.parametrize("flip_map", [None, [0, 1]])
def test_flips_of_keypoints_need_their_names(flip_map: list[int] | None) -> None:
    policy = augment.policy("cifar")
    draws = policy.draw(INDICES, (10, 10))
    with pytest.raises(ValueError, match="flip_map must say for each of 3 keypoints"):
        policy.apply(IMAGES, draws, keypoints=torch.zeros(16, 3, 2), flip_map=flip_map)
    crop = augment.policy("crop")
    crop.apply(IMAGES, crop.draw(INDICES, (10, 10)), keypoints=torch.zeros(16, 3, 2))  # nothing is mirrored


def test_the_classes_of_mirrored_images_are_mapped() -> None:
    targets = torch.tensor([0, 1, 2, 0] * 4)
    draws = augment.policy("crop=2,hflip").draw(INDICES, (10, 10))
    mapped = augment.flip_classes(targets, draws, [1, 0, 2])
    expected = [{0: 1, 1: 0, 2: 2}[t] if f else t for t, f in zip(targets.tolist(), draws.chosen[1], strict=True)]
    assert mapped.tolist() == expected
    with pytest.raises(ValueError, match=r"mapping must pair classes 0 to 2 both ways, got \[1, 2, 0\]"):
        augment.flip_classes(targets, draws, [1, 2, 0])
