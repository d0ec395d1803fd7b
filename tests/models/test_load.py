"""Every form of MODEL, and what is said when it cannot be had; nothing here reaches the network."""

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import timm
import timm.data
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from pellucid.models import Model, create, load, save, weights_hash
from pellucid.models._timm import _resize
from pellucid.models.weights import sha256

SQUEEZENET = "squeezenet1_1-b8a52dc0.pth"


def squeezenet() -> nn.Module:
    torch.manual_seed(0)
    network: nn.Module = torchvision.models.squeezenet1_1(weights=None).eval()
    return network


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torch.hub's folder of downloaded weights, empty and without a way to fill it."""

    def offline(*_args: object, **_options: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", offline)
    place = tmp_path / "hub" / "checkpoints"
    place.mkdir(parents=True)
    return place


def test_a_folder(tmp_path: Path) -> None:
    made = create("digits_cnn", classes=["a", "b"], width=2)
    save(made, tmp_path)
    model = load(str(tmp_path))
    assert not model.training
    assert model.source["spec"] == str(tmp_path)
    assert model.source["hash"] == weights_hash(made.network)
    assert weights_hash(load(tmp_path).network) == model.source["hash"]


def test_torchvision_without_weights() -> None:
    model = load("torchvision:squeezenet1_1@none")
    assert not model.training
    assert (model.geometry.size, model.geometry.resize, len(model.classes)) == ((224, 224), 256, 1000)
    assert model.class_ids[:2] == ("n01440764", "n01443537")
    assert model.classes[:2] == ("tench", "goldfish")
    torch.testing.assert_close(model.std.flatten(), torch.tensor([0.229, 0.224, 0.225]))
    assert model.source["weights"] == "none"


@pytest.mark.parametrize("spec", ["torchvision:squeezenet1_1", "torchvision:squeezenet1_1@IMAGENET1K_V1"])
def test_torchvision_weights_from_the_cache(cache: Path, spec: str) -> None:
    network = squeezenet()
    torch.save(network.state_dict(), cache / SQUEEZENET)
    model = load(spec)
    images = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(model(images), network((images - model.mean) / model.std))
    assert model.source["weights"] == "IMAGENET1K_V1"
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


def test_torchvision_weights_that_cannot_be_fetched_are_told_in_one_sentence_with_remedies(cache: Path) -> None:
    with pytest.raises(ValueError, match="its weights could not be fetched") as caught:
        load("torchvision:squeezenet1_1")
    assert str(caught.value) == (
        "torchvision:squeezenet1_1: its weights could not be fetched (no route to host); "
        f"put {SQUEEZENET} into {cache}, or give --weights FILE, "
        "or take random ones with torchvision:squeezenet1_1@none"
    )


class Leaves:
    """Makes a folder when it is unpickled: what code in a weights file could do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("new", [True, False])
def test_code_in_the_torchvision_cache_does_not_run(cache: Path, tmp_path: Path, new: bool) -> None:
    trace = tmp_path / "it ran"
    state = {**squeezenet().state_dict(), "extra": Leaves(trace)}
    torch.save(state, cache / SQUEEZENET, _use_new_zipfile_serialization=new)
    with pytest.raises(ValueError, match=r"squeezenet1_1: .*b8a52dc0.pth cannot be read") as caught:
        load("torchvision:squeezenet1_1")
    assert "\n" not in str(caught.value)
    assert not trace.exists()
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


@pytest.mark.parametrize("content", [b"", b"rubbish", b"PK\x03\x04rubbish"])
def test_a_damaged_file_in_the_cache_is_named(cache: Path, content: bytes) -> None:
    (cache / SQUEEZENET).write_bytes(content)
    with pytest.raises(ValueError, match=r"b8a52dc0.pth cannot be read") as caught:
        load("torchvision:squeezenet1_1")
    assert "\n" not in str(caught.value)


def test_the_wrong_weights_in_the_cache_are_named(cache: Path) -> None:
    torch.save(nn.Linear(2, 2).state_dict(), cache / SQUEEZENET)
    with pytest.raises(ValueError, match=r"b8a52dc0.pth cannot be read \(Error.* in loading state_dict") as caught:
        load("torchvision:squeezenet1_1")
    assert "\n" not in str(caught.value)


def test_own_weights_in_any_form(cache: Path, tmp_path: Path) -> None:
    network = squeezenet()
    file = tmp_path / "mine.safetensors"
    save_file(network.state_dict(), file)
    model = load("torchvision:squeezenet1_1", weights=file)
    assert weights_hash(model.network) == weights_hash(network) == model.source["hash"]
    assert model.source["weights"] == {"file": str(file), "sha256": sha256(file)}


def test_timm_without_weights() -> None:
    model = load("timm:test_vit@none")
    assert not model.training
    assert (model.geometry.size, model.geometry.interpolation, len(model.classes)) == ((160, 160), "bicubic", 1000)
    assert model.geometry.resize == int(160 / 0.95)
    assert model.class_ids[0] == "n01440764"
    assert model(torch.rand(1, 3, 160, 160)).shape == (1, 1000)


def test_timm_weights_that_cannot_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_args: object, **_options: object) -> None:
        raise OSError("We couldn't connect to the hub\nand a long story")

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", offline)
    with pytest.raises(ValueError, match="weights could not be fetched") as caught:
        load("timm:test_vit.r160_in1k")
    assert str(caught.value) == (
        "timm:test_vit.r160_in1k: its weights could not be fetched (We couldn't connect to the hub); "
        "give --weights FILE, or take random ones with timm:test_vit.r160_in1k@none"
    )


@pytest.mark.parametrize(
    ("name", "mode", "size", "resize"),
    [
        ("vit_base_patch16_clip_224.openai", "center", (224, 224), 248),
        ("convnext_base.fb_in22k_ft_in1k_384", "squash", (384, 384), (384, 384)),
        ("vit_base_patch16_sapiens2.fb", "squash", (1024, 768), (1024, 768)),
    ],
)
def test_the_frame_is_timms_own(name: str, mode: str, size: tuple[int, int], resize: int | tuple[int, int]) -> None:
    told = timm.get_pretrained_cfg(name).to_dict()
    keys = ("input_size", "interpolation", "mean", "std", "crop_pct", "crop_mode")
    first, second = timm.data.create_transform(**{key: told[key] for key in keys}).transforms[:2]
    found = _resize("timm:x", told, needed=True)
    assert (told["crop_mode"], tuple(told["input_size"][1:]), found) == (mode, size, resize)
    assert (first.size, second.size) == (found, size)


def test_a_squashed_picture_is_resized_before_the_crop() -> None:
    told = {"crop_mode": "squash", "crop_pct": 0.9, "input_size": (3, 90, 180)}
    assert _resize("timm:x", told, needed=True) == (100, 200)


@pytest.mark.parametrize(
    ("mode", "share", "size"), [("border", 1.0, (64, 64)), ("center", 1.15, (64, 64)), ("center", 1.0, (64, 32))]
)
def test_a_frame_that_cannot_be_told_is_refused_for_trained_weights_only(
    mode: str, share: float, size: tuple[int, int]
) -> None:
    told = {"crop_mode": mode, "crop_pct": share, "input_size": (3, *size)}
    with pytest.raises(
        ValueError, match=rf"timm:x: its pictures are framed .*crop mode {mode}, crop_pct {share}, 64 x"
    ):
        _resize("timm:x", told, needed=True)
    assert _resize("timm:x", told, needed=False) == (64 if size[0] == size[1] else size)


@pytest.mark.parametrize("name", ["torchvision:squeezenet1_1", "timm:test_vit"])
def test_a_head_for_other_classes(tmp_path: Path, name: str) -> None:
    made = load(f"{name}@none,num_classes=10")
    assert made.classes == tuple("0123456789")
    assert made.build == (name, {"num_classes": 10})
    torch.save(made.network.state_dict(), tmp_path / "ten.pt")
    with pytest.raises(ValueError, match="seems to have 10 classes") as caught:
        load(name, weights=tmp_path / "ten.pt")
    layer = "classifier.1" if name.startswith("torchvision") else "head"
    assert str(caught.value) == (
        f"{tmp_path / 'ten.pt'}: seems to have 10 classes, for its layer {layer} has 10 outputs and that of {name} "
        f"1000; ask for {name},num_classes=10, or, to name the classes, "
        "give a model folder or a package.module:function that returns a pellucid.models.Model"
    )
    model = load(f"{name},num_classes=10", weights=tmp_path / "ten.pt")
    assert model.source["hash"] == weights_hash(made.network)
    save(model, tmp_path / "saved")
    assert load(tmp_path / "saved").classes == made.classes


def test_a_zoo_head_for_other_classes(tmp_path: Path) -> None:
    state = create("digits_cnn", classes=["a", "b", "c"], width=2).network.state_dict()
    torch.save(state, tmp_path / "three.pt")
    with pytest.raises(ValueError, match=r"3 classes, .*; ask for zoo:digits_cnn,width=2,classes=3, or"):
        load("zoo:digits_cnn,width=2", weights=tmp_path / "three.pt")


def test_a_net_for_gray_pictures() -> None:
    model = load("timm:test_vit@none,in_chans=1")
    assert model(torch.rand(1, 1, 160, 160)).shape == (1, 1000)


def test_zoo_with_a_weights_file(tmp_path: Path) -> None:
    network = create("mobilenet_v1", classes=[str(i) for i in range(1000)], width=0.25).eval().network
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    (tmp_path / "w.pth").write_bytes(buffer.getvalue())
    model = load("zoo:mobilenet_v1,width=0.25", weights=tmp_path / "w.pth")
    assert weights_hash(model.network) == weights_hash(network)
    assert model.build == ("mobilenet_v1", {"channels": 3, "classes": 1000, "width": 0.25})
    assert (model.classes[0], model.class_ids[0]) == ("tench", "n01440764")
    images = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(model(images), network(images * 2 - 1))


def test_zoo_at_random() -> None:
    model = load("zoo:digits_cnn@none,width=2,classes=3,channels=3")
    assert (model.classes, model.geometry.channels) == (("0", "1", "2"), 3)
    assert model(torch.rand(1, 3, 8, 8)).shape == (1, 3)


CODE = """
import torch
from torch import nn
from pellucid.models import Model

def good():
    return Model(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), mean=[0.0], std=[1.0], classes=["a", "b"], size=2)

