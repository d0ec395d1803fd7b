"""What the model is made of: layers, shapes, weights, multiply-adds, receptive fields.

The receptive field is theoretical: side of the patch of the image a unit could see, step between neighbouring units,
and centre of the first one, in pixels; "image" where a unit sees all of it, "-" where it is not defined.
"""

import json
import math
from argparse import Namespace
from typing import TYPE_CHECKING

from ._shared import load_model, model_arguments, plain, print_table

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

    from pellucid.models import Description, ReceptiveField


def arguments(parser: "ArgumentParser") -> None:
    """Flags of the verb."""
    model_arguments(parser)
    parser.add_argument("--input", type=str | None, default=None, help="size of the image, CxHxW, such as 3x224x224")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: Namespace) -> int:
    """Print the description."""
    from pellucid import models

    size = None if args.input is None else _size(args.input)
    described = models.describe(load_model(args), size)
    if args.json:
        print(json.dumps(described.json(), indent=1, allow_nan=False))
    else:
        tell(described)
    return 0


def _size(text: str) -> tuple[int, ...]:
    parts = text.lower().split("x")
    if len(parts) != 3 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ValueError(f"input must be CxHxW, such as 3x224x224, got {text!r}")
    return tuple(int(part) for part in parts)


def tell(described: "Description") -> None:
    """Print the layers as a table, and the sums."""
    rows = [
        (
            row.name,
            row.kind + (" (shared)" if row.is_shared else "") + (f" x{row.calls}" if row.calls > 1 else ""),
            "not called" if row.shape is None else "x".join(map(str, row.shape)),
            f"{row.weights:,}",
            f"{row.macs:,}",
            *_field(row.field),
        )
        for row in described.rows
    ]
    head = ("layer", "kind", "output", "weights", "multiply-adds", "field", "step", "start")
    print_table(head, rows, right=(3, 4, 5, 6, 7))
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in described.weights_by_kind.items() if count)
    print(f"input                  {'x'.join(map(str, described.input))}")
    print(f"weights                {described.weights:,} ({kinds})")
    print(f"fully connected share  {100 * described.fully_connected_share:.2f} % of the weights")
    print(f"multiply-adds          {described.macs:,} (one multiply-add counts once)")
    print(f"operations             {described.flops:,} (2 a multiply-add, and element-wise ones)")
    print(f"activations            {described.activation_bytes / 2**20:.1f} MiB for one image")
    print(f"suits Grad-CAM         {plain(', '.join(described.cam_layers)) or 'no late layer has maps (N, C, h, w)'}")


def _field(field: "ReceptiveField | None") -> tuple[str, str, str]:
    """Side, step and start; one number where both axes agree."""
    if field is None:
        return "-", "-", "-"
    if all(math.isinf(size) for size in field.size):
        return "image", "", ""
    return tuple(  # type: ignore[return-value]
        "x".join(dict.fromkeys("image" if math.isinf(n) else f"{n:g}" for n in numbers))
        for numbers in (field.size, field.stride, field.start)
    )
