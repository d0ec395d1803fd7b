"""Bad files and bad arguments: each is one line on standard error, an exit code, and nothing written."""

import json
import os
import pickle
import re
import shutil
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pellucid import explain, models
from pellucid.models.weights import sha256

from .calling import Call, content, pictures, png, zipped

METHODS = ", ".join(explain.__all__)


def nothing(_here: Path) -> None:
    pass


@dataclass(frozen=True)
class Row:
    """A bad input: `told` is the message, in which * stands for anything."""

    words: str  # of the command, split at spaces
    told: str
    make: Callable[[Path], object] = nothing  # called with the current folder, which holds model/, set/ and a.png
    code: int = 2


def edited(**changes: object) -> Callable[[Path], None]:
    """model.json with other values; None takes a key away."""

    def make(here: Path) -> None:
        file = here / "model" / "model.json"
        told = {**json.loads(file.read_text()), **changes}
        file.write_text(json.dumps({key: value for key, value in told.items() if value is not None}))

    return make


def weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    """Other tensors, under the hash that fits them."""

    def make(here: Path) -> None:
        file = here / "model" / "weights.safetensors"
        state = load_file(file)
        change(state)
        save_file(state, file)
        edited(weights={"file": file.name, "sha256": sha256(file)})(here)

    return make


def written(name: str, text: str | bytes) -> Callable[[Path], None]:
    def make(here: Path) -> None:
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_bytes(text if isinstance(text, bytes) else text.encode())

    return make


def truncated(name: str, keep: int) -> Callable[[Path], object]:
    return lambda here: (here / name).write_bytes((here / name).read_bytes()[:keep])


class Evil:
    """Makes a folder when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("the-code-ran",)


def evil_pickle(here: Path) -> None:
    torch.save({"0.weight": Evil()}, here / "evil.pt")


def bomb(here: Path) -> None:
    """A PNG that says it has 60,000 x 60,000 pixels."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    crc = struct.pack(">I", zlib.crc32(chunk))
    (here / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + crc + png(0)[33:])


def encrypted(here: Path) -> None:
    """A zip whose only member says it is encrypted."""
    path = zipped(here / "locked.zip", "cat/1.png")
    raw = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(signature) + offset] |= 1
    path.write_bytes(raw)


def two_of_one_name(here: Path) -> None:
    shutil.rmtree(here / "model")
    (here / "model").mkdir()
    models.save(models.create("digits_cnn", classes=["crane", "pig", "crane"], width=2), here / "model")


