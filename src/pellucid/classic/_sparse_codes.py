"""Descriptors as sums of a few words: orthogonal matching pursuit, lasso, and locality-constrained coding.

Y. Pati, R. Rezaiifar, P. Krishnaprasad, "Orthogonal Matching Pursuit", Asilomar 1993,
https://doi.org/10.1109/ACSSC.1993.342465; A. Beck, M. Teboulle, "A Fast Iterative Shrinkage-Thresholding Algorithm
for Linear Inverse Problems", SIAM Journal on Imaging Sciences 2(1), 2009, https://doi.org/10.1137/080716542.
"""

import torch
from torch import Tensor

LASSO_STEPS = 300
"""Every descriptor gets so many, so that none depends on which others it is worked on with."""

RIDGE = 1e-4
"""Of locality-constrained coding, a share of the trace, as its authors' own."""


def pursuit(rows: Tensor, units: Tensor, atoms: int) -> tuple[Tensor, Tensor]:
    """The word most like what is left, then all chosen so far fitted anew in least squares; so many times.

    Args:
        rows: (M, D).
        units: (K, D), words of norm 1.
        atoms: 1 to K.

    Returns:
        Names (M, atoms), int64, and coefficients (M, atoms).
    """
    names = torch.zeros(len(rows), 0, dtype=torch.int64, device=rows.device)
    rest, weights = rows, rows.new_zeros(len(rows), 0)
    for count in range(1, atoms + 1):
        like = (rest @ units.T).abs()  # (M, K)
        like.scatter_(1, names, -1)
        names = torch.cat([names, like.argmax(dim=1, keepdim=True)], dim=1)
        chosen = units[names].double()  # (M, count, D)
        products = chosen @ chosen.mT + 1e-9 * torch.eye(count, dtype=torch.float64, device=rows.device)
        weights = torch.linalg.solve(products, (chosen @ rows.double()[..., None])[..., 0]).to(rows)
        rest = rows - (weights[:, None] @ chosen.to(rows))[:, 0]
    return names, weights


def lasso(rows: Tensor, units: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Coefficients a of least 1/2 |row - sum a word|^2 + penalty sum |a|, by accelerated proximal gradient.

    Returns:
        Names (M, K), int64, all words, and coefficients (M, K), most of them 0.
    """
    products = units @ units.T  # (K, K)
    step = 1 / float(torch.linalg.matrix_norm(products.double(), 2))
    aims = rows @ units.T  # (M, K)
    found = torch.zeros_like(aims)
    ahead, momentum = found, 1.0
    for _ in range(LASSO_STEPS):
        moved = torch.addmm(ahead + step * aims, ahead, products, alpha=-step)
        new = torch.nn.functional.softshrink(moved, penalty * step)
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead, found, momentum = new + (momentum - 1) / following * (new - found), new, following
    return torch.arange(len(units), device=rows.device).expand(len(rows), -1).clone(), found


def locality(rows: Tensor, words: Tensor, neighbours: int) -> tuple[Tensor, Tensor]:
    """The weights, of sum 1, with which the nearest words come closest to a row.

    Returns:
        Names (M, neighbours), int64, the nearest first, and coefficients (M, neighbours), some negative.
    """
    far = torch.addmm(words.square().sum(dim=1), rows, words.T, alpha=-2)  # (M, K), squared, less each row's own length
    names = far.topk(neighbours, dim=1, largest=False).indices
    apart = words[names] - rows[:, None]  # (M, k, D)
    products = (apart @ apart.mT).double()
    trace = products.diagonal(dim1=1, dim2=2).sum(dim=1)[:, None, None]
    eye = torch.eye(neighbours, dtype=torch.float64, device=rows.device)
    products = products + (RIDGE * trace + 1e-12) * eye
    ones = torch.ones(len(rows), neighbours, 1, dtype=torch.float64, device=rows.device)
    weights = torch.linalg.solve(products, ones)[..., 0]
    return names, (weights / weights.sum(dim=1, keepdim=True)).to(rows)
