"""What every measure of a map promises."""

import pkgutil
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from importlib import import_module
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pellucid import models
from pellucid.metrics import explanation

from .nets import HEAT, IMAGES, TARGETS, Small, gradient, state

OF_HEAT: dict[str, Callable[..., Any]] = {
    "average_drop": explanation.average_drop,
    "completeness": explanation.completeness,
    "deletion": partial(explanation.deletion, steps=7),
    "insertion": partial(explanation.insertion, steps=7),
}
OF_METHOD: dict[str, Callable[..., Any]] = {
    "model_randomisation": partial(explanation.model_randomisation, gradient),
    "sensitivity": partial(explanation.sensitivity, gradient, samples=3),
}
ALONG = {"deletion.fractions", "insertion.fractions"}
"""Fields without an axis of images."""


def ask(name: str, model: nn.Module, images: Tensor, targets: Any, heat: Tensor, **told: Any) -> Any:
    if name in OF_HEAT:
        return OF_HEAT[name](model, images, targets, heat, **told)
    return OF_METHOD[name](model, images, targets, **told)


each = pytest.mark.parametrize("name", [*OF_HEAT, *OF_METHOD])


def tensors(found: Any) -> dict[str, Tensor]:
    values = {field.name: getattr(found, field.name) for field in fields(found)}
    return {name: value for name, value in values.items() if isinstance(value, Tensor)}


def of_image(name: str, field: str, value: Tensor, image: int) -> Tensor:
    if f"{name}.{field}" in ALONG:
        return value
    return value[:, image] if name in OF_METHOD and value.ndim > 1 else value[image]


def test_the_face_is_the_folder() -> None:
    files = {m.name for m in pkgutil.iter_modules(explanation.__path__) if m.name[0] != "_"}
    functions = {name for name in explanation.__all__ if name.islower()}
    assert functions == files == {*OF_HEAT, *OF_METHOD, "pointing_game", "baselines", "is_flat"}


@each
def test_dtype_and_finiteness(name: str) -> None:
    for field, value in tensors(ask(name, Small(), IMAGES, TARGETS, HEAT)).items():
        assert value.dtype in {torch.float64, torch.bool}, field
        assert value.isfinite().all()
        assert not value.requires_grad


@each
def test_float32_stays_float32(name: str) -> None:
    for value in tensors(ask(name, Small().float(), IMAGES.float(), TARGETS, HEAT.float())).values():
        assert value.dtype in {torch.float32, torch.bool}


@each
def test_an_image_is_measured_alone(name: str) -> None:
    together = tensors(ask(name, Small(), IMAGES, TARGETS, HEAT))
    alone = tensors(ask(name, Small(), IMAGES[1:2], TARGETS[1:2], HEAT[1:2]))
    for field, value in together.items():
        torch.testing.assert_close(of_image(name, field, value, 1), of_image(name, field, alone[field], 0))


@each
def test_the_chunks_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = tensors(ask(name, Small(), IMAGES, TARGETS, HEAT))
    for budget in (1, 20_000, 2**40):
        monkeypatch.setattr(import_module("pellucid.models.evaluate"), "CPU_BUDGET", budget)
        for field, value in tensors(ask(name, Small(), IMAGES, TARGETS, HEAT)).items():
            torch.testing.assert_close(value, expected[field])


@each
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_the_model_is_left_as_it_was(name: str, mode: Any) -> None:
    model = Small()
    before, images, heat = state(model), IMAGES.clone(), HEAT.clone()
    with mode():
        ask(name, model, images, TARGETS, heat)
    assert state(model) == before
    assert torch.equal(images, IMAGES)
    assert torch.equal(heat, HEAT)


@each
def test_a_training_model_and_bad_images_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="model must be in eval mode"):
        ask(name, Small().train(), IMAGES, TARGETS, HEAT)
    with pytest.raises(ValueError, match=r"images must be in \[0, 1\]"):
        ask(name, Small(), IMAGES * 255, TARGETS, HEAT)
    with pytest.raises(ValueError, match=r"targets must have shape \(3,\)"):
        ask(name, Small(), IMAGES, TARGETS[:2], HEAT)


