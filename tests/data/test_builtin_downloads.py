"""Published sets: found where they lie; downloaded as a last resort, whose failure is one sentence."""

from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision.datasets
from PIL import Image

from pellucid.data import builtin


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PELLUCID_DATA", str(tmp_path / "data"))


def test_a_folder_that_is_there_is_taken(tmp_path: Path) -> None:
    for name in ("train/cat", "test/cat"):
        (tmp_path / "data/cifar10" / name).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "data/cifar10" / name / "a.png")
    images = builtin("cifar10", split="train")
    assert [item.file for item in images.items] == ["train/cat/a.png"]


@pytest.mark.parametrize("given", ["", "nowhere"])
def test_else_it_is_downloaded_into_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("PELLUCID_DATA", given)

    def downloaded(root: str, *, download: bool) -> None:
        assert download
        raw = Path(root, "MNIST", "raw")
        raw.mkdir(parents=True)
        header = (0x803).to_bytes(4, "big") + (2).to_bytes(4, "big") * 3
        (raw / "t10k-images-idx3-ubyte").write_bytes(header + bytes(range(8)))
        (raw / "t10k-labels-idx1-ubyte").write_bytes(
            (0x801).to_bytes(4, "big") + (2).to_bytes(4, "big") + bytes([7, 1])
        )

    monkeypatch.setattr(torchvision.datasets, "MNIST", downloaded)
    images = builtin("mnist", split="test")
    assert images.classes == ("1", "7")
    assert torch.equal(images.read(0)[0], torch.from_numpy(np.arange(4, dtype=np.uint8).reshape(2, 2)))
    assert images.path == str(tmp_path / "cache/pellucid/data/mnist")


@pytest.mark.parametrize(
    "error", [URLError("no route to host"), RuntimeError("Error:\nTried a, got:\nno route to host\n")]
)
def test_a_failed_download_is_one_sentence_with_the_remedy(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def failed(root: str, *, download: bool) -> None:
        raise error

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", failed)
    message = (
        r"cifar10 is not on this machine and could not be downloaded \(.*no route to host.*\): "
        r"give .* in place of the word cifar10"
    )
    with pytest.raises(ValueError, match=message) as caught:
        builtin("cifar10")
    assert "\n" not in str(caught.value)


@pytest.mark.real
@pytest.mark.parametrize(("name", "count"), [("cifar10", 10_000), ("mnist", 10_000)])
def test_the_real_ones_are_found(data_folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, count: int) -> None:
    monkeypatch.setenv("PELLUCID_DATA", str(data_folder))
    assert len(builtin(name)) == count
