"""The layers of a model by name, and which of them suit the methods that look at one.

Names are what --layer takes. "suits" says which layers explain (grad_cam and its like) and visualize should be given,
the best first, and how large the grid of their maps is.

  pellucid layers torchvision:resnet50 --find 'layer4*'
  pellucid layers timm:vit_base_patch16_224 --find '*norm1'
"""

import json
from argparse import Namespace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from ._shared import load_model, model_arguments, plain, print_table

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser


def arguments(parser: "ArgumentParser") -> None:
    """Flags of the verb."""
    model_arguments(parser)
    find = "only layers whose name matches this pattern, such as 'layer4*', or several with commas"
    parser.add_argument("--find", type=str, default="*", help=find)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: Namespace) -> int:
    """Print the layers."""
    from pellucid import models
    from pellucid.checks import near

    model = load_model(args)
    patterns = [pattern.strip() for pattern in args.find.split(",") if pattern.strip()]
    every = models.layers(model)
    found = [layer for layer in every if any(fnmatchcase(layer.name, pattern) for pattern in patterns)]
    if not found:
        names = [layer.name for layer in every]
        raise ValueError(f"no layer matches {args.find!r}{near(args.find.strip('*'), names)}; there are {len(names)}")
    suited = {name: models.find_grid(model, name).size for name in models.cam_layers(model)}
    rows = [
        {
            "name": layer.name,
            "kind": layer.kind,
            "shape": list(layer.shape[1:]),
            "calls": layer.calls,
            "suits_cam": [*suited].index(layer.name) + 1 if layer.name in suited else None,
            "grid": list(suited[layer.name]) if layer.name in suited else None,
        }
        for layer in found
    ]
    if args.json:
        print(json.dumps(rows, indent=1))
        return 0
    order = [
        (
            row["name"],
            f"{row['kind']}" + (f" x{row['calls']}" if row["calls"] != 1 else ""),
            "x".join(map(str, layer.shape[1:])) or "one number",
            f"{row['suits_cam']}. Grad-CAM, {'x'.join(map(str, suited[layer.name]))}" if row["suits_cam"] else "",
        )
        for row, layer in zip(rows, found, strict=True)
    ]
    print_table(("layer", "kind", "output", "suits"), order)
    best = ", ".join(f"{name} ({height}x{width})" for name, (height, width) in suited.items())
    print(f"suits Grad-CAM: {plain(best)}" if suited else "suits Grad-CAM: none, no late layer has maps (N, C, h, w)")
    return 0
