"""How many images pass together is measured once a block."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from pellucid.models import _chunks, differentiate, evaluate, paced, unvaried
from pellucid.models._live_bytes import LiveBytes

IMAGES = torch.rand(9, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with each measurement."""
    made: list[int] = []

    class Counted(LiveBytes):  # type: ignore[no-untyped-call]
        def __init__(self) -> None:
            super().__init__()
            made.append(1)

    monkeypatch.setattr(_chunks, "LiveBytes", Counted)
    return made


def ask(net: Callable[[Tensor], Tensor] | nn.Module, images: Tensor = IMAGES, budget: int | None = None) -> Tensor:
    return evaluate(net, unvaried(images), lambda outputs, _rows: outputs, budget=budget)[0]


def test_a_block_measures_once_for_each_network_and_shape(measured: list[int]) -> None:
    net, other = nn.Conv2d(3, 2, 3).eval(), nn.Conv2d(3, 2, 3).eval()
    expected = ask(net)
    measured.clear()
    with paced():
        with paced():  # an inner block shares the outer's
            assert torch.equal(ask(net), expected)
        ask(net)
        assert len(measured) == 1
        ask(net, IMAGES[..., :6])
        ask(other)
        ask(net, budget=100_000)
        differentiate(net, unvaried(IMAGES), lambda o, _: o.sum(dim=(1, 2, 3)), lambda g, *_: g)
        assert len(measured) == 5
    ask(net)
    assert len(measured) == 6, "nothing is kept behind the block"


def test_what_was_measured_is_kept_to(measured: list[int]) -> None:
    passes: list[int] = []
    net = nn.Conv2d(3, 2, 3).eval()
    net.register_forward_hook(lambda _module, inputs, _output: passes.append(len(inputs[0])))
    with paced():
        ask(net, budget=1)
        ask(net, budget=1)
    assert passes == [1] * 18


def test_several_numbers_of_a_row_are_differentiated_in_one_pass() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.Tanh(), nn.Linear(4, 3)).eval()
    passes: list[int] = []
    net.register_forward_hook(lambda _module, inputs, _output: passes.append(len(inputs[0])))
    found = differentiate(net, unvaried(IMAGES), lambda o, _: o, lambda g, *_: g)[0]
    assert found.shape == (9, 3, 3, 8, 8)
    assert sum(passes) == 9
    for column in range(3):
        alone = differentiate(net, unvaried(IMAGES), lambda o, _: o[:, column], lambda g, *_: g)[0]  # noqa: B023
        torch.testing.assert_close(found[:, column], alone)


def test_a_function_is_asked_like_a_network() -> None:
    assert torch.equal(ask(lambda images: images.mean(dim=(2, 3))), IMAGES.mean(dim=(2, 3)))
