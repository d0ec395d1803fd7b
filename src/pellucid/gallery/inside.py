"""What lies inside: first filters, maps of chosen layers, and images made for classes and units."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pellucid import report, visualize
from pellucid.models import Model, cam_layers, find_grid
from pellucid.report import Section

from ._layout import COLUMNS

CHANNELS = 64
"""Channels of a layer that are shown."""


def seen_inside(model: Model, image: Tensor, file: str) -> list[Section]:
    """Filters and activation maps for one picture (1, C, H, W)."""
    entries = []
    try:
        tiles = visualize.filters(model)
    except ValueError:  # a network without a convolution that reads pixels has no filters to show
        pass
    else:
        picture = report.data_uri(report.mosaic(tiles[:CHANNELS]), exact=True)
        entries.append(("first filters", "gray is zero", [[(picture, f"{min(CHANNELS, len(tiles))} of {len(tiles)}")]]))
    for name in reversed(cam_layers(model)[:3]):
        grid = find_grid(model, name, tuple(image.shape[1:]))
        maps = grid.maps(visualize.activations(model, image, layers=name)[name])[0].float().cpu()  # (K, h, w)
        shown = report.data_uri(report.mosaic(report.scaled_maps(maps[:CHANNELS], "map")))
        height, width = maps.shape[1:]
        caption = f"{min(CHANNELS, len(maps))} of {len(maps)} channels, {height}x{width}"
        entries.append((name, file, [[(shown, caption)]]))
    lead = "The first weights, and what deeper and deeper layers put out, each channel by its own scale."
    return [Section("inside", "What its layers see", lead, report.gallery(entries))] if entries else []


def asked_for(
    model: Model, image: Tensor, classes: Sequence[int], *, count: int, steps: int, seed: int
) -> list[Section]:
    """Images made by gradient ascent: for classes, and for the channels of a layer that answer most to a picture."""
    targets = torch.tensor(classes)
    made = visualize.class_image(model, targets, steps=steps, generator=torch.Generator().manual_seed(seed))
    row = [
        (report.data_uri(report.pixels(report.fitted(one.cpu(), 112, 224))), f"“{model.classes[index]}”")
        for one, index in zip(made.images, classes, strict=True)
    ]
    entries = [("classes", f"{steps} steps of gradient ascent from noise, on the class's score", [row])]
    layer = next(iter(cam_layers(model)), None)
    if layer is not None:
        grid = find_grid(model, layer, tuple(image.shape[1:]))
        maps = grid.maps(visualize.activations(model, image, layers=layer)[layer])[0]  # (K, h, w)
        strongest = maps.flatten(1).amax(dim=1).argsort(descending=True)[:count].tolist()
        units = []
        for unit in strongest:
            generator = torch.Generator().manual_seed(seed)
            found = visualize.neuron(
                model, layer=layer, unit=unit, objective="channel", steps=steps, generator=generator
            )
            picture = report.pixels(report.fitted(found.images[0].cpu(), 112, 224))
            units.append((report.data_uri(picture), f"{layer}, channel {unit}"))
        if units:
            entries.append(
                ("channels", "of the deepest layer with maps, those that answer most to the first picture", [units])
            )
    lead = "No photographs: pictures made to raise one number of the network, which show what it answers to."
    return [Section("made", "What it asks for", lead, report.gallery(entries, columns=COLUMNS))]
