"""Imports go down only: the floors of docs/architecture.md, read off the code."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pellucid

ROOT = Path(pellucid.__file__).parent
FLOORS = [
    {"__init__", "checks", "class_names", "files", "geometry", "methods", "progress", "records"},
    {"data", "models", "metrics", "report"},
    {"training"},
    {"attack", "classic", "explain", "features", "foundations", "uncertainty", "visualize"},
    {"audit", "gallery"},
    {"cli"},
]
BESIDE = {("report", "metrics"), ("metrics", "models")}
"""Neighbours on a floor that may look at each other: a figure takes a metric's result, a metric of explanations asks
a model."""


def floor_of(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def imports(path: Path) -> set[str]:
    """The rooms a file imports, at any depth of its code."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = [
                f"{node.module}.{alias.name}" if node.module == "pellucid" else str(node.module) for alias in node.names
            ]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("pellucid.")}
    return {room for room in found if (ROOT / room).is_dir() or (ROOT / f"{room}.py").exists()}


FILES = sorted(ROOT.rglob("*.py"))


def test_every_room_has_a_floor() -> None:
    rooms = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in FILES}
    assert rooms == set().union(*FLOORS)


@pytest.mark.parametrize("path", FILES, ids=[str(p.relative_to(ROOT)) for p in FILES])
def test_imports_go_down_only(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0].removesuffix(".py")
    for other in imports(path) - {room}:
        allowed = floor_of(other) < floor_of(room) or (room, other) in BESIDE or floor_of(room) == floor_of(other) == 0
        assert allowed, f"{room} (floor {floor_of(room)}) imports {other} (floor {floor_of(other)})"


@pytest.mark.parametrize("path", FILES, ids=[str(p.relative_to(ROOT)) for p in FILES])
def test_rooms_stay_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


@pytest.mark.parametrize("family", ["explain", "visualize", "audit", "gallery"])
def test_a_method_imports_no_bridge(family: str) -> None:
    for path in (ROOT / family).glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not any(f"import {bridge}" in text or f"from {bridge}" in text for bridge in ("torchvision", "timm"))


def test_import_pellucid_is_light() -> None:
    script = "import sys, pellucid; sys.exit(bool({'torch', 'numpy', 'matplotlib', 'jsonargparse'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_help_is_light() -> None:
    script = (
        "import sys; from pellucid.cli import main; code = main(['--help']);"
        "sys.exit(code or bool({'torch', 'numpy', 'matplotlib'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert found.returncode == 0
    assert "pellucid COMMAND --help" in found.stdout


def test_no_peer_is_imported() -> None:
    peers = ("captum", "pytorch_grad_cam", "torchcam", "foolbox", "torchattacks", "laplace", "pytorch_ood")
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert not any(f"import {peer}" in text or f"from {peer}" in text for peer in peers), path
