"""What every explanation promises, asked of each method on the face."""

import gc
import inspect
import pkgutil
from importlib import import_module
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pellucid import explain, models
from pellucid.explain._cam import seen_layers
from pellucid.methods import Method, methods, options

from .nets import small_net

each = pytest.mark.parametrize("method", methods(explain).values(), ids=list(methods(explain)))
IMAGES = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
TARGETS = torch.tensor([4, 1, 0])


QUICK: dict[str, dict[str, Any]] = {
    "smooth_grad_cam_plus_plus": {"samples": 3},
    "integrated_gradients": {"steps": 4},
    "smooth_grad": {"samples": 4},
    "augmented_grad_cam": {"views": 3, "iterations": 4},
    "rise": {"masks": 40, "cells": 4},
}
"""Options that make a costly method cheap here."""

BLIND: set[str] = {"attention_rollout"}
"""Methods that say they are the same for every target."""


def asked(method: Method, model: nn.Module, images: Tensor, targets: Any, **told: Any) -> Tensor:
    """The method's answer, with options that make it cheap."""
    heat: Tensor = method(model, images, targets, **QUICK.get(method.__name__, {}), **told)
    return heat


@pytest.fixture
def model(method: Method) -> nn.Module:
    return small_net(method.__name__)


def test_the_face_is_the_folder() -> None:
    assert sorted(explain.__all__) == sorted(m.name for m in pkgutil.iter_modules(explain.__path__) if m.name[0] != "_")
    assert list(explain.__all__) == sorted(explain.__all__)


@each
def test_shape_dtype_and_device_are_those_of_the_images(method: Method, model: nn.Module) -> None:
    heat = asked(method, model, IMAGES, TARGETS)
    assert heat.shape == (3, 16, 16)
    assert (heat.dtype, heat.device, heat.requires_grad) == (IMAGES.dtype, IMAGES.device, False)
    assert heat.isfinite().all()
    assert heat.abs().amax(dim=(1, 2)).max() > 0, "there is some evidence"


@each
def test_float64_is_kept(method: Method, model: nn.Module) -> None:
    assert asked(method, model.double(), IMAGES.double(), TARGETS).dtype == torch.float64


COARSE: dict[str, str] = {
    "occlusion": "small differences of probabilities read off logits of three digits",
    "rise": "a probability of three digits, of which the pixels change the fourth",
}
"""Methods whose map need not be alike in bfloat16, with the reason."""


@each
def test_bfloat16_gives_the_same_map_coarsely_however_it_is_cut(
    method: Method, model: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = IMAGES.bfloat16()
    fine, heats = asked(method, model, images.float(), TARGETS), []
    for budget in (1, 2**40):
        for name in ("CPU_BUDGET", "CPU_GRADIENT_BUDGET"):
            monkeypatch.setattr(import_module("pellucid.models.evaluate"), name, budget)
        heats.append(asked(method, model.bfloat16(), images, TARGETS))
        assert heats[-1].dtype == torch.bfloat16
        assert heats[-1].isfinite().all()
    most = heats[0].abs().max().item()
    torch.testing.assert_close(heats[0], heats[1], rtol=0, atol=2e-2 * most)
    if method.__name__ not in COARSE:
        for one, other in zip(fine, heats[0].float(), strict=True):
            is_flat = bool(one.max() == one.min())
            assert bool(other.max() == other.min()) == is_flat
            assert is_flat or torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1] > 0.9


@each
def test_counts_are_whole_numbers(method: Method, model: nn.Module) -> None:
    for option in options(method):
        if option.annotation in {int, int | None}:
            told = QUICK.get(method.__name__, {}) | {option.name: 3.5}
            with pytest.raises(ValueError, match=f"{option.name} must be a whole number, got 3.5"):
                method(model, IMAGES, TARGETS, **told)


@each
def test_an_image_is_explained_alone(method: Method, model: nn.Module) -> None:
    torch.testing.assert_close(
        asked(method, model, IMAGES, TARGETS)[1:2],
        asked(method, model, IMAGES[1:2], TARGETS[1:2]),
        rtol=1e-5,
        atol=1e-6,
    )


