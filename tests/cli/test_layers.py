"""pellucid layers."""

import json
from pathlib import Path

from pellucid import models

from .calling import Call


def test_every_layer_and_what_it_suits(call: Call, model_folder: Path) -> None:
    said = call("layers", model_folder)
    assert (said.code, said.err) == (0, "")
    model = models.load(model_folder)
    rows = {line.split()[0]: line for line in said.out.splitlines() if line[:3].strip().isdecimal()}
    assert [*rows] == [layer.name for layer in models.layers(model)]
    for place, name in enumerate(models.cam_layers(model), start=1):
        height, width = models.find_grid(model, name).size
        assert rows[name].rstrip().endswith(f"{place}. Grad-CAM, {height}x{width}")
    assert sum("Grad-CAM" in row for row in rows.values()) == 2
    assert said.out.splitlines()[-1] == "suits Grad-CAM: 8 (4x4), 3 (8x8)"


def test_a_pattern_finds_some(call: Call, model_folder: Path) -> None:
    told = json.loads(call("layers", model_folder, "--find", "1*,3", "--json").out)
    assert [row["name"] for row in told] == ["1", "3", "10", "11", "12"]
    assert told[1] == {
        "name": "3", "kind": "ReLU", "shape": [8, 8, 8], "calls": 1, "suits_cam": 2, "grid": [8, 8],
    }  # fmt: skip


def test_a_pattern_that_finds_none_names_the_nearest(call: Call, model_folder: Path) -> None:
    said = call("layers", model_folder, "--find", "122*")
    assert (said.code, said.out) == (2, "")
    assert said.err == "pellucid: no layer matches '122*'; did you mean 12, 2, 1?; there are 13\n"
