import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler as theirs

from pellucid.training import Schedule
from pellucid.training.schedules import NAMES


def sgd(lr: float = 0.4) -> torch.optim.SGD:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)


TORCH: dict[str, tuple[dict[str, Any], Callable[[torch.optim.Optimizer], Any]]] = {
    "step": ({"rate": 0.3, "period": 4}, lambda o: theirs.StepLR(o, 4, gamma=0.3)),
    "exponential": ({}, lambda o: theirs.ExponentialLR(o, 0.95)),
    "inverse": ({"rate": 0.2}, lambda o: theirs.LambdaLR(o, lambda t: 1 / (1 + 0.2 * t))),
    "cosine": ({"floor": 0.1}, lambda o: theirs.CosineAnnealingLR(o, 30, eta_min=0.04)),
    "cyclic": (
        {"period": 8, "floor": 0.1},
        lambda o: theirs.CosineAnnealingWarmRestarts(o, 8, eta_min=0.04),
    ),
    "one_cycle": ({}, lambda o: theirs.OneCycleLR(o, 0.4, total_steps=30, cycle_momentum=False)),
    "constant": ({}, lambda o: theirs.ConstantLR(o, factor=1.0)),
}


@pytest.mark.parametrize("name", TORCH)
def test_equals_torch(name: str) -> None:
    options, make = TORCH[name]
    one, other = sgd(), sgd()
    ours = Schedule(one, name, epochs=30, steps_per_epoch=1, **options)
    reference = make(other)
    for step in range(30):
        assert one.param_groups[0]["lr"] == pytest.approx(other.param_groups[0]["lr"], rel=1e-9), step
        ours.step()
        other.step()
        if step < 29:
            reference.step()


def test_the_plateau_equals_torch() -> None:
    values = [5.0, 4.0, 4.5, 4.4, 4.3, 4.2, 3.9, 3.9, 3.95, 4.0, 4.1, 4.2, 4.3, 4.4, 4.5]
    one, other = sgd(), sgd()
    ours = Schedule(one, "plateau", epochs=20, steps_per_epoch=2, rate=0.5, patience=2)
    reference = theirs.ReduceLROnPlateau(other, factor=0.5, patience=2)
    for value in values:
        ours.step()
        ours.step()
        ours.told(value)
        reference.step(value)
        assert one.param_groups[0]["lr"] == pytest.approx(other.param_groups[0]["lr"])
    assert ours.drops == 3


def test_time_is_counted_in_epochs() -> None:
    optimizer = sgd(1.0)
    schedule = Schedule(optimizer, "exponential", epochs=9, steps_per_epoch=10)
    for _ in range(25):
        schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.95**2.5)


def test_a_warm_up_rises_from_nearly_nothing() -> None:
    optimizer = sgd(1.0)
    schedule = Schedule(optimizer, "cosine", epochs=4, steps_per_epoch=10, warmup=1)
    seen = []
    for _ in range(40):
        seen.append(optimizer.param_groups[0]["lr"])
        schedule.step()
    cosine = [(1 + math.cos(math.pi * step / 40)) / 2 for step in range(40)]
    assert seen[:10] == pytest.approx([(step + 1) / 10 * cosine[step] for step in range(10)])
    assert seen[10:] == pytest.approx(cosine[10:])


def test_a_cycle_ends_with_its_epochs_and_a_third_of_all_is_the_usual_one() -> None:
    optimizer = sgd(1.0)
    schedule = Schedule(optimizer, "cyclic", epochs=6, steps_per_epoch=10)
    seen = []
    for _ in range(60):
        seen.append(optimizer.param_groups[0]["lr"])
        schedule.step()
    assert seen[20:40] == pytest.approx(seen[:20])
    assert seen[40:] == pytest.approx(seen[:20])
    assert (seen[20], seen[19]) == pytest.approx((1, (1 + math.cos(math.pi * 19 / 20)) / 2))


def test_every_group_keeps_its_own_rate() -> None:
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = torch.optim.SGD([{"params": weights[:1], "lr": 1.0}, {"params": weights[1:], "lr": 0.1}], lr=1.0)
    schedule = Schedule(optimizer, "step", epochs=3, steps_per_epoch=1, period=1)
    schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.1, 0.01])


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_one_goes_on(name: str) -> None:
    one, other = sgd(), sgd()
    whole = Schedule(one, name, epochs=5, steps_per_epoch=3, patience=0)
    for step in range(7):
        whole.step()
        if step % 3 == 2:
            whole.told(1.0)
    again = Schedule(other, name, epochs=5, steps_per_epoch=3, patience=0)
    again.load_state_dict(whole.state_dict())
    for _ in range(8):
        assert one.param_groups[0]["lr"] == other.param_groups[0]["lr"]
        whole.step()
        again.step()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "cosin"}, r"schedule must be one of constant, .*, got 'cosin'; did you mean cosine\?"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"rate": 0.0}, "rate must be positive, got 0"),
        ({"period": -1.0}, "period must be positive, got -1"),
        ({"floor": 2.0}, r"floor must be in \[0, 1\], got 2"),
        ({"warmup": 9}, r"warmup must be in \[0, 2\], got 9"),
        ({"name": "one_cycle", "warmup": 1}, "warmup must be 0 with one_cycle, which rises by itself, got 1"),
    ],
)
def test_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Schedule(sgd(), **{"epochs": 2, "steps_per_epoch": 2, **options})
