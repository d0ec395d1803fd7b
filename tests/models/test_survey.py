import json
from pathlib import Path

import pytest
import torch

from pellucid import models
from pellucid.models import Measured, Surveyed, accuracies, networks, survey, survey_one


def run(name: str = "lenet5", size: int = 32, data: str = "digits", accuracy: float = 0.5, seed: int = 0) -> Measured:
    return Measured(name, size, data, accuracy, "classify", 3, seed)


def row(*measured: Measured) -> Surveyed:
    return Surveyed("lenet5", "LeNet-5", "lenet small", 32, 1, 10, 1, 1, None, measured)


def test_it_counts_what_describe_counts() -> None:
    found = survey(contains="lenet5")
    assert [one.name for one in found.rows] == ["lenet5"]
    lenet = found.rows[0]
    described = models.describe(models.zoo.lenet5(), (1, 32, 32))
    assert (lenet.weights, lenet.macs) == (described.weights, described.macs) == (61_706, 416_520)
    assert (lenet.size, lenet.channels, lenet.classes, lenet.milliseconds, lenet.measured) == (32, 1, 10, None, ())


def test_one_network_layer_by_layer() -> None:
    assert survey_one("lenet5").weights == 61_706
    assert survey_one("lenet5", channels=3, classes=5, size=28).input == (3, 28, 28)
    with pytest.raises(ValueError, match=r"got 'lenet'.*did you mean lenet5"):
        survey_one("lenet")


def test_those_that_do_not_take_the_size_are_told_with_the_reason() -> None:
    found = survey(contains="alex", size=32)
    assert [one.name for one in found.rows] == ["alexnet"]
    assert [name for name, _ in found.left_out] == ["alexnet_grouped"]
    assert "alexnet_grouped has no layout for 32 x 32 images" in found.left_out[0][1]
    with pytest.raises(ValueError, match="no network suits: lenet5 has no layout for 224 x 224 images"):
        survey(contains="lenet5", size=224)
    with pytest.raises(ValueError, match="no network of the zoo has 'transformer' in its name"):
        survey(contains="transformer")
    with pytest.raises(ValueError, match="repeats must be at least 1, got 0"):
        survey(repeats=0)


def test_a_thousand_classes_or_ten() -> None:
    small, large = (survey(contains="mobilenet", size=size).rows[0] for size in (32, 224))
    assert (small.weights, small.classes) == (3_217_226, 10)
    assert (large.weights, large.classes) == (4_231_976, 1000)
    wished = survey(contains="mobilenet", size=32, classes=7, channels=1).rows[0]
    assert wished.weights == 3_217_226 - 3 * 1025 - 2 * 32 * 9, "three outputs and two channels less"


def test_time_is_measured_on_request_and_draws_nothing() -> None:
    before = torch.get_rng_state()
    found = survey(contains="lenet5", is_timed=True, repeats=2).rows[0].milliseconds
    assert found is not None
    assert 0 < found < 1000
    assert torch.equal(torch.get_rng_state(), before)


def test_accuracies_are_means_over_seeds_and_the_best_is_first() -> None:
    told = accuracies(row(run(accuracy=0.5), run(accuracy=0.7, seed=1), run(data="mnist", accuracy=0.9)))
    assert [(one.data, one.mean, one.runs) for one in told] == [("mnist", 0.9, 1), ("digits", pytest.approx(0.6), 2)]
    assert [one.told for one in told] == [
        "mnist (classify, 3 epochs, one seed)",
        "digits (classify, 3 epochs, mean of 2 seeds)",
    ]
    assert accuracies(row()) == ()


def test_runs_stand_beside_the_network_and_the_size_they_were_measured_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = [run(), run(size=28), run(name="nin")]
    (tmp_path / "measured.json").write_text(json.dumps([one.__dict__ for one in ours]))
    monkeypatch.setattr("importlib.resources.files", lambda _package: tmp_path)
    assert survey(contains="lenet5").rows[0].measured == (ours[0],)
    (tmp_path / "measured.json").write_text('[{"name": "lenet5"}]')
    with pytest.raises(ValueError, match="must be a list of training runs"):
        survey(contains="lenet5")


def test_the_runs_that_ship_are_of_networks_there_are() -> None:
    from importlib.resources import files

    told = json.loads(files("pellucid.models.zoo").joinpath("measured.json").read_text(encoding="utf-8"))
    for one in told:
        measured = Measured(**one)
        assert measured.name in networks()
        assert 0 <= measured.accuracy <= 1
