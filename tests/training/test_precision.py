"""Precisions other than float32: what is trained, averaged, kept and gone on with is what is meant."""

from collections.abc import Callable
from functools import wraps
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from torch import Tensor, nn

from pellucid import models, training
from pellucid.training import fit, optimizer, placed, resume, start

NET: dict[str, Any] = {
    "model": "digits_cnn,width=4",
    "limit": 100,
    "batch_size": 20,
    "epochs": 2,
    "every": None,
    "device": "cpu",
}


class Line(nn.Module):
    """loss = mean (w x - y)^2."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(1))

    def forward(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        x, y = batch
        return {"loss": (self.w * x - y).square().mean()}


ONE = [(torch.tensor([1.0]), torch.tensor([3.0]))]


def scaled(scale: float = 4.0) -> Fabric:
    """16-mixed on a CPU: float16 itself is slow there, but the scaler is the same."""
    scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    return Fabric(accelerator="cpu", devices=1, plugins=[MixedPrecision("16-mixed", device="cpu", scaler=scaler)])


@pytest.mark.parametrize("precision", ["64-true", "bf16-true"])
def test_whole_models_of_another_precision_train_and_are_kept_as_float32(tmp_path: Path, precision: str) -> None:
    list(start("classify", "digits", tmp_path / "run", **NET, precision=precision, average=0.5))
    saved = torch.load(tmp_path / "run" / "last.pt", weights_only=True)["parts"]
    name = next(name for name in saved["average"]["model"] if name.endswith("weight"))
    assert saved["step"][f"model.{name}"].dtype == {"64-true": torch.float64, "bf16-true": torch.bfloat16}[precision]
    drift = (saved["average"]["model"][name] - saved["step"][f"model.{name}"]).abs().max()
    torch.manual_seed(0)
    first = models.create("digits_cnn", classes=list("0123456789"), width=4).state_dict()[name]
    assert 0 < drift < (saved["step"][f"model.{name}"] - first).abs().max()  # the average follows the weights
    assert all(tensor.dtype != torch.float64 for tensor in models.load(tmp_path / "run").state_dict().values())


def test_double_precision_goes_on_bit_for_bit(tmp_path: Path) -> None:
    options = {**NET, "precision": "64-true", "average": 0.5}
    list(start("classify", "digits", tmp_path / "whole", **options))
    cut = start("classify", "digits", tmp_path / "cut", **options)
    list(islice(cut, 2))
    cut.close()  # type: ignore[attr-defined]
    list(resume(tmp_path / "cut"))
    whole, again = (torch.load(tmp_path / name / "last.pt", weights_only=True)["parts"] for name in ("whole", "cut"))
    for part in ("step", "optimizer"):
        for one, other in zip(tensors(whole[part]), tensors(again[part]), strict=True):
            assert torch.equal(one, other)


def tensors(value: Any) -> list[Tensor]:
    if isinstance(value, dict):
        return [tensor for inside in value.values() for tensor in tensors(inside)]
    return [value] if isinstance(value, Tensor) else []


@pytest.mark.parametrize("precision", ["64-true", "bf16-true", "bf16-mixed"])
def test_tables_train_in_any_precision(tmp_path: Path, precision: str) -> None:
    list(start("tabular", "iris", tmp_path / "run", epochs=3, device="cpu", precision=precision))
    assert training.Run(tmp_path / "run").results["test"]["count"] == 20


def test_gradients_are_clipped_after_they_are_unscaled() -> None:
    for norm, value in ((0.5, 0.25), (0.25, None), (None, 0.25)):
        step = Line()
        tuned = optimizer("sgd", step, lr=1.0, fused=False)
        list(fit(step, ONE, tuned, epochs=1, fabric=scaled(), clip_norm=norm, clip_value=value))
        assert step.w.item() == pytest.approx(0.25)  # the gradient at 0 is -6


def test_a_step_whose_scaled_gradient_overflows_is_skipped_though_it_is_clipped() -> None:
    step, fabric = Line(), scaled(scale=2.0**127)
    (record,) = fit(step, ONE * 2, optimizer("sgd", step, lr=0.1, fused=False), epochs=1, fabric=fabric, clip_norm=1.0)
    assert record.steps == 2
    assert step.w.item() == 0
    assert fabric.strategy.precision.scaler.get_scale() == 2.0**125


def test_lbfgs_does_not_go_with_a_scaler() -> None:
    step = Line()
    with pytest.raises(ValueError, match=r"precision must not be 16-mixed with lbfgs.*take bf16-mixed"):
        list(fit(step, ONE, optimizer("lbfgs", step, lr=1.0), epochs=1, fabric=scaled()))


def test_a_run_keeps_its_scaler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Fabric] = []

    def engine(**_options: object) -> Fabric:
        made.append(scaled(2.0**100))
        return made[-1]

    monkeypatch.setattr(import_module("pellucid.training.start"), "engine", as_engine(engine))
    told = start("classify", "digits", tmp_path / "run", **NET, clip_norm=1.0, clip_value=0.5)
    list(islice(told, 2))
    told.close()  # type: ignore[attr-defined]
    scale = made[0].strategy.precision.scaler.get_scale()
    assert scale < 2.0**100  # it learned
    list(islice(resume(tmp_path / "run"), 1))
    assert made[1].strategy.precision.scaler.get_scale() <= scale


def as_engine(function: Callable[..., Fabric]) -> Callable[..., Fabric]:
    """With the options of the real one."""
    return wraps(training.engine)(function)


def test_placed_converts_before_anything_is_made_of_it() -> None:
    step = placed(Line(), training.engine(device="cpu", precision="64-true"))
    assert next(step.parameters()).dtype == torch.float64
    assert placed(step, None) is step
