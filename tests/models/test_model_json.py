"""Model folders: what was saved comes back, and nothing that a hostile model.json says is believed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from pellucid.files import write_json
from pellucid.models import Model, create, is_model_folder, load, save, weights_hash
from pellucid.models._model_json import build
from pellucid.models.weights import sha256

Told = dict[str, Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small trained net, saved."""
    torch.manual_seed(0)
    model = create("digits_cnn", classes=["zero", "one", "two"], width=2).eval()
    (tmp_path / "digits").mkdir()
    save(model, tmp_path / "digits", record={"seed": 0})
    return tmp_path / "digits"


def rewrite(folder: Path, change: Callable[[Told], object]) -> None:
    told = json.loads((folder / "model.json").read_text())
    change(told)
    (folder / "model.json").write_text(json.dumps(told))


def refused(folder: Path, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    torch.manual_seed(1)
    for name, classes in (("digits_cnn", ["a", "b"]), ("mobilenet_v1", ["a", "b"])):
        before = create(name, classes=classes, width=2 if name == "digits_cnn" else 0.05).eval()
        (tmp_path / name).mkdir()
        save(before, tmp_path / name)
        after = load(tmp_path / name)
        images = torch.rand(2, before.geometry.channels, 32, 32)
        torch.testing.assert_close(after(images), before(images))
        assert (after.geometry, after.classes, after.build) == (before.geometry, before.classes, before.build)
        assert not after.training
        assert after.source["hash"] == weights_hash(before.network)


def test_a_torchvision_net_comes_back_with_its_names_and_frame(tmp_path: Path) -> None:
    before = load("torchvision:squeezenet1_1@none")
    save(before, tmp_path)
    after = load(tmp_path)
    images = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(after(images), before(images))
    assert (after.geometry, after.classes, after.class_ids) == (before.geometry, before.classes, before.class_ids)
    assert after.source["hash"] == before.source["hash"]


def test_a_timm_net_comes_back(tmp_path: Path) -> None:
    before = load("timm:test_vit@none")
    save(before, tmp_path)
    after = load(tmp_path)
    images = torch.rand(1, 3, *before.geometry.size)
    torch.testing.assert_close(after(images), before(images))
    assert after.geometry == before.geometry


def test_every_part_of_the_frame_comes_back(tmp_path: Path) -> None:
    made = create("digits_cnn", classes=["a", "b"], width=1)
    before = Model(
        made.network,
        mean=[0.25],
        std=[2.0],
        classes=["a", "b"],
        class_ids=["n1", "n2"],
        size=(8, 6),
        resize=(10, 9),
        interpolation="lanczos",
        build=made.build,
    )
    save(before, tmp_path)
    after = load(tmp_path)
    assert after.geometry == before.geometry
    assert (after.class_ids, after.mean.item(), after.std.item()) == (("n1", "n2"), 0.25, 2.0)


def test_a_model_saved_in_training_answers_as_in_eval_and_stays_in_training(tmp_path: Path) -> None:
    model = create("digits_cnn", classes=["a", "b"], dropout=0.9)
    model.get_submodule("network.2").eval()
    save(model, tmp_path)
    assert [module.training for module in model.network.children()] == [True, True, False, *[True] * 10]
    assert not load(tmp_path).training


def test_a_network_without_a_name_cannot_be_saved(tmp_path: Path) -> None:
    model = Model(nn.Flatten(), mean=[0.0], std=[1.0], classes=["a"], size=1)
    with pytest.raises(ValueError, match="can be saved only if it was built by name"):
        save(model, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_known_by_its_model_json(folder: Path) -> None:
    assert is_model_folder(folder)
    assert not is_model_folder(folder.parent)
    with pytest.raises(ValueError, match=r"is not a model \(the folder has no model.json\)"):
        load(folder.parent)


def tamper(folder: Path, *, hash_too: bool) -> None:
    path = folder / "weights.safetensors"
    state = load_file(path)
    state["12.weight"][0, 1] += 1
    save_file(state, path)
    if hash_too:
        rewrite(folder, lambda told: told["weights"].update(sha256=sha256(path)))


def test_a_changed_weight_is_found_by_the_hash(folder: Path) -> None:
    tamper(folder, hash_too=False)
    refused(folder, "weights.safetensors: its sha256 is not the one in model.json: damaged, or replaced")


def test_a_changed_weight_with_its_hash_is_found_by_the_fingerprint(folder: Path) -> None:
    tamper(folder, hash_too=True)
    refused(folder, r"the network does not answer as when it was saved \(fingerprint differs\)")


def test_another_normalisation_is_found_by_the_fingerprint(folder: Path) -> None:
    rewrite(folder, lambda told: told["input"].update(mean=[0.9]))
    refused(folder, r"fingerprint differs")


@pytest.mark.parametrize(
    "fingerprint",
    [
        {},
        {"input": "ramp-v2", "logits_first8": [0.0], "tolerance": 1e-3},
        {"input": "ramp-v1", "logits_first8": "none", "tolerance": 1e-3},
        {"input": "ramp-v1", "logits_first8": [float("nan")] * 3, "tolerance": 1e-3},
        {"input": "ramp-v1", "logits_first8": [0.0] * 3, "tolerance": float("nan")},
        {"input": "ramp-v1", "logits_first8": [0.0] * 3, "tolerance": 1e9},
        {"input": "ramp-v1", "logits_first8": [0.0] * 3, "tolerance": -1},
        {"input": "ramp-v1", "logits_first8": [0.0] * 3, "tolerance": 1e-3, "skip": True},
    ],
)
def test_a_fingerprint_that_could_not_fail_is_refused(folder: Path, fingerprint: Told) -> None:
    rewrite(folder, lambda told: told.update(fingerprint=fingerprint))
    refused(folder, r"fingerprint must give input ramp-v1, logits_first8, tolerance in \(0, 1\]")


def test_a_fingerprint_of_another_length_is_refused(folder: Path) -> None:
    rewrite(folder, lambda told: told["fingerprint"].update(logits_first8=[]))
    refused(folder, "fingerprint differs")


def test_without_the_optional_keys_it_loads(folder: Path) -> None:
    def strip(told: Told) -> None:
        for key in ("class_ids", "fingerprint", "record"):
            del told[key]

    rewrite(folder, strip)
    assert load(folder).classes == ("zero", "one", "two")


@pytest.mark.parametrize("key", ["format", "architecture", "arguments", "input", "classes", "weights"])
def test_a_missing_key_is_named(folder: Path, key: str) -> None:
    rewrite(folder, lambda told: told.pop(key))
    refused(folder, f"model.json: key '{key}' is missing")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", "1", "format must be of type int, got str"),
        ("format", 2, "format must be 1, got 2"),
        ("architecture", ["digits_cnn"], "architecture must be of type str, got list"),
        ("arguments", [], "arguments must be of type dict, got list"),
        ("input", None, "input must be of type dict, got NoneType"),
        ("classes", "abc", "classes must be of type list, got str"),
        ("classes", [1, 2, 3], "classes and class_ids must be lists of strings"),
        ("classes", [], "classes must be a list of at least one name"),
        ("class_ids", {}, "class_ids must be of type list, got dict"),
        ("class_ids", ["n1"], r"class_ids must be as many as classes \(3\), got 1"),
        ("weights", "w.safetensors", "weights must be of type dict, got str"),
        ("fingerprint", None, "fingerprint must be of type dict, got NoneType"),
        ("record", 7, "record must be of type dict, got int"),
        ("clases", [], "unknown key 'clases'; did you mean classes"),
        ("__reduce__", "os.system", "unknown key '__reduce__'"),
    ],
)
def test_a_wrong_type_or_an_unknown_key_is_named(folder: Path, key: str, value: object, message: str) -> None:
    rewrite(folder, lambda told: told.update({key: value}))
    refused(folder, f"model.json: {message}")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("size", [8], "input must give size"),
        ("size", [8, "8"], "input must give size"),
        ("size", [8.5, 8], "input must give size"),
        ("size", [8, float("nan")], "input must give size"),
        ("size", [8, float("inf")], "input must give size"),
        ("size", [True, 8], "input must give size"),
        ("size", [10**9, 10**9], "input must give size"),
        ("size", [-8, 8], "input must give size"),
        ("mean", 0.5, "input must give size"),
        ("mean", ["0.5"], "input must give size"),
        ("mean", [float("nan")], "input must give size"),
        ("std", [10**400], "input must give size"),
        ("std", [0], "mean must be finite and std positive"),
        ("std", [1, 1], "mean and std must have one number a channel, got 1 and 2"),
        ("channels", 3, "input: mean must have 3 numbers, one a channel, got 1"),
        ("channels", "one", "input: mean must have one numbers, one a channel, got 1"),
        (
            "size",
            [16384, 16384],
            "input: size must leave an image at most 33,554,432 values, got 1 x 16384 x 16384",
        ),
        ("crop", 7, r"input: crop must equal size \[8, 8\], got 7"),
        ("crop", {}, r"input: crop must equal size \[8, 8\], got {}"),
        ("resize", "big", "input: resize must be a whole number or"),
        ("resize", True, "input: resize must be a whole number or"),
        ("resize", [9.5, 9], "input: resize must be a whole number or"),
        ("resize", 10**12, r"input: resize must be a whole number or \[H, W\], up to 16384, got 1000000000000"),
        ("resize", 7, r"resize must not be smaller than the crop \(8, 8\), got 7"),
        ("interpolation", "magic", "interpolation must be one of nearest, bilinear, bicubic, lanczos, got 'magic'"),
        ("interpolation", None, "interpolation must be one of"),
        ("sise", [8, 8], "input: unknown key 'sise'; did you mean size, resize"),
    ],
)
def test_a_wrong_input_is_named(folder: Path, key: str, value: object, message: str) -> None:
    rewrite(folder, lambda told: told["input"].update({key: value}))
    refused(folder, f"model.json: {message}")


