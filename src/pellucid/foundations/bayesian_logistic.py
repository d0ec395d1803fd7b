"""Bayesian logistic regression: not one boundary but all that the points allow.

D. Spiegelhalter, S. Lauritzen, "Sequential Updating of Conditional Probabilities on Directed Graphical Structures",
Networks 20, 1990: the Gaussian at the mode. https://doi.org/10.1002/net.3230200507
C. Bishop, "Pattern Recognition and Machine Learning", Springer 2006, sections 4.4 and 4.5.
https://www.microsoft.com/en-us/research/publication/pattern-recognition-machine-learning/
"""

from typing import Self

import torch
from torch import Tensor

from pellucid.checks import check_choice, check_count

from .gaussian_posterior import Gaussian, gaussian_of
from .logistic_posterior import (
    by_descent,
    by_newton,
    curvature,
    gradient,
    log_likelihood,
    log_posterior,
    log_prior_constant,
)
from .squashed import PREDICTIVES, deviation
from .variational_gaussian import Bounded, expected_by_draws, expected_logistic, nearest

APPROXIMATIONS = ("laplace", "mean_field", "full_cov")
MOST = 5000
"""Points for which the bound is integrated and not drawn: each takes thousands of places on the grid."""


class BayesianLogisticRegression:
    """Weights w ~ N(0, 1 / alpha), class 1 with probability sigma(w·(1, x)): a normal density in the posterior's place.

    Args:
        approximation: laplace (mode and curvature), or nearest by the bound: mean_field, or full_cov.
        alpha: prior precision of the weights, at least 0; one number, or (d,), one a weight.
        bias_prior: prior precision of the bias; none is alpha, which must then be one number; 0 leaves it free.
        solver: of the mode: newton, or descent (20 full-batch epochs, as networks are trained; about there).
        expectation: of the bound: draws, or quadrature (without noise, for at most 5,000 points).
        steps: towards the bound at most, at least 1.
        lr: of these steps with draws, above 0.
        draws: a step, at least 1.

    After `fit`: posterior_, the Gaussian of (bias, weights); map_ (M,), the mode, and gradient_norm_ there, with
    laplace; log_evidence_, nats (with laplace approximate, None where the prior is flat; otherwise its lower bound);
    bound_, how the bound rose, None with laplace.
    """

    def __init__(
        self,
        *,
        approximation: str = "laplace",
        alpha: float | Tensor = 1.0,
        bias_prior: float | None = None,
        solver: str = "newton",
        expectation: str = "draws",
        steps: int = 2000,
        lr: float = 0.05,
        draws: int = 8,
    ) -> None:
        self.approximation, self.alpha, self.bias_prior, self.solver = approximation, alpha, bias_prior, solver
        self.expectation, self.steps, self.lr, self.draws = expectation, steps, lr, draws

    def fit(self, points: Tensor, targets: Tensor, *, generator: torch.Generator | None = None) -> Self:
        """Learn from points (N, d), float, with targets (N,) in {0, 1}, both present; None takes seed 0.

        Raises:
            ValueError: other targets, an option out of its range, a mode that is nowhere.
        """
        check_choice("approximation", self.approximation, APPROXIMATIONS)
        check_choice("solver", self.solver, ("newton", "descent"))
        check_choice("expectation", self.expectation, ("draws", "quadrature"))
        rows, answers = _rows(points), _answers(points, targets)
        precisions = _precisions(self.alpha, self.bias_prior, points.shape[1])
        if self.approximation == "laplace":
            self._laplace(rows, answers, precisions)
        else:
            self._nearest(rows, answers, precisions, generator)
        return self

    def predict_proba(
        self,
        points: Tensor,
        *,
        predictive: str = "quad",
        samples: int = 100,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Probability of class 1, (N,), all weights averaged over.

        Args:
            points: (N, d), float.
            predictive: quad (the integral), probit (closed form), mc (draws of weights) or plugin (the mean alone).
            samples: weights drawn for mc, at least 1; the same for all points.
            generator: of these; None: seed 0.
        """
        check_choice("predictive", predictive, (*PREDICTIVES, "mc"))
        check_count("samples", samples, 1)
        rows = self._asked(points)
        if predictive == "mc":
            return (self.posterior_.sample(samples, generator=generator) @ rows.T).sigmoid().mean(dim=0)
        return PREDICTIVES[predictive](rows @ self.posterior_.mean, self.posterior_.variance(rows))

    def predict_deviation(self, points: Tensor) -> Tensor:
        """Standard deviation of the probability of class 1 over the weights, (N,), in [0, 0.5]: 0 where all agree."""
        rows = self._asked(points)
        return deviation(rows @ self.posterior_.mean, self.posterior_.variance(rows))

    def _asked(self, points: Tensor) -> Tensor:
        rows = _rows(points)
        if rows.shape[1] != len(self.posterior_.mean):
            raise ValueError(
                f"points must have {len(self.posterior_.mean) - 1} columns as in fit, got {points.shape[1]}"
            )
        return rows

    def _laplace(self, rows: Tensor, targets: Tensor, precisions: Tensor) -> None:
        self.map_ = (by_newton if self.solver == "newton" else by_descent)(rows, targets, precisions)
        self.gradient_norm_ = float(gradient(self.map_, rows, targets, precisions).norm())
        height = float(log_posterior(self.map_, rows, targets, precisions))
        found = gaussian_of(self.map_, curvature(self.map_, rows, precisions), height)
        self.posterior_: Gaussian = found.gaussian
        is_proper = bool((precisions > 0).all())
        self.log_evidence_: float | None = found.log_integral + log_prior_constant(precisions) if is_proper else None
        self.bound_: Bounded | None = None

    def _nearest(self, rows: Tensor, targets: Tensor, precisions: Tensor, generator: torch.Generator | None) -> None:
        is_exact = self.expectation == "quadrature"
        if is_exact and len(rows) > MOST:
            raise ValueError(f"expectation must be draws for more than {MOST} points, got quadrature for {len(rows)}")
        expected = (
            expected_logistic(rows, targets)
            if is_exact
            else expected_by_draws(lambda weights: log_likelihood(weights, rows, targets))
        )
        options = {"steps": self.steps, "draws": self.draws}
        self.bound_ = nearest(
            expected,
            precisions,
            is_full=self.approximation == "full_cov",
            is_exact=is_exact,
            lr=self.lr,
            generator=generator,
            **options,
        )
        self.posterior_ = self.bound_.gaussian
        self.log_evidence_ = float(self.bound_.elbos[-1])


def _rows(points: Tensor) -> Tensor:
    """(1, x), float64."""
    if not isinstance(points, Tensor) or not points.is_floating_point() or points.ndim != 2 or not len(points):
        given = f"{points.dtype} {tuple(points.shape)}" if isinstance(points, Tensor) else type(points).__name__
        raise ValueError(f"points must be float (N, d), at least one, got {given}")
    if not bool(points.isfinite().all()):
        raise ValueError("points must be finite, got NaN or infinite values")
    return torch.cat([torch.ones_like(points[:, :1]), points], dim=1).double()


def _answers(points: Tensor, targets: Tensor) -> Tensor:
    if not isinstance(targets, Tensor) or targets.shape != points.shape[:1]:
        given = tuple(targets.shape) if isinstance(targets, Tensor) else type(targets).__name__
        raise ValueError(f"targets must have shape ({len(points)},), one for each point, got {given}")
    classes = torch.unique(targets).tolist()
    if not set(classes) <= {0, 1}:
        told = ", ".join(f"{one:g}" for one in classes[:5])
        raise ValueError(f"targets must be 0 and 1, got classes {{{told}}}: remap")
    if len(classes) < 2:
        raise ValueError(f"targets must have both classes, got only {classes[0]:g}")
    return targets.double()


def _precisions(alpha: float | Tensor, bias_prior: float | None, width: int) -> Tensor:
    """Alpha of (bias, weights), (d + 1,)."""
    own = torch.as_tensor(alpha, dtype=torch.float64)
    if own.ndim and own.shape != (width,):
        raise ValueError(f"alpha must be one number or one for each of {width} weights, got {tuple(own.shape)}")
    if own.ndim and bias_prior is None:
        raise ValueError("bias_prior must be given where alpha is one number a weight")
    bias = own if bias_prior is None else torch.tensor(bias_prior, dtype=torch.float64)
    found = torch.cat([bias.reshape(1), own.expand(width)])
    if not bool(((found >= 0) & found.isfinite()).all()):
        raise ValueError(f"alpha must be at least 0 and finite, got {found.tolist()} for (bias, weights)")
    return found