@pytest.mark.parametrize("name", OF_HEAT)
def test_bad_heat_is_refused(name: str) -> None:
    bad = HEAT.clone()
    bad[1, 0, 0] = torch.nan
    for heat, message in (
        (bad, r"heat must be finite, got NaN or infinity in map 1 \(is_flat tells which\)"),
        (HEAT[:2], r"heat must have shape \(3, 8, 8\), one map of each image's size, got \(2, 8, 8\)"),
        (HEAT[:, :4], r"heat must have shape \(3, 8, 8\), one map of each image's size, got \(3, 4, 8\)"),
        (HEAT.long(), r"heat must be a float tensor \(N, H, W\), got torch.int64"),
        (None, r"heat must be a float tensor \(N, H, W\), got NoneType"),
    ):
        with pytest.raises(ValueError, match=message):
            OF_HEAT[name](Small(), IMAGES, TARGETS, heat)


@pytest.mark.parametrize("name", OF_HEAT)
def test_the_canvas_is_one_of_the_known(name: str) -> None:
    word = "baseline" if name == "completeness" else "fill"
    with pytest.raises(ValueError, match=rf"{word} must be mean, black, blur or a number in \[0, 1\], got 'blurr'"):
        OF_HEAT[name](Small(), IMAGES, TARGETS, HEAT, **{word: "blurr"})


def test_the_cost_is_counted_before_it_is_paid() -> None:
    for name, passes in {"deletion": 8, "insertion": 8, "average_drop": 2, "completeness": 2}.items():
        with models.rehearsal() as cost:
            ask(name, Small(), IMAGES, TARGETS, HEAT)
        assert (cost.forward, cost.backward) == (3 * passes, 0)


def test_flat_maps_are_told() -> None:
    heat = torch.zeros(5, 2, 2)
    heat[1, 0, 0], heat[2, 1, 1], heat[3, 0, 0], heat[4, 0, 1] = 1, -1, torch.nan, torch.inf
    assert explanation.is_flat(heat).tolist() == [True, False, False, True, True]
    flat = torch.full_like(HEAT, 0.3)
    for name in ("deletion", "insertion", "average_drop"):
        found = OF_HEAT[name](Small(), IMAGES, TARGETS, flat)
        assert found.is_flat.all()
        assert all(value.isfinite().all() for value in tensors(found).values())


@pytest.mark.parametrize(
    ("name", "option"), [("deletion", "steps"), ("insertion", "steps"), ("sensitivity", "samples")]
)
def test_counts_are_whole_numbers(name: str, option: str) -> None:
    with pytest.raises(ValueError, match=f"{option} must be a whole number, got 3.5"):
        ask(name, Small(), IMAGES, TARGETS, HEAT, **{option: 3.5})


def test_other_counts_are_whole_numbers() -> None:
    with pytest.raises(ValueError, match=r"stages must be a whole number, got 3\.5"):
        explanation.model_randomisation(gradient, Small(), IMAGES, TARGETS, stages=3.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"draws must be a whole number, got 3\.5"):
        explanation.baselines(IMAGES, draws=3.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["deletion", "insertion", "average_drop"])
def test_a_number_fills(name: str) -> None:
    black, number, word = (OF_HEAT[name](Small(), IMAGES, TARGETS, HEAT, fill=fill) for fill in ("black", 0.0, "0"))
    for field, value in tensors(black).items():
        torch.testing.assert_close(value, tensors(number)[field])
        torch.testing.assert_close(value, tensors(word)[field])
    with pytest.raises(ValueError, match=r"fill must be in \[0, 1\], got 1.5"):
        OF_HEAT[name](Small(), IMAGES, TARGETS, HEAT, fill=1.5)
    with pytest.raises(ValueError, match=r"fill must be mean, black, blur or a number in \[0, 1\], got None"):
        OF_HEAT[name](Small(), IMAGES, TARGETS, HEAT, fill=None)
