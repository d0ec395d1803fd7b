"""A black box: answers images, counts what it is asked, and stops at a cap."""

import hashlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.checks import check_count, check_eval

from ._layout import Layout


class BudgetSpentError(RuntimeError):
    """More images were asked than the cap allows."""


class Query:
    """Calls a network, or any function of images, and counts: what a black-box attack sees of a model.

    Args:
        model: maps images (n, C, H, W) in [0, 1] to logits or probabilities (n, K), or to labels (n,).
        most: images that may be asked in all; None sets no cap.
        cache: answers kept, so that an image asked again costs nothing; 0 keeps none.
    """

    def __init__(self, model: nn.Module | Callable[[Tensor], Any], *, most: int | None = None, cache: int = 0) -> None:
        if isinstance(model, nn.Module):
            check_eval(model)
        elif not callable(model):
            raise ValueError(f"model must be a network or a function of images, got {type(model).__name__}")
        if most is not None:
            check_count("most", most, 1)
        check_count("cache", cache, 0)
        self.model, self.most, self.cache = model, most, cache
        self.count = 0
        self.found = 0
        self._answers: dict[bytes, Tensor] = {}
        self._layout = Layout(model)

    @property
    def left(self) -> int | None:
        """Images that may still be asked; None without a cap."""
        return None if self.most is None else self.most - self.count

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """The model's answer for each image, detached.

        Raises:
            BudgetSpentError: there are more images than may still be asked; none of them was.
        """
        if not self.cache:
            return self._ask(images)
        keys = [hashlib.blake2b(one.tobytes(), digest_size=16).digest() for one in images.cpu().contiguous().numpy()]
        fresh = {key: place for place, key in reversed(list(enumerate(keys))) if key not in self._answers}
        here = {key: self._answers[key] for key in set(keys) - set(fresh)}
        if fresh:
            places = sorted(fresh.values())
            answers = self._ask(images[places])
            here |= {keys[place]: answer for place, answer in zip(places, answers, strict=True)}
        self.found += len(keys) - len(fresh)
        for key in sorted(fresh, key=fresh.__getitem__):
            self._answers[key] = here[key].clone()
        while len(self._answers) > self.cache:  # the oldest goes first
            del self._answers[next(iter(self._answers))]
        return torch.stack([here[key] for key in keys])

    def _ask(self, images: Tensor) -> Tensor:
        if self.left is not None and len(images) > self.left:
            raise BudgetSpentError(f"{len(images)} more images asked, but only {self.left} of {self.most} are left")
        answer: Any = self._layout.asked(self.model, images)
        if not isinstance(answer, Tensor) or answer.ndim not in {1, 2} or len(answer) != len(images):
            given = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
            raise ValueError(f"a black box must answer {len(images)} images with ({len(images)}, K), got {given}")
        self.count += len(images)
        return answer.detach()
