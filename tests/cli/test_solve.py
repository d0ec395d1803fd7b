"""pellucid solve, on pictures whose quarters a toy of ours reads off."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from .calling import Call

CODE = """
import torch
from torch import nn
from pellucid.data import jigsaw
from pellucid.models import Model


class Reads(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.outputs = outputs

    def forward(self, images):
        found = (images[:, 0, ::4, ::4] * 4).round().long().flatten(1)
        return (nn.functional.one_hot(jigsaw.label_of(found), 24) * 9.0)[:, : self.outputs]


def net(outputs=24):
    names = [str(number) for number in range(outputs)]
    return Model(Reads(outputs).eval(), mean=[0.0] * 3, std=[1.0] * 3, classes=names, size=8)


def other():
    return net(10)
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("puzzler.py").write_text(CODE)
    numbers = torch.tensor([[0, 1], [2, 3]]).repeat_interleave(4, 0).repeat_interleave(4, 1)
    for name in ("a", "b"):
        Image.fromarray((numbers * 64).byte().numpy()).convert("RGB").save(f"{name}.png")


def test_pictures_are_shuffled_and_put_back(call: Call) -> None:
    said = call("solve", "puzzler:net", "a.png", "b.png", "-o", "out", "--device", "cpu", "--voting")
    assert said.code == 0
    assert said.out.count("4 of 4 quarters right (shuffled by ") == 2
    with Image.open("out/solved.png") as drawn:
        assert drawn.size[0] > 500
    record = json.loads(Path("out/record.json").read_text())
    assert (record["command"], record["options"]) == ("solve", {"shuffle": "random", "voting": True})
    told = json.loads(Path("out/solved.json").read_text())["images"]
    assert all(entry["label"] == entry["shuffled_by"] for entry in told)
    assert "out exists already" in call("solve", "puzzler:net", "a.png", "-o", "out").err


def test_a_permutation_may_be_named_or_none(call: Call) -> None:
    said = call("solve", "puzzler:net", "a.png", "--shuffle", "20", "--json", "--device", "cpu")
    (entry,) = json.loads(said.out)["images"]
    assert (entry["label"], entry["permutation"], entry["quarters_right"]) == (20, [3, 1, 0, 2], 4)
    said = call("solve", "puzzler:net", "a.png", "--shuffle", "none", "--device", "cpu")
    assert said.out.startswith("a.png: permutation 0123 (0), 99.")
    assert "shuffled" not in said.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("puzzler:net a.png --shuffle 24", "shuffle must be random, none, or a permutation 0 to 23, got 24"),
        ("puzzler:other a.png", "model must have 24 outputs, one a permutation, got (10,): train one with"),
        ("puzzler:net nowhere.png", "nowhere.png: no such file or folder"),
    ],
)
def test_refuses(call: Call, words: str, message: str) -> None:
    said = call("solve", *words.split(), "--device", "cpu")
    assert said.code == 2
    assert said.err.startswith(f"pellucid: {message}")


def test_too_many_pictures_are_refused(call: Call) -> None:
    for number in range(17):
        Path(f"{number}.png").write_bytes(Path("a.png").read_bytes())
    assert "images must be at most 16 at a time, got 19" in call("solve", "puzzler:net", "*.png").err
