"""What every attack promises, asked of each on the face."""

import inspect
import pkgutil
from importlib import import_module
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pellucid import attack
from pellucid.attack import Trace, outcome
from pellucid.methods import Method, methods, options, taken

from .nets import called, small_images, small_net

METHODS = methods(attack, taking="trace")
each = pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))
IMAGES = small_images()
PLAIN = small_images(40, side=2, seed=9).round().repeat_interleave(6, dim=2).repeat_interleave(6, dim=3)
"""Images of four squares: of all classes, where the noise of IMAGES is of one."""

QUICK: dict[str, dict[str, Any]] = {
    "boundary": {"max_queries": 120, "noise_tries": 20},
    "apgd": {"steps": 8},
    "carlini_wagner": {"steps": 20, "rounds": 3, "lr": 0.1, "constant": 0.1},
    "eot": {"steps": 3, "samples": 3},
    "fooling": {"lr": 0.1, "steps": 10},
    "latent": {"start": PLAIN, "max_queries": 150, "size": 64, "training_steps": 2},
    "mi_fgsm": {"steps": 3},
    "one_pixel": {"population": 12, "generations": 4},
    "patch": {"steps": 5, "batch_size": 6, "area": 0.2},
    "pgd": {"steps": 3},
    "shapes": {"max_queries": 40, "count": 10},
    "square": {"max_queries": 60},
    "strong": {"steps": 5, "max_queries": 30},
    "universal": {"steps": 10},
}
"""Options that make a costly attack cheap here."""

BLACK_BOX = {"boundary", "latent", "one_pixel", "shapes", "square"}
"""Attacks that see answers alone: any function of images will do."""

NOT_FACE = {"aims", "alarms", "outcome", "patch_success", "query", "robustness", "success_map", "trace"}
"""Files of the folder that hold no attack."""


def asked(method: Method, model: Any, images: Tensor, targets: Any, **told: Any) -> Tensor:
    """The attack's images, with options that make it cheap."""
    made: Tensor = method(model, images, targets, **(QUICK.get(method.__name__, {}) | told))
    return made


def goals(method: Method, model: nn.Module, images: Tensor) -> Tensor:
    """Targets that make work: of attacks that leave a class the right ones, of one that can only reach the next."""
    return (called(model, images) + (attack.aims(method) == "reach")) % 5


@pytest.fixture
def model() -> nn.Module:
    return small_net()


def test_the_face_is_the_folder() -> None:
    files = {m.name for m in pkgutil.iter_modules(attack.__path__) if m.name[0] != "_"}
    assert set(METHODS) == files - NOT_FACE
    assert list(attack.__all__) == sorted(attack.__all__)


@each
def test_the_result_is_an_image_of_the_same_kind(method: Method, model: nn.Module) -> None:
    made = asked(method, model, IMAGES, goals(method, model, IMAGES))
    assert made.shape == IMAGES.shape
    assert (made.dtype, made.device, made.requires_grad) == (IMAGES.dtype, IMAGES.device, False)
    assert made.isfinite().all()
    assert float(made.min()) >= 0
    assert float(made.max()) <= 1


@each
def test_float64_is_kept(method: Method, model: nn.Module) -> None:
    made = asked(method, model.double(), IMAGES.double(), goals(method, model, IMAGES.double()))
    assert made.dtype == torch.float64


@each
def test_an_image_is_attacked_alone(method: Method, model: nn.Module) -> None:
    if method.__name__ in TOGETHER:
        pytest.skip(TOGETHER[method.__name__])
    targets = goals(method, model, IMAGES)
    together = asked(method, model, IMAGES, targets)
    torch.testing.assert_close(asked(method, model, IMAGES[1:2], targets[1:2]), together[1:2], rtol=0, atol=1e-4)


TOGETHER: dict[str, str] = {
    "latent": "one autoencoder of all images",
    "patch": "one patch for all",
    "universal": "one change for all",
}
"""Attacks that make one change for all images, with what they make."""


@each
def test_what_is_done_already_is_returned_as_it_is(method: Method, model: nn.Module) -> None:
    if method.__name__ in TOGETHER:
        pytest.skip(TOGETHER[method.__name__])
    done = called(model, IMAGES) if attack.aims(method) == "reach" else (called(model, IMAGES) + 1) % 5
    assert torch.equal(asked(method, model, IMAGES, done), IMAGES)


@each
def test_epsilon_0_changes_nothing(method: Method, model: nn.Module) -> None:
    assert torch.equal(asked(method, model, IMAGES, goals(method, model, IMAGES), epsilon=0.0), IMAGES)


