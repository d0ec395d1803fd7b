"""pellucid explain."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pellucid import __version__, data, explain, models
from pellucid.cli import explain as verb
from pellucid.methods import options

from .calling import CLASSES, Call, content, pictures, zipped


@pytest.fixture
def model(model_folder: Path) -> models.Model:
    return models.load(model_folder)


def manifest(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return told


def heat(folder: Path, entry: dict[str, Any]) -> torch.Tensor:
    return torch.from_numpy(np.load(folder / entry["heat"], allow_pickle=False))


def test_the_files_and_the_numbers_are_the_librarys(
    call: Call, place: Path, model: models.Model, model_folder: Path
) -> None:
    pictures(place, "a.png")
    said = call("explain", model_folder, "a.png", "-o", "out")
    assert (said.code, said.out, said.err) == (0, "1 explained: out\n", "")
    (entry,) = manifest(place / "out")["images"]
    image = data.read_image("a.png", model.geometry)
    predicted = model(image).argmax(dim=1)
    by_hand = {
        "saliency": explain.saliency(model, image, predicted),
        "grad_cam": explain.grad_cam(model, image, predicted, layer="8"),
    }
    assert [one["method"] for one in entry["maps"]] == list(by_hand)
    for one in entry["maps"]:
        assert one["target"] == {"index": int(predicted), "name": CLASSES[int(predicted)]}
        assert torch.equal(heat(place / "out", one), by_hand[one["method"]][0].detach())
        assert not one["is_flat"]
    expected = {"index.html", "manifest.json", "a.png", "a"} | {
        one[key] for one in entry["maps"] for key in ("heat", "overlay")
    }
    assert set(content(place / "out")) == expected
    with Image.open(place / "out" / "a.png") as panel, Image.open(place / "out" / entry["maps"][0]["overlay"]) as over:
        assert panel.format == over.format == "PNG"
        assert panel.width > 2 * panel.height > 200, "three pictures in a row"
        assert over.width == over.height == 112


def test_the_manifest_says_how_it_was_made(call: Call, place: Path, model: models.Model, model_folder: Path) -> None:
    pictures(place, "a.png")
    assert call("explain", model_folder, "a.png", "-o", "out", "--seed", "7").code == 0
    told = manifest(place / "out")
    record = told["record"]
    assert (told["format"], told["unreadable"]) == (1, [])
    assert (record["command"], record["seed"], record["device"]) == ("explain", 7, "cpu")
    assert record["model"]["hash"] == models.weights_hash(model.network)
    assert record["model"]["architecture"] == "digits_cnn"
    assert record["versions"] | {"pellucid": __version__, "torch": torch.__version__} == record["versions"]
    assert record["options"]["target"] == "predicted"
    assert record["options"]["layer"] == "8"
    saliency, grad_cam = told["images"][0]["maps"]
    assert saliency["options"] == {option.name: option.default for option in options(explain.saliency)}
    assert saliency["options"].items() >= {"objective": "score", "reduce": "max", "times_input": False}.items()
    assert record["options"]["saliency"] == saliency["options"]
    assert "layer" not in saliency
    assert grad_cam["layer"] == "8"
    assert grad_cam["options"]["relu"] is True
    assert grad_cam["why"] == "the deepest layer with maps (N, C, h, w); also suited: 3"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("goldfish", [1]),
        ("Great_White-Shark", [2]),
        ("5", [5]),
        ("tench, Tinca tinca", [0]),
        ("goldfish, tiger shark", [1, 3]),
        ("5,goldfish,5", [5, 1]),
    ],
)
def test_targets_by_name_and_number(
    call: Call, place: Path, model_folder: Path, target: str, expected: list[int]
) -> None:
    pictures(place, "a.png")
    said = call("explain", model_folder, "a.png", "-o", "out", "--method", "saliency", "--target", target)
    assert said.code == 0
    maps = manifest(place / "out")["images"][0]["maps"]
    assert [one["target"] for one in maps] == [{"index": index, "name": CLASSES[index]} for index in expected]


def test_the_most_probable_classes_of_each_picture(
    call: Call, place: Path, model: models.Model, model_folder: Path
) -> None:
    files = [f"{number}.png" for number in range(6)]
    pictures(place, *files)
    assert call("explain", model_folder, *files, "-o", "out", "--method", "saliency", "--target", "each:2").code == 0
    ranked = []
    for entry in manifest(place / "out")["images"]:
        image = data.read_image(entry["file"], model.geometry)
        ranked.append(model(image)[0].argsort(descending=True)[:2].tolist())
        assert [one["target"]["index"] for one in entry["maps"]] == ranked[-1]
        for one in entry["maps"]:
            by_hand = explain.saliency(model, image, torch.tensor([one["target"]["index"]]))[0]
            assert torch.equal(heat(place / "out", one), by_hand)
    assert len({tuple(pair) for pair in ranked}) > 1, "the classes differ from picture to picture"


def test_options_reach_their_method(call: Call, place: Path, model: models.Model, model_folder: Path) -> None:
    pictures(place, "a.png")
    words = "--method occlusion,saliency,grad_cam --occlusion.window 3 --occlusion.stride 1 --occlusion.fill 0.25"
    more = "--saliency.reduce sum --saliency.times-input true --grad_cam.relu false --layer 3 --target 4"
    assert call("explain", model_folder, "a.png", "-o", "out", *words.split(), *more.split()).code == 0
    image, target = data.read_image("a.png", model.geometry), torch.tensor([4])
    by_hand = {
        "occlusion": explain.occlusion(model, image, target, window=3, stride=1, fill=0.25),
        "saliency": explain.saliency(model, image, target, reduce="sum", times_input=True),
        "grad_cam": explain.grad_cam(model, image, target, layer="3", relu=False),
    }
    maps = manifest(place / "out")["images"][0]["maps"]
    assert [one["method"] for one in maps] == list(by_hand)
    for one in maps:
        assert torch.equal(heat(place / "out", one), by_hand[one["method"]][0].detach())
    assert maps[0]["options"].items() >= {"window": 3, "stride": 1, "objective": "prob"}.items()
    assert (maps[2]["layer"], maps[2]["why"]) == ("3", "chosen with --layer")


def test_pictures_of_one_name_do_not_meet(call: Call, place: Path, model_folder: Path) -> None:
    files = ["x/a.png", "x/a-3.png", "y/a.png", "y/a.png.jpg", "y/..png", "y/é“ü”.png", "y/manifest.json.png"]
    pictures(place, *files)
    zipped(place / "z.zip", "b/a.png")
    said = call("explain", model_folder, *files, "z.zip", "-o", "out", "--method", "saliency")
    assert (said.code, said.err) == (0, "")
    entries = manifest(place / "out")["images"]
    assert [entry["file"] for entry in entries] == [*files, "z.zip/b/a.png"]
    assert len({entry["panel"] for entry in entries}) == len(entries)
    assert len({entry["maps"][0]["heat"] for entry in entries}) == len(entries)
    assert all((place / "out" / entry["panel"]).is_file() for entry in entries)


def test_the_unreadable_are_told_and_left_out(call: Call, place: Path, model_folder: Path) -> None:
    pictures(place, "a.png")
    (place / "b.png").write_text("x")
    said = call("explain", model_folder, "b.png", "a.png", "-o", "out", "--method", "saliency")
    assert (said.code, said.out) == (1, "1 explained: out\n")
    assert said.err == "pellucid: b.png: not a picture of a known format\n"
    told = manifest(place / "out")
    assert told["unreadable"] == [{"file": "b.png", "reason": "not a picture of a known format"}]
    assert [entry["file"] for entry in told["images"]] == ["a.png"]


def test_force_replaces_its_own_folder_only(call: Call, place: Path, model_folder: Path) -> None:
    pictures(place, "a.png", "b.png")
    words = ("explain", model_folder, "--method", "saliency", "-o", "out")
    assert call(*words, "a.png").code == 0
    before = content(place)
    refused = call(*words, "b.png")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == "pellucid: out exists already; choose another folder, or replace it with --force\n"
    assert content(place) == before
    assert call(*words, "b.png", "--force").code == 0
    assert set(content(place / "out")) & {"a.png", "b.png"} == {"b.png"}
    assert set(content(place)) - set(before) == {
        "out/b",
        "out/b.png",
        *(f"out/{name}" for name in maps_of(place / "out")),
    }


def maps_of(folder: Path) -> set[str]:
    return {one[key] for entry in manifest(folder)["images"] for one in entry["maps"] for key in ("heat", "overlay")}


def test_an_interrupted_run_leaves_what_was_there(
    call: Call, place: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures(place, "a.png", "b.png")
    words = ("explain", model_folder, "a.png", "b.png", "--method", "saliency", "-o", "out")
    saved = verb._saved
    done: list[str] = []

    def stop(*args: Any) -> dict[str, Any]:
        if done:
            raise KeyboardInterrupt
        done.append("once")
        return saved(*args)

    before = content(place)
    monkeypatch.setattr(verb, "_saved", stop)
    said = call(*words)
    assert (said.code, said.out) == (130, "")
    assert said.err == "pellucid: interrupted; nothing was left half written\n"
    assert content(place) == before


def test_the_page_shows_every_map_and_needs_nothing_else(call: Call, place: Path, model_folder: Path) -> None:
    pictures(place, "a.png", "<b>.png")
    assert call("explain", model_folder, "a.png", "<b>.png", "-o", "out", "--target", "each:2").code == 0
    page = (place / "out" / "index.html").read_text()
    for entry in manifest(place / "out")["images"]:
        for one in entry["maps"]:
            title = {"saliency": "Saliency", "grad_cam": "Grad-CAM"}[one["method"]]
            assert f"{title} for “{one['target']['name']}”" in page
    assert page.count("<figure") == 2 * (1 + 2 * 2)
    assert "&lt;b&gt;.png" in page
    assert "<b>.png" not in page
    assert 'src="http' not in page
    assert "Worth knowing" not in page, "a page without facts has no empty list of them"


def test_a_dry_run_tells_the_cost_and_writes_nothing(
    call: Call, place: Path, model: models.Model, model_folder: Path
) -> None:
    pictures(place, "a.png", "b.png")
    before = content(place)
    words = "--method occlusion,grad_cam --occlusion.window 4 --occlusion.stride 2 --target each:2 --dry-run"
    said = call("explain", model_folder, "a.png", "b.png", "-o", "out", *words.split())
    assert (said.code, said.err) == (0, "")
    assert content(place) == before
    rows = {
        line.split()[0]: [int(n) for n in line.split()[1:]]
        for line in said.out.splitlines()
        if line.split()[:1] in (["occlusion"], ["grad_cam"])
    }
    windows = 3 * 3  # tops 0, 2, 4 of 8 pixels
    assert rows["occlusion"] == [2, windows + 1, 0, 2 * (windows + 1)], "two classes at the cost of one"
    assert rows["grad_cam"] == [2, 2, 2, 8]
    assert said.out.splitlines()[-1] == "nothing was written"


def test_boxes_are_written_and_drawn(call: Call, place: Path, model: models.Model, model_folder: Path) -> None:
    pictures(place, "a.png")
    words = ("explain", model_folder, "a.png", "--method", "grad_cam", "--target", "1")
    assert call(*words, "-o", "with", "--boxes", "0.5").code == 0
    assert call(*words, "-o", "without").code == 0
    (one,), (other,) = (manifest(place / name)["images"][0]["maps"] for name in ("with", "without"))
    values = heat(place / "with", one)
    assert one["boxes"]
    assert "boxes" not in other
    inside = torch.zeros(8, 8, dtype=torch.bool)
    for x0, y0, x1, y1 in one["boxes"]:
        inside[y0:y1, x0:x1] = True
    assert inside[values > 0.5 * values.max()].all()
    with (
        Image.open(place / "with" / one["overlay"]) as drawn,
        Image.open(place / "without" / other["overlay"]) as plain,
    ):
        assert (np.asarray(drawn) != np.asarray(plain)).any()
    said = call(*words, "-o", "more", "--boxes", "1.5")
    assert (said.code, said.err) == (2, "pellucid: boxes must be in [0.001, 0.999], got 1.5\n")


def test_options_of_a_method_that_is_not_asked_are_refused(call: Call, place: Path, model_folder: Path) -> None:
    pictures(place, "a.png")
    words = ("explain", model_folder, "a.png", "-o", "out", "--method", "saliency")
    said = call(*words, "--occlusion.stride", "3")
    assert (said.code, said.out) == (2, "")
    assert said.err == (
        "pellucid: occlusion.stride was given, but occlusion is not among the methods: add it to --method\n"
    )
    assert call(*words, "--saliency.times-input", "true").code == 0


def test_a_map_of_nan_is_flagged_and_loses_nothing(call: Call, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures(place, "a.png", "b.png")
    (place / "root.py").write_text(
        "import torch\nfrom torch import nn\nfrom pellucid.models import Model\n"
        "class Root(nn.Module):\n"
        "    def forward(self, x):\n"
        "        return (x - x.amin(dim=(1, 2, 3), keepdim=True)).sqrt()\n"
        "def build():\n"
        "    torch.manual_seed(0)\n"
        "    net = nn.Sequential(Root(), nn.Flatten(), nn.Linear(64, 3)).eval()\n"
        "    return Model(net, mean=[0.0], std=[1.0], classes=['r', 'g', 'b'], size=8)\n"
    )
    monkeypatch.syspath_prepend(str(place))
    said = call("explain", "root:build", "a.png", "b.png", "-o", "out", "--method", "saliency", "--boxes", "0.3")
    assert (said.code, said.err) == (0, "")
    assert "pellucid: 2 maps constant or not finite" in said.out
    assert all(
        one["is_flat"] and one["boxes"] == [] for entry in manifest(place / "out")["images"] for one in entry["maps"]
    )
    assert "holds NaN: nothing to see" in (place / "out" / "index.html").read_text()
