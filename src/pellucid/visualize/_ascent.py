"""Gradient ascent on an image: what `neuron` and `class_image` share.

The variable u is the image as the network gets it, normalised, as in K. Simonyan, A. Vedaldi, A. Zisserman, "Deep
Inside Convolutional Networks", ICLR workshop 2014, section 2 (https://arxiv.org/abs/1312.6034): zero is the mean
colour, towards which the penalty pulls. Jitter after A. Mordvintsev, C. Olah, M. Tyka, "Inceptionism", 2015.
"""

import math
import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.checks import check_choice, check_images, check_range
from pellucid.models import Model, Score, differentiate, evaluate, unvaried
from pellucid.models.relus import relu_rule
from pellucid.progress import steps as progress

from ._paint import blurred, preconditioned, shrunk, slope

REFERENCE = 224
"""Side of the image, in pixels, for which jitter is told."""

PRESETS: dict[str, dict[str, Any]] = {"plain": {"steps": 150, "start": "uniform", "blur_every": 5, "jitter": 0}}
"""Options that go well together, for `neuron` and `class_image` alike: class_image(..., **PRESETS["plain"])."""

STARTS = ("noise", "uniform", "gray")


@dataclass(frozen=True)
class Ascent:
    """Images that gradient ascent ended in, and the way there."""

    images: Tensor  # (N, C, H, W), in [0, 1]
    trace: Tensor  # (steps + 1, N), the score before each step, and last of the images returned
    frames: Tensor  # (F, N, C, H, W), in [0, 1]; F is 0 unless asked for
    frame_steps: tuple[int, ...]  # the F steps after which they were kept; 0 is the start
    revived: Tensor  # (N,), int64, steps at which the gradient was zero and one through silent ReLUs was taken
    is_dead: Tensor  # (N,), bool, whether the score's own gradient was zero at every step, revived or not


@dataclass(frozen=True)
class Settings:
    """How to climb; the docstring of `class_image` tells each."""

    steps: int = 200
    lr: float = 5.0
    penalty: float = 1e-3
    penalty_step: str = "implicit"
    regulariser: str = "l2sq"
    step: str = "raw"
    optimiser: str = "plain"
    blur_every: int | None = 10
    blur_sigma: float = 0.5
    jitter: int = 16
    clamp: bool = True
    start: str | Tensor = "noise"
    size: int | None = None
    parameterisation: str = "pixel"
    frames: int = 0

    def check(self, longest: int) -> None:
        """Refuse what is out of range; `longest` is the image's longer side, in pixels."""
        check_range("steps", self.steps, 0)
        if not 0 < self.lr < math.inf:
            raise ValueError(f"lr must be above 0, got {self.lr}")
        if not 0 <= self.penalty < math.inf:
            raise ValueError(f"penalty must be at least 0, got {self.penalty}")
        check_choice("penalty_step", self.penalty_step, ("implicit", "explicit"))
        check_choice("regulariser", self.regulariser, ("l2sq", "l2", "tv"))
        check_choice("step", self.step, ("raw", "normalised"))
        check_choice("optimiser", self.optimiser, ("plain", "adam"))
        check_choice("parameterisation", self.parameterisation, ("pixel", "fourier"))
        if self.blur_every is not None:
            check_range("blur_every", self.blur_every, 1)
        check_range("jitter", self.jitter, 0)
        check_range("frames", self.frames, 0)
        if isinstance(self.start, str):
            check_choice("start", self.start, STARTS)
        if self.size is not None:
            check_range("size", self.size, 1, 16384)
        check_range("blur_sigma", self.blur_sigma, 0, longest)
        explicit = self.penalty_step == "explicit" and self.regulariser == "l2sq"
        if explicit and self.lr * self.penalty >= 1:
            warnings.warn(
                f"lr * penalty is {self.lr * self.penalty:g}: explicit penalty steps diverge from 1 on; take implicit "
                "ones or a smaller lr",
                stacklevel=4,
            )


