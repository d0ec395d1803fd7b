import gc
import threading
import tracemalloc
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.models import Model
from pellucid.models.probes import activations, calls, find_layer, first_tensor, graph_from
from pellucid.models.relus import relu_rule
from pellucid.models.resumed import resumed_from

IMAGES = torch.randn(2, 2, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


class Block(nn.Module):
    """A residual block with one in-place ReLU, used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(4, 4, 3, padding=1)
        self.two = nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, images: Tensor) -> Tensor:
        x = self.two(self.relu(self.one(images)))
        x += images
        found: Tensor = self.relu(x)
        return found


class Pair(NamedTuple):
    left: Tensor
    right: Tensor


class Splits(nn.Module):
    """Puts out two tensors, in one of several wrappings."""

    def __init__(self, wrap: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.wrap = wrap

    def forward(self, images: Tensor) -> Any:
        return self.wrap(images[:, :2] * 2, images[:, 2:] * 3)


class Joins(nn.Module):
    def forward(self, parts: Any) -> Tensor:
        one, two = parts.values() if isinstance(parts, dict) else parts
        found: Tensor = (one.relu_() * two).mean(dim=(2, 3))
        return found


def net(wrap: Callable[[Tensor, Tensor], Any] = lambda one, two: (one, two)) -> nn.Sequential:
    torch.manual_seed(0)
    parts = [nn.Conv2d(2, 4, 3), nn.ReLU(inplace=True), nn.Sequential(Block(), Block()), Splits(wrap), Joins()]
    return nn.Sequential(*parts, nn.Linear(2, 3)).double().eval()


def without_in_place(model: nn.Module, names: list[str]) -> dict[str, Tensor]:
    """A manual split of the net above: what each layer puts out, each a tensor of its own."""
    found: dict[str, Tensor] = {}
    x = found["0"] = model.get_submodule("0")(IMAGES)
    x = found["1"] = x.relu()
    for number in "01":
        block = model.get_submodule(f"2.{number}")
        one = found[f"2.{number}.one"] = block.get_submodule("one")(x)
        two = found[f"2.{number}.two"] = block.get_submodule("two")(one.relu())
        x = found[f"2.{number}.relu"] = found[f"2.{number}"] = (two + x).relu()
    found["2"] = x
    found["3"] = x[:, :2] * 2
    x = found["4"] = (found["3"].relu() * x[:, 2:] * 3).mean(dim=(2, 3))
    found["5"] = model.get_submodule("5")(x)
    return {name: found[name] for name in names}


NAMES = ["0", "1", "2.0.one", "2.0.two", "2.0.relu", "2.0", "2.1.one", "2.1.two", "2.1", "2", "3", "4", "5"]


def hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def test_activations_equal_a_manual_split_also_before_in_place_operations() -> None:
    model = net()
    expected = without_in_place(model, NAMES)
    with activations(model, NAMES) as found:
        out = model(IMAGES)
    assert set(found) == set(NAMES)
    for name in NAMES:
        torch.testing.assert_close(found[name], expected[name], msg=name)
    torch.testing.assert_close(out, expected["5"])
    assert hooks(model) == 0


@pytest.mark.parametrize("name", NAMES[:-1])
def test_gradients_of_recorded_activations_equal_manual_ones(name: str) -> None:
    model = net()
    expected = without_in_place(model, [name, "5"])
    (right,) = torch.autograd.grad(expected["5"][:, 1].sum(), expected[name])
    with activations(model, [name]) as found:
        out = model(IMAGES)
    (gradient,) = torch.autograd.grad(out[:, 1].sum(), found[name])
    torch.testing.assert_close(gradient, right)


@pytest.mark.parametrize("name", NAMES[:-1])
@pytest.mark.parametrize("frozen", [False, True])
def test_a_graph_that_starts_at_a_layer_gives_the_same_gradients(name: str, frozen: bool) -> None:
    model = net().requires_grad_(not frozen)
    expected = without_in_place(net(), [name, "5"])
    (right,) = torch.autograd.grad(expected["5"][:, 2].sum(), expected[name])
    with torch.no_grad(), graph_from(model, name) as found:
        out = model(IMAGES)
    (gradient,) = torch.autograd.grad(out[:, 2].sum(), found[name])
    torch.testing.assert_close(found[name].detach(), expected[name].detach())
    torch.testing.assert_close(gradient, right)
    assert found[name].is_leaf
    assert torch.is_grad_enabled()
    assert hooks(model) == 0


def test_a_graph_that_starts_at_a_layer_holds_nothing_before_it() -> None:
    model = net()
    with torch.no_grad(), graph_from(model, "2.1") as found:
        out = model(IMAGES)
    out.sum().backward()
    assert {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None} == {"5"}
    assert found["2.1"].grad is not None


@pytest.mark.parametrize(
    "wrap",
    [
        lambda one, two: (one, two),
        lambda one, two: [one, two],
        lambda one, two: {"left": one, "right": two},
        Pair,
    ],
    ids=["tuple", "list", "dict", "named tuple"],
)
def test_of_several_outputs_the_first_is_recorded_and_the_type_is_kept(wrap: Callable[[Tensor, Tensor], Any]) -> None:
    model, kinds = net(wrap), []
    model[4].register_forward_pre_hook(lambda _module, inputs: kinds.append(type(inputs[0])))
    expected = without_in_place(model, ["3", "5"])
    (right,) = torch.autograd.grad(expected["5"].sum(), expected["3"])
    with activations(model, ["3"]) as found:
        out = model(IMAGES)
    torch.testing.assert_close(found["3"], expected["3"])
    torch.testing.assert_close(torch.autograd.grad(out.sum(), found["3"])[0], right)
    assert kinds == [type(wrap(IMAGES, IMAGES))]


def test_of_a_layer_called_twice_the_last_output_is_kept() -> None:
    layer = nn.Linear(3, 3)
    model = nn.Sequential(layer, nn.Tanh(), layer)
    x = torch.randn(2, 3)
    with activations(model, [layer]) as found:
        out = model(x)
    assert torch.equal(found["0"], out)
    with activations(model, ["2"]) as found:
        model(x)
    assert torch.equal(found["2"], out)


def test_layers_are_found_by_name_or_module_and_relative_to_the_users_network() -> None:
    inner = net()
    model = Model(inner, mean=[0.0] * 3, std=[1.0] * 3, classes=["a", "b", "c"], size=6)
    assert find_layer(model, "2.0.one") == ("2.0.one", inner.get_submodule("2.0.one"))
    assert find_layer(model, inner.get_submodule("2.0.one"))[0] == "2.0.one"


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("2.0.onne", "layer '2.0.onne' is not part of the model; did you mean 2.0.one"),
        ("", "layer '' is not part of the model"),
        (nn.ReLU(), "layer must be part of the model, got a ReLU that is not"),
    ],
)
def test_refuses_a_layer_that_is_not_there(layer: str | nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_layer(net(), layer)


def test_refuses_a_layer_without_a_tensor() -> None:
    class Words(nn.Module):
        def forward(self, images: Tensor) -> str:
            return "words"

    model = nn.Sequential(Words())
    with activations(model, ["0"]), pytest.raises(ValueError, match="layer '0' puts out no tensor but str"):
        model(IMAGES)
    with graph_from(model, "0"), pytest.raises(ValueError, match="layer '0' puts out no float tensor"):
        model(IMAGES)


def test_first_tensor_looks_into_nests() -> None:
    one, two = torch.zeros(1), torch.ones(1)
    assert first_tensor(({"a": [None, one]}, two)) is one
    assert first_tensor(("word", 3, None)) is None


def test_calls_come_in_order_around_each_module() -> None:
    model = nn.Sequential(nn.Identity(), nn.Sequential(nn.Flatten()))
    heard: list[str] = []
    with calls(
        model, lambda name, _m, inputs: heard.append(f"{name}<{len(inputs)}"), lambda name, *_: heard.append(name + ">")
    ):
        model(IMAGES)
    assert heard == ["<1", "0<1", "0>", "1<1", "1.0<1", "1.0>", "1>", ">"]


# ReLU rules: a net of two layers by hand.
#   inputs x = (1, 2); W1 x = (1*1 - 1*2, 2*1 + 0*2, 1*1 + 1*2) = (-1, 2, 3); w2 = (4, -5, 6)
#   R, the gradient that arrives at the ReLU, is w2; a > 0 holds for the last two.
FIRST = torch.tensor([[1.0, -1.0], [2.0, 0.0], [1.0, 1.0]])
SECOND = torch.tensor([[4.0, -5.0, 6.0]])

Act = Callable[[nn.Module, Tensor], Tensor]
Rule = Callable[[Tensor, Tensor], Tensor]


class TwoLayers(nn.Module):
    def __init__(self, act: Act, module: nn.Module | None = None) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(2, 3, bias=False), nn.Linear(3, 1, bias=False)
        self.one.weight.data, self.two.weight.data = FIRST.clone(), SECOND.clone()
        self.module, self.act = module or nn.ReLU(), act

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.two(self.act(self.module, self.one(images)))
        return found


RULES: dict[str, tuple[Rule, list[float]]] = {
    "gradient": (lambda active, gradient: gradient * active, [-5 * 2 + 6.0, 6.0]),
    "deconvnet": (lambda _active, gradient: gradient.clamp(min=0), [4 + 6.0, -4 + 6.0]),
    "guided": (lambda active, gradient: gradient.clamp(min=0) * active, [6.0, 6.0]),
}


def ignored(_module: nn.Module, x: Tensor) -> Tensor:
    F.relu(x, inplace=True)
    return x


def in_place_method(_module: nn.Module, x: Tensor) -> Tensor:
    x.relu_()
    return x


ACTS: dict[str, tuple[Act, nn.Module]] = {
    "module": (lambda module, x: module(x), nn.ReLU()),
    "in-place module": (lambda module, x: module(x), nn.ReLU(inplace=True)),
    "module called twice": (lambda module, x: module(module(x)), nn.ReLU(inplace=True)),
    "F.relu": (lambda _, x: F.relu(x), nn.ReLU()),
    "F.relu in place": (lambda _, x: F.relu(x, inplace=True), nn.ReLU()),
    "F.relu in place, result ignored": (ignored, nn.ReLU()),
    "method": (lambda _, x: x.relu(), nn.ReLU()),
    "in-place method": (in_place_method, nn.ReLU()),
    "torch.relu": (lambda _, x: torch.relu(x), nn.ReLU()),
    "torch.relu_": (lambda _, x: torch.relu_(x), nn.ReLU()),
    "ReLU6": (lambda module, x: module(x), nn.ReLU6()),
    "in-place ReLU6": (lambda module, x: module(x), nn.ReLU6(inplace=True)),
    "F.relu6": (lambda _, x: F.relu6(x), nn.ReLU()),
    "hardtanh": (lambda _, x: F.hardtanh(x, 0, 6), nn.ReLU()),
    "hardtanh in place": (lambda _, x: F.hardtanh(x, min_val=0.0, max_val=6.0, inplace=True), nn.ReLU()),
    "Hardtanh": (lambda module, x: module(x), nn.Hardtanh(0, 6)),
}


def ruled(model: nn.Module, rule: Rule, point: tuple[float, float] = (1.0, 2.0)) -> tuple[Tensor, Tensor, int]:
    """Output, gradient and number of ReLUs met."""
    with torch.inference_mode(False), torch.enable_grad():
        images = torch.tensor([point]).requires_grad_()
        with relu_rule(rule) as met:
            out = model(images)
            (gradient,) = torch.autograd.grad(out.sum(), images)
    return out.detach(), gradient, met.total()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("act", ACTS)
def test_the_three_rules_by_hand_however_the_relu_is_written(act: str, rule: str) -> None:
    model = TwoLayers(*ACTS[act])
    out, gradient, met = ruled(model, RULES[rule][0])
    assert gradient.tolist() == [RULES[rule][1]]
    assert out.item() == -5 * 2 + 6 * 3
    assert met == (2 if act == "module called twice" else 1)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("act", ACTS)
def test_a_rule_holds_where_the_caller_switched_gradients_off(
    act: str, mode: Callable[[], AbstractContextManager[None]]
) -> None:
    model = TwoLayers(*ACTS[act])
    with mode():
        _, gradient, _ = ruled(model, RULES["guided"][0])
    assert gradient.tolist() == [RULES["guided"][1]]


@pytest.mark.parametrize("act", ["ReLU6", "in-place ReLU6", "F.relu6", "hardtanh", "hardtanh in place", "Hardtanh"])
def test_where_it_saturates_a_relu6_is_not_active(act: str) -> None:
    model = TwoLayers(*ACTS[act])
    out, gradient, _ = ruled(model, RULES["gradient"][0], (1.0, 9.0))  # W1 x = (-8, 2, 10)
    assert out.item() == -5 * 2 + 6 * 6
    assert gradient.tolist() == [[-10, 0]]


def test_an_input_of_exactly_zero_or_six_is_not_active() -> None:
    x = torch.tensor([0.0, 6.0, 3.0], requires_grad=True)
    with relu_rule(RULES["gradient"][0]):
        out = F.relu6(x)
    assert torch.autograd.grad(out.sum(), x)[0].tolist() == [0, 0, 1]


def test_other_functions_keep_their_own_gradient() -> None:
    x = torch.tensor([-0.5, 0.5, 2.0], requires_grad=True)
    with relu_rule(lambda _active, gradient: gradient * 100) as met:
        out = F.hardtanh(x) + F.leaky_relu(x, 0.5) + F.gelu(x) * 0 + x.clamp(0, 1)
    assert torch.autograd.grad(out.sum(), x)[0].tolist() == [1 + 0.5 + 0, 1 + 1 + 1, 0 + 1 + 0]
    assert not met


@pytest.mark.parametrize(
    "spelling",
    [
        lambda x: x.clamp(min=0),
        lambda x: torch.clamp(x, 0),
        lambda x: x.clamp_min(0),
        lambda x: F.threshold(x, 0, 0),
        nn.Threshold(0, 0),
    ],
)
def test_a_relu_by_any_other_name_is_one(spelling: Callable[[Tensor], Tensor]) -> None:
    x = torch.tensor([-0.5, 0.5, 2.0], requires_grad=True)
    with relu_rule(lambda active, gradient: 100 * gradient * active) as met:
        out = spelling(x)
    assert torch.equal(out, x.relu())
    assert torch.autograd.grad(out.sum(), x)[0].tolist() == [0, 100, 100]
    assert met.total() == 1


def test_the_rule_works_through_a_whole_net_with_recorded_layers() -> None:
    model = net()
    x = IMAGES.clone().requires_grad_()
    (right,) = torch.autograd.grad(model(x).sum(), x)
    with relu_rule(RULES["gradient"][0]) as met, activations(model, ["2.0"]) as found:
        out = model(x)
    (gradient,) = torch.autograd.grad(out.sum(), x)
    torch.testing.assert_close(gradient, right)
    assert found["2.0"].shape == (2, 4, 4, 4)
    assert dict(met) == {"relu": 5, "relu_": 1}


class Counts(nn.Module):
    """Passes its input on, and remembers how many rows each pass had."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.rows.append(len(images))
        return images


class Around(nn.Module):
    """A layer with a skip around it, by addition or concatenation, and its input used again behind."""

    def __init__(self, join: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.join, self.count = join, Counts()
        self.one, self.two = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.head = nn.Linear(6 if join == "cat" else 3, 4)
        self.double().eval()

    def forward(self, images: Tensor) -> Tensor:
        x = self.one(self.count(images)).relu()
        y = self.two(x)
        y = torch.cat([x, y], dim=1) if self.join == "cat" else x + y
        found: Tensor = self.head((y.tanh() * images.mean()).mean(dim=(2, 3)) if self.join == "add" else y.mean((2, 3)))
        return found

    def by_hand(self, images: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
        """One image, no skip shared: each changed row with its own copy of what goes around the layer."""
        x = self.one(images).relu()
        y = change(self.two(x))
        x = x.repeat(len(y), 1, 1, 1)
        y = torch.cat([x, y], dim=1) if self.join == "cat" else x + y
        found: Tensor = self.head((y.tanh() * images.mean()).mean(dim=(2, 3)) if self.join == "add" else y.mean((2, 3)))
        return found


def scaled(found: Tensor) -> Tensor:
    """Three variants of each row, the first as it is."""
    factors = torch.tensor([1.0, 0.5, -2.0], dtype=found.dtype).repeat_interleave(len(found))
    return found.repeat(3, 1, 1, 1) * factors[:, None, None, None]


@pytest.mark.parametrize("name", ["0", "1", "2.0", "2.1.one", "2"])
def test_a_resumed_pass_equals_a_manual_split(name: str) -> None:
    model = net()
    image = IMAGES[:1]
    if "." in name:  # no split by hand: each variant by a pass of its own
        rows = []
        for factor in (1.0, 0.5, -2.0):
            handle = find_layer(model, name)[1].register_forward_hook(lambda _m, _i, out, f=factor: out * f)
            rows.append(model(image))
            handle.remove()
        expected = torch.cat(rows)
    else:
        place = int(name) + 1
        expected = model[place:](scaled(model[:place](image)))
    with torch.no_grad(), resumed_from(model, name) as resumed:
        torch.testing.assert_close(resumed(image, 3, scaled), expected.detach())
        torch.testing.assert_close(resumed(image, 3, scaled), expected.detach())
    assert hooks(model) == 0


@pytest.mark.parametrize(("join", "rows"), [("add", [1, 2]), ("plus", [1, 2]), ("cat", [1, 3])])
def test_a_resumed_pass_computes_what_lies_before_once_where_broadcasting_joins(join: str, rows: list[int]) -> None:
    model = Around(join)
    expected = [model.by_hand(image[None], scaled).detach() for image in IMAGES]
    with torch.no_grad(), resumed_from(model, "two") as resumed:
        found = resumed(IMAGES[:1], 3, scaled)
        assert model.count.rows == rows, "the first time two rows are checked"
        torch.testing.assert_close(found, expected[0])
        model.count.rows.clear()
        torch.testing.assert_close(resumed(IMAGES[1:], 3, scaled), expected[1])  # as often as one likes
        assert model.count.rows == [3 if join == "cat" else 1]


def test_a_resumed_pass_of_several_images_passes_each_row_from_the_start() -> None:
    model = Around("plus")
    with torch.no_grad(), resumed_from(model, "two") as resumed:
        found = resumed(IMAGES, 3, scaled)
    assert model.count.rows == [6]
    each = torch.stack([model.by_hand(image[None], scaled) for image in IMAGES], dim=1)  # (3, 2, 4)
    torch.testing.assert_close(found, each.flatten(0, 1))


def test_a_layer_called_twice_has_no_one_output_to_exchange() -> None:
    layer = nn.Conv2d(2, 2, 3, padding=1)
    model = nn.Sequential(layer, nn.Tanh(), layer, nn.Flatten()).double()
    message = "layer '0' is called more than once in a pass: name one that is not"
    with torch.no_grad(), resumed_from(model, "0") as resumed:
        for images, count in ((IMAGES[:1], 1), (IMAGES[:1], 3), (IMAGES, 3)):
            with pytest.raises(ValueError, match=message):
                resumed(images, count, scaled)


class Crosswise(nn.Module):
    """Joins rows along the batch, so that rows fit together but not to each other; or checks its rows itself."""

    def __init__(self, checks: bool) -> None:
        super().__init__()
        self.one, self.two, self.checks = nn.Conv2d(2, 4, 3), nn.Conv2d(2, 4, 3), checks

    def forward(self, images: Tensor) -> Tensor:
        one, two = self.one(images), self.two(images)
        if self.checks and len(one) != len(two):
            raise ValueError("rows must be as many")
        both = torch.cat([one, two])  # (2 n, 4, h, w)
        found: Tensor = (both[: len(one)] - both.flip(0)[: len(one)]).flatten(1)
        return found


@pytest.mark.parametrize("checks", [False, True])
def test_rows_that_only_seem_to_fit_pass_from_the_start(checks: bool) -> None:
    torch.manual_seed(0)
    model = Crosswise(checks).double()
    with torch.no_grad(), resumed_from(model, "one") as resumed:
        found = resumed(IMAGES[:1], 3, scaled)
    with torch.no_grad():
        one, two = scaled(model.one(IMAGES[:1])), model.two(IMAGES[:1]).repeat(3, 1, 1, 1)
        both = torch.cat([one, two])
    torch.testing.assert_close(found, (both[:3] - both.flip(0)[:3]).flatten(1))


def test_a_resumed_pass_refuses_a_layer_that_is_never_reached() -> None:
    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.Identity(), nn.Identity()

        def forward(self, images: Tensor) -> Tensor:
            found: Tensor = self.used(images)
            return found

    with (
        resumed_from(Unused(), "unused") as resumed,
        pytest.raises(ValueError, match="layer 'unused' is never reached in the forward pass"),
    ):
        resumed(IMAGES[:1], 1, lambda found: found)


class Breaks(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        raise RuntimeError("broken")


@pytest.mark.parametrize(
    "probe",
    [
        lambda model: activations(model, ["0", "1"]),
        lambda model: graph_from(model, "0"),
        lambda model: calls(model, lambda *_: None, lambda *_: None),
        lambda model: resumed_from(model, "0"),
        lambda _model: relu_rule(lambda _active, gradient: gradient * 7),
    ],
    ids=["activations", "graph_from", "calls", "resumed_from", "relu_rule"],
)
def test_everything_is_restored_after_an_exception(probe: Callable[[nn.Module], AbstractContextManager[Any]]) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), Breaks()).eval()
    model[1].train()
    with pytest.raises(RuntimeError, match="broken"), torch.no_grad(), probe(model):
        model(torch.ones(1, 2))
    assert hooks(model) == 0
    assert [module.training for module in model] == [False, True, False]
    assert torch.is_grad_enabled()
    x = torch.tensor([-1.0, 1.0], requires_grad=True)
    assert torch.autograd.grad(F.relu(x).sum(), x)[0].tolist() == [0, 1]


def test_a_name_that_is_not_there_leaves_no_hook_behind() -> None:
    model = net()
    with pytest.raises(ValueError, match="not part of the model"), activations(model, ["0", "nowhere"]):
        pass
    assert hooks(model) == 0


def every_probe(model: nn.Module) -> None:
    images = IMAGES.clone().requires_grad_()
    with activations(model, NAMES) as found, relu_rule(RULES["guided"][0]):
        torch.autograd.grad(model(images).sum(), [images, found["2"]])
    with torch.no_grad(), graph_from(model, "2.0") as found:
        out = model(IMAGES)
    torch.autograd.grad(out.sum(), found["2.0"])
    with calls(model, lambda *_: None, lambda *_: None), torch.no_grad():
        model(IMAGES)
    with resumed_from(model, "2.0") as resumed, torch.no_grad():
        resumed(IMAGES[:1], 2, lambda found: found.repeat(2, 1, 1, 1))


def live_tensors() -> int:
    gc.collect()
    return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())


def test_two_hundred_calls_leave_no_tensor_and_no_memory_behind() -> None:
    model = net()
    tracemalloc.start()
    try:
        for _ in range(20):  # caches fill
            every_probe(model)
        grown: list[tuple[int, int]] = []
        for _ in range(3):  # what leaks grows each time; what other threads do meanwhile does not
            tensors, (memory, _) = live_tensors(), tracemalloc.get_traced_memory()
            for _ in range(200):
                every_probe(model)
            grown.append((live_tensors() - tensors, tracemalloc.get_traced_memory()[0] - memory))
            if grown[-1][0] <= 0 and grown[-1][1] < 20_000:  # 100 bytes a call would show
                break
        else:
            pytest.fail(f"tensors and bytes left behind by 200 calls, three times: {grown}")
    finally:
        tracemalloc.stop()
    assert hooks(model) == 0


@pytest.mark.parametrize("probe", [activations, graph_from])
def test_two_threads_look_into_one_network_at_a_time(probe: Callable[..., AbstractContextManager[Any]]) -> None:
    model, barrier = net(), threading.Barrier(2, timeout=20)
    layers = "2" if probe is graph_from else ["2"]
    images = [IMAGES, IMAGES.flip(0) * 2]
    found: dict[int, tuple[Tensor, bool]] = {}

    def look(number: int) -> None:
        for _ in range(20):
            with torch.no_grad(), probe(model, layers) as seen:
                barrier.wait()  # both have their hooks
                model(images[number])
                found[number] = seen["2"], torch.is_grad_enabled()
                barrier.wait()

    threads = [threading.Thread(target=look, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with torch.no_grad():
        for number in (0, 1):
            torch.testing.assert_close(found[number][0], model[:3](images[number]))
            assert found[number][0].is_leaf
    assert hooks(model) == 0


def test_a_probe_leaves_what_other_threads_do_alone() -> None:
    model = net()
    seen: list[Tensor] = []
    with torch.no_grad(), graph_from(model, "2") as found:
        thread = threading.Thread(target=lambda: seen.append(model(IMAGES.clone().requires_grad_())))
        thread.start()
        thread.join()
        assert not found
    assert seen[0].requires_grad
    assert seen[0].shape == (2, 3)


def test_an_image_that_comes_again_is_not_run_again_before_the_layer() -> None:
    first = nn.Conv2d(2, 3, 3)
    net = nn.Sequential(nn.Sequential(first, nn.ReLU(inplace=True)), nn.Conv2d(3, 3, 1), nn.Flatten())
    net.double().eval()
    ran: list[int] = []
    plain = first.forward

    def counted(images: Tensor) -> Tensor:
        ran.append(len(images))
        return plain(images)

    first.forward = counted  # type: ignore[assignment, method-assign]
    with torch.no_grad(), resumed_from(net, "1") as run:
        for _ in range(3):
            for image in torch.split(IMAGES, 1):
                found = run(image, 4, lambda x: torch.cat([x * n for n in range(4)]))
                torch.testing.assert_close(found[2], 2 * net(image)[0])
                ran.pop()  # the line above
                assert first.forward is counted
        assert sum(ran) == 3 * len(IMAGES) + 2, "an image between two others is run again, and two rows once"
        ran.clear()
        for _ in range(3):
            run(IMAGES[:1], 4, lambda x: x.repeat(4, 1, 1, 1))
        assert ran == [1]
        changed = IMAGES.clone()
        run(changed[:1], 4, lambda x: x.repeat(4, 1, 1, 1))
        before = run(changed[:1], 1, lambda x: x)
        changed.mul_(2)
        assert not torch.equal(run(changed[:1], 4, lambda x: x.repeat(4, 1, 1, 1))[:1], before), "it has other values"


def test_what_a_module_gave_is_handed_out_in_turn_and_whole() -> None:
    class Twice(nn.Module):
        """A module that is called twice before the layer and once behind it, whose output is worked on in place."""

        def __init__(self) -> None:
            super().__init__()
            self.shared, self.layer = nn.Linear(4, 4), nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            x = self.shared(x.flatten(1)[:, :4]).add_(1)
            x = self.shared(x).mul_(2)
            logits: Tensor = self.shared(self.layer(x))
            return logits

    net = Twice().double().eval()
    image = IMAGES[:1].clone()
    with torch.no_grad(), resumed_from(net, "layer") as run:
        for _ in range(3):
            torch.testing.assert_close(run(image, 2, lambda x: x.repeat(2, 1))[1], net(image)[0])
