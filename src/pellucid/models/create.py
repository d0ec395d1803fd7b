"""A network of the zoo as a Model, ready to be trained or filled: fed as its file says, unless told otherwise."""

from collections.abc import Sequence
from typing import Any

from .model import Model
from .zoo._build import build, default, fed


def create(name: str, *, classes: Sequence[str], **arguments: Any) -> Model:
    """A freshly initialised Model, in training mode.

    Args:
        name: an architecture of the zoo.
        classes: K names, in output order.
        arguments: of the architecture, such as size, channels or width.

    Raises:
        ValueError: unknown architecture or argument, or a value out of range.
    """
    arguments = {"classes": len(classes), "channels": default(name, "channels"), **arguments}
    if arguments.get("size", 0) is None:
        del arguments["size"]  # a file would not know it
    network = build(name, **arguments)
    frame = fed(name, size=arguments.get("size"), channels=arguments["channels"])
    source = {"architecture": name, "weights": "none"}
    return Model(network, classes=classes, source=source, build=(name, arguments), **frame)
