"""Temperature, vector scaling, isotonic calibration: known truths found again, other minimisers agreed with."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import minimize, minimize_scalar
from sklearn.isotonic import IsotonicRegression
from torch import Tensor

from pellucid.metrics import expected_calibration_error, reliability
from pellucid.uncertainty import IsotonicCalibration, TemperatureScaling, VectorScaling

KINDS = [TemperatureScaling, VectorScaling, IsotonicCalibration]
each = pytest.mark.parametrize("kind", KINDS)


def told(count: int, factor: float | Tensor, offset: Tensor | None = None, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits that must be multiplied by the factor, and moved by the offset, to be those the classes were drawn by."""
    source = torch.Generator().manual_seed(seed)
    true = 1.5 * torch.randn(count, 4, generator=source, dtype=torch.float64)
    targets = true.softmax(dim=1).multinomial(1, generator=source)[:, 0]
    return (true if offset is None else true - offset) / factor, targets


LOGITS, TARGETS = told(2000, 0.4)


def error(probabilities: Tensor, targets: Tensor) -> float:
    confidence, predicted = probabilities.max(dim=1)
    return expected_calibration_error(reliability(confidence, predicted == targets))


def test_temperature_is_found_again() -> None:
    assert TemperatureScaling().fit(*told(20_000, 0.4)).temperature_ == pytest.approx(2.5, rel=0.04)
    assert TemperatureScaling().fit(*told(20_000, 3.0)).temperature_ == pytest.approx(1 / 3, rel=0.04)


@pytest.mark.parametrize("factor", [0.02, 0.4, 3.0, 30.0])
def test_temperature_is_the_minimum_that_scipy_finds(factor: float) -> None:
    logits, targets = told(500, factor)
    found = TemperatureScaling().fit(logits, targets).temperature_
    theirs = minimize_scalar(
        lambda t: float(F.cross_entropy(logits / 2**t, targets)),
        bounds=(-6.6, 6.6),
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert found == pytest.approx(2**theirs.x, rel=1e-5)


def test_temperature_never_changes_the_predicted_class() -> None:
    scaling = TemperatureScaling().fit(LOGITS, TARGETS)
    assert torch.equal(scaling(LOGITS).argmax(dim=1), LOGITS.argmax(dim=1))
    again = TemperatureScaling().fit(scaling.scale(LOGITS), TARGETS)
    assert again.temperature_ == pytest.approx(1, abs=1e-8), "what is calibrated needs nothing"
    assert TemperatureScaling().fit(LOGITS + 7, TARGETS).temperature_ == pytest.approx(scaling.temperature_)


def test_temperature_without_a_minimum_is_told() -> None:
    right = 3 * F.one_hot(TARGETS, 4).double()
    with pytest.warns(UserWarning, match="falls to 0.01, which is taken: 2000 of 2000 images are right"):
        assert TemperatureScaling().fit(right, TARGETS).temperature_ == 0.01
    with pytest.warns(UserWarning, match="rises to 100, which is taken: the logits tell nothing of the targets"):
        assert TemperatureScaling().fit(-right, TARGETS).temperature_ == 100


def test_vector_scaling_is_found_again_and_is_the_minimum_that_scipy_finds() -> None:
    factor, offset = torch.tensor([0.5, 1.0, 2.0, 1.0]).double(), torch.tensor([0.5, -0.5, 0.3, -0.3]).double()
    logits, targets = told(20_000, factor, offset)
    found = VectorScaling().fit(logits, targets)
    torch.testing.assert_close(found.weight_, factor, rtol=0.06, atol=0)
    torch.testing.assert_close(found.bias_, offset, rtol=0, atol=0.06)
    some, few = logits[:300], targets[:300]
    ours = VectorScaling(penalty=1e-3).fit(some, few)

    def loss(x: Any) -> float:
        weight, bias = torch.tensor(x).view(2, 4)
        apart = (weight - 1).square().sum() + bias.square().sum()
        return float(F.cross_entropy(some * weight + bias, few) + 1e-3 * apart)

    theirs = minimize(loss, torch.cat([torch.ones(4), torch.zeros(4)]).double().numpy(), tol=1e-10)
    torch.testing.assert_close(torch.cat([ours.weight_, ours.bias_]), torch.tensor(theirs.x), rtol=0, atol=1e-3)


def test_vector_scaling_says_when_there_is_no_minimum() -> None:
    with pytest.raises(ValueError, match=r"but none is 3 \(1 classes lack one\)"):
        VectorScaling().fit(LOGITS, TARGETS.clamp(max=2))
    assert VectorScaling(penalty=1e-2).fit(LOGITS, TARGETS.clamp(max=2)).bias_[3] < -0.5
    with pytest.warns(UserWarning, match="vector scaling has not reached its minimum in 2 steps"):
        VectorScaling(steps=2).fit(LOGITS, TARGETS)


def test_isotonic_is_scikit_learns_class_by_class() -> None:
    found, fresh = IsotonicCalibration().fit(LOGITS, TARGETS), told(200, 0.4, seed=1)[0]
    columns = []
    for number in range(4):
        theirs = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
        theirs.fit(LOGITS.softmax(dim=1)[:, number], number == TARGETS)
        columns.append(torch.tensor(theirs.predict(fresh.softmax(dim=1)[:, number])))
    rows = torch.stack(columns, dim=1)
    torch.testing.assert_close(found(fresh), rows / rows.sum(dim=1, keepdim=True))


def test_isotonic_keeps_a_row_that_is_mapped_to_nothing() -> None:
    """Six images, none of the class it has the least of: what is below is 0 for each of two classes."""
    logits = torch.tensor([[2.0, 0, -9], [2.0, 0, -9], [0, 2.0, -9], [0, 2.0, -9], [-9, -9, 3.0], [-9, -9, 3.0]])
    found = IsotonicCalibration().fit(logits, torch.tensor([0, 0, 1, 1, 2, 2]))
    odd = torch.tensor([[0.0, 0.0, 0.3]])
    rows = found(odd)
    torch.testing.assert_close(rows.sum(dim=1), torch.ones(1))
    level = IsotonicCalibration()
    level.inputs_, level.outputs_ = torch.tensor([0.0, 1.0] * 3).double(), torch.zeros(6).double()
    level.counts_ = torch.tensor([2, 2, 2])
    torch.testing.assert_close(level(odd), odd.softmax(dim=1))


@each
def test_they_calibrate_new_images(kind: Any) -> None:
    fresh, truth = told(5000, 0.4, seed=2)
    found = kind().fit(LOGITS, TARGETS)(fresh)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(5000, dtype=torch.float64))
    assert error(found, truth) < 0.035
    assert error(fresh.softmax(dim=1), truth) > 0.15
    assert kind().fit(LOGITS.float(), TARGETS)(fresh.float()).dtype == torch.float32