@pytest.mark.parametrize(
    ("architecture", "arguments", "message"),
    [
        ("os:system", {}, "architecture must be a name of the zoo, torchvision:NAME or timm:NAME, got 'os:system'"),
        ("torchvision:os:system", {}, "architecture must be a name of the zoo, torchvision:NAME or timm:NAME"),
        ("builtins.eval", {"classes": 3}, r"architecture must be one of the zoo's \(.*\), got 'builtins.eval'"),
        ("build", {"classes": 3}, r"architecture must be one of the zoo's \(.*\), got 'build'"),
        ("__import__", {"classes": 3}, "architecture must be one of"),
        ("", {"classes": 3}, "architecture must be one of"),
        ("digits_cn", {"classes": 3}, "architecture must be one of .*did you mean digits_cnn"),
        ("from_torchvision", {"classes": 3}, "architecture must be one of"),
        ("digits_cnn", {"classes": 3, "size": 10**9}, r"size must be in \[1, 16384\], got 1000000000"),
        ("resnet_cifar", {"classes": 3, "depth": 6 * 10**9 + 2}, r"depth must be in \[8, 1202\]"),
        ("resnet18", {"classes": 3, "zero_gamma": "yes"}, "zero_gamma must be true or false, got 'yes'"),
        ("digits_cnn", {}, "arguments of digits_cnn must give classes, a whole number"),
        ("digits_cnn", {"classes": "3"}, "classes must be a whole number, got '3'"),
        ("digits_cnn", {"classes": 10**12}, r"classes must be in \[1, 1000000\], got 1000000000000"),
        ("digits_cnn", {"classes": 10**6}, "the network has more parameters than its weights file can hold"),
        ("digits_cnn", {"classes": 3, "width": 1e9}, "width must be a whole number, got 1000000000.0"),
        ("digits_cnn", {"classes": 3, "name": "os"}, "digits_cnn has no argument 'name'"),
        ("mobilenet_v1", {"classes": 3, "width": 1e9}, r"width must be in \[0.05, 4\], got 1000000000.0"),
        ("torchvision:resnet19", {}, "torchvision model must be one of .*got 'resnet19'; did you mean"),
        ("torchvision:fasterrcnn_resnet50_fpn", {}, "torchvision model must be one of"),
        ("torchvision:resnet18", {"weights": "DEFAULT"}, "torchvision:resnet18: argument 'weights' is not allowed"),
        ("torchvision:resnet18", {"num_classes": 10**12}, "torchvision:resnet18: "),
        ("torchvision:resnet18", {"num_classes": 10**7}, "torchvision:resnet18: .*weights file can hold"),
        ("torchvision:resnet18", {"widht": 3}, "torchvision:resnet18: .*unexpected keyword argument 'widht'"),
        ("torchvision:resnet18", {"name": "vgg16"}, "torchvision:resnet18: .*multiple values"),
        ("timm:resnet19", {}, "timm has no model 'resnet19'; did you mean resnet"),
        ("timm:hf_hub:someone/net", {}, "architecture must be a name of the zoo"),
        ("timm:test_vit", {"pretrained": True}, "timm:test_vit: argument 'pretrained' is not allowed"),
        (
            "timm:test_vit",
            {"checkpoint_path": "/etc/passwd"},
            "timm:test_vit: argument 'checkpoint_path' is not allowed",
        ),
        ("timm:test_vit", {"pretrained_cfg": {}}, "timm:test_vit: argument 'pretrained_cfg' is not allowed"),
        ("timm:test_vit", {"embed_dim": "wide"}, "timm:test_vit: "),
    ],
)
def test_an_architecture_is_a_name_of_a_list_and_no_code(
    folder: Path, architecture: str, arguments: Told, message: str
) -> None:
    rewrite(folder, lambda told: told.update(architecture=architecture, arguments=arguments))
    refused(folder, f"model.json: {message}")


