"""Activations: the non-linear functions of networks, each with its derivative worked out by hand.

V. Nair, G. Hinton, "Rectified Linear Units Improve Restricted Boltzmann Machines", ICML 2010.
https://icml.cc/Conferences/2010/papers/432.pdf
A. Maas, A. Hannun, A. Ng, "Rectifier Nonlinearities Improve Neural Network Acoustic Models", ICML 2013 (leaky ReLU).
https://ai.stanford.edu/~amaas/papers/relu_hybrid_icml2013_final.pdf
D. Clevert, T. Unterthiner, S. Hochreiter, "Fast and Accurate Deep Network Learning by Exponential Linear Units",
ICLR 2016. https://arxiv.org/abs/1511.07289
S. Elfwing, E. Uchibe, K. Doya, "Sigmoid-Weighted Linear Units", Neural Networks 107, 2018 (SiLU).
https://arxiv.org/abs/1702.03118
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.checks import check_range


@dataclass(frozen=True)
class Activated:
    """An activation at some points."""

    value: Tensor  # as the points
    slope: Tensor  # as the points: the derivative of each value by its own point; softmax: (..., K, K)


def identity(points: Tensor) -> Activated:
    """Nothing happens: layers of it are one linear layer.

    Formula:
        g(a) = a
        g'(a) = 1

    Args:
        points: float, any shape.
    """
    _check(points)
    return Activated(points.clone(), torch.ones_like(points))


def sigmoid(points: Tensor) -> Activated:
    """From 0 to 1; its slope is at most 1/4, so each layer of it shrinks the gradient.

    Formula:
        g(a) = 1 / (1 + exp(-a))
        g'(a) = g (1 - g)

    Args:
        points: float, any shape.
    """
    _check(points)
    value = 1 / (1 + torch.exp(-points))
    return Activated(value, value * (1 - value))


def tanh(points: Tensor) -> Activated:
    """From -1 to 1 around zero; its slope is 1 there and vanishes on both sides.

    Formula:
        g(a) = (exp(a) - exp(-a)) / (exp(a) + exp(-a))
        g'(a) = 1 - g^2

    Args:
        points: float, any shape.
    """
    _check(points)
    shrunk = torch.expm1(-2 * points.abs())  # in (-1, 0]: no exponential that could overflow
    value = -points.sign() * shrunk / (2 + shrunk)
    return Activated(value, 1 - value**2)


def relu(points: Tensor) -> Activated:
    """Zero on the left, itself on the right; g(c a) = c g(a) for c >= 0 only, and nothing bounds it.

    Formula:
        g(a) = max(0, a)
        g'(a) = 1 if a > 0 else 0

    Args:
        points: float, any shape; at 0, where there is no derivative, 0 is taken.
    """
    _check(points)
    is_right = (points > 0).to(points)
    return Activated(points * is_right, is_right)


def leaky_relu(points: Tensor, *, leak: float = 0.01) -> Activated:
    """ReLU that lets a little through on the left, so that no unit is dead for ever.

    Formula:
        g(a) = a if a > 0 else leak a
        g'(a) = 1 if a > 0 else leak

    Args:
        points: float, any shape; at 0 the slope of the left is taken.
        leak: slope on the left, at least 0.
    """
    _check(points)
    check_range("leak", leak, 0)
    slope = torch.full_like(points, leak).masked_fill(points > 0, 1.0)
    return Activated(points * slope, slope)


def elu(points: Tensor, *, alpha: float = 1.0) -> Activated:
    """ReLU that bends smoothly to -alpha on the left.

    Formula:
        g(a) = a if a > 0 else alpha (exp(a) - 1)
        g'(a) = 1 if a > 0 else g + alpha

    Args:
        points: float, any shape; at 0 the slope of the left is taken.
        alpha: how far below zero it goes, at least 0.
    """
    _check(points)
    check_range("alpha", alpha, 0)
    left = alpha * torch.expm1(points.clamp(max=0))
    return Activated(torch.where(points > 0, points, left), torch.where(points > 0, 1.0, left + alpha))


def silu(points: Tensor) -> Activated:
    """The point times its own sigmoid; dips to -0.278 at -1.278 and follows ReLU far out.

    Formula:
        g(a) = a s, s = 1 / (1 + exp(-a))
        g'(a) = s (1 + a (1 - s))

    Args:
        points: float, any shape.
    """
    share = sigmoid(points).value
    return Activated(points * share, share * (1 + points * (1 - share)))


def softplus(points: Tensor) -> Activated:
    """ReLU with its corner rounded off; its slope is the sigmoid.

    Formula:
        g(a) = ln(1 + exp(a))
        g'(a) = 1 / (1 + exp(-a))

    Args:
        points: float, any shape.
    """
    slope = sigmoid(points).value
    return Activated(points.clamp(min=0) + torch.log1p(torch.exp(-points.abs())), slope)


def softmax(points: Tensor) -> Activated:
    """K numbers to K shares that sum to 1; each slope depends on all the shares.

    Formula:
        g_k = exp(a_k) / sum_j exp(a_j)
        dg_k / da_j = g_k (1[k = j] - g_j), that is J = diag(g) - g g^T

    Args:
        points: (..., K), float.

    Returns:
        Value (..., K) and Jacobian (..., K, K), whose rows and columns sum to 0.
    """
    _check(points)
    raised = torch.exp(points - points.amax(dim=-1, keepdim=True))  # the same shares, and nothing overflows
    shares = raised / raised.sum(dim=-1, keepdim=True)
    return Activated(shares, torch.diag_embed(shares) - shares[..., :, None] * shares[..., None, :])


def _check(points: Tensor) -> None:
    if not isinstance(points, Tensor) or not points.is_floating_point():
        raise ValueError(f"points must be a float tensor, got {getattr(points, 'dtype', type(points).__name__)}")


EACH = (identity, sigmoid, tanh, relu, leaky_relu, elu, silu, softplus)
"""Those that take one number to one number, in the order they are taught."""