def bare():
    return nn.Linear(1, 1)

def broken():
    raise RuntimeError("no luck\\nand a long story")

def nothing():
    return None

word = "word"
"""


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A user's package in the current folder."""
    name = f"users_{tmp_path.name}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("")
    (tmp_path / name / "nets.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return f"{name}.nets"


def test_a_users_function(code: str) -> None:
    model = load(f"{code}:good")
    assert isinstance(model, Model)
    assert not model.training
    assert model.source["spec"] == f"{code}:good"
    assert model(torch.rand(3, 1, 2, 2)).shape == (3, 2)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            "bare",
            r"nets:bare returned a bare Linear; return pellucid.models.Model\(network, mean=..., std=..., classes=",
        ),
        ("broken", "nets:broken failed: RuntimeError: no luck"),
        ("nothing", "nets:nothing must return a pellucid.models.Model, got NoneType"),
        ("missing", "nets:missing failed: AttributeError: module .* has no attribute 'missing'"),
        ("word", "nets:word failed: TypeError: 'str' object is not callable"),
    ],
)
def test_a_users_function_that_gives_no_model(code: str, function: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        load(f"{code}:{function}")
    assert "\n" not in str(caught.value)


def test_a_users_module_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="no_such_module_here:net failed: ModuleNotFoundError: No module named"):
        load("no_such_module_here:net")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("torchvision:resnet19", "torchvision has no classifier 'resnet19'; did you mean resnet"),
        ("torchvision:fcn_resnet50", "torchvision has no classifier 'fcn_resnet50'"),
        ("torchvision:resnet18@V9", "torchvision:resnet18 has weights IMAGENET1K_V1, DEFAULT; got 'V9'"),
        ("torchvision:__init__", "torchvision has no classifier '__init__'"),
        ("timm:resnet19@none", "timm has no model 'resnet19'; did you mean resnet"),
        ("timm:hf_hub:someone/net", "timm has no model 'hf_hub:someone/net'"),
        ("timm:local-dir:/tmp", "timm has no model 'local-dir:/tmp'"),
        ("timm:resnet18.no_such_tag@none", "timm:resnet18.no_such_tag: Invalid pretrained tag"),
        (
            "timm:resnet18@a1_in1k",
            r"timm:resnet18@a1_in1k: name weights as timm does, timm:resnet18@a1_in1k.TAG|after @",
        ),
        (
            "torchvision:resnet18,num_classes=10",
            "torchvision:resnet18: its own weights fit only the network without arguments; give --weights FILE, or "
            "take random ones with torchvision:resnet18@none,num_classes=...",
        ),
        ("timm:test_vit,num_classes=10", "timm:test_vit: its own weights fit only the network without arguments"),
        ("timm:test_vit@none,num_classes=0", r"num_classes must be in \[1, 1000000\], got 0"),
        ("torchvision:resnet18@none,num_classes=2.5", "num_classes must be a whole number, got 2.5"),
        (
            "torchvision:resnet18@none,num_classes=ten",
            "torchvision argument must be name=number, got 'num_classes=ten'",
        ),
        ("torchvision:resnet18@none,weights=1", "torchvision:resnet18: argument 'weights' is not allowed"),
        ("zoo:mobilenet_v1", "zoo:mobilenet_v1 has no weights of its own: give --weights FILE, or a folder with model"),
        (
            "zoo:mobilenet_v3@none",
            r"architecture must be one of the zoo's \(pellucid zoo lists them\), got 'mobilenet_v3'; did you",
        ),
        ("zoo:mobilenet_v1@none,width", "zoo argument must be name=value, got 'width' without ="),
        ("zoo:mobilenet_v1@none,width=a/b", "zoo argument must be name=value, got 'width=a/b'"),
        ("zoo:mobilenet_v1@none,width=big", "width must be a number, got 'big'"),
        ("zoo:mobilenet_v1@none,width=true", "width must be a number, got True"),
        ("zoo:mobilenet_v1@none,classes=true", "classes must be a whole number, got True"),
        ("zoo:resnet20@none,zero_gamma=yes", "zero_gamma must be true or false, got 'yes'"),
        ("zoo:mobilenet_v1@none,widht=1", "mobilenet_v1 has no argument 'widht'; it takes .*; did you mean width"),
        ("zoo:mobilenet_v1@none,width=1e9", r"width must be in \[0.05, 4\], got 1000000000.0"),
        ("zoo:mobilenet_v1@none,classes=1000000000000", r"classes must be in \[1, 1000000\], got 1000000000000"),
        ("zoo:mobilenet_v1@none,classes=2.5", "classes must be a whole number, got 2.5"),
        ("zoo:digits_cnn@none,channels=2", "channels must be 1 or 3 to read pictures, got 2"),
        (
            "nowhere",
            "nowhere: no such model; give a folder with model.json, torchvision:NAME, timm:NAME, zoo:NAME or pack",
        ),
        ("", "no such model"),
        ("torchvision:", "no such model"),
        ("os.system('ls'):x", "no such model"),
        ("a:b:c", "no such model"),
        ("\0", "no such model"),
    ],
)
def test_refuses(spec: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        load(spec)
    assert "\n" not in str(caught.value)


def test_a_folder_nearby_is_suggested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "digits").mkdir()
    save(create("digits_cnn", classes=["a", "b"], width=1), tmp_path / "digits")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"digit: no such model; .*; did you mean digits\?"):
        load("digit")


def test_weights_that_do_not_fit_or_are_not_there_are_named(tmp_path: Path) -> None:
    save_file(nn.Linear(2, 2).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"w.safetensors: its tensors do not fit the architecture: 10 missing"):
        load("zoo:digits_cnn,width=1", weights=tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"nowhere.safetensors: no such weights file"):
        load("zoo:digits_cnn", weights=tmp_path / "nowhere.safetensors")


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "size", "weights"),
    [
        ("mobilenet_v1_025", (128, 128), 470_072),
        ("mobilenet_v1_075", (192, 192), 2_585_560),
        ("mobilenet_v2", (224, 224), 3_504_872),
        ("squeezenet1_1", (224, 224), 1_235_496),
    ],
)
def test_real_folders(weights_folder: Path, name: str, size: tuple[int, int], weights: int) -> None:
    model = load(weights_folder / name)
    assert (model.geometry.size, len(model.classes), len(set(model.class_ids))) == (size, 1000, 1000)
    assert sum(p.numel() for p in model.parameters()) == weights
    logits = model(torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0)))
    assert logits.shape == (1, 1000)
    assert logits.isfinite().all()
    assert logits.std() > 0.1