def ascend(
    model: nn.Module,
    network: nn.Module,
    score: Score,
    settings: Settings,
    *,
    count: int,
    generator: torch.Generator | None,
) -> Ascent:
    """Climb the score from a start, all images at once.

    Args:
        model: owns the normalisation and the image size, if it is a Model.
        network: what is run on images; its outputs are what the score reads.
        score: (outputs, rows) -> (R,).
        settings: how.
        count: N images; every one gets the same start and the same jitter, so that none depends on the others.
        generator: of start and jitter; None takes one of seed 0.
    """
    settings.check(max(image_shape(model, settings)[1:]))
    source = torch.Generator().manual_seed(0) if generator is None else generator
    mean, std, u = _start(model, count, settings, source)
    climb = _Climb(network, score, (mean, std), settings, count)
    longest = round(settings.jitter * min(1.0, min(u.shape[-2:]) / REFERENCE))
    trace: list[Tensor] = []
    kept: list[Tensor] = []
    frame_steps: list[int] = []
    with torch.inference_mode(False), torch.no_grad(), progress("climbing", settings.steps) as done:
        for t in range(settings.steps):
            if settings.frames and t % settings.frames == 0:
                kept.append(climb.shown(u))
                frame_steps.append(t)
            shift = torch.randint(longest + 1, (2,), generator=source, device=source.device).tolist()
            values, gradient = climb.gradient(u.roll(shift, (2, 3)))
            trace.append(values)
            u = climb.step(u, gradient.roll([-shift[0], -shift[1]], (2, 3)))
            if settings.blur_every and (t + 1) % settings.blur_every == 0 and t + 1 < settings.steps:
                u = blurred(u, settings.blur_sigma)
            done(1)
        images = climb.shown(u)
        trace.append(evaluate(network, unvaried(images), score, label="last")[0].to(u))
    if settings.frames:
        kept.append(images)
        frame_steps.append(settings.steps)
    frames = torch.stack(kept) if kept else images.new_zeros(0, *images.shape)
    return Ascent(images, torch.stack(trace), frames, tuple(frame_steps), climb.revived, climb.is_dead)


