import copy
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pellucid.training import Average, Epoch, Schedule, State, fit


class Line(nn.Module):
    """loss = mean (w x - y)^2."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(1))

    def forward(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        x, y = batch
        return {"loss": (self.w * x - y).square().mean(), "w": self.w[0]}


TWO = [(torch.tensor([x]), torch.tensor([3 * x])) for x in (1.0, 2.0)]


def test_steps_equal_gradient_descent_by_hand() -> None:
    step = Line()
    records = list(fit(step, TWO, torch.optim.SGD(step.parameters(), lr=0.05), epochs=2))
    w, losses = 0.0, []
    for _ in range(2):
        for x in (1.0, 2.0):
            losses.append((w * x - 3 * x) ** 2)
            w -= 0.05 * 2 * (w * x - 3 * x) * x
    assert step.w.item() == pytest.approx(w, rel=1e-6)
    assert [r.values["loss"] for r in records] == pytest.approx([sum(losses[:2]) / 2, sum(losses[2:]) / 2])
    assert [(r.epoch, r.steps, r.lr) for r in records] == [(1, 2, 0.05), (2, 4, 0.05)]


def test_the_caller_stops() -> None:
    step = Line()
    for record in fit(step, TWO, torch.optim.SGD(step.parameters(), lr=0.01), epochs=100):
        if record.epoch == 3:
            break
    assert record.steps == 6


def test_a_loss_that_is_no_number_is_told() -> None:
    step = Line()
    with pytest.raises(ValueError, match=r"the loss became (nan|inf) at epoch 1[0-9]* step \d, lr 1e\+30: lower lr"):
        list(fit(step, TWO, torch.optim.SGD(step.parameters(), lr=1e30), epochs=9))


def test_an_epoch_without_a_batch_is_told() -> None:
    step = Line()
    with pytest.raises(ValueError, match="epoch 1 has no batch: more images, or a smaller batch_size"):
        list(fit(step, [], torch.optim.SGD(step.parameters(), lr=0.1), epochs=1))


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("epochs", 0, "epochs must be at least 1, got 0"),
        ("accumulate", 0, "accumulate must be at least 1, got 0"),
        ("clip_norm", 0.0, "clip_norm must be positive, got 0"),
        ("clip_value", -1.0, "clip_value must be positive, got -1"),
        ("every", 1.5, "every must be a whole number, got 1.5"),
    ],
)
def test_refuses(option: str, value: Any, message: str) -> None:
    step = Line()
    with pytest.raises(ValueError, match=message):
        next(fit(step, TWO, torch.optim.SGD(step.parameters(), lr=0.1), **{"epochs": 1, option: value}))


class Net(nn.Module):
    """A small net with dropout and batch norm: whatever a resumed run could get wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.4), nn.Linear(8, 3))

    def forward(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        x, y = batch
        return {"loss": nn.functional.cross_entropy(self.net(x), y)}


def shuffled(epoch: int, skip: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    """Seven batches of four rows, in another order each epoch."""
    x = torch.randn(28, 4, generator=torch.Generator().manual_seed(0))
    y = torch.arange(28) % 3
    order = torch.randperm(28, generator=torch.Generator().manual_seed(epoch))
    for chosen in torch.split(order, 4)[skip:]:
        yield x[chosen], y[chosen]


def parts() -> dict[str, Any]:
    torch.manual_seed(0)
    step = Net()
    optimizer = torch.optim.Adam(step.parameters(), lr=0.01)
    schedule = Schedule(optimizer, "cosine", epochs=3, steps_per_epoch=7, warmup=0.5)
    made = {"step": step, "optimizer": optimizer, "schedule": schedule}
    return {**made, "average": Average(step, decay=0.9), "state": State()}


def run(made: dict[str, Any], **more: Any) -> Iterator[Epoch]:
    more = {"every": 1, **more}
    yield from fit(
        made["step"],
        shuffled,
        made["optimizer"],
        epochs=3,
        schedule=made["schedule"],
        average=made["average"],
        state=made["state"],
        **more,
    )


@pytest.mark.parametrize("cut", [1, 5, 6, 7, 11, 14])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_resumed_equals_uninterrupted_bit_for_bit(cut: int, accumulate: int) -> None:
    whole, first, second = parts(), parts(), parts()
    torch.manual_seed(7)
    expected = [record for record in run(whole, accumulate=accumulate) if record.is_over]
    torch.manual_seed(7)
    told, records = 0, []
    for record in run(first, accumulate=accumulate):
        told += 1
        records += [record] if record.is_over else []
        if told == cut:
            saved = copy.deepcopy({name: part.state_dict() for name, part in first.items()})
            random = torch.get_rng_state()
            break
    torch.randn(100)  # the world goes on
    if told == cut:
        for name, part in second.items():
            part.load_state_dict(saved[name])
        torch.set_rng_state(random)
        records += [record for record in run(second, accumulate=accumulate) if record.is_over]
    for one, other in zip(whole["step"].state_dict().values(), second["step"].state_dict().values(), strict=True):
        assert torch.equal(one, other)
    for one, other in zip(
        whole["average"].model.state_dict().values(), second["average"].model.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)
    assert [(r.epoch, r.steps, r.values, r.lr) for r in records] == [
        (r.epoch, r.steps, r.values, r.lr) for r in expected
    ]


def test_accumulated_batches_equal_one_large_batch() -> None:
    small, large = Line(), Line()
    pairs = [(torch.tensor([float(x)]), torch.tensor([2.0 * x])) for x in range(1, 7)]
    together = [
        (torch.cat([x for x, _ in pairs[i : i + 3]]), torch.cat([y for _, y in pairs[i : i + 3]])) for i in (0, 3)
    ]
    list(fit(small, pairs, torch.optim.SGD(small.parameters(), lr=0.01), epochs=2, accumulate=3))
    list(fit(large, together, torch.optim.SGD(large.parameters(), lr=0.01), epochs=2))
    torch.testing.assert_close(small.w, large.w)


def test_an_incomplete_group_is_averaged_over_its_own_size() -> None:
    short, alone = Line(), Line()
    list(fit(short, TWO[:1], torch.optim.SGD(short.parameters(), lr=0.01), epochs=1, accumulate=5))
    list(fit(alone, TWO[:1], torch.optim.SGD(alone.parameters(), lr=0.01), epochs=1))
    torch.testing.assert_close(short.w, alone.w)


def test_clipping_bounds_the_update() -> None:
    by_norm, by_value = Line(), Line()
    list(fit(by_norm, TWO[:1], torch.optim.SGD(by_norm.parameters(), lr=1.0), epochs=1, clip_norm=0.25))
    list(fit(by_value, TWO[:1], torch.optim.SGD(by_value.parameters(), lr=1.0), epochs=1, clip_value=0.5))
    assert by_norm.w.item() == pytest.approx(0.25)  # the gradient at 0 is -6
    assert by_value.w.item() == pytest.approx(0.5)


def test_lbfgs_gets_its_closure() -> None:
    step = Line()
    x = torch.arange(1.0, 9.0)
    list(fit(step, [(x, 3 * x)], torch.optim.LBFGS(step.parameters(), line_search_fn="strong_wolfe"), epochs=3))
    assert step.w.item() == pytest.approx(3.0, abs=1e-5)


def test_a_plain_iterable_serves_every_epoch() -> None:
    step = Line()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(6), torch.ones(6)), batch_size=2)
    records = list(fit(step, loader, torch.optim.SGD(step.parameters(), lr=0.1), epochs=2, every=2))
    assert [(r.epoch, r.steps, r.is_over) for r in records] == [
        (1, 2, False),
        (1, 3, True),
        (2, 4, False),
        (2, 6, True),
    ]


