"""Sanity alarms: signs that an attack failed for another reason than a network that withstands it.

N. Carlini et al., "On Evaluating Adversarial Robustness", 2019, section 5, https://arxiv.org/abs/1902.06705; the signs
of masked gradients: A. Athalye, N. Carlini, D. Wagner, "Obfuscated Gradients Give a False Sense of Security", ICML
2018, section 3.1. https://arxiv.org/abs/1802.00420
"""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.metrics import proportion
from pellucid.models import Model
from pellucid.progress import steps as progress

from ._question import check_attack, check_epsilon, is_adversarial
from ._slopes import logits_of
from ._tried import Tried, tried
from .aims import Attack, attack_of, check_aim, norm_of

HARDER = "more steps, restarts, another loss"
"""What makes most attacks stronger."""


@dataclass(frozen=True)
class Alarm:
    """One check of a measured robustness."""

    name: str
    rings: bool  # the robustness that was measured is not to be believed
    told: str  # one or two sentences with the numbers; what to do, where it rings; why, where it could not be tested
    is_tested: bool = True  # nothing could be compared otherwise: that it is quiet means nothing


def alarms(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    method: str | Attack = "pgd",
    epsilon: float | None = 8 / 255,
    norm: str = "linf",
    steps: int | None = None,
    targeted: bool = False,
    black_box: str = "square",
    max_queries: int = 200,
    one_step: str = "fgsm",
    network: Callable[[Tensor], Any] | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Alarm, ...]:
    """Test an attack on a few images for the known signs of a robustness that is none.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits or probabilities (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float32 or float64, in [0, 1]; a dozen are enough.
        targets: (N,), int64, the true classes; with targeted the classes to reach.
        method: name of the attack under test, or an attack with options bound by functools.partial.
        epsilon: radius of the ball in image units; none where the attack has no bound.
        norm: of the change, where the attack has several: linf, l2 or l1.
        steps: of the attack, where it has such; none takes its own default.
        targeted: reach the targets instead of leaving them.
        black_box: the attack that takes no gradient and should not do better.
        max_queries: images it may ask of each image.
        one_step: the attack of a single step that should not do better.
        network: images in [0, 1] to logits, without the wrapper; none normalises by hand what a Model wraps.
        generator: of the starts; none takes one of seed 0.

    Returns:
        Six alarms, always in the same order.

    Raises:
        ValueError: an argument is out of its range, or the model is training.
    """
    images, targets = check_attack(model, images, targets)
    norm = norm_of(method, norm)
    check_epsilon(epsilon, norm)
    check_aim(method, targeted=targeted)
    source = torch.Generator().manual_seed(0) if generator is None else generator
    ask = partial(tried, generator=source, targeted=targeted, norm=norm)
    with torch.no_grad():
        clean = logits_of(model, images, targets)
        stands = ~is_adversarial(clean, targets, targeted=targeted)
    rivals = attack_of(black_box), attack_of(one_step)
    case = _Case(model, attack_of(method), images[stands], targets[stands], epsilon, norm, ask, steps)
    tests: list[Callable[[], Alarm]] = [
        lambda: _stillness(case, images, targets, clean.argmax(dim=1).cpu()),
        lambda: _growth(case),
        lambda: _unbounded(case),
        lambda: _against(case, "black box", rivals[0], max_queries),
        lambda: _gradients(case, rivals[1]),
        lambda: _wrapper(model, images, targets, clean, network, targeted=targeted),
    ]
    found = []
    with progress("testing the attack", len(tests)) as done:
        for test in tests:
            found.append(test())
            done(1)
    return tuple(found)


@dataclass
class _Case:
    """The attack under test, and the n images that it has to change."""

    model: nn.Module
    attack: Attack
    images: Tensor  # (n, C, H, W)
    targets: Tensor  # (n,)
    epsilon: float | None
    norm: str
    ask: Callable[..., Tried]
    steps: int | None
    _known: dict[float | None, Tried] = field(default_factory=dict)

    def at(self, epsilon: float | None) -> Tried:
        """The attack at some size."""
        if epsilon not in self._known:
            self._known[epsilon] = self.ask(
                self.model, self.attack, self.images, self.targets, epsilon, steps=self.steps
            )
        return self._known[epsilon]

    @property
    def reason(self) -> str:
        """Why nothing can be compared; "" where it can."""
        if not len(self.images):
            return "no image needs an attack, as the model calls them all wrong (or the target) already"
        if not self.epsilon:
            return "the attack was given no size of the change above 0"
        return ""

    @property
    def has_norms(self) -> bool:
        """Whether the attack's changes fill a ball that other attacks have too."""
        return "norm" in inspect.signature(self.attack).parameters


def _untested(name: str, why: str) -> Alarm:
    return Alarm(name, False, f"Not tested: {why}.", is_tested=False)


def _stillness(case: _Case, images: Tensor, targets: Tensor, before: Tensor) -> Alarm:
    """Epsilon 0 equals clean."""
    name = "epsilon 0"
    found = case.ask(case.model, case.attack, images, targets, 0.0, steps=case.steps)
    changed = int((found.adversarial != images).flatten(1).any(dim=1).sum())
    other = int((found.called != before).sum())
    if changed:
        told = f"At epsilon 0 the attack changed {changed} of {len(images)} images: its ball is not what it says."
        return Alarm(name, True, f"{told} Do not believe it.")
    if other:
        told = f"{other} of {len(images)} images are called otherwise when asked again, unchanged"
        return Alarm(name, True, f"{told}: the model answers at random. Attack the mean of many answers instead.")
    return Alarm(name, False, f"At epsilon 0 all {len(images)} images are as they were, and are called the same.")


