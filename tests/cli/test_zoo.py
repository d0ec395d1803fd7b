"""pellucid zoo."""

import json
from importlib import resources
from pathlib import Path

import pytest
import torch

from pellucid import models

from .calling import Call


def test_part_of_a_name_lists_networks(call: Call) -> None:
    said = call("zoo", "mobilenet", "--size", "32")
    assert (said.code, said.err) == (0, "")
    rows = [line.split() for line in said.out.splitlines() if line.strip().startswith("mobilenet_v1")]
    assert rows == [["mobilenet_v1", "3x32x32", "10", "3,217,226", "46,354,432", "-"]]
    assert "none trained by us yet" in said.out
    assert "ms" not in said.out.split()


def test_a_whole_name_shows_its_layers_as_describe_does(call: Call) -> None:
    said = call("zoo", "lenet5", "--channels", "3", "--size", "28")
    assert (said.code, said.err) == (0, "")
    described = models.survey_one("lenet5", channels=3, size=28)
    assert f"weights                {described.weights:,} (" in said.out
    assert "conv2.0" in said.out
    spec = said.out.splitlines()[-1].split()[-1]
    assert spec == "zoo:lenet5@none,size=28,channels=3"
    assert models.load(spec).geometry.size == (28, 28)
    told = json.loads(call("zoo", "lenet5", "--json").out)
    assert told["weights"] == 61_706


def test_json_tells_what_was_left_out(call: Call) -> None:
    said = call("zoo", "alex", "--size", "32", "--json")
    told = json.loads(said.out)
    assert [one["name"] for one in told["networks"]] == ["alexnet"]
    assert told["networks"][0]["weights"] == 2_472_266
    assert [one["name"] for one in told["left_out"]] == ["alexnet_grouped"]
    assert told["time"] is None
    assert "left out       1 that do not take this" in call("zoo", "alex", "--size", "32").out


def test_time_is_told_with_its_threads(call: Call) -> None:
    before = torch.get_num_threads()
    said = call("zoo", "lenet5", "--time", "--threads", "1")
    assert (said.code, said.err) == (0, "")
    assert "ms             median of 5 forward passes of one image on the CPU, 1 thread\n" in said.out
    row = next(line.split() for line in said.out.splitlines() if line.strip().startswith("lenet5"))
    assert float(row[-2]) > 0
    assert torch.get_num_threads() == before


def test_the_page_draws_weights_as_long_as_nothing_was_measured(call: Call, place: Path) -> None:
    said = call("zoo", "vgg1", "--size", "32", "-o", "out")
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines()[-1] == f"page: {place / 'out' / 'index.html'}"
    assert {path.name for path in (place / "out").iterdir()} == {"index.html", "zoo.png", "record.json"}
    page = (place / "out" / "index.html").read_text()
    assert "No accuracies have been measured" in page
    assert "weights (log scale)" in page
    assert "<svg" in page
    assert page.count("9,225,610") == 1
    record = json.loads((place / "out" / "record.json").read_text())
    assert (record["command"], record["options"]["size"]) == ("zoo", 32)
    again = call("zoo", "vgg1", "-o", "out")
    assert (again.code, "exists already" in again.err) == (2, True)


def test_the_page_draws_accuracy_where_it_was_measured(
    call: Call, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [
        {"name": name, "size": 32, "data": "cifar10", "accuracy": share, "recipe": "aug", "epochs": 30, "seed": seed}
        for name, share in (("vgg11", 0.75), ("vgg16", 0.625))
        for seed in (0, 1)
    ]
    (place / "measured.json").write_text(json.dumps(runs))
    found = resources.files
    monkeypatch.setattr(resources, "files", lambda name: place if name == "pellucid.models.zoo" else found(name))
    said = call("zoo", "vgg1", "--size", "32", "-o", "out")
    assert (said.code, said.err) == (0, "")
    assert "75.00 % of cifar10 (aug, 30 epochs, mean of 2 seeds)" in said.out
    assert "a dash: not trained by us at this size" in said.out
    page = (place / "out" / "index.html").read_text()
    assert "accuracy on cifar10 (%)" in page
    assert "further up is better" in page
    assert ">vgg16<" in page.partition("<svg")[2].partition("</svg>")[0]
    assert ">vgg19<" not in page.partition("<svg")[2].partition("</svg>")[0], "not measured"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["resnet19x"],
            "no network of the zoo has 'resnet19x' in its name; pellucid zoo lists all; did you mean resnet1",
        ),
        (["lenet5", "--size", "224"], "lenet5 has no layout for 224 x 224 images"),
        (["lenet5", "--classes", "0"], "classes must be in [1, 1000000], got 0"),
        (["lenet", "--size", "large"], "size must be"),
        (["lenet", "--threads", "-1"], "threads must be in [0, 1024], got -1"),
    ],
)
def test_refuses(call: Call, words: list[str], message: str) -> None:
    said = call("zoo", *words)
    assert (said.code, said.out) == (2, "")
    assert message in said.err
