"""Jigsaw: put a picture whose quarters were exchanged back together, by a network that learned to.

M. Noroozi, P. Favaro, "Unsupervised Learning of Visual Representations by Solving Jigsaw Puzzles", ECCV 2016.
https://arxiv.org/abs/1603.09246
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pellucid.checks import check_eval, check_images
from pellucid.data import jigsaw
from pellucid.models import Plan, evaluate, unvaried


@dataclass(frozen=True)
class Solved:
    """Pictures put back together."""

    images: Tensor  # (N, C, H, W), restored by the most probable permutation
    labels: Tensor  # (N,), int64, in [0, 24): by which they are held to have been shuffled
    probabilities: Tensor  # (N, 24), rows sum to 1


def solve_jigsaw(model: nn.Module, images: Tensor, *, voting: bool = False) -> Solved:
    """Tell by which permutation the quarters of each image were exchanged, and put them back.

    Args:
        model: maps images (N, C, H, W) in [0, 1] to 24 logits, one a permutation; in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1], H and W even; shuffled, or whole.
        voting: ask about all 24 shuffles of each image and take the mean of what each says of it; 24 times the work.

    Returns:
        The restored images, the labels, and the probabilities of all 24 permutations.

    Raises:
        ValueError: an odd side, or a network with other than 24 outputs; says the remedy.
    """
    check_eval(model)
    check_images(images)
    every = torch.arange(jigsaw.COUNT, device=images.device)
    jigsaw.shuffle(images[:1], every[:1])  # refuses odd sides

    def vary(some: Tensor, numbers: Tensor, _rows: Tensor) -> Tensor:
        return torch.stack([jigsaw.shuffle(some, one.expand(len(some)).to(some.device)) for one in numbers])

    plan = Plan(images, jigsaw.COUNT, vary) if voting else unvaried(images)
    found = evaluate(model, plan, _probabilities, label="solving")  # (P, N, 24)
    mean = torch.stack([part[:, turned] for part, turned in zip(found, _turned(len(found)), strict=True)]).mean(dim=0)
    labels = mean.argmax(dim=1)
    return Solved(jigsaw.deshuffle(images, labels), labels, mean)


def _probabilities(logits: Tensor, _rows: Tensor) -> Tensor:
    if logits.ndim != 2 or logits.shape[1] != jigsaw.COUNT:
        raise ValueError(
            f"model must have {jigsaw.COUNT} outputs, one a permutation, got {tuple(logits.shape[1:])}: train one with "
            "pellucid train jigsaw"
        )
    return logits.softmax(dim=1)


def _turned(count: int) -> Tensor:
    """(count, 24), int64: where an image that is of label t is shuffled again by r, entry (r, t) is its label then.

    Shuffled by pi and then by rho, place q holds quarter pi(rho(q)) of the original.
    """
    every = jigsaw.permutation(torch.arange(jigsaw.COUNT))  # (24, 4)
    product = every[:, every[:count]]  # (24 pi, count rho, 4): pi(rho(q))
    return jigsaw.label_of(product.flatten(0, 1)).view(jigsaw.COUNT, count).T