def idx_cut_short(here: Path) -> None:
    (here / "idx").mkdir()
    (here / "idx" / "t10k-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, 2, 8, 8) + bytes(100))
    (here / "idx" / "t10k-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, 2) + bytes(2))


def foreign(here: Path) -> None:
    written("thesis/chapter.tex", "x")(here)
    written("thesis/record.json", '{"artist": "Nina"}')(here)
    written("thesis/manifest.json", '{"name": "my extension", "version": "1"}')(here)


USER = "def broken():\n    raise OSError('no GPU')\n\ndef bare():\n    import torch\n    return torch.nn.Identity()\n"
NO_MODEL = (
    "no such model; give a folder with model.json, torchvision:NAME, timm:NAME, zoo:NAME or package.module:function"
)
FIRST = "0.weight"
ROWS = {
    # models
    "model missing": Row("predict nowhere a.png", f"nowhere: {NO_MODEL}"),
    "model misspelt": Row("predict modle a.png", f"modle: {NO_MODEL}; did you mean model?"),
    "folder without model.json": Row("describe set", "set: is not a model (the folder has no model.json)"),
    "model.json broken": Row(
        "describe model", "model/model.json: not readable JSON (*)", written("model/model.json", "{")
    ),
    "model.json empty": Row(
        "describe model", "model/model.json: not readable JSON (*)", written("model/model.json", "")
    ),
    "model.json a list": Row(
        "describe model", "model/model.json: must be a JSON object", written("model/model.json", "[]")
    ),
    "model.json nested without end": Row(
        "describe model", "model/model.json: not readable JSON (*)", written("model/model.json", "[" * 200_000)
    ),
    "unknown key": Row(
        "describe model",
        "model/model.json: unknown key 'architectur'; did you mean architecture?",
        edited(architectur="digits_cnn"),
    ),
    "missing key": Row("describe model", "model/model.json: key 'input' is missing", edited(input=None)),
    "format of the future": Row("describe model", "model/model.json: format must be 1, got 2", edited(format=2)),
    "unknown architecture": Row(
        "describe model",
        "model/model.json: architecture must be one of the zoo's (pellucid zoo lists them), got 'digit_cnn'; "
        "did you mean digits_cnn?",
        edited(architecture="digit_cnn"),
    ),
    "architecture names code": Row(
        "describe model",
        "model/model.json: architecture must be a name of the zoo, torchvision:NAME or timm:NAME, got 'os:system'",
        edited(architecture="os:system", arguments={"command": "mkdir the-code-ran"}),
    ),
    "another hash": Row(
        "describe model",
        "model/weights.safetensors: its sha256 is not the one in model.json: damaged, or replaced",
        edited(weights={"file": "weights.safetensors", "sha256": "0" * 64}),
    ),
    "weights elsewhere": Row(
        "describe model",
        "model/model.json: weights file must be a .safetensors file in this folder, got '../../x.safetensors'",
        edited(weights={"file": "../../x.safetensors", "sha256": "0" * 64}),
    ),
    "weights missing": Row(
        "describe model",
        "model/weights.safetensors: the weights file is missing",
        lambda here: (here / "model" / "weights.safetensors").unlink(),
    ),
    "weights truncated": Row(
        "describe zoo:digits_cnn --weights model/weights.safetensors",
        "model/weights.safetensors: not a readable safetensors file (*)",
        truncated("model/weights.safetensors", 500),
    ),
    "weights with NaN": Row(
        "predict model a.png",
        f"model/weights.safetensors: {FIRST} holds NaN or infinite values, or some too large for torch.float32",
        weights(lambda state: state[FIRST].fill_(torch.nan)),
    ),
    "weights of another shape": Row(
        "predict model a.png",
        f"model/weights.safetensors: {FIRST} must have shape (4, 1, 3, 3), got (4, 1, 5, 5)",
        weights(lambda state: state.update({FIRST: torch.zeros(4, 1, 5, 5)})),
    ),
    "weights without a tensor": Row(
        "predict model a.png",
        f"model/weights.safetensors: its tensors do not fit the architecture: 1 missing (first: {FIRST})",
        weights(lambda state: state.pop(FIRST)),
    ),
    "weights that answer otherwise": Row(
        "predict model a.png",
        "model: the network does not answer as when it was saved (fingerprint differs)",
        weights(lambda state: state[FIRST].mul_(-1)),
    ),
    "pickle with code": Row(
        "describe zoo:digits_cnn --weights evil.pt",
        "evil.pt: is damaged, or holds Python objects besides tensors, which could run code; "
        "save the network's state_dict() instead",
        evil_pickle,
    ),
    "pickle of plain code": Row(
        "describe zoo:digits_cnn --weights evil.pth",
        "evil.pth: is damaged, or holds Python objects besides tensors*",
        written("evil.pth", pickle.dumps(Evil())),
    ),
    "weights of another kind": Row(
        "describe zoo:digits_cnn --weights a.png", "a.png: weights must be a .safetensors, .pt or .pth file"
    ),
    "weights file missing": Row("describe zoo:digits_cnn --weights w.pt", "w.pt: no such weights file"),
    "zoo without weights": Row(
        "describe zoo:digits_cnn",
        "zoo:digits_cnn has no weights of its own: give --weights FILE, or a folder with model.json",
    ),
    "unknown zoo name": Row(
        "describe zoo:mobilenet",
        "architecture must be one of the zoo's (pellucid zoo lists them), got 'mobilenet'; did "
        "you mean mobilenet_v1, lenet5, googlenet?",
    ),
    "unknown torchvision name": Row(
        "describe torchvision:resnet5O", "torchvision has no classifier 'resnet5O'; did you mean resnet50, *?"
    ),
    "unknown torchvision weights": Row(
        "describe torchvision:resnet18@V9", "torchvision:resnet18 has weights IMAGENET1K_V1, DEFAULT; got 'V9'"
    ),
    "unknown timm name": Row("describe timm:resnet5O@none", "timm has no model 'resnet5O'; did you mean *resnet50*?"),
    "user code is missing": Row(
        "describe nomodule:make", "nomodule:make failed: ModuleNotFoundError: No module named 'nomodule'"
    ),
    "user code has no such function": Row(
        "describe hostile_user:make",
        "hostile_user:make failed: AttributeError: module 'hostile_user' has no attribute 'make'",
        written("hostile_user.py", USER),
    ),
    "user code raises": Row(
        "describe hostile_user:broken",
        "hostile_user:broken failed: OSError: no GPU",
        written("hostile_user.py", USER),
    ),
    "user code returns a bare module": Row(
        "describe hostile_user:bare",
        "hostile_user:bare returned a bare Identity; return pellucid.models.Model(*), which says how to feed it",
        written("hostile_user.py", USER),
    ),
    # pictures
    "picture missing": Row("predict model b.png", "b.png: no such file or folder; did you mean a.png?"),
    "no picture": Row("predict model x.png", "x.png: not a picture of a known format", written("x.png", "text"), 1),
    "picture truncated": Row("predict model a.png", "a.png: damaged picture (*)", truncated("a.png", 70), 1),
    "picture empty": Row("predict model x.png", "x.png: not a picture of a known format", written("x.png", ""), 1),
    "picture is a folder of none": Row(
        "predict model empty", "no pictures under empty", lambda here: (here / "empty").mkdir()
    ),
    "bomb": Row("predict model bomb.png", "bomb.png: too many pixels to be safe (over *)", bomb, 1),
    "all pictures to explain unreadable": Row(
        "explain model x.png -o out",
        "none of the pictures could be read: x.png: not a picture of a known format",
        written("x.png", "text"),
    ),
    "zip corrupt": Row(
        "predict model x.zip", "x.zip: not a readable zip archive (File is not a zip file)", written("x.zip", "text")
    ),
    "zip encrypted": Row("predict model locked.zip", "no pictures under locked.zip*", encrypted),
    "pattern without match": Row("predict model *.jpeg", "*.jpeg: matches no file"),
    "name too long": Row(f"predict model {'x' * 300}.png", "xxx*: File name too long"),
    # labelled sets
    "set missing": Row("audit model sett -o out", "sett: no such file or folder; did you mean set?"),
    "set is a picture": Row("audit model a.png -o out", "a.png: must be a folder or a .zip of pictures"),
    "set without labels": Row(
        "audit model flat -o out",
        "flat: has no labels: an audit needs class folders or a labels.csv",
        lambda here: pictures(here / "flat", "1.png", "2.png"),
    ),
    "set empty": Row("audit model empty -o out", "empty: no pictures found", lambda here: (here / "empty").mkdir()),
    "set zip encrypted": Row(
        "audit model locked.zip -o out", "locked.zip: no pictures found (cat/1.png: is encrypted)", encrypted
    ),
    "set of unreadable pictures": Row(
        "audit model bad -o out",
        "bad: none of the 1 labelled images could be read: goldfish/1.png: not a picture of a known format",
        written("bad/goldfish/1.png", "text"),
    ),
    "labels.csv without a file column": Row(
        "audit model t -o out",
        "t/labels.csv: needs a column filename, path or file, has ['picture', 'wnid']",
        written("t/labels.csv", "picture,wnid\na.png,n1\n"),
    ),
    "labels.csv without a class column": Row(
        "audit model t -o out",
        "t/labels.csv: needs one of the columns class_index, class_name, wnid, name, has ['file', 'kind']",
        written("t/labels.csv", "file,kind\na.png,n1\n"),
    ),
    "labels.csv with a bad number": Row(
        "audit model t -o out",
        "t/labels.csv: line 2: class_index must be a whole number from 0, got '1.5'",
        lambda here: (pictures(here / "t", "a.png"), written("t/labels.csv", "file,class_index\na.png,1.5\n")(here)),
    ),
    "labels.csv not text": Row(
        "audit model t -o out", "t/labels.csv: not a CSV table in UTF-8 (*)", written("t/labels.csv", b"\xff\xfe\x00")
    ),
    "labels.csv empty": Row(
        "audit model t -o out", "t/labels.csv: needs a column *, has []", written("t/labels.csv", "")
    ),
    "labels.csv lists nothing there": Row(
        "audit model t -o out",
        "t: no pictures found (gone.png: listed in labels.csv, but not there)",
        written("t/labels.csv", "file,class_index\ngone.png,1\n"),
    ),
    "classes do not match": Row(
        "audit model pets -o out",
        "2 of 2 classes are not among the model's 6: 'cat', 'dog'; match them with --class-map FILE "
        "(CSV or JSON: class of the set, class of the model)",
        lambda here: pictures(here / "pets", "dog/1.png", "cat/1.png"),
    ),
    "class map of three columns": Row(
        "audit model set -o out --class-map m.csv",
        "m.csv: line 1: must have two columns, class of the set and class of the model",
        written("m.csv", "a,b,c\n"),
    ),
    "class map to nowhere": Row(
        "audit model set -o out --class-map m.json",
        "class map: 'cat' (for goldfish) is not a class of the model*",
        written("m.json", '{"goldfish": "cat"}'),
    ),
    "class map missing": Row("audit model set -o out --class-map m.csv", "m.csv: cannot be read as text (*)"),
    "unknown split": Row("audit model set -o out --split dev", "set: has no splits, got split 'dev'"),
    "unknown split of digits": Row(
        "audit model digits -o out --split dev", "split must be one of train, test, all, got 'dev'"
    ),
    "idx cut short": Row(
        "audit model idx -o out", "idx/t10k-images-idx3-ubyte: cut short, 100 of 128 bytes", idx_cut_short
    ),
    # options
    "unknown flag": Row(
        "predict model a.png --tpo 3",
        "unrecognized arguments: --tpo 3; did you mean --top, --json?; see pellucid predict --help",
    ),
    "nothing given": Row("audit", "missing: model, images, -o OUT; see pellucid audit --help"),
    "no whole number": Row(
        "predict model a.png --top many", "top must be a whole number, got many; see pellucid predict --help"
    ),
    "no whole number either": Row(
        "audit model set -o out --batch-size 1.5",
        "batch-size must be a whole number, got 1.5; see pellucid audit --help",
    ),
    "no number": Row(
        "audit model set -o out --fail-under x", "fail-under must be a number, got x; see pellucid audit --help"
    ),
    "neither true nor false": Row(
        "explain model a.png -o out --saliency.times-input 7",
        "saliency.times-input must be true or false, got 7; see pellucid explain --help",
    ),
    "top 0": Row("predict model a.png --top 0", "top must be in [1, 6], got 0"),
    "top too large": Row("predict model a.png --top 7", "top must be in [1, 6], got 7"),
    "batch size 0": Row("predict model a.png --batch-size 0", "batch_size must be at least 1, got 0"),
    "batch size 0 of an audit": Row("audit model set -o out --batch-size 0", "batch_size must be at least 1, got 0"),
    "workers -1": Row("audit model set -o out --workers -1", "workers must be at least 0, got -1"),
    "shown -1": Row("audit model set -o out --shown -1", "shown must be in [0, 100], got -1"),
    "bins 0": Row("audit model set -o out --bins 0", "bins must be in [1, 100], got 0"),
    "class level 0": Row("audit model set -o out --class-level 0", "class_level must be at least 1, got 0"),
    "fail-under 2": Row("audit model set -o out --fail-under 2", "fail-under must be in [0, 1], got 2.0"),
    "fail-under nan": Row("audit model set -o out --fail-under .nan", "fail-under must be in [0, 1], got nan"),
    "unknown method of an audit": Row(
        "audit model set -o out --methods saliency,gradcam",
        f"method must be one of {METHODS}, got 'gradcam'; did you mean grad_cam, cam, grad_cam_plus_plus, "
        "augmented_grad_cam, score_cam?",
    ),
    "unknown method": Row(
        "explain model a.png -o out --method occlude",
        f"method must be one of {METHODS}, got 'occlude'; did you mean occlusion?",
    ),
    "no method": Row("explain model a.png -o out --method ,", "method must be one of *, got ''"),
    "each:0": Row("explain model a.png -o out --target each:0", "target each:K needs K in 1..6, got 'each:0'"),
    "each:x": Row("explain model a.png -o out --target each:x", "target each:K needs K in 1..6, got 'each:x'"),
    "each:7": Row("explain model a.png -o out --target each:7", "target each:K needs K in 1..6, got 'each:7'"),
    "target no class": Row(
        "explain model a.png -o out --target godlfish",
        "'godlfish' is no class of the model (not in 0..5); did you mean goldfish?",
    ),
    "target number too large": Row(
        "explain model a.png -o out --target 6", "'6' is no class of the model (not in 0..5)"
    ),
    "target empty": Row("explain model a.png -o out --target ,", "target must name a class"),
    "target ambiguous": Row(
        "explain model a.png -o out --target crane",
        "'crane' names 2 classes, give one of the numbers [0, 2]",
        two_of_one_name,
    ),
    "unknown layer": Row("explain model a.png -o out --layer convs", "layer 'convs' is not part of the model"),
    "misspelt layer": Row(
        "explain model a.png -o out --layer 88", "layer '88' is not part of the model; did you mean 8?"
    ),
    "layer without maps": Row(
        "explain model a.png -o out --layer 12",
        "layer '12' puts out no maps (N, C, h, w) but (1, 6); try 8 (the deepest maps, 4x4), 3 (maps, 8x8)",
    ),
    "layer for no method": Row(
        "explain model a.png -o out --layer 8 --method saliency",
        "layer was given, but none of the methods looks at a layer",
    ),
    "window too large": Row(
        "explain model a.png -o out --method occlusion --occlusion.window 9", "window must be in [1, 8], got 9"
    ),
    "stride too large": Row(
        "explain model a.png -o out --method occlusion --occlusion.window 3 --occlusion.stride 4",
        "stride must be in [1, 3], got 4",
    ),
    "device unknown": Row("predict model a.png --device gpu", "device must be one of auto, cpu, cuda, mps, got 'gpu'*"),
    "device number unknown": Row("predict model a.png --device cpu:x", "device cpu:x cannot be used: *"),
    "input of no size": Row("describe model --input 3x0x5", "input must be CxHxW, such as 3x224x224, got '3x0x5'"),
    "input of two sides": Row("describe model --input 8x8", "input must be CxHxW, such as 3x224x224, got '8x8'"),
    "input of other channels": Row(
        "describe model --input 3x8x8", "the network does not take an image (3, 8, 8): layer '0' (Conv2d)*"
    ),
    "configuration missing": Row(
        "predict model a.png --config c.yaml",
        'Parser key "config": File does not exist: *; see pellucid predict --help',
    ),
    "configuration broken": Row(
        "predict model a.png --config c.yaml",
        "Problems parsing config: *; see pellucid predict --help",
        written("c.yaml", "{{{"),
    ),
    "configuration with an unknown key": Row(
        "predict model a.png --config c.yaml",
        "Option 'tpo' is not accepted; see pellucid predict --help",
        written("c.yaml", "tpo: 3\n"),
    ),
    "epochs 0": Row("demo -o out --epochs 0", "epochs must be at least 1, got 0"),
    # where to write
    "out is a file": Row("audit model set -o a.png", "a.png exists and is not a folder; choose another name"),
    "out is below a file": Row("audit model set -o a.png/out", "a.png/out cannot be made, for a.png is not a folder"),
    "out is here": Row("audit model set -o .", "output folder must have a name of its own, got '.'"),
    "out exists": Row(
        "audit model set -o set", "set exists already; choose another folder, or replace it with --force"
    ),
    "out is foreign": Row(
        "audit model set -o thesis --force",
        "thesis was not made by pellucid audit (it has no record.json of it); --force does not replace it",
        foreign,
    ),
    "out is foreign to explain": Row(
        "explain model a.png -o thesis --force",
        "thesis was not made by pellucid explain (it has no manifest.json of it); --force does not replace it",
        foreign,
    ),
    "out is the model": Row(
        "audit model set -o model --force",
        "model was not made by pellucid audit (it has no record.json of it); --force does not replace it",
    ),
    "out is foreign to the demo": Row(
        "demo -o thesis --force",
        "thesis was not made by pellucid demo (it has no record.json of it); --force does not replace it",
        foreign,
    ),
}


@pytest.fixture
def here(place: Path, model_folder: Path) -> Path:
    """The current folder: a model, a labelled set, a picture."""
    shutil.copytree(model_folder, place / "model")
    pictures(place / "set", "goldfish/1.png", "stingray/1.png")
    return pictures(place, "a.png")


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_is_refused_in_one_line(call: Call, here: Path, row: Row) -> None:
    row.make(here)
    before = content(here)
    said = call(*row.words.split())
    pattern = re.escape(f"pellucid: {row.told}").replace(r"\*", ".*") + "\n"
    assert re.fullmatch(pattern, said.err), said.err
    assert said.code == row.code
    assert said.out == ""
    left = {name for name in content(here) if "__pycache__" not in name}
    assert left == set(before)
    assert {name: text for name, text in content(here).items() if name in before} == before


@pytest.mark.parametrize("name", ["cuda", "cuda:1", "mps"])
def test_a_device_that_is_absent_is_refused(call: Call, here: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for module in ("torch.cuda", "torch.backends.mps"):
        monkeypatch.setattr(f"{module}.is_available", lambda: False)
    said = call("predict", "model", "a.png", "--device", name)
    assert (said.code, said.out) == (2, "")
    assert said.err == f"pellucid: device {name} is not available here; use --device cpu or auto\n"
    assert call("predict", "model", "a.png", "--device", "auto").code == 0


class Parsed(HTMLParser):
    """Elements, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_markup_in_names_is_text_in_the_page_and_escapes_stay_out_of_the_terminal(call: Call, place: Path) -> None:
    classes = ["<script>alert(1)</script>", "<s title='x'>&amp;</s>", "\x1b]0;title\x07/b"]
    files = ['"><img src=x onerror=alert(2)>.png', "'onmouseover=alert(3) '.png", "\x1b[31mred\x9b.png"]
    for name in classes:  # of two levels, for a slash ends a name
        pictures(place / "set" / name, *files)
    (place / "set" / classes[0] / "no.png").write_text("x")
    (place / "model").mkdir()
    models.save(models.create("digits_cnn", classes=classes, width=2), place / "model")
    said = call("audit", "model", "set", "-o", "out", "--class-level", "2")
    assert (said.code, said.err) == (0, "")
    assert all(letter.isprintable() or letter == "\n" for letter in said.out)
    page = (place / "out" / "index.html").read_text()
    parsed = Parsed(page)
    assert not {"script", "s"} & parsed.tags
    assert not [name for name, _ in parsed.attributes if name.startswith("on")]
    assert {value[:5] for name, value in parsed.attributes if name == "src" and value} == {"data:"}
    for name in classes[:2] + files[:2]:
        assert name in parsed.text
    assert "<script>alert(1)</script>/no.png: not a picture of a known format" in parsed.text
    assert json.loads((place / "out" / "summary.json").read_text())["images"] == 9