def test_a_name_given_as_an_argument_is_a_word_and_no_function() -> None:
    with pytest.raises(ValueError, match="torchvision:resnet18: 'str' object is not callable"):
        build("torchvision:resnet18", {"norm_layer": "os.system"})


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            {"file": "../weights.safetensors"},
            r"weights file must be a .safetensors file in this folder, got '../weights",
        ),
        ({"file": "/etc/passwd"}, "weights file must be a .safetensors file in this folder, got '/etc/passwd'"),
        ({"file": "model.json"}, "weights file must be a .safetensors file in this folder"),
        ({"file": "weights.pt"}, "weights file must be a .safetensors file in this folder, got 'weights.pt'"),
        ({"file": "a\\..\\b.safetensors"}, "the weights file is missing"),
        ({"file": "other.safetensors"}, "other.safetensors: the weights file is missing"),
        ({"file": 3}, "weights must give file and sha256, nothing else"),
        ({"sha256": None}, "weights must give file and sha256, nothing else"),
        ({"url": "http://example.org"}, "weights must give file and sha256, nothing else"),
        ({"sha256": "0" * 64}, "its sha256 is not the one in model.json"),
    ],
)
def test_a_wrong_weights_entry_is_named(folder: Path, weights: Told, message: str) -> None:
    rewrite(folder, lambda told: told["weights"].update(weights))
    refused(folder, message)


