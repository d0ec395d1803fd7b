"""A black-box attack's questions: many candidates of many images together, each image within its own budget."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from pellucid.checks import check_count
from pellucid.models import Plan, are_probabilities, evaluate, paced

from ._question import check_attack, check_logits, is_adversarial
from .query import Query
from .trace import Trace

BlackBox: TypeAlias = nn.Module | Callable[[Tensor], Any]
"""Maps images (n, C, H, W) to logits or probabilities (n, K), or to labels (n,); a Query counts and caps."""


@dataclass
class Asking:
    """One attack's questions; made by `asking`.

    Fields:
        images: (N, C, H, W), clean, in [0, 1].
        targets: (N,).
        most: queries an image may cost.
        is_logits: whether the box answers with logits; None until it was asked.
    """

    query: Query
    images: Tensor
    targets: Tensor
    targeted: bool
    most: int
    trace: Trace
    is_logits: bool | None = None

    def left(self, rows: Tensor) -> Tensor:
        """Queries each of these images (n,) may still cost, (n,), int64."""
        return (self.most - self.trace.forward[rows.cpu()]).to(rows.device)

    def logits(self, images: Tensor, rows: Tensor, count: int = 1, vary: "Vary | None" = None) -> Tensor:
        """Log probabilities (count, n, K) of `count` candidates of each image.

        Args:
            images: (n, C, H, W), what is asked, or what is varied.
            rows: (n,), their places among the attacked images; every candidate counts as one query of its image.
            count: candidates of each.
            vary: (images (m, C, H, W), numbers (p,), places (m,) in `images`) -> (p, m, C, H, W), in [0, 1]; None asks
                the images as they are.
        """
        found = self._ask(images, rows, count, vary)
        if found.ndim != 3:
            raise ValueError("this attack needs logits or probabilities (n, K); the box answers labels: use boundary")
        found = self._checked(found)
        if self.is_logits is None:
            self.is_logits = not are_probabilities(found[0])
        return found.log_softmax(dim=2) if self.is_logits else found.clamp(min=1e-12).log()

    def labels(self, images: Tensor, rows: Tensor, count: int = 1, vary: "Vary | None" = None) -> Tensor:
        """The classes called, (count, n), int64, whatever the box answers."""
        found = self._ask(images, rows, count, vary)
        if found.ndim == 3:
            return self._checked(found).argmax(dim=2)
        if int(self.targets.min()) < 0:  # more cannot be known of a box that answers labels
            raise ValueError(f"target {int(self.targets.min())} is no class: they count from 0")
        return found.long()

    def hits(self, logits: Tensor, rows: Tensor) -> Tensor:
        """(n,), bool: which answers (n, K) mean success for these images."""
        return is_adversarial(logits, self.targets[rows], targeted=self.targeted)

    def _checked(self, found: Tensor) -> Tensor:
        """Answers (count, n, K), finite and float32 at least; refuses targets that are none of the K classes."""
        return check_logits(found.flatten(0, 1), self.targets).view(found.shape)

    def _ask(self, images: Tensor, rows: Tensor, count: int, vary: "Vary | None") -> Tensor:
        if bool((self.left(rows) < count).any()):
            raise RuntimeError("an image was about to be asked beyond its budget")  # the attack must look at `left`
        plan = Plan(images, count, vary or (lambda some, numbers, _rows: some[None].expand(len(numbers), *some.shape)))
        found = evaluate(self.query, plan, lambda answers, _rows: answers, label="asking")
        self.trace.passed(rows, forward=count)
        return found


Vary: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]


@contextmanager
def asking(
    model: BlackBox, images: Tensor, targets: Tensor, *, targeted: bool, max_queries: int, trace: Trace | None
) -> Iterator[Asking]:
    """Check what a black-box attack was asked; count from here on.

    A model that is a Query with a cap is never asked beyond it: what is left is shared out evenly.

    Raises:
        ValueError: images, targets or max_queries that are none; fewer queries left than one for each image.
    """
    check_count("max_queries", max_queries, 1)
    images, targets = check_attack(model, images, targets)
    query = model if isinstance(model, Query) else Query(model)
    if query.left is not None:
        max_queries = min(max_queries, query.left // len(images))
        if max_queries < 1:
            raise ValueError(f"the query has {query.left} questions left, fewer than the {len(images)} images")
    with paced(), torch.no_grad():
        yield Asking(query, images, targets, targeted, max_queries, (trace or Trace()).begin(len(images)))