@each
def test_the_chunks_change_nothing(method: Method, model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = asked(method, model, IMAGES, TARGETS)
    for budget in (1, 100_000, 2**40):
        for name in ("CPU_BUDGET", "CPU_GRADIENT_BUDGET"):
            monkeypatch.setattr(import_module("pellucid.models.evaluate"), name, budget)
        torch.testing.assert_close(asked(method, model, IMAGES, TARGETS), expected, rtol=1e-5, atol=1e-6)


@each
def test_the_same_again(method: Method, model: nn.Module) -> None:
    assert torch.equal(asked(method, model, IMAGES, TARGETS), asked(method, model, IMAGES, TARGETS))


@each
def test_an_image_without_evidence_gives_a_finite_map(method: Method, model: nn.Module) -> None:
    for parameter in model.parameters():
        parameter.detach().zero_()
    for value in (0.0, 0.5, 1.0):
        assert asked(method, model, torch.full((1, 3, 16, 16), value), TARGETS[:1]).isfinite().all()


@each
def test_the_cost_is_counted_before_it_is_paid(method: Method, model: nn.Module) -> None:
    given: list[int] = []  # images of each pass
    hook = model.register_forward_hook(lambda _module, inputs, _output: given.append(len(inputs[0])))
    if any(option.name == "layer" and option.default is None for option in options(method)):
        seen_layers(model, IMAGES, None, "")
    looking = sum(given)  # passes of one image that find the layer and its grid are no part of the cost
    given.clear()
    with models.rehearsal() as cost:
        heat = asked(method, model, IMAGES, TARGETS)
    assert heat.shape == (3, 16, 16)
    rehearsed = sum(given)
    given.clear()
    asked(method, model, IMAGES, TARGETS)
    hook.remove()
    assert 0 <= cost.backward <= cost.forward
    assert rehearsed <= 20, "one image of each plan"
    assert sum(given) == cost.forward + looking


@each
def test_the_target_matters(method: Method, model: nn.Module) -> None:
    other = asked(method, model, IMAGES, (TARGETS + 1) % 5)
    assert torch.allclose(asked(method, model, IMAGES, TARGETS), other) == (method.__name__ in BLIND)


@each
def test_a_callable_target_equals_the_class_it_reads(method: Method, model: nn.Module) -> None:
    told = {"objective": "score"} if any(option.name == "objective" for option in options(method)) else {}
    heat = asked(method, model, IMAGES, torch.full((3,), 2), **told)
    torch.testing.assert_close(heat, asked(method, model, IMAGES, lambda outputs: outputs[:, 2], **told))


class Several(nn.Module):
    """A net with more than one output."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.eval()

    def forward(self, images: Tensor) -> dict[str, Any]:
        logits = self.inner(images)
        return {"aux": (logits.detach(), None), "logits": logits}


@each
def test_a_net_of_several_outputs_is_explained_through_a_callable(method: Method, model: nn.Module) -> None:
    told = {"objective": "score"} if any(option.name == "objective" for option in options(method)) else {}
    if method is explain.cam:
        with pytest.raises(ValueError, match=r"needs logits \(N, K\): use grad_cam"):
            asked(method, Several(model), IMAGES, lambda outputs: outputs["logits"][:, 2])
        return
    expected = asked(method, model, IMAGES, torch.full((3,), 2), **told)
    heat = asked(method, Several(model), IMAGES, lambda outputs: outputs["logits"][:, 2], **told)
    torch.testing.assert_close(heat, expected)


@each
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_gradients_may_be_off_around_it(method: Method, mode: Any, model: nn.Module) -> None:
    expected = asked(method, model, IMAGES, TARGETS)
    with mode():
        torch.testing.assert_close(asked(method, model, IMAGES.clone(), TARGETS.clone()), expected)


@each
def test_a_frozen_model_gives_the_same(method: Method, model: nn.Module) -> None:
    expected = asked(method, model, IMAGES, TARGETS)
    torch.testing.assert_close(asked(method, model.requires_grad_(False), IMAGES, TARGETS), expected)


@each
def test_the_model_is_left_as_it_was(method: Method, model: nn.Module) -> None:
    next(model.parameters()).requires_grad_(False)
    before = state(model)
    noise = torch.random.get_rng_state()
    images = IMAGES.clone()
    asked(method, model, images, TARGETS)
    assert state(model) == before
    assert torch.equal(images, IMAGES)
    assert not images.requires_grad
    assert torch.equal(noise, torch.random.get_rng_state())


@each
def test_the_model_is_left_as_it_was_after_an_error(method: Method, model: nn.Module) -> None:
    def broken(_outputs: Tensor) -> Tensor:
        raise RuntimeError("on purpose")

    before = state(model)
    with pytest.raises(RuntimeError, match="on purpose"):
        asked(method, model, IMAGES, broken)
    assert state(model) == before
    assert torch.is_grad_enabled()


def state(model: nn.Module) -> list[Any]:
    """Everything a method might forget to put back."""
    told: list[Any] = [(p.requires_grad, p.grad is None, p._version) for p in model.parameters()]
    for module in model.modules():
        hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
        told.append((module.training, [len(h) for h in hooks]))
    return told


@each
def test_two_hundred_calls_leave_no_tensor_behind(method: Method, model: nn.Module) -> None:
    images, targets = IMAGES[:1, :, :8, :8], TARGETS[:1]
    asked(method, model, images, targets)
    before = tensors()
    for _ in range(200):
        asked(method, model, images, targets)
    assert tensors() == before


def tensors() -> int:
    gc.collect()
    return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())


@each
def test_every_option_is_told_in_one_line_and_keyword_only(method: Method) -> None:
    for option in options(method):
        assert option.told.endswith((".", ")")) or len(option.told) > 20
        assert len(option.told) < 120
        assert option.default is not inspect.Parameter.empty, "a face offers every method without asking for more"


BAD_IMAGES = [
    (torch.zeros(3, 16, 16), r"images must have shape \(N, C, H, W\), got \(3, 16, 16\)"),
    (torch.zeros(0, 3, 16, 16), r"images must not be empty, got shape \(0, 3, 16, 16\)"),
    (torch.full((3, 3, 16, 16), 2.0), r"images must be in \[0, 1\], got 2 to 2: normalised twice, or still 0 to 255\?"),
    (torch.full((3, 3, 16, 16), torch.nan), "images must be finite, got NaN"),
    (torch.zeros(3, 3, 16, 16).byte(), r"images must be a float tensor in \[0, 1\], got torch.uint8; divide"),
]


@each
@pytest.mark.parametrize(("images", "message"), BAD_IMAGES, ids=["rank", "empty", "range", "nan", "bytes"])
def test_bad_images_are_refused(method: Method, images: Tensor, message: str, model: nn.Module) -> None:
    with pytest.raises(ValueError, match=message):
        asked(method, model, images, TARGETS[: max(1, len(images))])


BAD_TARGETS = [
    (torch.tensor([5, 0, 0]), r"target 5 is no class: not in 0\.\.4"),
    (torch.tensor([-1, 0, 0]), r"target -1 is no class: not in 0\.\.4"),
    (torch.tensor([0, 1]), r"targets must have shape \(3,\), one for each image, got \(2,\)"),
    (torch.tensor([0.0, 1.0, 2.0]), "targets must be an int64 tensor"),
    (lambda outputs: outputs, r"a callable target must return one number for each image \(\d+,\), got \(\d+, 5\)"),
    (
        lambda outputs: outputs.sum(dim=0),
        r"a callable target must return one number for each image \(\d+,\), got \(5,\)",
    ),
]


@each
@pytest.mark.parametrize(("targets", "message"), BAD_TARGETS, ids=["high", "low", "length", "dtype", "matrix", "sum"])
def test_bad_targets_are_refused(method: Method, targets: Any, message: str, model: nn.Module) -> None:
    with pytest.raises(ValueError, match=message):
        asked(method, model, IMAGES, targets)


@each
def test_a_training_model_is_refused(method: Method, model: nn.Module) -> None:
    name = list(dict(model.named_modules()))[-1]
    model.get_submodule(name).train()
    with pytest.raises(ValueError, match=rf"model must be in eval mode, but {name} is training: call model\.eval\(\)"):
        asked(method, model, IMAGES, TARGETS)
