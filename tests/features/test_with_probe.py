"""A probe and its network as one model: it has the probe's scores, is smaller, can be saved, and differentiated."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pellucid import models
from pellucid.features import extract
from pellucid.features.normaliser import HOWS
from pellucid.features.probes import (
    KernelSVM,
    LinearSVM,
    LogisticRegression,
    MLPHead,
    NearestNeighbours,
    Probe,
    held_out,
    with_probe,
)
from pellucid.models import Model, find_head, with_head
from pellucid.models.cut import NORMALISED
from pellucid.models.layers import layers
from pellucid.models.probed import probe_of

from . import nets
from .blobs import overlapping

NAMES = ("red", "green", "blue", "black")
TARGETS = torch.tensor([1, 2, 3] * 6)
"""Label 0 does not occur."""


def named(spec: str = "zoo:resnet20@none,classes=4", seed: int = 0) -> Model:
    """A network that can be built by name, of random weights that tell images apart."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return models.load(spec)


def some(model: Model, count: int = 18, seed: int = 1) -> Tensor:
    channels = model.geometry.channels
    return torch.rand(count, channels, *model.geometry.size, generator=torch.Generator().manual_seed(seed))


def fitted(probe: Probe, model: Model, layer: str, pool: str = "auto", post: str = "none") -> tuple[Probe, Tensor]:
    """The probe, and what it says of other images."""
    rows, asked = (extract(model, some(model, seed=one), [layer], pool=pool, post=post)[layer] for one in (1, 2))
    probe.fit(rows, TARGETS)
    return probe, probe.scores(asked)


def again(model: Model, folder: Path) -> Model:
    models.save(model, folder)
    return models.load(folder)


PROBES: list[Callable[[str], Probe]] = [
    lambda how: LinearSVM(cost=10.0, normalise=how),
    lambda how: LogisticRegression(normalise=how),
    lambda how: MLPHead(first=6, second=5, dropout=0.1, epochs=1, normalise=how),
]


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("made", PROBES, ids=["svm", "logistic", "mlp"])
def test_it_answers_with_the_scores_also_when_it_was_saved(
    made: Callable[[str], Probe], how: str, tmp_path: Path
) -> None:
    model = named("zoo:digits_cnn@none,classes=10,width=4")
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    probe, scores = fitted(made(how), model, "8")
    found = with_probe(model, "8", probe, classes=NAMES)
    asked = some(model, seed=2)
    for one in (found, again(found, tmp_path / "model")):
        torch.testing.assert_close(one(asked), scores, rtol=1e-5, atol=1e-5)
        assert torch.equal(probe.classes_[one(asked).argmax(dim=1)], probe.predict(extract(model, asked, ["8"])["8"]))
        assert one.classes == ("green", "blue", "black")
        assert (one.geometry, one.training) == (model.geometry, False)
        torch.testing.assert_close(one.mean, model.mean)
    assert all(torch.equal(value, before[name]) for name, value in model.network.state_dict().items())
    assert type(model.network).__name__ == "_DigitsCNN"
    assert "probe" not in dict(model.network.named_children())
    assert set(NORMALISED) == set(HOWS)


