"""Samplers as a command finds them: read off the face of `uncertainty`, each made ready to be asked by its kind."""

import inspect
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from pellucid import uncertainty
from pellucid.checks import check_choice
from pellucid.data import Pixels
from pellucid.methods import Method, options, taken
from pellucid.models import Model

from ._shared import given

Draw: TypeAlias = Callable[[Tensor], Tensor]
"""Images (N, C, H, W) -> samples (S, N, K); the draws are the same for every call."""

KINDS = {"one": "model", "several": "models", "kept": "run_folder"}
"""What a function takes first: one network; several; or a run's folder, in which several are kept."""


@dataclass(frozen=True)
class Sampler:
    """One of the face's samplers."""

    name: str  # as it is asked for
    made: Method  # the function, or the class
    kind: str  # one, several, kept or fitted

    @property
    def draws(self) -> bool:
        """Whether a number of samples can be asked for."""
        called = getattr(self.made, "__call__") if self.kind == "fitted" else self.made  # noqa: B004, B009
        return "samples" in inspect.signature(called).parameters

    @property
    def options(self) -> list[str]:
        """Its own options, besides the number of samples."""
        return [option.name for option in options(self.made) if option.name not in SHARED]


@dataclass(frozen=True)
class Ready:
    """A sampler that can be asked."""

    draw: Draw
    fitted: Any = None  # what was learned, where something was
    members: tuple[str, ...] = ()  # the networks asked, where they are several


SHARED = ("samples",)
"""Options with a flag of their own."""


def samplers() -> dict[str, Sampler]:
    """Every sampler of the face, by name."""
    found = [_sampler(name, getattr(uncertainty, name)) for name in uncertainty.__all__]
    return {one.name: one for one in sorted((one for one in found if one), key=lambda one: one.name)}


def sampler_of(name: str) -> Sampler:
    """The sampler of that name; refuses what is none, naming the nearest."""
    known = samplers()
    check_choice("sampler", name, known)
    return known[name]


def ready(
    sampler: Sampler, model: Model, args: Namespace, members: Sequence[Model] = (), learned_from: Pixels | None = None
) -> Ready:
    """Make a sampler ready: collect its networks, or fit it.

    Args:
        sampler: the one asked for.
        model: MODEL, loaded.
        args: with samples, seed, model (as it was written) and the sampler's own options under its name.
        members: the networks that MODEL is asked together with.
        learned_from: the labelled pictures that what learns is fitted on.
    """
    own = given(getattr(args, sampler.name, Namespace()), sampler.made, SHARED)
    asked = {"samples": args.samples} if sampler.draws and args.samples is not None else {}
    if sampler.kind == "fitted":
        assert learned_from is not None
        fitted = sampler.made(**own).fit(model, learned_from, **_drawn(sampler.made.fit, args.seed))  # type: ignore[attr-defined]
        return Ready(lambda images: fitted(images, **asked, **_drawn(fitted.__call__, args.seed)), fitted)
    if sampler.kind == "kept":
        return _several(uncertainty.ensemble, sampler.made(args.model, **own), {}, model, args.seed)
    if sampler.kind == "several":
        return _several(sampler.made, [model, *members], own, model, args.seed)
    return Ready(lambda images: sampler.made(model, images, **own, **asked, **_drawn(sampler.made, args.seed)))


def _sampler(name: str, made: Any) -> Sampler | None:
    """What a name of the face is, None where it is no sampler."""
    if inspect.isclass(made):
        call = inspect.getattr_static(made, "__call__", None)
        if not inspect.isfunction(call) or not {"images", "samples"} <= set(inspect.signature(call).parameters):
            return None
        return Sampler(made.__module__.rpartition(".")[2], made, "fitted")
    if not inspect.isfunction(made):
        return None
    first = list(inspect.signature(made).parameters)[:2]
    kind = next((kind for kind, word in KINDS.items() if first[:1] == [word]), None)
    if kind is None or (kind != "kept" and first[1:] != ["images"]):
        return None
    return Sampler(name, made, kind)


def _several(made: Method, models: Sequence[Model], own: dict[str, Any], beside: Model, seed: int) -> Ready:
    together = [one.to(beside.mean.device) for one in models]
    names = tuple(str(one.source.get("spec", "a model")) for one in together)
    return Ready(lambda images: made(together, images, **own, **_drawn(made, seed)), members=names)


def _drawn(method: Method, seed: int) -> dict[str, Any]:
    """A generator of the seed, for what takes one: the same for every call."""
    return taken(method, {"generator": torch.Generator().manual_seed(seed)})
