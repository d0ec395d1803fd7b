import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pellucid.checks import check_choice, check_count, check_eval, check_images, check_range, check_targets, near

GOOD = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("value", [1, 1.5, 2])
def test_a_number_in_range_passes(value: float) -> None:
    check_range("window", value, 1, 2)
    check_range("window", value, 1)


@pytest.mark.parametrize("value", [0.999, 2.001, float("nan"), float("inf"), -float("inf")])
def test_a_number_out_of_range_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=rf"window must be in \[1, 2\], got {value}"):
        check_range("window", value, 1, 2)


@pytest.mark.parametrize("value", [0, float("nan")])
def test_a_number_below_a_bound_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=f"steps must be at least 1, got {value}"):
        check_range("steps", value, 1)


@pytest.mark.parametrize("value", [1, 2, np.int64(2)])
def test_a_whole_number_in_range_passes(value: int) -> None:
    check_count("masks", value, 1, 2)
    check_count("masks", value, 1)


@pytest.mark.parametrize("value", [1.5, 1.0, True, "1", None, float("nan")])
def test_what_is_no_whole_number_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=rf"^masks must be a whole number, got {value!r}$"):
        check_count("masks", value, 1)


def test_a_whole_number_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="masks must be at least 1, got 0"):
        check_count("masks", 0, 1)
    with pytest.raises(ValueError, match=r"masks must be in \[1, 2\], got 3"):
        check_count("masks", 3, 1, 2)


def test_a_word_that_is_no_choice_is_refused_with_the_nearest() -> None:
    check_choice("mode", "mean", ["mean", "sum"])
    with pytest.raises(ValueError, match=r"^mode must be one of mean, sum, got 'maen'; did you mean mean\?$"):
        check_choice("mode", "maen", iter(["mean", "sum"]))
    with pytest.raises(ValueError, match=r"^mode must be one of mean, sum, got 'zzz'$"):
        check_choice("mode", "zzz", ["mean", "sum"])


def test_near_ignores_case_and_keeps_the_known_spelling() -> None:
    assert near("RESNET50", ["ResNet50", "vgg16"]) == "; did you mean ResNet50?"
    assert near("resnet", []) == ""
    assert near("aaaa", [f"aaa{i}" for i in range(9)]).count(",") == 4


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_good_images_pass_in_every_float(dtype: torch.dtype) -> None:
    check_images(GOOD.to(dtype))
    check_images(torch.tensor([[[[0.0, 1.0, -0.0005, 1.0005]]]], dtype=dtype))  # the rounding of a resize
    check_images(GOOD.clone().requires_grad_())


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (GOOD[0], r"images must have shape \(N, C, H, W\), got \(3, 4, 5\)"),
        (GOOD[:0], r"images must not be empty, got shape \(0, 3, 4, 5\)"),
        (GOOD * 2 - 1, r"images must be in \[0, 1\], got -0\.9.* to 0\.9.*: normalised twice, or still 0 to 255\?"),
        (GOOD * 255, r"images must be in \[0, 1\], got .* to 25\d"),
        (GOOD + torch.inf, "images must be in .* to inf"),
        (GOOD.clone().index_fill_(3, torch.tensor([2]), torch.nan), "images must be finite, got NaN"),
    ],
)
def test_bad_images_are_refused(images: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_images(images)


@pytest.mark.parametrize(
    ("images", "given"),
    [((GOOD * 255).byte(), "torch.uint8; divide by 255"), (GOOD.long(), "torch.int64"), (GOOD.tolist(), "list")],
)
def test_what_is_no_float_tensor_is_refused(images: Tensor, given: str) -> None:
    with pytest.raises((TypeError, ValueError), match=rf"images must be a float tensor in \[0, 1\], got {given}$"):
        check_images(images)


def test_good_targets_pass() -> None:
    check_targets(torch.tensor([0, 7]), GOOD)
    check_targets(lambda outputs: outputs[:, 0], GOOD)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (torch.tensor([0]), r"targets must have shape \(2,\), one for each image, got \(1,\)"),
        (torch.tensor([[0], [1]]), r"targets must have shape \(2,\), one for each image, got \(2, 1\)"),
        (torch.tensor([0.0, 1.0]), "targets must be an int64 tensor .* got torch.float32"),
        (torch.tensor([0, 1], dtype=torch.int32), "targets must be an int64 tensor .* got torch.int32"),
        ([0, 1], "targets must be an int64 tensor .* got list"),
    ],
)
def test_bad_targets_are_refused(targets: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_targets(targets, GOOD)


def test_a_model_of_which_a_part_trains_is_refused() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout()))
    with pytest.raises(ValueError, match=r"model must be in eval mode, but it is training: call model\.eval\(\) first"):
        check_eval(model)
    model.eval()
    check_eval(model)
    model[1].train()
    with pytest.raises(ValueError, match=r"but 1 is training"):
        check_eval(model)
    assert model[1].training
