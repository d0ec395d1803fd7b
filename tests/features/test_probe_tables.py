"""Layers and origins side by side."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pellucid.data import open_images
from pellucid.features import Column, Store, compare_layers, compare_origins
from pellucid.features.probes import (
    PIXELS,
    LinearSVM,
    NearestNeighbours,
    RawPixels,
    grid_search,
    origin_rows,
    random_network,
)
from pellucid.metrics import proportion
from pellucid.models import Model

from .blobs import overlapping
from .nets import model, some_images, write_pictures

TRAIN = {name: overlapping(dimension=size, spread=2.0)[0] for name, size in (("fc1", 12), ("fc2", 30))}
TEST = {name: overlapping(count=60, dimension=size, spread=2.0)[0] for name, size in (("fc1", 12), ("fc2", 30))}
TARGETS, TEST_TARGETS = torch.arange(120) % 3, torch.arange(60) % 3


def test_a_line_a_layer() -> None:
    found = compare_layers(LinearSVM(), TRAIN, TARGETS, TEST, TEST_TARGETS, costs=(0.1, 1, 10))
    assert [(one.layer, one.dimension) for one in found] == [("fc1", 12), ("fc2", 30)]
    for one in found:
        search = grid_search(LinearSVM(), TRAIN[one.layer], TARGETS, costs=(0.1, 1, 10))
        assert (one.cost, one.validation) == (search.cost, search.score)
        assert one.test == share(search.probe, one.layer)
        assert one.raw == share(LinearSVM(normalise="none").fit(TRAIN[one.layer], TARGETS), one.layer)
        assert one.normalised == share(LinearSVM().fit(TRAIN[one.layer], TARGETS), one.layer)
        assert one.normalise == "l2"
        assert one.seconds > 0


def share(probe: object, layer: str) -> object:
    hits = probe.predict(TEST[layer]) == TEST_TARGETS  # type: ignore[attr-defined]
    return proportion(int(hits.sum()), 60)


def test_a_probe_without_cost_and_no_test() -> None:
    (one,) = compare_layers(NearestNeighbours(), {"fc1": TRAIN["fc1"].numpy()}, TARGETS)
    assert (one.cost, one.validation, one.search, one.raw, one.normalised, one.test) == (None,) * 6
    assert torch.equal(one.probe.predict(TRAIN["fc1"]), TARGETS)


def test_what_is_wrong_is_told_with_its_layer() -> None:
    bad = {**TRAIN, "fc2": TRAIN["fc2"].clone()}
    bad["fc2"][17, 3] = torch.nan
    with pytest.raises(ValueError, match="layer 'fc2': features must be finite, got nan in row 17"):
        compare_layers(LinearSVM(), bad, TARGETS, costs=(1,))
    with pytest.raises(ValueError, match=r"train and test must hold the same layers, .* got fc1, fc2 and fc1"):
        compare_layers(LinearSVM(), TRAIN, TARGETS, {"fc1": TEST["fc1"]}, TEST_TARGETS)
    with pytest.raises(ValueError, match="must be given together"):
        compare_layers(LinearSVM(), TRAIN, TARGETS, TEST)
    with pytest.raises(ValueError, match=r"layer 'fc1': targets must have shape \(60,\)"):
        compare_layers(LinearSVM(), TRAIN, TARGETS, TEST, TARGETS)


def test_origins_are_scored_by_their_neighbours() -> None:
    rows, targets = overlapping(spread=0.5)
    asked, wanted = overlapping(count=60, spread=0.5)
    noise = torch.Generator().manual_seed(9)
    random = [(torch.randn(120, 4, generator=noise), torch.randn(60, 4, generator=noise)) for _ in range(3)]
    good, bad = compare_origins({"pretrained": [(rows, asked)], "random": random}, targets, wanted)
    assert good.accuracy > 0.9
    assert bad.accuracy < 0.55
    assert good.deviation is None
    assert bad.deviation == pytest.approx(np.std([one.value for one in bad.draws], ddof=1))
    assert (good.dimension, bad.dimension, len(bad.neighbours)) == (12, 4, 3)
    hits = int((targets[good.neighbours[0].indices[:, 0]] == wanted).sum())
    assert good.draws == (proportion(hits, 60),)
    (self_told,) = compare_origins({"same": [(rows, rows)]}, targets, targets)
    assert self_told.accuracy == 1
    with pytest.raises(ValueError, match="origin 'pretrained': features must have the 12 columns"):
        compare_origins({"pretrained": [(rows, asked[:, 1:])]}, targets, wanted)
    with pytest.raises(ValueError, match="origin 'random': must have at least one draw"):
        compare_origins({"random": []}, targets, wanted)


def test_rows_of_images_of_three_origins() -> None:
    trained, images, asked = model(), some_images(12), some_images(6, seed=1)
    found = origin_rows(trained, images, asked, "5", draws=2)
    assert {name: [tuple(train.shape) for train, _ in draws] for name, draws in found.items()} == {
        "pretrained": [(12, 12)],
        "pixels": [(12, 192)],
        "random": [(12, 12), (12, 12)],
    }
    assert torch.equal(found["pixels"][0][1], asked.flatten(1))
    assert not torch.allclose(found["random"][0][0], found["random"][1][0])
    again = origin_rows(trained, images, asked, "5", draws=2)
    assert torch.equal(found["random"][1][0], again["random"][1][0])


def layers(made: Model) -> nn.Sequential:
    assert isinstance(made.network, nn.Sequential)
    return made.network


def norm_of(made: Model) -> nn.BatchNorm2d:
    norm = layers(made)[1]
    assert isinstance(norm, nn.BatchNorm2d)
    return norm


def normed() -> Model:
    """A model with a batch norm behind its first convolution."""
    made = model()
    layers(made).insert(1, nn.BatchNorm2d(6).eval())
    return made


def mean_of(norm: nn.BatchNorm2d) -> torch.Tensor:
    assert norm.running_mean is not None
    return norm.running_mean


def test_a_random_network_is_drawn_anew_in_eval_mode_and_the_model_left() -> None:
    trained = normed()
    mean_of(norm_of(trained)).fill_(3)
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    state = torch.get_rng_state()
    made = random_network(trained)
    assert all(torch.equal(before[name], value) for name, value in trained.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert not any(module.training for module in made.modules())
    assert not torch.equal(*(next(layers(one).parameters()) for one in (made, trained)))
    assert torch.equal(mean_of(norm_of(made)), torch.zeros(6))
    assert made.source["spec"] == "small with random weights"
    assert made.source["weights"].startswith("random, seed ")


def test_a_random_network_may_take_the_statistics_of_images() -> None:
    trained = normed()
    images = some_images(16)
    made = random_network(trained, images=images, batch_size=8)
    with torch.no_grad():
        maps = layers(made)[0]((images - made.mean) / made.std)
    torch.testing.assert_close(mean_of(norm_of(made)), maps.mean(dim=(0, 2, 3)), atol=1e-5, rtol=1e-4)
    assert norm_of(made).momentum == 0.1
    assert not norm_of(made).training


def test_parameters_that_nothing_draws_are_refused() -> None:
    trained = model()
    trained.network.register_parameter("token", nn.Parameter(torch.zeros(3)))
    with pytest.raises(ValueError, match=r"but token .* is a bare one"):
        random_network(trained)


def test_raw_pixels_fill_a_store(tmp_path: Path) -> None:
    write_pictures(tmp_path / "set", ["a/1.png", "b/2.png", "b/3.png"])
    images = open_images(tmp_path / "set")
    source = RawPixels(model().geometry)
    store = Store(tmp_path / "store")
    store.fill_from(source, images, [PIXELS])
    assert store.read("pixels").shape == (3, 192)
    assert 0 <= store.read("pixels").min() <= store.read("pixels").max() <= 1
    with pytest.raises(ValueError, match="raw pixels must be asked for as pixels"):
        source.rows(some_images(1), [Column("fc1")])
