"""The ball of changes that an epsilon allows: its surface, its steepest direction, a start in it, by norm."""

import math

import torch
from torch import Tensor

SPARSE = 0.05
"""Share of the values that an l1 step moves: a single one, the exact answer, would need thousands of steps."""


def sizes(change: Tensor, norm: str) -> Tensor:
    """Norm of each row's change (R, ...), (R,)."""
    order = {"linf": math.inf, "l2": 2, "l1": 1}[norm]
    size: Tensor = torch.linalg.vector_norm(change.flatten(1), ord=order, dim=1)
    return size


def within(images: Tensor, adversarial: Tensor, epsilon: float | Tensor, norm: str) -> Tensor:
    """The nearest images inside the ball about `images`, then inside [0, 1]: the clamp only shortens a change."""
    if norm == "linf":
        bound = _by_row(epsilon, images)
        return adversarial.maximum(images - bound).minimum(images + bound).clamp(0, 1)
    return (images + projected(adversarial - images, epsilon, norm)).clamp(0, 1)


def projected(change: Tensor, epsilon: float | Tensor, norm: str) -> Tensor:
    """The nearest change (R, ...) of at most this norm; epsilon is a number or one for each row, (R,)."""
    bound = _by_row(epsilon, change)
    if norm == "linf":
        return change.maximum(-bound).minimum(bound)
    if norm == "l2":
        size = _by_row(sizes(change, norm), change)
        return change * (bound / size.clamp(min=1e-12)).clamp(max=1)
    return _onto_l1(change, bound.flatten())


def direction(gradient: Tensor, norm: str) -> Tensor:
    """The change of norm 1 that climbs fastest, (R, ...); 0 where the gradient is.

    For l1, where it is one value alone, the 5 % of the largest slopes share the step (F. Tramèr, D. Boneh,
    "Adversarial Training and Robustness for Multiple Perturbations", NeurIPS 2019, appendix,
    https://arxiv.org/abs/1904.13000).
    """
    if norm == "linf":
        return gradient.sign()
    if norm == "l2":
        return gradient / _by_row(sizes(gradient, norm), gradient).clamp(min=1e-12)
    flat = gradient.flatten(1)
    count = max(1, round(SPARSE * flat.shape[1]))
    places = flat.abs().topk(count, dim=1).indices
    signs = torch.zeros_like(flat).scatter(1, places, flat.gather(1, places).sign())
    return (signs / signs.abs().sum(dim=1, keepdim=True).clamp(min=1)).view_as(gradient)


def anywhere(shape: torch.Size, epsilon: float, norm: str, generator: torch.Generator) -> Tensor:
    """A change (1, C, H, W) drawn uniformly from the ball, on the generator's device."""
    shape = torch.Size((1, *shape[1:]))
    if norm == "linf":
        return (2 * torch.rand(shape, generator=generator, device=generator.device) - 1) * epsilon
    count = shape.numel()
    if norm == "l2":
        drawn = torch.randn(shape, generator=generator, device=generator.device)
    else:  # exponentials with random signs, brought to length 1, lie uniformly on the l1 sphere
        drawn = torch.empty(shape, device=generator.device).exponential_(generator=generator)
        drawn *= 2 * torch.randint(2, shape, generator=generator, device=generator.device) - 1
    radius = torch.rand((), generator=generator, device=generator.device) ** (1 / count)
    return drawn / _by_row(sizes(drawn, norm), drawn) * radius * epsilon


def _by_row(values: float | Tensor, like: Tensor) -> Tensor:
    """A number a row, to be spread over the row."""
    spread = torch.as_tensor(values, dtype=like.dtype, device=like.device).expand(len(like))
    return spread.view(-1, *[1] * (like.ndim - 1))


def _onto_l1(change: Tensor, bound: Tensor) -> Tensor:
    """Soft thresholding, by the threshold that leaves the norm at the bound.

    J. Duchi, S. Shalev-Shwartz, Y. Singer, T. Chandra, "Efficient Projections onto the l1-Ball for Learning in High
    Dimensions", ICML 2008, figure 1. https://doi.org/10.1145/1390156.1390191
    """
    sizes = change.flatten(1).abs()  # (R, D)
    ordered = sizes.sort(dim=1, descending=True).values
    ranks = torch.arange(1, sizes.shape[1] + 1, device=change.device, dtype=change.dtype)
    thresholds = (ordered.cumsum(dim=1) - bound[:, None]) / ranks
    last = (ordered > thresholds).sum(dim=1, keepdim=True).clamp(min=1) - 1
    threshold = thresholds.gather(1, last).clamp(min=0)
    kept = change.flatten(1).sign() * (sizes - threshold).clamp(min=0)
    inside = sizes.sum(dim=1, keepdim=True) <= bound[:, None]
    return torch.where(inside, change.flatten(1), kept).view_as(change)
