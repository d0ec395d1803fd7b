"""Test-time augmentation: the answers to several views of an image that all show the same.

A. Krizhevsky, I. Sutskever, G. Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", NeurIPS 2012,
section 4.1 (the mean over five windows and their mirror images).
https://papers.nips.cc/paper/2012/hash/c399862d3b9d6b76c8436e924a68c45b-Abstract.html
G. Wang et al., "Aleatoric uncertainty estimation with test-time augmentation for medical image segmentation with
convolutional neural networks", Neurocomputing 338, 2019 (the spread of the answers). https://arxiv.org/abs/1807.07356
"""

import torch
from torch import Tensor, nn

from pellucid.checks import check_eval, check_images
from pellucid.data.augment import Policy
from pellucid.models import Plan, evaluate

from ._logits import probabilities
from ._views import planned


def test_time_augmentation(
    model: nn.Module,
    images: Tensor,
    *,
    policy: str | Policy = "hflip",
    samples: int = 10,
    crop: float = 0.875,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Probabilities of an image as it is, then of views of it; `aggregate` makes one answer of them.

    A view is one change, the same for every image: an image asked alone, or in another order or chunk, gets the same
    answers. The scores of these samples tell how views disagree, not what the network has not learned. The policy must
    keep the class (a mirrored letter or digit is another one, so that hflip is none for those) and show what training
    did: windows, which here are brought back to the image's size, lose where it met no enlarged images. A policy chosen
    by its accuracy on the test images is fitted to them. What few drawn views bring depends on the draw: try several.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].
        policy: none, hflip, five_crop, ten_crop; or operations drawn at random, such as cifar or crop=4,hflip=0.5.
        samples: views of operations drawn at random, at least 0; the others have a number of their own.
        crop: sides of the windows of five_crop and ten_crop as a share of the image's, above 0, at most 1.
        generator: of the operations drawn at random; none takes one of seed 0.

    Returns:
        (V, N, K), the images' device, rows sum to 1; the first sample is of the image as it is. V is 1 of none, 2 of
        hflip, 6 of five_crop, 11 of ten_crop, else samples + 1.

    Raises:
        ValueError: the policy is unknown, empty, changes labels or the images' size, or an argument is out of range.
    """
    check_eval(model)
    check_images(images)
    views = planned(images.shape, policy, samples, crop, generator)
    plan = Plan(images.detach(), len(views.told), lambda some, numbers, _rows: views.made(some, numbers))
    return evaluate(model, plan, lambda outputs, _rows: probabilities(outputs), label="asking of views")