class _Climb:
    """Gradients and steps; holds what an optimiser remembers."""

    def __init__(
        self, network: nn.Module, score: Score, colours: tuple[Tensor, Tensor], settings: Settings, count: int
    ) -> None:
        self.network, self.score, self.settings = network, score, settings
        self.mean, self.std = colours
        self.first = self.second = torch.zeros((), dtype=self.mean.dtype, device=self.mean.device)  # Adam's moments
        self.taken = 0
        self.revived = torch.zeros(count, dtype=torch.int64, device=self.mean.device)
        self.is_dead = torch.full((count,), settings.steps > 0, device=self.mean.device)

    def shown(self, u: Tensor) -> Tensor:
        """Images (N, C, H, W) in [0, 1]."""
        return (u * self.std + self.mean).clamp(0, 1)

    def gradient(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (N,) and their gradients with respect to u; of a dead one the gradient through its silent ReLUs."""
        values, found = self._asked(u)
        dead = found.flatten(1).abs().amax(dim=1) == 0  # (N,)
        if bool(dead.any()):
            with relu_rule(_through_silence):
                _, revived = self._asked(u)
            found = torch.where(dead[:, None, None, None], revived, found)
            self.revived += dead & (found.flatten(1).abs().amax(dim=1) > 0)
        self.is_dead &= dead
        return values, found

    def step(self, u: Tensor, gradient: Tensor) -> Tensor:
        """The next u."""
        how = self.settings
        if not bool(gradient.isfinite().all() & u.isfinite().all()):
            if not self.taken:
                raise ValueError(
                    "the score's gradient is not finite at the start: take another start, or mend the model"
                )
            remedy = "" if how.clamp else ", or clamp on"
            raise ValueError(f"the ascent diverged: lr must be smaller than {how.lr:g}{remedy}")
        self.taken += 1
        if how.parameterisation == "fourier":
            gradient = preconditioned(gradient)
        if how.step == "normalised":
            size = gradient.flatten(1).norm(dim=1)[:, None, None, None]
            gradient = gradient / torch.where(size > 0, size, 1)
        if how.optimiser == "adam":
            gradient = self._adam(gradient)
        if how.penalty_step == "explicit" or how.regulariser == "tv":
            u = u + how.lr * (gradient - how.penalty * slope(u, how.regulariser))
        else:
            u = shrunk(u + how.lr * gradient, how.lr * how.penalty, how.regulariser)
        return u.maximum(-self.mean / self.std).minimum((1 - self.mean) / self.std) if how.clamp else u

    def _asked(self, u: Tensor) -> tuple[Tensor, Tensor]:
        values = u.new_zeros(len(u))

        def score(outputs: Any, rows: Tensor) -> Tensor:
            found = self.score(outputs, rows)
            values[rows] = found.detach().to(values)
            return found

        images = u * self.std + self.mean
        slopes = differentiate(self.network, unvaried(images), score, lambda found, *_: found, label="climbing")[0]
        return values, slopes.to(u) * self.std

    def _adam(self, gradient: Tensor) -> Tensor:
        """D. Kingma, J. Ba, "Adam", ICLR 2015, algorithm 1, with its defaults."""
        self.first = 0.9 * self.first + 0.1 * gradient
        self.second = 0.999 * self.second + 0.001 * gradient**2
        first = self.first / (1 - 0.9**self.taken)
        result: Tensor = first / ((self.second / (1 - 0.999**self.taken)).sqrt() + 1e-8)
        return result


def _through_silence(active: Tensor, gradient: Tensor) -> Tensor:
    """ReLU's own rule, but where it would leave nothing of a row's gradient that row passes whole."""
    kept = gradient * active
    rest = tuple(range(1, gradient.ndim))
    silent = (kept != 0).sum(dim=rest, keepdim=True) == 0 if rest else kept == 0
    return torch.where(silent, gradient, kept)


def _start(
    model: nn.Module, count: int, settings: Settings, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """mean and std (1, C, 1, 1), and u (N, C, H, W)."""
    parameter = next((p for p in model.parameters() if p.is_floating_point()), None)
    like = parameter.detach() if parameter is not None else torch.zeros(())
    shape = image_shape(model, settings)
    if isinstance(model, Model):
        mean, std = (one.detach().to(like)[None] for one in (model.mean, model.std))
    else:
        mean, std = torch.zeros(1, shape[0], 1, 1).to(like), torch.ones(1, shape[0], 1, 1).to(like)
    if isinstance(settings.start, Tensor):
        given = settings.start if settings.start.ndim == 4 else settings.start[None]
        images = given.detach().to(like).expand(count, *shape)
        return mean, std, (images - mean) / std
    u = torch.zeros(1, *shape, device=generator.device)
    if settings.start == "noise":
        u.normal_(generator=generator)
    u = u.to(like)
    if settings.start == "uniform":
        drawn = torch.zeros(1, *shape, device=generator.device).uniform_(generator=generator)
        u = (drawn.to(like) - mean) / std
    return mean, std, u.repeat(count, 1, 1, 1)


def image_shape(model: nn.Module, settings: Settings) -> tuple[int, ...]:
    """(C, H, W) of the image to make."""
    own = (model.geometry.channels, *model.geometry.size) if isinstance(model, Model) else None
    start = settings.start
    if isinstance(start, Tensor):
        check_images(start if start.ndim != 3 else start[None])
        if own is not None and start.shape[-3] != own[0]:
            raise ValueError(f"start must have {own[0]} channels, as the model's images, got {tuple(start.shape)}")
        if settings.size is not None and tuple(start.shape[-2:]) != (settings.size, settings.size):
            raise ValueError(f"start must have the size asked for, {settings.size}, got {tuple(start.shape)}")
        return tuple(start.shape[-3:])
    if own is None and settings.size is None:
        raise ValueError("start must be an image, or size be given: the model does not say which images it takes")
    if settings.size is None:
        return own or ()
    return (own[0] if own else _channels(model), settings.size, settings.size)


def _channels(model: nn.Module) -> int:
    """Channels of the images a plain module takes: those its first convolution does."""
    first = next((one for one in model.modules() if isinstance(one, nn.Conv2d)), None)
    if first is None:
        raise ValueError("start must be an image: the model has no Conv2d that says how many channels it takes")
    return first.in_channels
