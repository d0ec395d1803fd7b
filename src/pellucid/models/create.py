"""A network of the zoo as a Model, ready to be trained or filled: fed as its file says, unless told otherwise."""

import sys
from collections.abc import Sequence
from typing import Any

from pellucid.checks import check_choice

from .model import Model
from .zoo._build import build, names


def create(name: str, *, classes: Sequence[str], **arguments: Any) -> Model:
    """A freshly initialised Model, in training mode.

    Args:
        name: an architecture of the zoo.
        classes: K names, in output order.
        arguments: of the architecture, such as width.

    Raises:
        ValueError: unknown architecture or argument, or a value out of range.
    """
    check_choice("zoo architecture", name, names())
    fed = dict(sys.modules[f"pellucid.models.zoo.{name}"].INPUT)
    arguments = {"classes": len(classes), "channels": len(fed["mean"]), **arguments}
    network = build(name, **arguments)
    if arguments["channels"] != len(fed["mean"]):
        fed |= {key: fed[key][:1] * arguments["channels"] for key in ("mean", "std")}
    return Model(
        network, classes=classes, source={"architecture": name, "weights": "none"}, build=(name, arguments), **fed
    )
