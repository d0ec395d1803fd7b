"""pellucid visualize."""

import json
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from pellucid import data, models, visualize
from pellucid.cli import visualize as verb

from .calling import CLASSES, Call, content, pictures


@pytest.fixture
def model(model_folder: Path) -> models.Model:
    return models.load(model_folder)


def manifest(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return told


def picture(path: Path) -> "np.ndarray":
    with Image.open(path) as file:
        return np.asarray(file.convert("L"))


def pixels(image: torch.Tensor) -> "np.ndarray":
    return (image[0] * 255).round().byte().numpy()


@pytest.mark.parametrize("kind", verb.KINDS)
def test_the_help_of_each_kind_explains_every_flag(call: Call, kind: str) -> None:
    said = call("visualize", kind, "--help")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(f"usage: pellucid visualize [options] {kind} ")
    _, _, listed = said.out.partition("\noptions:\n")
    for one in re.split(r"\n  (?=-)", f"\n{listed}")[1:]:
        text = " ".join(one.split())
        assert len(text.partition(" ")[2]) > 20, f"{text} is not explained"


def test_the_help_shows_an_example_of_each_kind(call: Call) -> None:
    said = call("visualize", "--help")
    for kind in verb.KINDS:
        assert f"  pellucid visualize {kind} MODEL " in said.out


def test_filters(call: Call, place: Path, model: models.Model, model_folder: Path) -> None:
    said = call("visualize", "filters", model_folder, "-o", "out", "--scale", "minmax")
    assert (said.code, said.out, said.err) == (0, "4 filters: out\n", "")
    assert manifest(place / "out")["layer"] == "0"
    assert set(content(place / "out")) == {"filters.png", "filters.npy", "manifest.json"}
    expected = visualize.filters(model, scale="minmax").numpy()
    assert np.array_equal(np.load(place / "out/filters.npy", allow_pickle=False), expected)
    told = manifest(place / "out")
    assert told["record"]["options"] == {"kind": "filters", "layer": None, "scale": "minmax", "tiles": False}
    assert (told["record"]["command"], told["kind"]) == ("visualize", "filters")
    assert told["record"]["model"]["hash"] == models.weights_hash(model.network)


def test_activations(call: Call, place: Path, model: models.Model, model_folder: Path) -> None:
    pictures(place, "a.png", "x/a.png")
    (place / "b.png").write_text("x")
    layers = [layer.name for layer in models.layers(model)]
    said = call("visualize", "activations", model_folder, "a.png", "b.png", "x/a.png", "--layers", "*", "-o", "out")
    assert said.code == 1
    assert said.err == "pellucid: b.png: not a picture of a known format\n"
    assert said.out.endswith(f"{len(layers)} layers of 2 pictures: out\n")
    told = manifest(place / "out")
    assert [entry["file"] for entry in told["images"]] == ["a.png", "x/a.png"]
    assert list(told["layers"]) == layers
    for entry in told["images"]:
        image = data.read_image(entry["file"], model.geometry)
        by_hand = visualize.activations(model, image, layers="*")
        assert [one["layer"] for one in entry["layers"]] == layers
        for one in entry["layers"]:
            stored = np.load(place / "out" / one["tensor"], allow_pickle=False)
            assert np.array_equal(stored, by_hand[one["layer"]][0].numpy())
            assert (place / "out" / one["sheet"]).is_file()
            assert ("overlay" in one) == (stored.ndim == 3 and stored[0].size > 1)
            assert one["zeros"] == pytest.approx(float((stored == 0).mean()))


def test_patches(call: Call, place: Path, model: models.Model, model_folder: Path) -> None:
    pictures(place, *(f"set/{n}.png" for n in range(6)))
    words = ("--layer", "3", "--units", "2,0", "--top", "3", "--most", "1")
    said = call("visualize", "patches", model_folder, "set", *words, "-o", "out")
    assert (said.code, said.out, said.err) == (0, "1 of 2 units shown: out\n", "")
    found = visualize.patches(model, data.open_images("set"), layer="3", units="2,0", top=3)
    assert json.loads((place / "out/patches.json").read_text()) == found.json()
    told = manifest(place / "out")
    assert told["sheets"] == [{"unit": 2, "sheet": "unit-0002.png"}]
    assert told["field"]["size"] == [float(n) for n in found.field.size]  # type: ignore[union-attr]
    assert (place / "out/unit-0002.png").is_file()
    assert (told["record"]["data"]["images"], told["record"]["options"]["top"]) == (6, 3)


def test_classes(call: Call, place: Path, model: models.Model, model_folder: Path) -> None:
    words = ("--target", "goldfish,4", "--steps", "6", "--lr", "0.5", "--frames", "4", "--format", "apng")
    said = call("visualize", "class", model_folder, *words, "--seed", "3", "-o", "out")
    assert (said.code, said.out, said.err) == (0, "2 pictures: out\n", "")
    told = manifest(place / "out")
    drawn = torch.Generator().manual_seed(3)
    found = visualize.class_image(model, torch.tensor([1, 4]), steps=6, lr=0.5, generator=drawn)
    for row, entry in enumerate(told["images"]):
        index = (1, 4)[row]
        assert entry["label"] == f"{index} {CLASSES[index]}"
        assert np.array_equal(picture(place / "out" / entry["picture"]), pixels(found.images[row]))
        assert entry["trace"] == pytest.approx(found.trace[:, row].tolist())
        assert entry["frame_steps"] == [0, 4, 6]
        assert entry["probability"] == pytest.approx(model(found.images)[row].softmax(dim=0)[index].item())
        with Image.open(place / "out" / entry["frames"]) as moving:
            assert (moving.format, moving.n_frames) == ("PNG", 3)  # type: ignore[attr-defined]
    record = told["record"]
    assert (record["seed"], record["options"]["lr"], record["options"]["start"]) == (3, 0.5, "noise")


def test_neurons(call: Call, place: Path, model: models.Model, model_folder: Path) -> None:
    pictures(place, "a.png")
    words = ("--layer", "3", "--unit", "2,0", "--objective", "channel", "--steps", "3", "--start", "a.png")
    said = call("visualize", "neuron", model_folder, *words, "-o", "out")
    assert (said.code, said.out) == (0, "2 pictures: out\n")
    start = data.read_image("a.png", model.geometry)
    for unit, entry in zip((2, 0), manifest(place / "out")["images"], strict=True):
        found = visualize.neuron(model, layer="3", unit=unit, objective="channel", steps=3, start=start)
        assert entry["label"] == f"3 channel {unit}"
        assert np.array_equal(picture(place / "out" / entry["picture"]), pixels(found.images[0]))
        assert "probability" not in entry
    assert (
        call(
            "visualize", "neuron", model_folder, "--layer", "3", "--objective", "layer", "--steps", "1", "-o", "b"
        ).code
        == 0
    )


def test_a_sweep_is_one_sheet_of_every_setting(
    call: Call, place: Path, model: models.Model, model_folder: Path
) -> None:
    words = ("--target", "5", "--steps", "4", "--sweep", "blur-every=2,none", "--sweep", "lr=0.5,1,5")
    assert call("visualize", "class", model_folder, *words, "-o", "out").code == 0
    told = manifest(place / "out")
    settings = [{"blur_every": blur, "lr": lr} for blur in (2, None) for lr in (0.5, 1.0, 5.0)]
    assert [entry["setting"] for entry in told["images"]] == settings
    for entry in told["images"]:
        found = visualize.class_image(model, torch.tensor([5]), steps=4, **entry["setting"])
        assert np.array_equal(picture(place / "out" / entry["picture"]), pixels(found.images[0]))
    assert told["sheets"] == ["5-cock-sweep.png"]
    with Image.open(place / "out/5-cock-sweep.png") as sheet:
        assert sheet.width > sheet.height, "three columns, two rows"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("class --target sharks", "sharks"),
        ("class --target 4 --lr 0", "lr must be above 0, got 0.0"),
        ("class --target 4 --lr x", "lr must be a number, got x"),
        ("class --target 4 --steps -1", "steps must be at least 0, got -1"),
        ("class --target 4 --start nois", "start must be noise, uniform, gray or a picture file, got 'nois'; did you"),
        ("class --target 4 --sweep lr", "sweep must be NAME=VALUE,VALUE,..., got 'lr'"),
        ("class --target 4 --sweep lrr=1", "sweep must be one of "),
        (
            "class --target 4 --sweep lr=1,5 --sweep steps=2 --sweep lr=2",
            "sweep must name an option once, got lr, steps, lr",
        ),
        ("class --target 4 --preset fast", "preset must be one of , plain, got 'fast'"),
        ("class --target 4 --sweep lr=a", "sweep: lr must be float, got 'a'"),
        ("class --target 4 --format mp4", "format must be one of gif, apng, got 'mp4'"),
        ("neuron --layer 3 --unit 99", "unit must be in [0, "),
        ("neuron --layer 3 --unit a", 'unit must be numbers with commas, such as "3,5", got '),
        ("neuron --layer 3", "unit must be given for the objective unit"),
        ("neuron --layer nope --unit 1", "'nope' matches no layer of the model"),
        ("filters --layer nope", "layer 'nope' is not part of the model"),
        ("patches nowhere --layer 3", "nowhere: no such file or folder"),
        ("activations a.png --layers nope", "'nope' matches no layer of the model"),
        ("activations a.png --layers 0 --most 0", "most must be at least 1, got 0"),
        ("clas --target 4", "clas"),
    ],
)
def test_wrong_words_are_one_line(call: Call, place: Path, model_folder: Path, words: str, said: str) -> None:
    pictures(place, "a.png")
    kind, *rest = words.split()
    before = content(place)
    found = call("visualize", kind, model_folder, *rest, "-o", "out")
    assert (found.code, found.out) == (2, "")
    assert said in found.err
    assert found.err.startswith("pellucid: ")
    assert found.err.count("\n") == 1
    assert content(place) == before