def test_a_hash_in_capitals_is_the_same_hash(folder: Path) -> None:
    rewrite(folder, lambda told: told["weights"].update(sha256=told["weights"]["sha256"].upper()))
    assert load(folder).classes == ("zero", "one", "two")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "not readable JSON"),
        (b"", "not readable JSON"),
        (b"[" * 200_000, "not readable JSON .*recursion"),
        (b'{"a":' * 200_000, "not readable JSON .*recursion"),
        (b"\xff\xfe{}", "not readable JSON"),
        (b"[]", "must be a JSON object"),
        (b'{"format": ' + b"9" * 10_000 + b"}", "not readable JSON"),
    ],
)
def test_a_broken_model_json_is_refused(folder: Path, content: bytes, message: str) -> None:
    (folder / "model.json").write_bytes(content)
    refused(folder, f"model.json: {message}")


def test_a_huge_model_json_is_not_read(folder: Path) -> None:
    with (folder / "model.json").open("ab") as file:
        file.truncate(65 * 2**20)
    refused(folder, "model.json: not readable JSON .larger than 64 MiB")


def test_half_precision_weights_are_widened(folder: Path) -> None:
    before = load(folder)
    path = folder / "weights.safetensors"
    save_file({key: value.half() for key, value in load_file(path).items()}, path)
    rewrite(folder, lambda told: told["weights"].update(sha256=sha256(path)))
    after = load(folder)
    assert {p.dtype for p in after.parameters()} == {torch.float32}
    images = torch.rand(2, 1, 8, 8)
    torch.testing.assert_close(after(images), before(images), rtol=0, atol=2e-3)