def test_training_goes_on_in_training_mode_whatever_the_caller_does() -> None:
    step = Net()
    modes = []
    step.register_forward_pre_hook(lambda module, _args: modes.append(module.training))
    for _ in fit(step, shuffled, torch.optim.SGD(step.parameters(), lr=0.1), epochs=2, every=3):
        step.eval()
    assert len(modes) == 14
    assert all(modes)


def test_weights_spoilt_by_the_last_update_are_told_before_anyone_saves_them() -> None:
    step = Line()
    with pytest.raises(ValueError, match=r"the weights became nan or infinite at epoch 1 step 1, lr 1e\+38: lower lr"):
        list(fit(step, TWO[:1], torch.optim.SGD(step.parameters(), lr=1e38), epochs=1))


def test_a_gradient_that_is_no_number_is_told_as_such_though_it_is_clipped() -> None:
    class Root(Line):
        def forward(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
            return {"loss": (self.w * batch[0]).sqrt().mean()}

    step = Root()
    with pytest.raises(ValueError, match="the weights became nan or infinite at epoch 1 step 1"):
        list(fit(step, [(torch.zeros(1),)], torch.optim.SGD(step.parameters(), lr=0.1), epochs=1, clip_norm=1.0))


def test_lbfgs_with_small_batches_is_warned_of_once() -> None:
    step = Line()
    tuned = torch.optim.LBFGS(step.parameters(), line_search_fn="strong_wolfe")
    with pytest.warns(UserWarning, match="lbfgs is for full batches") as told:
        list(fit(step, TWO, tuned, epochs=3))
    assert len(told) == 1


def test_the_seconds_of_an_epoch_hold_the_making_of_its_first_batch() -> None:
    def slow(_epoch: int, _skip: int) -> Iterator[tuple[Tensor, Tensor]]:
        time.sleep(0.05)
        yield TWO[0]

    step = Line()
    records = list(fit(step, slow, torch.optim.SGD(step.parameters(), lr=0.1), epochs=2))
    assert min(record.seconds for record in records) >= 0.05