def test_force_replaces_its_own_folder_only(call: Call, place: Path, model_folder: Path) -> None:
    words = ("visualize", "filters", model_folder, "-o", "out")
    assert call(*words).code == 0
    assert call(*words).err == "pellucid: out exists already; choose another folder, or replace it with --force\n"
    assert call(*words, "--force").code == 0
    (place / "out/mine.txt").write_text("x")
    assert call(*words, "--force").code == 2


def test_a_configuration_file_of_a_kind(call: Call, place: Path, model_folder: Path) -> None:
    (place / "options.yaml").write_text("steps: 2\nlr: 0.25\n")
    words = ("--target", "1", "-o", "out")
    (place / "options.yaml").write_text(f"class:\n  model: {model_folder}\n  steps: 2\n  lr: 0.25\n")
    said = call("visualize", "--config", "options.yaml", "class", model_folder, *words)
    assert said.code == 0, said.err
    options = manifest(place / "out")["record"]["options"]
    assert (options["steps"], options["lr"]) == (2, 0.25)


class Tokens(nn.Module):
    """Patches as tokens behind a class token, then as maps with channels last, in windows, and as logits."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.tokens, self.last, self.windows = (
            nn.Conv2d(1, 6, 2, 2),
            nn.Identity(),
            nn.Identity(),
            nn.ReLU(),
        )
        with torch.no_grad():
            self.embed.bias[2] = -99.0  # type: ignore[index]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        rows = self.embed(images).flatten(2).transpose(1, 2)
        rows = self.tokens(torch.cat([50 + 0 * rows[:, :1], rows], dim=1))[:, 1:]
        maps = self.last(rows.unflatten(1, (4, 4)))
        windows = self.windows(maps.reshape(-1, 4, 6))  # of one row each
        out: torch.Tensor = windows.reshape(len(images), 16, 6).mean(dim=1)
        return out


def tokens() -> models.Model:
    torch.manual_seed(0)
    return models.Model(Tokens(), mean=[0.0], std=[1.0], classes=CLASSES, size=(8, 8)).eval()


def dead() -> models.Model:
    """Class 0 wakes up in bright images, class 1 never does, and 2 depends on nothing."""
    net = nn.Sequential(nn.Conv2d(1, 3, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3))
    conv, last = net[0], net[4]
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        conv.weight.fill_(1.0)
        conv.bias.copy_(torch.tensor([-3.0, -9.0, 0.0]))  # type: ignore[union-attr]
        last.weight.copy_(torch.diag(torch.tensor([1.0, 1.0, 0.0])))
    return models.Model(net, mean=[0.0], std=[0.25], classes=["a", "b", "c"], size=(4, 4)).eval()


def long() -> models.Model:
    """Names that are alike in their first 60 letters."""
    names = [f"{'stage' * 14}{n}" for n in range(3)]
    net = nn.Sequential(OrderedDict({name: nn.Conv2d(1 if n == 0 else 4, 4, 3) for n, name in enumerate(names)}))
    net.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten()])
    return models.Model(net, mean=[0.5], std=[0.5], classes=["x" * 70 + n for n in "abcd"], size=(8, 8)).eval()


def test_channels_are_found_where_a_layer_has_them(call: Call, place: Path) -> None:
    pictures(place, "a.png")
    said = call(
        "visualize", "activations", f"{__name__}:tokens", "a.png", "--layers", "tokens,last,windows", "-o", "out"
    )
    assert said.code == 0, said.err
    told = manifest(place / "out")
    entries = {one["layer"]: one for one in told["images"][0]["layers"]}
    stored = {name: np.load(place / "out" / one["tensor"]) for name, one in entries.items()}
    shapes = {"tokens": (17, 6), "last": (4, 4, 6), "windows": (4, 4, 6)}
    assert {name: one.shape for name, one in stored.items()} == shapes
    for name, kept in stored.items():
        values = kept[1:] if name == "tokens" else kept  # the class token is no position
        unseen = [n for n in range(6) if (values[..., n] <= 0).all()]
        assert unseen, "channel 2 at least"
        for one in (told["layers"][name], entries[name]):
            assert (one["channels"], one["dead"], tuple(one["shape"])) == (6, unseen, shapes[name])
            assert (one["mean"], one["max"]) == pytest.approx((values.mean(), values.max()))
        sides = "x".join(map(str, shapes[name]))
        assert re.search(rf"^{name}: {sides}, .* {len(unseen)} of 6 channels never above 0$", said.out, re.MULTILINE)
    assert said.out.endswith("\n3 layers of 1 picture: out\n")


def test_no_file_is_written_over_another(call: Call, place: Path) -> None:
    pictures(place, "manifest.json.png", "x/manifest-json.png")
    model = f"{__name__}:long"
    layers = ("--layers", "stage*")
    assert call("visualize", "activations", model, "manifest.json.png", "x", *layers, "-o", "seen").code == 0
    entries = manifest(place / "seen")["images"]
    files = [one[key] for entry in entries for one in entry["layers"] for key in ("tensor", "sheet", "overlay")]
    assert len(set(files)) == len(files) == 2 * 3 * 3
    assert all((place / "seen" / file).is_file() for file in files)
    unit = ("--layer", "stage" * 14 + "0", "--unit", "0,1,2", "--steps", "1")
    words = ("--target", "0,1", "--steps", "1", "--frames", "1", "--sweep", "lr=1,2")
    for kind, told, count in (("neuron", unit, 3), ("class", words, 4)):
        said = call("visualize", kind, model, *told, "-o", kind)
        assert (said.code, said.out.endswith(f"{count} pictures: {kind}\n")) == (0, True)
        found = manifest(place / kind)
        files = [one[key] for one in found["images"] for key in ("picture", "curve", "frames") if key in one]
        files += found.get("sheets", [])
        assert len(set(files)) == len(files) == count * (2 if kind == "neuron" else 3) + len(found.get("sheets", []))
        assert all((place / kind / file).is_file() for file in files)


@pytest.mark.parametrize(
    ("words", "counts"),
    [("", [150]), ("--steps 200", [200]), ("--sweep steps=3,200", [3, 200]), ("--blur-every null --steps 2", [2])],
)
def test_a_preset_fills_only_what_is_not_given(
    call: Call, place: Path, model_folder: Path, words: str, counts: list[int]
) -> None:
    said = call("visualize", "class", model_folder, "--target", "1", "--preset", "plain", *words.split(), "-o", "out")
    assert said.code == 0, said.err
    told = manifest(place / "out")
    assert [len(one["trace"]) - 1 for one in told["images"]] == counts
    assert [one["setting"]["steps"] for one in told["images"] if "setting" in one] == (
        counts if "sweep" in words else []
    )
    options = told["record"]["options"]
    assert options.get("steps") == (None if "sweep" in words else counts[0])
    assert (options["start"], options["jitter"], options["preset"]) == ("uniform", 0, "plain")
    assert options["blur_every"] == (None if "null" in words else 5)


def test_silent_units_are_told(call: Call, place: Path) -> None:
    words = ("--start", "gray", "--steps", "9", "--jitter", "0", "--lr", "8")
    said = call("visualize", "class", f"{__name__}:dead", "--target", "0,1,2", *words, "-o", "out")
    assert said.code == 0, said.err
    first, second, third, count = said.out.splitlines()
    revived = manifest(place / "out")["images"][0]["revived_steps"]
    assert 0 < revived < 9
    assert first == f"0 a: its gradient was zero at {revived} of 9 steps, which went through silent ReLUs"
    assert second == "1 b: its gradient was zero at every step; 9 of 9 went through silent ReLUs"
    assert third == "2 c: no gradient arrives at all: nothing was learned"
    assert count == "3 pictures: out"
    one = call(
        "visualize", "class", f"{__name__}:dead", "--target", "0", "--start", "uniform", "--steps", "1", "-o", "b"
    )
    assert one.out.endswith("1 picture: b\n")