def _growth(case: _Case) -> Alarm:
    """A larger epsilon never does better than a smaller one."""
    name = "larger epsilon"
    if case.reason or case.epsilon is None:
        return _untested(name, case.reason)
    sizes = [case.epsilon / 4, case.epsilon / 2, case.epsilon]
    broken = [int(case.at(size).broken.sum()) for size in sizes]
    shown = [shown_epsilon(size, case.norm) for size in sizes]
    counts = ", ".join(f"{count} at {size}" for count, size in zip(broken, shown, strict=True))
    if broken != sorted(broken):
        told = f"Of {len(case.images)} images a larger change breaks fewer ({counts}): the attack loses its way."
        return Alarm(name, True, f"{told} Try {HARDER}; until then only the smaller accuracy counts.")
    return Alarm(name, False, f"Of {len(case.images)} images a larger change never breaks fewer: {counts}.")


def _unbounded(case: _Case) -> Alarm:
    """Where any change is allowed, every image can be broken."""
    name = "unbounded"
    if not len(case.images):
        return _untested(name, case.reason)
    if not case.has_norms and norm_of(case.attack) == "linf":
        return _untested(name, "the attack's changes are of a kind of their own, and never just any change")
    count = case.images[0].numel()
    size = {"linf": 1.0, "l2": math.sqrt(count), "l1": float(count)}[case.norm]
    is_free = not case.has_norms and inspect.signature(case.attack).parameters["epsilon"].default is None
    left = int((~case.at(None if is_free else size).broken).sum())
    if left:
        told = f"{left} of {len(case.images)} images stand though any change was allowed"
        return Alarm(name, True, f"{told}: the attack fails, not the change. Try {HARDER}, or a black box.")
    return Alarm(name, False, f"All {len(case.images)} images are broken once any change is allowed.")


def _against(case: _Case, name: str, rival: Attack, max_queries: int | None) -> Alarm:
    """An attack that knows less never does better."""
    other = rival.__name__
    if case.reason:
        return _untested(name, case.reason)
    if not case.has_norms:
        return _untested(name, f"the attack's changes fill no ball in which {other} could be compared")
    own = case.at(case.epsilon)
    if name == "black box" and not bool(own.trace.backward.any()):
        return _untested(name, f"the attack takes no gradients itself, as {other} takes none")
    try:
        found = case.ask(case.model, rival, case.images, case.targets, case.epsilon, max_queries=max_queries)
    except ValueError as error:  # such as a norm it has not: told, not hidden
        return _untested(name, f"{other} cannot be asked ({error})")
    mine, theirs = int(own.broken.sum()), int(found.broken.sum())
    budget = f", with {max_queries} queries each," if max_queries else ""
    told = f"Of {len(case.images)} images {other}{budget} breaks {theirs}, the attack {mine}"
    if theirs > mine:
        return Alarm(name, True, f"{told}: the gradients mislead it. Believe the stronger, and try {HARDER}.")
    return Alarm(name, False, f"{told}.")


def _gradients(case: _Case, one_step: Attack) -> Alarm:
    """Gradients are there, and following them for longer helps."""
    name = "gradients"
    if case.reason:
        return _untested(name, case.reason)
    own = case.at(case.epsilon)
    if not bool(own.trace.backward.any()):
        return _untested(name, "the attack takes no gradients")
    zero, count = int(own.trace.vanished.sum()), len(case.images)
    stand = int((own.trace.vanished & ~own.broken).sum())
    told = f"The gradient of {zero} of {count} images is zero at the start"
    if stand:
        why = "the loss is saturated (try loss margin or dlr) or the network hides it (try a black box)"
        return Alarm(name, True, f"{told}, and {stand} of these stand: {why}.")
    against = _against(case, name, one_step, None)
    return Alarm(name, against.rings, f"{told}. {against.told}")


def _wrapper(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    clean: Tensor,
    network: Callable[[Tensor], Any] | None,
    *,
    targeted: bool,
) -> Alarm:
    """The wrapper says what the network says."""
    name = "wrapper"
    if network is None and not isinstance(model, Model):
        return _untested(name, "the model is no wrapper, or its own network was not given")
    is_by_hand = network is None
    if network is None and isinstance(model, Model):
        inside, mean, std = model.network, model.mean.to(images), model.std.to(images)
        network = lambda some: inside((some - mean) / std)  # noqa: E731
    assert network is not None
    with torch.no_grad():
        own = logits_of(network, images, targets).argmax(dim=1)
    called, count = clean.argmax(dim=1), len(images)
    other = int((own != called).sum())
    right, hits = int((own == targets).sum()), int((called == targets).sum())
    if other:
        told = f"The wrapper calls {other} of {count} images otherwise than its network does by itself"
        shares = "" if targeted else f" ({hits} right against {right})"
        return Alarm(name, True, f"{told}{shares}. Mend the normalisation or the order of the channels first.")
    if is_by_hand and isinstance(model, Model) and not targeted:
        with torch.no_grad():
            bare = int((logits_of(model.network, images, targets).argmax(dim=1) == targets).sum())
        if proportion(bare, count).low > proportion(hits, count).high:
            told = f"Without the wrapper's normalisation {bare} of {count} images are called right, with it {hits}"
            return Alarm(
                name, True, f"{told}. The network seems to normalise by itself: then the mean is 0, the std 1."
            )
    told = f"The wrapper calls all {count} images as its network does"
    return Alarm(name, False, f"{told}." if targeted else f"{told}, {hits} of them right.")


def shown_epsilon(epsilon: float, norm: str = "linf") -> str:
    """An epsilon as people write it: 8/255 for linf, else a plain number."""
    if norm != "linf" or epsilon in {0, 1}:
        return f"{epsilon:.4g}"
    return f"{255 * epsilon:.4g}/255"
