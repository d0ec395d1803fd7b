"""Linear support vector machines with the squared hinge, many of them at once, to a certified optimum.

Each column b of signs s (N, B) is a machine of its own: min over w of |w|^2 / 2 + C sum_n max(0, 1 - s_nb x_n.w)^2
over the rows with s_nb not 0. All folds, and all classes against the rest, share one decomposition of the rows.

Newton's method on the primal (O. Chapelle, "Training a Support Vector Machine in the Primal", Neural Computation 19,
2007, section 4, https://doi.org/10.1162/neco.2007.19.5.1155): with the rows S inside the margin known, the optimum
solves a linear system. Where S is small it is solved in the dual, (G_SS + I / 2C) b = s_S by Cholesky, on a block of
the one Gram matrix G; else by conjugate gradients for all such columns together, preconditioned by the spectrum of G
(S. Keerthi, D. DeCoste, JMLR 6, 2005, for such steps on the squared hinge). Machines whose steps keep going too far,
as on long rows at a large C, are solved by Cholesky in the primal. The duality gap tells when it is done.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

TOLERANCE = 1e-10
"""Largest duality gap, relative to the objective."""

NEWTON_STEPS, GRADIENT_STEPS, HALVINGS = 200, 300, 40

PATIENCE = 4
"""Steps of a machine that were too long, from which on they are solved for exactly."""

AT_ONCE = 2**24
"""Values of a table (N, B) that are worked on at a time, and values of features widened to float64 at a time."""

LARGEST_GRAM = 6000
"""Rows up to which the Gram matrix is kept where the rows' own dimension is smaller."""


@dataclass(frozen=True)
class Basis:
    """Rows turned so that their columns are orthogonal: the same inner products in at most min(N, D) columns."""

    rows: Tensor  # (N, R), float64
    spectrum: Tensor  # (R,), float64, the squared norms of the columns
    gram: Tensor | None  # (N, N), float64, inner products; None where it would be too large to keep


@dataclass(frozen=True)
class Solved:
    """The optimum of every machine."""

    weight: Tensor  # (R, B), float64, in the basis
    forces: Tensor  # (N, B), float64: the weight is the sum of the rows by these, in any space
    scores: Tensor  # (N, B), float64, of all rows, those with sign 0 too
    gap: Tensor  # (B,), float64, duality gap relative to the objective


@dataclass(frozen=True)
class _Point:
    weight: Tensor  # (R, B)
    scores: Tensor  # (N, B)


def basis(features: Tensor, *, constant: float) -> Basis:
    """The rows with a constant column added, turned.

    Args:
        features: (N, D), float32.
        constant: of the added column, whose weight is the bias; 0 for none.
    """
    count, dimension = features.shape
    if dimension < count:
        rows = torch.cat([features.double(), features.new_full((count, 1), constant).double()], dim=1)
        spectrum, turn = torch.linalg.eigh(rows.T @ rows)
        rows = rows @ turn
        return Basis(rows, spectrum.clamp(min=0), rows @ rows.T if count <= LARGEST_GRAM else None)
    gram = products(features, features) + constant**2
    spectrum, turn = torch.linalg.eigh(gram)
    spectrum = spectrum.clamp(min=0)
    return Basis(turn * spectrum.sqrt(), spectrum, gram)


