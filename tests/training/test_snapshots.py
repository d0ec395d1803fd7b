"""The weights at the ends of a learning rate's cycles: which they are, that they are models, and that a kill does not
change them.
"""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from pellucid import models, training
from pellucid.models._folder import read_told

NET: dict[str, Any] = {
    "model": "digits_cnn,width=4",
    "limit": 60,
    "epochs": 5,
    "batch_size": 20,
    "schedule": "cyclic",
    "period": 2,
    "snapshots": True,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("snapshots") / "run"
    list(training.start("classify", "digits", folder, **NET))
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in (folder / "snapshots").rglob("*") if p.is_file()}


def test_each_cycle_leaves_a_model(made: Path) -> None:
    places = sorted((made / "snapshots").iterdir())
    assert [place.name for place in places] == ["epoch-0002", "epoch-0004"], "the last cycle is not at its end"
    found = [models.load(place) for place in places]
    assert [read_told(place)["record"]["epoch"] for place in places] == [2, 4]
    assert found[0].classes == models.load(made).classes
    assert not torch.equal(*(next(model.parameters()) for model in found))
    assert all({path.name for path in place.iterdir()} == {"model.json", "weights.safetensors"} for place in places)


def test_a_snapshot_holds_the_weights_of_its_epoch(made: Path, tmp_path: Path) -> None:
    """A run that ends with the cycle, by the same rates, ends with the same weights."""
    list(training.start("classify", "digits", tmp_path / "run", **{**NET, "epochs": 4}))
    assert files(tmp_path / "run").keys() == files(made).keys()
    last = torch.load(tmp_path / "run" / "last.pt", weights_only=True)["parts"]["step"]
    kept = models.load(made / "snapshots" / "epoch-0004").network.state_dict()
    assert all(torch.equal(value, last[f"model.network.{name}"]) for name, value in kept.items())


def test_killed_amid_a_snapshot_it_goes_on_to_the_same(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pellucid.training.recipes._following.save", halved)
    folder = tmp_path / "run"
    with pytest.raises(OSError, match="killed"):
        list(training.start("classify", "digits", folder, **NET))
    assert [path.name for path in (folder / "snapshots" / "epoch-0004").iterdir()] == [".weights.part"]
    monkeypatch.undo()
    list(training.resume(folder))
    assert files(folder).keys() == files(made).keys()
    weights = [name for name in files(made) if name.endswith(".safetensors")]
    assert len(weights) == 2
    assert all(files(folder)[name] == files(made)[name] for name in weights)


def halved(model: models.Model, folder: Path, **more: Any) -> None:
    """Saves, but dies amid the second snapshot."""
    if folder.name == "epoch-0004":
        folder.mkdir()
        (folder / ".weights.part").write_bytes(b"half")
        raise OSError("killed")
    models.save(model, folder, **more)


def test_averaged_weights_are_what_is_kept(tmp_path: Path) -> None:
    list(training.start("classify", "digits", tmp_path / "run", **{**NET, "epochs": 2, "average": 0.5}))
    average = torch.load(tmp_path / "run" / "last.pt", weights_only=True)["parts"]["average"]["model"]
    kept = models.load(tmp_path / "run" / "snapshots" / "epoch-0002").network.state_dict()
    assert all(torch.equal(value, average[f"network.{name}"]) for name, value in kept.items())


def test_a_run_with_snapshots_can_be_replaced_and_one_with_foreign_files_among_them_not(
    made: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(made, folder)
    (folder / "snapshots" / "mine.txt").write_text("notes")
    with pytest.raises(ValueError, match=r"holds snapshots/mine\.txt, which pellucid did not make"):
        next(training.start("classify", "digits", folder, force=True, **NET))
    (folder / "snapshots" / "mine.txt").unlink()
    list(training.start("classify", "digits", folder, force=True, **{**NET, "epochs": 2, "snapshots": False}))
    assert not (folder / "snapshots").exists(), "none are kept unless asked for"