@pytest.mark.parametrize(
    ("spec", "layer", "pool", "gone"),
    [
        ("torchvision:squeezenet1_1@none,num_classes=4", "features.5", "auto", "classifier"),
        ("torchvision:mobilenet_v2@none,num_classes=4,width_mult=0.1", "features.3", "grid2", "features.18"),
        ("torchvision:resnet18@none,num_classes=4", "layer1.1.relu", "max", "layer2"),  # it is called twice
        ("torchvision:resnet18@none,num_classes=4", "layer1.0.conv1", "gap", "layer1.1"),  # amid a block
        ("torchvision:densenet121@none,num_classes=4", "features.denseblock1", "auto", "features.denseblock2"),
        ("torchvision:googlenet@none,num_classes=4,aux_logits=0,init_weights=0", "inception3a", "auto", "inception4a"),
        ("zoo:resnet20@none,classes=4", "", "auto", ""),
        ("timm:test_vit@none,num_classes=4", "blocks.2", "class", "blocks.5"),
        ("timm:test_vit@none,num_classes=4", "blocks.0", "gap", "head"),
        ("timm:test_convnext@none,num_classes=4", "stages.1", "flat", "stages.3"),
    ],
)
def test_networks_of_every_house_are_left_early(spec: str, layer: str, pool: str, gone: str, tmp_path: Path) -> None:
    model = named(spec)
    if not layer:
        names = [one.name for one in layers(model) if "." not in one.name]
        layer, gone = names[len(names) // 2], names[-1]
    model.geometry = type(model.geometry)((64, 64) if "vit" not in spec else model.geometry.size)
    probe, scores = fitted(LinearSVM(), model, layer, pool)
    found = again(with_probe(model, layer, probe, pool=pool), tmp_path)
    torch.testing.assert_close(found(some(model, seed=2)), scores, rtol=1e-5, atol=1e-5)
    there = dict(found.network.named_modules())
    assert layer in there
    assert isinstance(there.get(gone, nn.Identity()), nn.Identity)
    own, whole = (sum(one.numel() for one in net.parameters()) for net in (found, model))
    assert own < whole
    reached = [one.name for one in layers(found)]
    assert reached[-4:] == ["probe.rows", "probe.normalise", "probe.head", "probe"]
    assert layer in reached


def test_nothing_behind_the_layer_is_run() -> None:
    model = named()
    names = [one.name for one in layers(model)]
    probe, _ = fitted(LinearSVM(), model, names[5])
    found = with_probe(model, names[5], probe)
    ran = []
    for name, module in found.network.named_modules():
        module.register_forward_hook(lambda *_call, name=name: ran.append(name))
    found(some(model))
    outer = [name for name in names if names[5].startswith(f"{name}.")]  # a sequence that ends in the layer ends too
    assert ran[: ran.index(names[5]) + 1] == names[:6]
    assert set(ran) <= {*names[:6], *outer, "", "probe", "probe.rows", "probe.normalise", "probe.head"}


def test_gradients_are_those_of_the_same_thing_written_out() -> None:
    model = nets.model()
    images = some(model).requires_grad_()
    for how, pool in (("l2", "gap"), ("standard", "max"), ("none", "flat")):
        probe, _ = fitted(LinearSVM(normalise=how), model, "2", pool)
        assert isinstance(probe, LinearSVM)
        found = with_probe(model, "2", probe, pool=pool)
        output = model.network[:3]((images - model.mean) / model.std)  # type: ignore[index]
        rows = {"gap": output.mean(dim=(2, 3)), "max": output.amax(dim=(2, 3)), "flat": output.flatten(1)}[pool]
        if how == "l2":
            rows = rows / rows.norm(dim=1, keepdim=True)
        if how == "standard":
            rows = (rows - probe.normaliser_.shift_) / probe.normaliser_.scale_
        wanted = rows @ probe.weight_.T + probe.bias_
        slopes = [torch.autograd.grad(one[:, 1].sum(), images)[0] for one in (found(images), wanted)]
        torch.testing.assert_close(found(images), wanted, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(*slopes, rtol=1e-4, atol=1e-6)
        assert slopes[0].abs().amax() > 0


def test_a_dark_row_has_finite_slopes() -> None:
    model = nets.model()
    probe, _ = fitted(LinearSVM(), model, "1")
    with torch.no_grad():
        model.network[0].weight.zero_()  # type: ignore[index]
        model.network[0].bias.fill_(-1.0)  # type: ignore[index]
    found = with_probe(model, "1", probe)
    images = some(model).requires_grad_()
    logits = found(images)
    torch.testing.assert_close(logits, probe.bias_.expand(18, -1))  # type: ignore[union-attr]
    assert torch.isfinite(torch.autograd.grad(logits.sum(), images)[0]).all()


def test_the_temperature_divides_the_scores() -> None:
    model = nets.model()
    for made in PROBES:
        probe, scores = fitted(made("l2"), model, "3")
        found = with_probe(model, "3", probe, temperature=0.25)
        torch.testing.assert_close(found(some(model, seed=2)) / 4, scores, rtol=1e-5, atol=1e-5)
        assert found.source["probe"] == {
            "kind": type(probe).__name__,
            "layer": "3",
            "pool": "auto",
            "post": "none",
            "temperature": 0.25,
        }
        assert found.build is None


def test_one_of_several_outputs_and_negative_values_cut() -> None:
    class Two(nn.Module):
        def forward(self, images: Tensor) -> dict[str, Tensor]:
            return {"plain": images[:, :, :3, :3], "turned": images[:, :, :3, :3].flip(2)}

    model = Model(nn.Sequential(nn.Identity(), Two()), mean=[0.5], std=[0.5], classes=["a"], size=6)
    model.network.append(nn.Module())  # type: ignore[operator]
    model.network[2].forward = lambda found: found["plain"].flatten(1)  # type: ignore[index]
    model.eval()
    probe, scores = fitted(LinearSVM(), model, "1[turned]", "flat", "relu")
    found = with_probe(model, "1[turned]", probe, pool="flat", post="relu")
    torch.testing.assert_close(found(some(model, seed=2)), scores, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("is_quiet", [False, True])
def test_a_network_that_asks_for_layers_without_calling_them_keeps_them(tmp_path: Path, is_quiet: bool) -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

        def forward(self, images: Tensor) -> Tensor:
            is_there = isinstance(self.last, nn.Linear)  # without it the network answers otherwise
            found = self.first(images * (2.0 if is_there else 1.0) if is_quiet else images * self.last.weight[0, 0])
            logits: Tensor = self.last(found.mean(dim=(2, 3)))
            return logits

    model = Model(Odd().eval(), mean=[0.5] * 3, std=[0.5] * 3, classes=["a", "b"], size=8)
    probe, scores = fitted(LinearSVM(), model, "first")
    found = with_probe(model, "first", probe)
    torch.testing.assert_close(found(some(model, seed=2)), scores, rtol=1e-5, atol=1e-5)
    assert isinstance(found.network.get_submodule("last"), nn.Linear)
    with pytest.raises(ValueError, match="can be saved only if it was built by name"):
        models.save(found, tmp_path)


def test_one_that_was_left_is_left_earlier(tmp_path: Path) -> None:
    model = named("torchvision:resnet18@none,num_classes=4")
    model.geometry = type(model.geometry)((64, 64))
    first = again(with_probe(model, "layer3.0.conv1", fitted(LinearSVM(), model, "layer3.0.conv1")[0]), tmp_path / "a")
    probe, scores = fitted(LogisticRegression(), first, "layer2")
    found = again(with_probe(first, "layer2", probe), tmp_path / "b")
    torch.testing.assert_close(found(some(model, seed=2)), scores, rtol=1e-5, atol=1e-5)
    straight = with_probe(model, "layer2", probe)
    assert found.build is not None
    assert straight.build is not None
    assert set(found.build[1]["probe"]["without"]) == set(straight.build[1]["probe"]["without"])
    with pytest.raises(ValueError, match=r"layer must lie before the probe .*, got 'probe\.normalise'"):
        with_probe(first, "probe.normalise", fitted(LinearSVM(), first, "probe.normalise")[0])


def test_its_head_can_be_exchanged(tmp_path: Path) -> None:
    model = named("zoo:digits_cnn@none,classes=10,width=4")
    found = with_probe(model, "8", fitted(MLPHead(first=6, second=5, epochs=1), model, "8")[0])
    assert find_head(found) == "probe.head"
    for kind in ("linear", "mlp", "dropout"):
        other = with_head(found, ["yes", "no"], head=kind)
        assert other(some(model)).shape == (18, 2)
        torch.testing.assert_close(again(other, tmp_path / kind)(some(model)), other(some(model)))
        torch.testing.assert_close(
            extract(other, some(model), ["probe.normalise"])["probe.normalise"],
            extract(found, some(model), ["probe.normalise"])["probe.normalise"],
        )
    with pytest.raises(
        ValueError, match=r"head_at must be probe\.head in a network that goes on with a probe, got '8'"
    ):
        with_head(found, ["yes", "no"], head_at="8")


def test_the_random_state_stays() -> None:
    model = nets.model()
    probe, _ = fitted(LinearSVM(), model, "3")
    torch.manual_seed(3)
    state = torch.get_rng_state()
    with_probe(model, "3", probe)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer": "33"}, "layer '33' is not part of the model"),
        ({"layer": "2"}, "features must have the 8 columns the probe was fitted on, got 32"),
        ({"pool": "mean"}, "pool must be one of"),
        ({"post": "abs"}, "post must be one of none, relu, got 'abs'"),
        ({"temperature": 0.0}, "temperature must be positive and finite, got 0.0"),
        ({"classes": ("a", "b")}, "classes must name every label of the probe, got 2 names and label 2"),
        ({"probe": LinearSVM()}, "LinearSVM must be fitted first"),
        (
            {"probe": KernelSVM()},
            "probe must be a LinearSVM, LogisticRegression or MLPHead, .*, got KernelSVM: keep it",
        ),
        ({"probe": NearestNeighbours()}, "got NearestNeighbours"),
        ({"model": nets.small()}, "model must be a pellucid.models.Model, got Sequential"),
    ],
)
def test_refuses(change: dict[str, Any], message: str) -> None:
    model = nets.model()
    probe, _ = fitted(LinearSVM(), model, "2", "gap")
    told = {"model": model, "layer": "2", "probe": probe, "pool": "gap", **change}
    if change == {"layer": "2"}:
        told["pool"] = "grid2"
    with pytest.raises(ValueError, match=message):
        with_probe(told.pop("model"), told.pop("layer"), told.pop("probe"), **told)


def test_refuses_other_sizes_scripts_and_a_layer_of_its_own() -> None:
    model = nets.model()
    probe, _ = fitted(LinearSVM(), model, "2", "flat")
    found = with_probe(model, "2", probe, pool="flat")
    with pytest.raises(ValueError, match="images must give rows of the 72 values that the probe knows, got 200"):
        found(torch.rand(1, 3, 12, 12))
    model.network.probe = nn.Identity().eval()
    with pytest.raises(ValueError, match="the network has a 'probe' of its own, and cannot be left behind a layer"):
        with_probe(model, "2", probe, pool="flat")


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"kind": "svm"}, "probe: unknown key 'kind'"),
        ({"head": "os.system"}, "probe: head must be one of linear, mlp, dropout, got 'os.system'"),
        ({"head": "mlp"}, "probe: key 'first' is missing"),
        ({"head": "mlp", "first": 2**20, "second": 2**20, "dropout": 0.1}, "at most 2,147,483,648 weights"),
        ({"inputs": 2**40}, "a layer of the head must have at most"),
        ({"inputs": "8"}, "probe: inputs must be a whole number, got '8'"),
        ({"inputs": True}, "probe: inputs must be a whole number, got True"),
        ({"classes": 0}, "probe: classes must be at least 1, got 0"),
        ({"classes": 4}, "must have shape"),
        ({"at": "features.99"}, "probe: at must name a layer of the network, got 'features.99'"),
        ({"at": "__class__"}, "probe: at must name a layer"),
        ({"at": ""}, "probe: at must name a layer"),
        ({"at": "3"}, "without must not name|missing|unknown|values that the probe knows|fingerprint differs"),
        ({"at": "12"}, "without must not name the layer '12'"),
        ({"calls": 7}, "layer '8' must be called 7 times in a pass, got 1"),
        ({"calls": 0}, "probe: calls must be at least 1"),
        ({"without": "8"}, "probe: without must be a list of words, got '8'"),
        ({"without": ["8"]}, "without must not name the layer '8'"),
        ({"without": ["nine"]}, "probe: without must name a layer of the network, got 'nine'"),
        ({"without": ["9", "9"]}, "without must name each layer once, got '9' twice"),
        ({"without": []}, "missing"),
        ({"without": ["9", "9.0"]}, "without must name no layer within another that it names, got '9.0'"),
        ({"pool": "mean"}, "probe: pool must be one of"),
        ({"pool": "flat"}, "values that the probe knows"),
        ({"post": 3}, "probe: post must be a word, got 3"),
        ({"normalise": "l3"}, "probe: normalise must be one of none, l2, standard, minmax, got 'l3'"),
        ({"normalise": "standard"}, "missing"),
        ({"normalise": "none"}, "fingerprint differs"),
        (None, "probe must be an object, got None"),
        ([], r"probe must be an object, got \[\]"),
    ],
)
def test_a_file_that_tells_otherwise_is_refused(
    told: dict[str, Any] | None, message: str, saved: Path, tmp_path: Path
) -> None:
    said = json.loads((saved / "model.json").read_text())
    said["arguments"]["probe"] = {**said["arguments"]["probe"], **told} if isinstance(told, dict) else told
    (tmp_path / "model.json").write_text(json.dumps(said))
    (tmp_path / "weights.safetensors").write_bytes((saved / "weights.safetensors").read_bytes())
    with pytest.raises(ValueError, match=message) as caught:
        models.load(tmp_path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = named("zoo:digits_cnn@none,classes=10,width=4")
    folder = tmp_path_factory.mktemp("saved")
    models.save(with_probe(model, "8", fitted(LinearSVM(), model, "8")[0]), folder)
    return folder


def test_a_small_part_of_a_large_network_can_be_read(tmp_path: Path) -> None:
    model = named("torchvision:alexnet@none")
    probe, _ = fitted(LinearSVM(), model, "features.0")
    found = again(with_probe(model, "features.0", probe), tmp_path)
    size = (tmp_path / "weights.safetensors").stat().st_size
    assert size < sum(one.numel() for one in model.parameters()) / 100  # less than a byte a weight of the whole
    assert probe_of(found.network) is not None


def test_a_giant_keeps_its_weights_where_no_file_could_be_read_without(monkeypatch: pytest.MonkeyPatch) -> None:
    from pellucid.models import leave

    monkeypatch.setattr(leave, "MOST_WHOLE", 100)
    model = named("zoo:digits_cnn@none,classes=10,width=4")
    found = with_probe(model, "1", fitted(LinearSVM(), model, "1")[0])
    assert found.build is not None
    assert found.build[1]["probe"]["without"] == []


def test_held_out_scores_are_of_probes_that_did_not_see_the_row() -> None:
    from pellucid.data import k_folds

    rows, targets = overlapping()
    splits = k_folds(targets, folds=3)
    found = held_out(LinearSVM(cost=3.0), rows, targets + 4, splits=splits)
    assert found.rows.sort().values.tolist() == list(range(120))
    for fold in splits:
        probe = LinearSVM(cost=3.0).fit(rows[fold.train], targets[fold.train])
        places = torch.isin(found.rows, fold.held)
        torch.testing.assert_close(found.scores[places], probe.scores(rows[found.rows[places]]))
        assert torch.equal(found.targets[places], targets[found.rows[places]])
    with pytest.raises(ValueError, match="splits must hold a fold whose training rows have every class, got none"):
        held_out(LinearSVM(), rows, targets, splits=[type(splits[0])(torch.arange(2), torch.arange(2, 9))])


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "layer", "share"), [("mobilenet_v2", "features.14", 0.21), ("squeezenet1_1", "features.8", 0.32)]
)
def test_of_a_real_network_a_part_is_kept(
    name: str, layer: str, share: float, weights_folder: Path, tmp_path: Path
) -> None:
    model = models.load(weights_folder / name)
    probe, scores = fitted(LinearSVM(), model, layer)
    found = again(with_probe(model, layer, probe), tmp_path)
    torch.testing.assert_close(found(some(model, seed=2)), scores, rtol=1e-5, atol=1e-5)
    own, whole = (sum(one.numel() for one in net.parameters()) for net in (found, model))
    assert own / whole < share
    assert models.describe(found).macs < models.describe(model).macs