@each
def test_what_was_fitted_is_kept(kind: Any, tmp_path: Path) -> None:
    found = kind().fit(LOGITS, TARGETS)
    found.save(tmp_path / "kept")
    torch.testing.assert_close(kind.load(tmp_path / "kept")(LOGITS), found(LOGITS), rtol=0, atol=0)
    other: Any = next(each for each in KINDS if each is not kind)
    with pytest.raises(ValueError, match=r"must be of kind \w+, format 1, got '\w+'"):
        other.load(tmp_path / "kept")
    with pytest.raises(ValueError, match="is no saved"):
        kind.load(tmp_path / "none")
    told_of = json.loads((tmp_path / "kept" / "fitted.json").read_text())
    assert told_of["format"] == 1
    (tmp_path / "kept" / "fitted.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        kind.load(tmp_path / "kept")


@each
@pytest.mark.parametrize(
    ("logits", "targets", "message"),
    [
        (LOGITS.softmax(dim=1), TARGETS, "logits must be what comes before the softmax"),
        (LOGITS[0], TARGETS, r"logits must be a float tensor \(N, K\), N at least 1, got torch.float64 \(4,\)"),
        (LOGITS[:, :1], TARGETS, "logits must be of at least 2 classes, got 1"),
        (LOGITS * torch.nan, TARGETS, "logits must be finite"),
        (LOGITS, TARGETS[:5], r"targets must be int64 of shape \(2000,\), one for each image, got torch.int64 \(5,\)"),
        (LOGITS, TARGETS + 1, r"targets must be in 0..3, got 4"),
        (LOGITS, TARGETS.float(), "targets must be int64"),
    ],
)
def test_refuses(kind: Any, logits: Tensor, targets: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind().fit(logits, targets)


@pytest.mark.parametrize("kind", [VectorScaling, IsotonicCalibration])
def test_other_classes_are_refused(kind: Any) -> None:
    with pytest.raises(ValueError, match="logits must be of the 4 classes fitted on, got 3"):
        kind().fit(LOGITS, TARGETS)(LOGITS[:, :3])
