"""A small saved model, pictures and labelled pictures for every verb."""

from pathlib import Path
from typing import Any

import pytest
import torch

from pellucid import models, training
from pellucid.cli import main

from .calling import CLASSES, Call, Said, pictures


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A net of six classes for gray 8 x 8 pictures that says different things of different noise."""
    torch.manual_seed(0)
    model = models.create("digits_cnn", classes=CLASSES, width=4)
    noise = torch.rand(256, 1, 8, 8)
    network = model.eval().network
    assert isinstance(network, torch.nn.Sequential)
    head = network[-1]
    assert isinstance(head, torch.nn.Linear)
    with torch.no_grad():
        features = network[:-1]((noise - model.mean) / model.std)
        head.weight.copy_(torch.randn(head.weight.shape) / features.std(dim=0))
        head.bias.copy_(-(head.weight @ features.mean(dim=0)))
    folder = tmp_path_factory.mktemp("models") / "fish"
    folder.mkdir()
    models.save(model, folder)
    return folder


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 labelled pictures in class folders; the names differ from the model's in case and hyphens."""
    names = ("Goldfish", "great-white_shark", "TINCA TINCA", "stingray")
    return pictures(tmp_path_factory.mktemp("sets") / "fish", *(f"{names[i % 4]}/{i:02d}.png" for i in range(24)))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run one command."""

    def run(*words: str | Path) -> Said:
        capsys.readouterr()
        code = main([str(word) for word in words])
        told = capsys.readouterr()
        return Said(code, told.out, told.err)

    return run


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs on digits: two that have finished, a and b, and c, which was stopped after an epoch."""
    folder = tmp_path_factory.mktemp("runs")
    usual: dict[str, Any] = {"model": "digits_cnn,width=4", "limit": 200, "batch_size": 16, "device": "cpu"}
    for name, lr in (("a", 0.003), ("b", 0.03)):
        for _ in training.start("classify", "digits", folder / name, epochs=2, lr=lr, **usual):
            pass
    for told in training.start("classify", "digits", folder / "c", epochs=3, **usual):
        if told.text.startswith("epoch 1"):
            break
    return folder