@each
def test_the_chunks_change_nothing(method: Method, model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    model, images = model.double(), IMAGES.double()
    targets = goals(method, model, images)
    expected = asked(method, model, images, targets)
    for name in ("CPU_BUDGET", "CPU_GRADIENT_BUDGET"):
        monkeypatch.setattr(import_module("pellucid.models.evaluate"), name, 1)
    torch.testing.assert_close(asked(method, model, images, targets), expected, rtol=0, atol=1e-6)


@each
def test_the_same_again_and_the_trace_changes_nothing(method: Method, model: nn.Module) -> None:
    targets = goals(method, model, IMAGES)
    trace = Trace()
    made = asked(method, model, IMAGES, targets, trace=trace)
    assert torch.equal(made, asked(method, model, IMAGES, targets))
    assert trace.forward.shape == trace.backward.shape == trace.iterations.shape == (4,)
    assert trace.forward.sum() > 0


@each
def test_every_pass_is_counted(method: Method, model: nn.Module) -> None:
    passes: list[int] = []
    hook = model.register_forward_hook(lambda _module, inputs, _output: passes.append(len(inputs[0])))
    trace = Trace()
    targets = goals(method, model, IMAGES)
    passes.clear()
    asked(method, model, IMAGES, targets, trace=trace)
    hook.remove()
    assert int(trace.forward.sum()) == sum(passes)
    assert bool((trace.backward == 0).all()) == (method.__name__ in BLACK_BOX)


@each
def test_a_black_box_may_be_any_function(method: Method, model: nn.Module) -> None:
    if method.__name__ not in BLACK_BOX:
        pytest.skip("it takes gradients")
    targets = goals(method, model, IMAGES)

    class Opaque:
        """Answers with probabilities, and has nothing else to be looked at."""

        __slots__ = ()

        def __call__(self, images: Tensor) -> Tensor:
            assert not torch.is_grad_enabled()
            found: Tensor = model(images).softmax(dim=1)
            return found

    made = asked(method, Opaque(), IMAGES, targets)
    torch.testing.assert_close(made, asked(method, model, IMAGES, targets), rtol=0, atol=1e-4)


@each
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_gradients_may_be_off_around_it(method: Method, mode: Any, model: nn.Module) -> None:
    targets = goals(method, model, IMAGES)
    expected = asked(method, model, IMAGES, targets)
    with mode():
        torch.testing.assert_close(asked(method, model, IMAGES.clone(), targets.clone()), expected)


@each
def test_the_model_is_left_as_it_was(method: Method, model: nn.Module) -> None:
    next(model.parameters()).requires_grad_(False)
    targets = goals(method, model, IMAGES)
    before = state(model)
    noise = torch.random.get_rng_state()
    images = IMAGES.clone()
    asked(method, model, images, targets)
    assert state(model) == before
    assert torch.equal(images, IMAGES)
    assert torch.equal(noise, torch.random.get_rng_state())


def state(model: nn.Module) -> list[Any]:
    """Everything an attack might forget to put back."""
    told: list[Any] = [(p.requires_grad, p.grad is None, p._version) for p in model.parameters()]
    for module in model.modules():
        hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
        told.append((module.training, [len(h) for h in hooks]))
    return told


@each
def test_a_targeted_attack_reaches_for_the_target(method: Method, model: nn.Module) -> None:
    if "targeted" not in inspect.signature(method).parameters:
        pytest.skip("it has no targets, or nothing else")
    wanted = (called(model, IMAGES) + 1) % 5
    if method.__name__ in TOGETHER:
        wanted = wanted[:1].expand(4)  # one change for all has one class
    made = asked(method, model, IMAGES, wanted, targeted=True)
    found = outcome(model, IMAGES, made, wanted, targeted=True)
    closer = found.target_after >= found.target_before - 1e-6
    if method.__name__ in TOGETHER:
        closer = found.target_after.mean() > found.target_before.mean()
    assert bool((closer | found.success).all())
    if method.__name__ not in TOGETHER:
        assert torch.equal(asked(method, model, IMAGES, called(model, IMAGES), targeted=True), IMAGES), "already there"


@each
def test_every_option_is_told_in_one_line_and_has_a_default(method: Method) -> None:
    for option in options(method):
        assert len(option.told) < 120
        assert option.default is not inspect.Parameter.empty, "a face offers every attack without asking for more"


@each
def test_counts_are_whole_numbers(method: Method, model: nn.Module) -> None:
    for option in options(method):
        if option.annotation in {int, int | None}:
            with pytest.raises(ValueError, match=f"{option.name} must be a whole number, got 3.5"):
                asked(method, model, IMAGES, goals(method, model, IMAGES), **{option.name: 3.5})


BAD_IMAGES = [
    (torch.zeros(3, 12, 12), r"images must have shape \(N, C, H, W\), got \(3, 12, 12\)"),
    (torch.zeros(0, 3, 12, 12), r"images must not be empty"),
    (torch.full((4, 3, 12, 12), 2.0), r"images must be in \[0, 1\], got 2 to 2: normalised twice, or still 0 to 255\?"),
    (torch.full((4, 3, 12, 12), torch.nan), "images must be finite, got NaN"),
    (torch.zeros(4, 3, 12, 12).byte(), r"images must be a float tensor in \[0, 1\], got torch.uint8; divide"),
    (torch.zeros(4, 3, 12, 12).half(), "images must be float32 or float64, got torch.float16"),
]


@each
@pytest.mark.parametrize(("images", "message"), BAD_IMAGES, ids=["rank", "empty", "range", "nan", "bytes", "half"])
def test_bad_images_are_refused(method: Method, images: Tensor, message: str, model: nn.Module) -> None:
    with pytest.raises(ValueError, match=message):
        asked(method, model, images, torch.zeros(len(images), dtype=torch.int64))


BAD_TARGETS = [
    (torch.tensor([5, 0, 0, 0]), r"target 5 is no class: not in 0\.\.4"),
    (torch.tensor([-1, 0, 0, 0]), r"target -1 is no class: not in 0\.\.4"),
    (torch.tensor([0, 1]), r"targets must have shape \(4,\), one for each image, got \(2,\)"),
    (torch.tensor([0.0, 1.0, 2.0, 0.0]), "targets must be an int64 tensor"),
    (lambda outputs: outputs[:, 0], r"targets must be an int64 tensor \(N,\) of classes, got function"),
]


@each
@pytest.mark.parametrize(("targets", "message"), BAD_TARGETS, ids=["high", "low", "length", "dtype", "callable"])
def test_bad_targets_are_refused(method: Method, targets: Any, message: str, model: nn.Module) -> None:
    with pytest.raises(ValueError, match=message):
        asked(method, model, IMAGES, targets)


@each
@pytest.mark.parametrize("epsilon", [-0.1, float("nan"), float("inf")])
def test_an_epsilon_that_is_none_is_refused(method: Method, epsilon: float, model: nn.Module) -> None:
    with pytest.raises(ValueError, match="epsilon must be"):
        asked(method, model, IMAGES, goals(method, model, IMAGES), epsilon=epsilon)


@each
def test_a_training_model_is_refused(method: Method, model: nn.Module) -> None:
    model[-1].train()  # type: ignore[index]
    with pytest.raises(ValueError, match=r"model must be in eval mode, but 6 is training: call model\.eval\(\) first"):
        asked(method, model, IMAGES, torch.zeros(4, dtype=torch.int64))


@each
def test_weights_of_nan_are_told(method: Method, model: nn.Module) -> None:
    next(model.parameters()).data.fill_(torch.nan)
    with pytest.raises(ValueError, match="not finite"):
        asked(method, model, IMAGES, torch.zeros(4, dtype=torch.int64))


BALLS = [("linf", 0.1), ("linf", 0.0), ("l2", 0.7), ("l1", 5.0)]


@each
@pytest.mark.parametrize(("norm", "epsilon"), BALLS, ids=[f"{norm}-{epsilon}" for norm, epsilon in BALLS])
@pytest.mark.parametrize("seed", range(3))
def test_it_stays_in_the_ball(method: Method, norm: str, epsilon: float, seed: int) -> None:
    model, images = small_net(seed), small_images(seed=seed)
    model.double()
    told = taken(method, {"norm": norm})
    if not told and norm != "linf":
        pytest.skip("it has one norm")
    if told and norm not in NORMS_OF.get(method.__name__, norm):
        pytest.skip("it has no such norm")
    made = asked(method, model, images.double(), goals(method, model, images.double()), epsilon=epsilon, **told)
    found = outcome(model, images.double(), made, called(model, images.double()))
    size = {"linf": found.linf, "l2": found.l2, "l1": found.l1}[told.get("norm", BALL_OF.get(method.__name__, "linf"))]
    assert float(size.max()) <= epsilon + 1e-6


BALL_OF: dict[str, str] = {"boundary": "l2", "carlini_wagner": "l2", "fooling": "l2"}
"""The norm of an epsilon, of attacks that have one alone that is not linf."""

NORMS_OF: dict[str, str] = {"deepfool": "l2, linf", "square": "linf, l2", "universal": "linf, l2"}
"""The norms of attacks that do not have all three."""