def test_weights_of_another_architecture_are_refused(folder: Path) -> None:
    rewrite(folder, lambda told: told["arguments"].update(width=1))
    refused(folder, r"weights.safetensors: 0.bias must have shape \(1,\), got \(2,\)")


def test_a_network_that_its_name_does_not_build_is_not_written(tmp_path: Path) -> None:
    model = load("torchvision:squeezenet1_1@none")
    model.network.get_submodule("classifier").register_module("1", nn.Conv2d(512, 10, 1))
    message = (
        r"the network is not the one that torchvision:squeezenet1_1 builds: classifier.1.weight must have shape "
        r"\(1000, 512, 1, 1\), got \(10, 512, 1, 1\); load it with the arguments"
    )
    with pytest.raises(ValueError, match=message):
        save(model, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_network_that_cannot_be_built_without_memory_is_saved_and_draws_no_numbers(tmp_path: Path) -> None:
    model = load("torchvision:regnet_y_400mf@none,num_classes=3")
    state = torch.random.get_rng_state()
    save(model, tmp_path)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert load(tmp_path).classes == ("0", "1", "2")


def test_the_folder_is_made_also_from_its_name(tmp_path: Path) -> None:
    save(create("digits_cnn", classes=["a", "b"], width=1), str(tmp_path / "new" / "model"))
    assert sorted(file.name for file in (tmp_path / "new" / "model").iterdir()) == ["model.json", "weights.safetensors"]


@pytest.mark.parametrize("stopped_at", [1, 2, 3])
def test_a_save_that_is_stopped_leaves_the_model_before(
    folder: Path, monkeypatch: pytest.MonkeyPatch, stopped_at: int
) -> None:
    before = load(folder).source["hash"]
    steps = []

    def stop(name: str, kept: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **options: Any) -> Any:
            steps.append(name)
            if len(steps) == stopped_at:
                raise KeyboardInterrupt
            return kept(*args, **options)

        return step

    monkeypatch.setattr("pellucid.models._folder.write_json", stop("write", write_json))
    monkeypatch.setattr(Path, "replace", stop("replace", Path.replace))
    with pytest.raises(KeyboardInterrupt):
        save(create("digits_cnn", classes=["a", "b"], width=2), folder)
    monkeypatch.undo()
    assert len(steps) == stopped_at
    assert load(folder).source["hash"] == before
    assert not [*folder.glob(".*")]


def test_saving_again_replaces_the_model_and_its_weights(folder: Path) -> None:
    (folder / "weights_of_mine.safetensors").write_bytes(b"")
    for _ in range(2):
        new = create("digits_cnn", classes=["a", "b"], width=2)
        save(new, folder)
        assert load(folder).source["hash"] == weights_hash(new.network)
        assert len([*folder.iterdir()]) == 3
