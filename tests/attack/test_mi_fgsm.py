"""Momentum FGSM by hand and against the library the field uses."""

import pytest
import torch

from pellucid.attack import mi_fgsm, pgd

from .nets import called, small_images, small_net


def test_it_equals_torchattacks() -> None:
    torchattacks = pytest.importorskip("torchattacks")
    net, images = small_net(1), small_images(6)
    targets = called(net, images)
    theirs = torchattacks.MIFGSM(net, eps=0.03, alpha=0.005, steps=6, decay=0.7)(images, targets)
    ours = mi_fgsm(net, images, targets, epsilon=0.03, steps=6, momentum=0.7, keep_best=False)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_without_momentum_it_is_plain_steps() -> None:
    net, images = small_net(2), small_images(6)
    targets = called(net, images)
    plain = pgd(net, images, targets, epsilon=0.04, alpha=0.01, steps=4, random_start=False)
    torch.testing.assert_close(mi_fgsm(net, images, targets, epsilon=0.04, steps=4, momentum=0.0), plain)
    assert not torch.equal(mi_fgsm(net, images, targets, epsilon=0.04, steps=4, keep_best=False), plain)


def test_a_negative_momentum_is_refused() -> None:
    net, images = small_net(), small_images()
    with pytest.raises(ValueError, match="momentum must be at least 0"):
        mi_fgsm(net, images, called(net, images), momentum=-0.5)