def products(left: Tensor, right: Tensor) -> Tensor:
    """Inner products (N, M) of rows, float64, some columns at a time."""
    total = torch.zeros(len(left), len(right), dtype=torch.float64, device=left.device)
    at_once = max(1, AT_ONCE // (len(left) + len(right)))
    for some, others in zip(torch.split(left, at_once, dim=1), torch.split(right, at_once, dim=1), strict=True):
        wide = some.double()
        total.addmm_(wide, wide.T if left is right else others.double().T)
    return total


def solve(basis: Basis, signs: Tensor, cost: float, start: Tensor | None = None) -> Solved:
    """The optimum of each machine.

    Args:
        basis: of the rows.
        signs: (N, B), float64, 1, -1, or 0 where a row is left out.
        cost: C, positive.
        start: (R, B), weights to begin with, such as the optimum for a smaller C; None: zeros.
    """
    if start is None:
        start = signs.new_zeros(basis.rows.shape[1], signs.shape[1])
    parts = []
    at_once = max(1, AT_ONCE // len(signs))
    for some, begun in zip(torch.split(signs, at_once, dim=1), torch.split(start, at_once, dim=1), strict=True):
        parts.append(_solve(basis, some, cost, begun.clone()))
    made = [torch.cat([getattr(part, name) for part in parts], dim=-1) for name in Solved.__annotations__]
    return Solved(*made)


def _solve(basis: Basis, signs: Tensor, cost: float, weight: Tensor) -> Solved:
    scores = basis.rows @ weight  # (N, B)
    gap = weight.new_full((weight.shape[1],), torch.inf)
    todo = torch.arange(weight.shape[1], device=weight.device)
    shortened = torch.zeros_like(todo)  # how often the step of each was too long
    for _ in range(NEWTON_STEPS):
        sign, old, before = signs[:, todo], weight[:, todo], scores[:, todo]
        hinge = _hinge(sign, before)
        objective = _objective(old, hinge, cost)
        gap[todo] = (objective - _dual(basis, sign, hinge, cost)) / objective
        left = gap[todo] > TOLERANCE
        if not left.any():
            break
        todo, sign, old, before, objective = todo[left], sign[:, left], old[:, left], before[:, left], objective[left]
        new = _newton(basis, sign, hinge[:, left] > 0, cost, old, exactly=shortened[todo] >= PATIENCE)
        ends = _Point(old, before), _Point(new, basis.rows @ new)
        weight[:, todo], scores[:, todo] = _on_the_way(sign, cost, *ends, objective)
        shortened[todo] += (weight[:, todo] != new).any(dim=0)
    worst = float(gap.max())
    if worst > 1e-6:
        warnings.warn(
            f"the support vector machine of C = {cost:g} is only within {worst:.1g} of its optimum (relative): "
            "normalise the features, or take a smaller C",
            stacklevel=2,
        )
    return Solved(weight, 2 * cost * _hinge(signs, scores) * signs, scores, gap)


def _hinge(signs: Tensor, scores: Tensor) -> Tensor:
    """How far each row is inside the margin, (N, B); 0 for rows that are left out."""
    return (1 - signs * scores).clamp_(min=0).mul_(signs.abs())


def _objective(weight: Tensor, hinge: Tensor, cost: float) -> Tensor:
    return weight.square().sum(dim=0) / 2 + cost * hinge.square().sum(dim=0)


def _dual(basis: Basis, signs: Tensor, hinge: Tensor, cost: float) -> Tensor:
    """A lower bound of the optimum, (B,): the dual objective at multipliers 2 C hinge."""
    multipliers = 2 * cost * hinge
    pulled = basis.rows.T @ (multipliers * signs)
    return multipliers.sum(dim=0) - pulled.square().sum(dim=0) / 2 - multipliers.square().sum(dim=0) / (4 * cost)


def _newton(basis: Basis, signs: Tensor, inside: Tensor, cost: float, weight: Tensor, *, exactly: Tensor) -> Tensor:
    """Weights (R, B) at the optimum if the rows inside the margin stayed the same; `exactly` (B,), bool, of which."""
    count = inside.sum(dim=0)
    few = count <= (50 * basis.rows.numel()) ** (1 / 3)  # where Cholesky costs less than the other
    exactly = exactly | (few & (count > len(weight)))  # the dual's matrix is the larger one, and all but singular
    few &= ~exactly
    new = torch.empty_like(weight)
    if few.any():
        new[:, few], is_found = _by_cholesky(basis, signs[:, few], inside[:, few], cost)
        few[few.clone()] = is_found
    many = ~few & ~exactly
    if many.any():
        new[:, many] = _by_gradients(basis, signs[:, many], inside[:, many].double(), cost, weight[:, many])
    for column in exactly.nonzero()[:, 0].tolist():
        new[:, column] = _directly(basis, signs[:, column], inside[:, column], cost)
    return new


def _by_cholesky(basis: Basis, signs: Tensor, inside: Tensor, cost: float) -> tuple[Tensor, Tensor]:
    """Weights, and which could be found, for rounding may leave a matrix that is not positive definite."""
    forces, is_found = torch.zeros_like(signs), torch.ones_like(inside[0])
    for column in range(signs.shape[1]):
        at = inside[:, column].nonzero()[:, 0]
        block = basis.rows[at] @ basis.rows[at].T if basis.gram is None else basis.gram[at[:, None], at]
        block.diagonal().add_(1 / (2 * cost))
        factor, failure = torch.linalg.cholesky_ex(block)
        is_found[column] = failure == 0
        forces[at, column] = torch.cholesky_solve(signs[at, column, None], factor)[:, 0]
    return basis.rows.T @ forces, is_found


def _directly(basis: Basis, signs: Tensor, inside: Tensor, cost: float) -> Tensor:
    """Weights (R,) of one machine by Cholesky in the primal: for rows so long that gradients creep."""
    rows = basis.rows[inside]
    curvature = rows.T @ rows
    curvature.diagonal().add_(1 / (2 * cost))
    wanted = rows.T @ signs[inside]
    factor, failure = torch.linalg.cholesky_ex(curvature)
    if failure:
        found: Tensor = torch.linalg.lstsq(curvature, wanted[:, None]).solution[:, 0]
        return found
    found = torch.cholesky_solve(wanted[:, None], factor)
    return (found + torch.cholesky_solve(wanted[:, None] - curvature @ found, factor))[:, 0]


def _by_gradients(basis: Basis, signs: Tensor, inside: Tensor, cost: float, weight: Tensor) -> Tensor:
    """Weights nearer the optimum, by conjugate gradients from those given."""
    rows = basis.rows

    def curvature(direction: Tensor) -> Tensor:
        return direction / (2 * cost) + rows.T @ (inside * (rows @ direction))

    share = inside.sum(dim=0) / len(rows)
    conditioner = 1 / (1 / (2 * cost) + share * basis.spectrum[:, None])  # (R, B)
    return _conjugate_gradients(curvature, rows.T @ (inside * signs), conditioner, weight)


def _conjugate_gradients(
    matrix: Callable[[Tensor], Tensor], wanted: Tensor, conditioner: Tensor, start: Tensor
) -> Tensor:
    """Columns x with matrix(x) near wanted: each residual brought to a hundredth."""
    found, tiny = start, torch.finfo(torch.float64).tiny
    residual = wanted - matrix(start)
    direction = conditioner * residual
    size = (residual * direction).sum(dim=0)
    enough = 1e-4 * size
    for _ in range(GRADIENT_STEPS):
        turned = matrix(direction)
        length = size / (direction * turned).sum(dim=0).clamp(min=tiny)
        found = found + length * direction
        residual = residual - length * turned
        better = conditioner * residual
        before, size = size, (residual * better).sum(dim=0)
        if (size <= enough).all():
            break
        direction = better + size / before.clamp(min=tiny) * direction
    return found


def _on_the_way(signs: Tensor, cost: float, old: "_Point", new: "_Point", objective: Tensor) -> tuple[Tensor, Tensor]:
    """The new weights and scores, or, where their objective is no lower, those with the lowest one on the way there.

    The objective's slope on the way rises, so that its root is found by halving.
    """
    rises = ~(_objective(new.weight, _hinge(signs, new.scores), cost) <= objective)
    if not rises.any():
        return new.weight, new.scores
    sign, weight, scores = signs[:, rises], old.weight[:, rises], old.scores[:, rises]
    turn, change = new.weight[:, rises] - weight, new.scores[:, rises] - scores
    start, bend = (weight * turn).sum(dim=0), turn.square().sum(dim=0)
    low, high = torch.zeros_like(start), torch.ones_like(start)
    for _ in range(HALVINGS):
        step = (low + high) / 2
        slope = start + step * bend - 2 * cost * (_hinge(sign, scores + step * change) * sign * change).sum(dim=0)
        low, high = torch.where(slope < 0, step, low), torch.where(slope < 0, high, step)
    found = _Point(new.weight.clone(), new.scores.clone())
    found.weight[:, rises], found.scores[:, rises] = weight + low * turn, scores + low * change
    return found.weight, found.scores
