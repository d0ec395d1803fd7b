"""The map of classes turned into classes, counted by hand."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from pellucid.attack import one_pixel, outcome, success_map

from .nets import Linear, called, small_images, small_net

IMAGES = torch.tensor([[0.9, 0.1, 0.1], [0.1, 0.9, 0.1], [0.1, 0.1, 0.9], [0.8, 0.2, 0.1]]).view(4, 3, 1, 1)
NET = Linear(torch.eye(3).view(3, 3, 1, 1))
"""Each image's class is its brightest channel."""


def lifts_class_1(_model: nn.Module, images: Tensor, targets: Tensor, *, targeted: bool) -> Tensor:
    """An attack that can reach class 1, and class 2 from class 1."""
    assert targeted
    made = images.clone()
    able = (targets == 1) | ((targets == 2) & (images[:, 1, 0, 0] > 0.5))
    made[able] = torch.eye(3)[targets[able]].view(-1, 3, 1, 1)
    return made


def test_it_counts_who_became_what() -> None:
    found = success_map(lifts_class_1, NET, IMAGES, torch.tensor([0, 1, 2, 2]))  # the last is called wrong
    assert found.tried.tolist() == [[0, 1, 1], [1, 0, 1], [1, 1, 0]]
    assert found.success.tolist() == [[0, 1, 0], [0, 0, 1], [0, 1, 0]]
    assert found.reached.tolist() == [1, 1, 1, -1]
    assert found.rate.value == pytest.approx(3 / 6)
    assert found.rate_of_images.value == 1.0
    assert found.rates[1].nan_to_num(-1).tolist() == [0, -1, 1]


def test_one_pixel_fills_it() -> None:
    net, images = small_net(3), small_images(6)
    labels = called(net, images)
    attack = partial(one_pixel, population=12, generations=3, pixels=3)
    found = success_map(attack, net, images, labels)
    assert int(found.tried.sum()) == 6 * 4
    goals = torch.full((6,), 2)
    hit = outcome(net, images, attack(net, images, goals, targeted=True), goals, targeted=True).success
    assert int(found.success[:, 2].sum()) == int((hit & (labels != 2)).sum())


def test_labels_that_the_model_never_calls_are_refused() -> None:
    with pytest.raises(ValueError, match="targets must be the true classes, got none that the model calls"):
        success_map(lifts_class_1, NET, IMAGES, torch.tensor([1, 0, 0, 1]))
