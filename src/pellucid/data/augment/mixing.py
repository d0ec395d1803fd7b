"""Mixup and CutMix: two images and their labels become one.

H. Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018. https://arxiv.org/abs/1710.09412
S. Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features", ICCV 2019.
https://arxiv.org/abs/1905.04899
Accuracy on mixed labels is no accuracy: report it on clean images.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.checks import check_images


def mixup(
    images: Tensor,
    targets: Tensor,
    classes: int,
    *,
    alpha: float = 0.2,
    seed: int = 0,
    epoch: int = 0,
    step: int = 0,
) -> tuple[Tensor, Tensor]:
    """Each image of a batch, times lambda, plus another one of it, times 1 - lambda; labels likewise.

    Args:
        images: (N, C, H, W), float, in [0, 1].
        targets: (N,), int64, in [0, classes); or (N, classes), rows that sum to 1.
        classes: K, at least 2.
        alpha: lambda is drawn, once a batch, from Beta(alpha, alpha); over 0. 1 is usual on CIFAR.
        seed: of lambda and of the pairs, with epoch and step.
        epoch: from 0.
        step: the batch's number in its epoch, from 0.

    Returns:
        Images (N, C, H, W), and soft targets (N, K), whose rows sum to 1.

    Raises:
        ValueError: alpha is not positive, or targets that are no classes.
    """
    soft = _soft(images, targets, classes, alpha)
    generator = _generator(seed, epoch, step)
    share = float(generator.beta(alpha, alpha))
    partner = torch.from_numpy(generator.permutation(len(images))).to(images.device)
    return images * share + images[partner] * (1 - share), _blend(soft, partner, share)


def cutmix(
    images: Tensor,
    targets: Tensor,
    classes: int,
    *,
    alpha: float = 1.0,
    seed: int = 0,
    epoch: int = 0,
    step: int = 0,
) -> tuple[Tensor, Tensor]:
    """Each image of a batch with a rectangle of another one of it; labels by the area each one keeps.

    Args:
        images: (N, C, H, W), float, in [0, 1].
        targets: (N,), int64, in [0, classes); or (N, classes), rows that sum to 1.
        classes: K, at least 2.
        alpha: the rectangle's area is 1 - lambda, drawn, once a batch, from Beta(alpha, alpha); over 0.
        seed: of the rectangle and of the pairs, with epoch and step.
        epoch: from 0.
        step: the batch's number in its epoch, from 0.

    Returns:
        Images (N, C, H, W), and soft targets (N, K): lambda is the area really kept, after cutting at the edges.

    Raises:
        ValueError: alpha is not positive, or targets that are no classes.
    """
    soft = _soft(images, targets, classes, alpha)
    generator = _generator(seed, epoch, step)
    side = math.sqrt(1 - float(generator.beta(alpha, alpha)))
    partner = torch.from_numpy(generator.permutation(len(images))).to(images.device)
    ranges = []
    for full in images.shape[-2:]:
        middle, half = int(generator.integers(full)), side * full / 2
        ranges.append(slice(max(0, round(middle - half)), min(full, round(middle + half))))
    mixed = images.clone()
    mixed[:, :, ranges[0], ranges[1]] = images[partner][:, :, ranges[0], ranges[1]]
    pasted = math.prod(part.stop - part.start for part in ranges)
    return mixed, _blend(soft, partner, 1 - pasted / math.prod(images.shape[-2:]))


def _soft(images: Tensor, targets: Tensor, classes: int, alpha: float) -> Tensor:
    """Soft targets (N, K); refuses what cannot be mixed."""
    if not alpha > 0:
        raise ValueError(f"alpha must be over 0, got {alpha}")
    check_images(images)
    if targets.dtype == torch.int64 and targets.shape == images.shape[:1]:
        if targets.min() < 0 or targets.max() >= classes:
            found = f"{int(targets.min())} to {int(targets.max())}"
            raise ValueError(f"targets must be in [0, {classes - 1}], got {found}")
        return F.one_hot(targets, classes).to(images.dtype)
    if targets.is_floating_point() and targets.shape == (len(images), classes):
        return targets
    expected = f"class numbers ({len(images)},), int64, or shares ({len(images)}, {classes}), float"
    raise ValueError(f"targets must be {expected}, to be mixed, got {tuple(targets.shape)}, {targets.dtype}")


def _generator(seed: int, epoch: int, step: int) -> np.random.Generator:
    """Random numbers of one batch, whatever came before it."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed % 2**64, epoch, step])))


def _blend(soft: Tensor, partner: Tensor, share: float) -> Tensor:
    return soft * share + soft[partner] * (1 - share)
