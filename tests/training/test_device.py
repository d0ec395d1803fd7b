"""A training part lies on the device that trains, where it fits, and is augmented there; each process goes on with its
own random numbers.
"""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from pellucid.data import Pixels, augment
from pellucid.data.augment import OPS
from pellucid.data.augment import paints as paint_module
from pellucid.data.augment._draws import stages
from pellucid.data.augment._op import Move, Paint
from pellucid.data.augment._sampling import warped
from pellucid.training import Run, State
from pellucid.training.sets import near_by
from pellucid.training.state import RandomStates, random_states, set_random_state

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


def a_set(count: int = 6) -> Pixels:
    pixels = torch.zeros(count, 3, 8, 8, dtype=torch.uint8)
    return Pixels(pixels, torch.zeros(count, dtype=torch.int64), ("a", "b"), ("",) * count)


@pytest.mark.parametrize(("free", "goes"), [(10**6, True), (6 * 3 * 8 * 8 * 4, True), (6 * 3 * 8 * 8 * 4 - 4, False)])
def test_a_set_goes_where_a_quarter_of_the_free_memory_holds_it(
    monkeypatch: pytest.MonkeyPatch, free: int, goes: bool
) -> None:
    asked: list[Any] = []

    def mem_get_info(device: torch.device) -> tuple[int, int]:
        asked.append(device)
        return free, 10**9

    monkeypatch.setattr(torch.cuda, "mem_get_info", mem_get_info)
    monkeypatch.setattr(Pixels, "to", lambda _, device: f"on {device}")
    pixels = a_set()
    assert near_by(pixels, CUDA) == ("on cuda:0" if goes else pixels)
    assert asked == [CUDA]
    assert near_by(pixels, CPU) is pixels
    assert near_by(pixels, torch.device("mps")) is pixels


def test_a_set_moves_as_a_whole() -> None:
    moved = a_set().to("cpu")
    assert moved.pixels.device == moved.targets.device == CPU
    with FakeTensorMode(allow_non_fake_inputs=True):
        moved = a_set().to("cuda")
        assert moved.pixels.device == moved.targets.device == CUDA
        assert moved.images(slice(2)).device == CUDA


@pytest.mark.parametrize("name", sorted(OPS))
def test_an_operation_takes_images_on_a_device_and_draws_on_the_cpu(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """No such device is needed: tensors without numbers know where they lie, and refuse to be mixed."""
    policy = augment.policy(name)
    drawn = policy.draw(torch.arange(4), (4, 3, 16, 16), seed=1)
    stage = next(stages(drawn))
    assert all(value.device == CPU for value in (*drawn.chosen, *drawn.values[0].values()))
    monkeypatch.setattr(paint_module, "one_by_one", lambda _function, values: values.clone())  # it reads numbers
    monkeypatch.setattr(torch.Tensor, "__bool__", lambda _: True)  # so does `warped`
    op, values, matrix = policy.ops[0], drawn.values[0], stage.matrix
    with FakeTensorMode(allow_non_fake_inputs=True):
        images = torch.empty(4, 3, 16, 16, device="cuda")
        if isinstance(op, Move):
            done = op.move(images, values)
        elif isinstance(op, Paint):
            done = op.paint(images, values)
        else:
            assert matrix is not None
            done = warped(images, matrix, "bilinear")
        assert done.device == CUDA
        assert done.shape == images.shape


# random states


def test_each_process_goes_on_with_its_own_random_numbers(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    told: list[torch.Tensor] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_rng_state", told.append)
    generators = [torch.Generator().manual_seed(number) for number in (1, 2)]
    expected = [torch.rand(3, generator=torch.Generator().manual_seed(number)) for number in (1, 2)]
    on_device = [torch.full((16,), number, dtype=torch.uint8) for number in (10, 20)]
    states = RandomStates([one.get_state() for one in generators], on_device)
    run = Run.create(tmp_path / "run", {"recipe": "classify", "data": "digits"})
    run.checkpoint({"state": State()}, states)
    for rank in (0, 1, 5):
        with torch.random.fork_rng(devices=[]):
            assert run.restore({"state": State()}, rank)
            assert torch.equal(torch.rand(3), expected[min(rank, 1)])
    assert [int(one[0]) for one in told] == [10, 20, 20]


def test_the_state_of_a_processs_own_device_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    assert random_states().cuda == []
    own = torch.full((16,), 7, dtype=torch.uint8)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda: own)

    def all_gather(gathered: list[torch.Tensor], mine: torch.Tensor) -> None:
        for rank, one in enumerate(gathered):
            one.copy_(mine + rank)

    monkeypatch.setattr(torch.distributed, "all_gather", all_gather)
    found = random_states(SimpleNamespace(world_size=3, device=CPU))
    assert [int(one[0]) for one in found.cuda] == [7, 8, 9]
    assert len(found.cpu) == 3
    assert torch.equal(found.cpu[0], torch.get_rng_state())


def test_without_a_device_its_state_is_left_alone() -> None:
    with torch.random.fork_rng(devices=[]):
        set_random_state(RandomStates([torch.Generator().manual_seed(1).get_state()], [torch.zeros(16).byte()]))
