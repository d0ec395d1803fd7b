"""Deep ensemble: the answers of several networks that were trained apart.

B. Lakshminarayanan, A. Pritzel, C. Blundell, "Simple and Scalable Predictive Uncertainty Estimation using Deep
Ensembles", NeurIPS 2017, section 2.4. https://arxiv.org/abs/1612.01474
"""

import os
import warnings
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import torch
from torch import Tensor, nn

from pellucid.checks import check_eval, check_images
from pellucid.files import read_object
from pellucid.models import Model, evaluate, is_model_folder, load, network_of, unvaried

from ._logits import probabilities


def ensemble(models: Sequence[nn.Module], images: Tensor) -> Tensor:
    """Probabilities of several networks, a sample from each; nothing is drawn.

    Members may differ in build, preprocessing and training; what they must share are the classes and their order.
    Networks that differ in their first weights and the order of the images alone will do.

    Args:
        models: at least 2, each maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, on the images' device.
        images: (N, C, H, W), float, in [0, 1].

    Returns:
        (S, N, K), S members in their order, the images' device, rows sum to 1.

    Raises:
        ValueError: fewer than two models, two of other classes or with the same weights, one in training mode; or
            images that are none, or of other channels than a model takes.
    """
    _check_members(models)
    check_images(images)
    for number, model in enumerate(models):
        channels = len(model.mean) if isinstance(model, Model) else images.shape[1]
        if channels != images.shape[1]:
            raise ValueError(
                f"images must suit every model, but {_name(models, number)} takes {channels} channels, got "
                f"{images.shape[1]}"
            )
    plan = unvaried(images.detach())
    drawn = [
        evaluate(model, plan, lambda outputs, _rows: probabilities(outputs), label="sampling")[0] for model in models
    ]
    for number, one in enumerate(drawn):
        if one.shape[1] != drawn[0].shape[1]:
            raise ValueError(
                f"models must tell the same classes, but {_name(models, 0)} has {drawn[0].shape[1]} and "
                f"{_name(models, number)} {one.shape[1]}"
            )
    return torch.stack(drawn)


def members(*specs: str | os.PathLike[str]) -> list[Model]:
    """The models of an ensemble, on the CPU and in eval mode.

    Warns of runs that were tested on other images: a set without a test part of its own is parted by the seed, so that
    one run's test images are what another has learned from.

    Args:
        specs: MODEL each, as `models.load` takes it; a folder of runs, as of a sweep, gives all models in it.

    Raises:
        ValueError: a model that cannot be loaded, fewer than two, or two of other classes or with the same weights.
    """
    found: list[Model] = []
    for spec in specs:
        folder = Path(spec)
        inside = sorted(path.parent for path in folder.glob("*/model.json"))
        many = bool(inside) and not is_model_folder(folder)
        found += [load(place) for place in inside] if many else [load(spec)]
    _check_members(found)
    tested = {number: part for number, model in enumerate(found) if (part := _tested_on(model)) is not None}
    first = next(iter(tested), 0)
    other = next((number for number, part in tested.items() if part != tested[first]), None)
    if other is not None:
        warnings.warn(
            f"{_name(found, first)} and {_name(found, other)} were tested on other images, as their set was parted by "
            "the seed: what one was tested on the other may have learned from; judge the ensemble on images that no "
            "member has seen",
            stacklevel=2,
        )
    return found


def _tested_on(model: Model) -> object:
    """What a run notes of the images it was tested on: their number and hash; None where there is no such note."""
    record = Path(str(model.source.get("folder", ""))) / "record.json"
    if not record.is_file():
        return None
    parts = read_object(record).get("data", {}).get("parts", {})
    return parts.get("test") if isinstance(parts, dict) else None


def _check_members(models: Sequence[nn.Module]) -> None:
    """Refuse what is no ensemble: one that is training, too few, other classes, or one network twice."""
    if isinstance(models, nn.Module) or len(models) < 2:
        given = "one network" if isinstance(models, nn.Module) else len(models)
        raise ValueError(
            f"models must be at least 2, got {given}: train it again with other seeds (pellucid sweep classify ... "
            "--repeats 5), or take the snapshots of one training"
        )
    for model in models:
        check_eval(model)
    named = [number for number, model in enumerate(models) if isinstance(model, Model)]
    for number in named[1:]:
        _check_classes(models, named[0], number)
    for one, other in combinations(range(len(models)), 2):
        if _are_equal(models[one], models[other]):
            raise ValueError(
                f"models must differ, but {_name(models, one)} and {_name(models, other)} have the same weights: "
                "their agreement would tell nothing"
            )


def _check_classes(models: Sequence[nn.Module], one: int, other: int) -> None:
    first, second = models[one], models[other]
    assert isinstance(first, Model)
    assert isinstance(second, Model)
    if first.classes == second.classes:
        return
    ours, theirs = first.classes, second.classes
    if len(ours) != len(theirs):
        differ = f"{len(ours)} and {len(theirs)} of them"
    else:
        place = next(place for place in range(len(ours)) if ours[place] != theirs[place])
        differ = f"class {place} is {ours[place]!r} and {theirs[place]!r}"
    raise ValueError(
        f"models must tell the same classes in the same order, but those of {_name(models, one)} and "
        f"{_name(models, other)} differ: {differ}"
    )


def _are_equal(one: nn.Module, other: nn.Module) -> bool:
    """Whether two networks of one build have the same weights; those without any are never called so."""
    first, second = (dict(network_of(model).named_parameters()) for model in (one, other))
    return (
        type(network_of(one)) is type(network_of(other))
        and bool(first)
        and first.keys() == second.keys()
        and all(
            value.device == second[name].device and torch.equal(value, second[name]) for name, value in first.items()
        )
    )


def _name(models: Sequence[nn.Module], number: int) -> str:
    """A member as its user knows it: by its number, and by how it was asked for."""
    model = models[number]
    told = model.source if isinstance(model, Model) else {}
    spec = told.get("folder") or told.get("spec")
    return f"model {number + 1}" + (f" ({spec})" if spec else "")
