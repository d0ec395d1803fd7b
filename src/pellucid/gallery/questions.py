"""The same picture asked more than once: another class, a window that hides it, a sharper map."""

from importlib import import_module

import numpy as np
import torch
from torch import Tensor

from pellucid import explain, report
from pellucid.methods import title
from pellucid.models import Model, cam_layers
from pellucid.report import Map, Section

from ._layout import COLUMNS

HUES = (
    (0.12, 0.47, 0.71),
    (1.0, 0.5, 0.05),
    (0.17, 0.63, 0.17),
    (0.84, 0.15, 0.16),
    (0.58, 0.4, 0.74),
    (0.55, 0.34, 0.29),
)
"""Colours of classes in a map of classes, the commonest first."""

OTHERS = (0.5, 0.5, 0.5)


def questions(model: Model, image: Tensor, classes: Tensor, file: str, *, seed: int, notes: list[str]) -> list[Section]:
    """The sections of one picture (1, C, H, W), for its most probable classes (k,)."""
    found = [_classes(model, image, classes, file)] if len(classes) > 1 else []
    found.append(_hidden(model, image, classes[:1], file))
    if cam_layers(model):
        found.append(_sharper(model, image, classes[:1], file, seed))
    else:
        notes.append("augmented_grad_cam: no layer has maps to be made sharper")
    return found


def _classes(model: Model, image: Tensor, classes: Tensor, file: str) -> Section:
    heats = explain.occlusion(model, image, classes[None])[0].cpu()  # (k, H, W), all from the same passes
    maps = []
    for index, heat in zip(classes.tolist(), heats, strict=True):
        maps.append(Map("occlusion", title(explain.occlusion), index, model.classes[index], heat))
        if cam_layers(model):
            cam = explain.grad_cam(model, image, torch.tensor([index], device=image.device))[0].cpu()
            maps.append(Map("grad_cam", title(explain.grad_cam), index, model.classes[index], cam))
    entry = ("the two most probable classes", file, report.map_rows(image[0].cpu(), maps))
    lead = "The first picture, asked for two classes: a map that did not change would not explain the answer."
    return Section("classes", "Two answers, two maps", lead, report.gallery([entry], columns=COLUMNS))


def _hidden(model: Model, image: Tensor, target: Tensor, file: str) -> Section:
    """What a window that hides a part does to the answer."""
    found = import_module("pellucid.explain.occlusion").occluded(model, image, target)
    classes = found.class_map[0].cpu()
    names = {int(index): int(count) for index, count in zip(*torch.unique(classes, return_counts=True), strict=True)}
    order = sorted(names, key=lambda index: -names[index])
    shown = report.fitted(image[0].cpu(), 112, 224)
    gray = np.repeat(report.pixels(shown).mean(axis=2, keepdims=True), 3, axis=2) / 255
    large = report.fitted(torch.stack([(classes == index).float() for index in order]), 112, 224).argmax(dim=0)
    hues = np.array([HUES[place] if place < len(HUES) else OTHERS for place in range(len(order))])
    painted = (255 * (0.45 * gray + 0.55 * hues[large.numpy()])).round().astype(np.uint8)
    row = [
        (report.data_uri(report.pixels(shown)), "what the model sees"),
        (report.data_uri(painted), "the class it says while a window around the pixel is hidden"),
        (
            report.data_uri(report.overlay(shown, report.fitted(found.importance_map[:1].cpu(), 112, 224)[0])),
            f"how much less “{model.classes[int(target)]}” it says then",
        ),
    ]
    shares = {index: names[index] / classes.numel() for index in order}
    named = [(place, index) for place, index in enumerate(order[: len(HUES)]) if shares[index] >= 0.01]
    told = [
        (HUES[place], f"“{model.classes[index]}”, {100 * shares[index]:.0f} % of the places") for place, index in named
    ]
    rest = 1 - sum(shares[index] for _, index in named)
    told += [(OTHERS, f"other classes, {100 * rest:.0f} % of the places")] if rest >= 0.01 else []
    entry = ("a window moved over the picture", file, [row])
    body = report.gallery([entry], columns=COLUMNS) + report.legend(told)
    lead = "A window hides one place after the other; where the answer changes, the answer hung on what was hidden."
    return Section("hidden", "What changes its mind", lead, body)


def _sharper(model: Model, image: Tensor, target: Tensor, file: str, seed: int) -> Section:
    resolved = import_module("pellucid.explain.augmented_grad_cam").super_resolve(
        model, image, target, generator=torch.Generator().manual_seed(seed)
    )
    shown = report.fitted(image[0].cpu(), 112, 224)
    named = {
        "one view, enlarged": resolved.single,
        "mean of 100 views": resolved.mean,
        "largest of 100 views": resolved.max,
        "the map that explains all views": resolved.heat,
    }
    row = [(report.data_uri(report.pixels(shown)), "what the model sees")]
    row += [
        (report.data_uri(report.overlay(shown, report.fitted(heat.cpu(), 112, 224)[0])), name)
        for name, heat in named.items()
    ]
    lead = (
        "A deep layer has few positions. A hundred turned and moved views of the picture each tell a little more; the "
        "last map is the one that, reduced to the layer's size, agrees with all of them (Augmented Grad-CAM)."
    )
    return Section(
        "sharper",
        "Sharper than the layer",
        lead,
        report.gallery([("Grad-CAM, super-resolved", file, [row])], columns=COLUMNS),
    )
