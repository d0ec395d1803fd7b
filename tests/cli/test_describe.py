"""pellucid describe."""

import json
from pathlib import Path

from pellucid import models

from .calling import Call


def test_the_table_and_its_totals(call: Call, model_folder: Path) -> None:
    said = call("describe", model_folder)
    assert (said.code, said.err) == (0, "")
    described = models.describe(models.load(model_folder))
    rows = [line.split() for line in said.out.splitlines() if line[:3].strip().isdecimal()]
    assert [row[:2] for row in rows] == [[row.name, row.kind] for row in described.rows]
    assert sum(int(row[3].replace(",", "")) for row in rows) == described.weights
    assert sum(int(row[4].replace(",", "")) for row in rows) == described.macs
    told = {line[:23].strip(): line[23:] for line in said.out.splitlines()}
    assert told["input"] == "1x8x8"
    assert told["weights"].startswith(f"{described.weights:,} (convolution ")
    assert told["multiply-adds"].startswith(f"{described.macs:,} ")
    assert told["operations"].startswith(f"{described.flops:,} ")
    assert told["suits Grad-CAM"] == ", ".join(described.cam_layers) == "8, 3"
    assert f"{100 * described.fully_connected_share:.2f} % of the weights" in said.out


def test_json_is_the_description(call: Call, model_folder: Path) -> None:
    said = call("describe", model_folder, "--json")
    described = models.describe(models.load(model_folder))
    assert (said.code, said.err) == (0, "")
    assert json.loads(said.out) == json.loads(json.dumps(described.json()))
    by_hand = 4 * 9 + 4 + 8 * 4 * 9 + 8 + 2 * (8 * 8 * 9 + 8) + 8 * 6 + 6  # four convolutions and a linear layer
    assert json.loads(said.out)["weights"] == by_hand


def test_another_input_size(call: Call, model_folder: Path) -> None:
    said = call("describe", model_folder, "--input", "1x16x12", "--json")
    told = json.loads(said.out)
    assert (said.code, told["input"]) == (0, [1, 16, 12])
    assert told["layers"][0]["shape"] == [4, 16, 12]
    usual = json.loads(call("describe", model_folder, "--json").out)
    assert told["layers"][0]["macs"] == 3 * usual["layers"][0]["macs"]  # 16 x 12 instead of 8 x 8 positions
