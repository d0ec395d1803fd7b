"""A probe and its network as one model: left behind the probed layer, its rows normalised, then told by the probe.

A. Razavian, H. Azizpour, J. Sullivan, S. Carlsson, "CNN Features off-the-shelf: an Astounding Baseline for
Recognition", CVPR Workshops 2014. https://arxiv.org/abs/1403.6382
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

import torch
from torch import nn

from pellucid.checks import check_choice
from pellucid.features.extract import extract
from pellucid.models import Model, weights_hash
from pellucid.models.cut import Cut
from pellucid.models.leave import images_of_noise, is_near, leave
from pellucid.models.pooling import POSTS, check_pool
from pellucid.models.probed import ProbeHead, probe_of

from .compare_layers import Probe
from .linear_svm import LinearSVM
from .logistic_regression import LogisticRegression
from .mlp_head import MLPHead

Layered: TypeAlias = LinearSVM | LogisticRegression | MLPHead
"""Probes whose scores are what layers of a network can answer."""


@torch.no_grad()
def with_probe(
    model: Model,
    layer: str,
    probe: Probe,
    *,
    pool: str = "auto",
    post: str = "none",
    classes: Sequence[str] = (),
    temperature: float = 1.0,
) -> Model:
    """A model that answers with a probe's scores: its network up to the probed layer, and the probe behind it.

    Args:
        model: a Model in eval mode, left untouched; the layers up to the probed one keep their names, the others go.
        layer: dotted name, as of `extract`; of a model that was made so, one before its probe.
        probe: a fitted LinearSVM, LogisticRegression or MLPHead.
        pool: as of `extract`, of the rows that the probe was fitted on.
        post: likewise.
        classes: the name of each label, that of label 0 first; none names them by their numbers.
        temperature: positive, what the scores are divided by: an SVM's are margins, which TemperatureScaling can fit.

    Returns:
        A Model in eval mode that answers with scores / temperature, its classes in the order of probe.classes_;
        `models.save` takes it where it takes the one given.

    Raises:
        ValueError: no such layer, rows of another width than the probe's, a label without a name, a probe that is not
            fitted or is no such layers, or a network that cannot be left there.
    """
    _check(model, probe, temperature)
    check_pool(pool)
    check_choice("post", post, POSTS)
    assert isinstance(probe, Layered)
    names = _names(probe.classes_.tolist(), classes)
    images = images_of_noise(model)
    rows = extract(model, images, [layer], pool=pool, post=post)[layer]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of rows of zeros: noise need not wake every network
        wanted = probe.scores(rows) / temperature
    made = leave(model, _cut(probe, layer, pool, post), names)
    head = probe_of(made.network)
    assert head is not None
    _fill(head, probe, temperature)
    if not is_near(made(images), wanted):
        raise ValueError(
            f"layer {layer!r} must put out the same in every pass: left there, the network answers otherwise"
        )
    told = {"kind": type(probe).__name__, "layer": layer, "pool": pool, "post": post, "temperature": temperature}
    made.source = {**made.source, "probe": told, "hash": weights_hash(made.network)}
    return made


def _check(model: Model, probe: Probe, temperature: float) -> None:
    if not isinstance(model, Model):
        raise ValueError(f"model must be a pellucid.models.Model, got {type(model).__name__}")
    kind = type(probe).__name__
    if not isinstance(probe, Layered):
        raise ValueError(
            f"probe must be a LinearSVM, LogisticRegression or MLPHead, which layers of a network can be, got {kind}: "
            "keep it with save_probe, and call it on features"
        )
    if not hasattr(probe, "classes_"):
        raise ValueError(f"{kind} must be fitted first: call fit(features, targets)")
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be positive and finite, got {temperature}")


def _names(labels: Sequence[int], classes: Sequence[str]) -> list[str]:
    """The name of each label."""
    if not classes:
        return [str(label) for label in labels]
    lost = [label for label in labels if not 0 <= label < len(classes)]
    if lost:
        raise ValueError(f"classes must name every label of the probe, got {len(classes)} names and label {lost[0]}")
    return [str(classes[label]) for label in labels]


def _cut(probe: Layered, layer: str, pool: str, post: str) -> Cut:
    """What the network goes on with."""
    cut = Cut(
        at=layer,
        calls=1,
        without=(),
        pool=pool,
        post=post,
        normalise=probe.normaliser_.how,
        inputs=probe.normaliser_.dimension_,
        head="linear",
        classes=len(probe.classes_),
    )
    if not isinstance(probe, MLPHead):
        return cut
    return replace(cut, head="mlp", first=probe.first, second=probe.second, dropout=probe.dropout)


def _fill(head: ProbeHead, probe: Layered, temperature: float) -> None:
    """Give the head what the probe learned."""
    normaliser = probe.normaliser_
    if normaliser.how in {"standard", "minmax"}:
        head.normalise.shift.copy_(normaliser.shift_)
        head.normalise.scale.copy_(normaliser.scale_)
    if isinstance(probe, MLPHead):
        head.head.load_state_dict(probe.network_.state_dict())
    else:
        head.head.load_state_dict({"weight": probe.weight_, "bias": probe.bias_})
    last = [module for module in head.head.modules() if isinstance(module, nn.Linear)][-1]
    last.weight.div_(temperature)
    last.bias.div_(temperature)
