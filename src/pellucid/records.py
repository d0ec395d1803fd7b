"""What was done, with which options, seed, versions and weights: stamped on every artefact."""

import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pellucid import __version__

STAMPED = ("torch", "torchvision", "timm", "numpy", "pillow", "scikit-learn")


@dataclass(frozen=True)
class Record:
    """How an artefact came to be; everything in it is plain JSON."""

    command: str  # the verb or function: "audit", "explain"
    options: Mapping[str, Any]  # every option as used, defaults included
    seed: int | None  # of every random choice, None when nothing was random
    model: Mapping[str, Any]  # spec, architecture, weights hash
    data: Mapping[str, Any] = field(default_factory=dict)  # what was read: path, split, number of images
    device: str = "cpu"
    made: str = ""  # UTC, ISO 8601
    versions: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """The record as a dict for json.dump."""
        return asdict(self)


def record(
    command: str,
    *,
    options: Mapping[str, Any],
    model: Mapping[str, Any],
    seed: int | None = None,
    data: Mapping[str, Any] | None = None,
    device: str = "cpu",
) -> Record:
    """A record of now, with the versions installed here."""
    made = datetime.now(UTC).isoformat(timespec="seconds")
    return Record(command, dict(options), seed, dict(model), dict(data or {}), device, made, versions())


def versions() -> dict[str, str]:
    """Versions of pellucid, Python and the packages that decide the numbers."""
    found = {"pellucid": __version__, "python": platform.python_version()}
    for name in STAMPED:
        try:
            imported = getattr(sys.modules.get(name), "__version__", None)  # tells the build too, such as +cu130
            found[name] = str(imported or version(name))
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
