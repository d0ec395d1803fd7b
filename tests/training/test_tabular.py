"""One net on one split of a table."""

from itertools import islice, pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from pellucid.data import Split, Table, builtin, split_indices
from pellucid.training.tabular import TableTraining

IRIS = builtin("iris", split="all")
SPLIT = split_indices(IRIS.targets, val=20, test=20)


def training(seed: int = 0, split: Split = SPLIT, table: Table = IRIS, **options: Any) -> TableTraining:
    torch.manual_seed(seed)
    return TableTraining(table, split, **{"epochs": 30, "lr": 0.01, **options})


@pytest.fixture(autouse=True)
def _quiet_generator() -> Any:
    with torch.random.fork_rng(devices=[]):
        yield


def test_best_weights_give_the_recorded_val_loss_exactly() -> None:
    one = training(lr=0.3, patience=None)  # it jumps about
    records = list(one())
    best = min(records, key=lambda record: record["val_loss"])
    assert 0 < best["epoch"] < len(records) == 30
    assert one.kept.epoch == best["epoch"]
    assert [record["epoch"] for record in records if record["best"]][-1] == best["epoch"]
    logits = one.best()(IRIS.values[SPLIT.val]).detach()
    assert float(F.cross_entropy(logits, IRIS.targets[SPLIT.val])) == best["val_loss"]
    assert float((logits.argmax(dim=1) == IRIS.targets[SPLIT.val]).float().mean()) == best["val_accuracy"]


def test_val_rows_are_judged_without_dropout() -> None:
    one = training(dropout=0.5, epochs=3)
    last = list(one())[one.kept.epoch - 1]
    logits = one.best()(IRIS.values[SPLIT.val]).detach()
    assert float(F.cross_entropy(logits, IRIS.targets[SPLIT.val])) == last["val_loss"]


@pytest.mark.parametrize("patience", [1, 3])
def test_patience_stops_exactly_so_many_epochs_after_the_best(patience: int) -> None:
    one = training(lr=0.3, epochs=200, patience=patience)
    records = list(one())
    losses = [record["val_loss"] for record in records]
    assert len(records) < 200
    assert len(records) - (losses.index(min(losses)) + 1) == patience
    assert one.is_over
    assert list(one()) == []


def test_run_to_the_end_the_best_is_still_the_best() -> None:
    one = training(epochs=5, patience=100)
    records = list(one())
    assert len(records) == 5
    assert one.kept.epoch == min(records, key=lambda record: record["val_loss"])["epoch"]


def test_without_val_rows_the_last_epoch_is_kept() -> None:
    one = training(split=split_indices(IRIS.targets, test=20), epochs=3, patience=1)
    records = list(one())
    assert [record["best"] for record in records] == [True] * 3
    assert "val_loss" not in records[0]
    assert one.kept.epoch == 3
    trained, kept = one.model.state_dict(), one.best().state_dict()
    assert all(torch.equal(trained[name], kept[name]) for name in trained)


def test_nothing_is_learned_of_rows_that_are_not_to_train_on() -> None:
    values = IRIS.values.clone()
    values[SPLIT.val] += 100
    values[SPLIT.test] = -1e6
    odd = Table(IRIS.path, IRIS.columns, values, IRIS.targets, IRIS.classes, IRIS.rows)
    split = Split(SPLIT.train, torch.zeros(0, dtype=torch.int64), SPLIT.test)
    one, other = training(split=split, epochs=2), training(split=split, epochs=2, table=odd)
    list(one()), list(other())
    assert torch.equal(one.best()(IRIS.values), other.best()(IRIS.values))
    scaled = one.model.scaler.transform(IRIS.values[SPLIT.train])
    assert (scaled.amin(dim=0) == 0).all()
    assert (scaled.amax(dim=0) == 1).all()


def test_steps_equal_adam_by_hand() -> None:
    one = training(epochs=2, batch_size=50, lr=0.02)
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
    adam = torch.optim.Adam(net.parameters(), lr=0.02)
    rows, targets = IRIS.values[SPLIT.train], IRIS.targets[SPLIT.train]
    low, high = rows.amin(dim=0), rows.amax(dim=0)
    scaled = ((rows - low) / (high - low)).float()
    for epoch in range(2):
        order = torch.randperm(110, generator=torch.Generator().manual_seed(epoch))
        for first in (0, 50, 100):
            chosen = order[first : first + 50]
            adam.zero_grad()
            F.cross_entropy(net(scaled[chosen]), targets[chosen]).backward()  # type: ignore[no-untyped-call]
            adam.step()
    list(one())
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(one.model.network.state_dict()[name], tensor, rtol=1e-4, atol=1e-6)


def test_weight_decay_is_the_l2_form_and_spares_biases() -> None:
    one = training(weight_decay=5e-4)
    groups = {len(group["params"][0].shape): group["weight_decay"] for group in one.optimizer.param_groups}
    assert groups == {2: 5e-4, 1: 0.0}
    assert type(one.optimizer).__name__ == "Adam"


def test_a_plateau_halves_the_rate() -> None:
    one = training(lr=1.0, schedule="plateau", patience=None)
    rates = [record["lr"] for record in one()]
    assert rates[0] == 1.0
    assert {round(a / b, 9) for a, b in pairwise(rates)} == {1.0, 2.0}


def test_what_was_stopped_goes_on_as_if_nothing_had_happened() -> None:
    whole = training(dropout=0.3, schedule="plateau")
    wanted = list(whole())
    first = training(dropout=0.3, schedule="plateau")
    told = list(islice(first(), 11))
    saved = {name: dict(part.state_dict()) for name, part in first.parts.items()}
    state = torch.get_rng_state()
    second = training(7, dropout=0.3, schedule="plateau")
    for name, part in second.parts.items():
        part.load_state_dict(saved[name])
    torch.set_rng_state(state)
    told += list(second())
    for record in (*told, *wanted):
        del record["seconds"]
    assert told == wanted
    for name, tensor in whole.best().state_dict().items():
        assert torch.equal(second.best().state_dict()[name], tensor)


def test_an_epoch_holds_every_row_once_and_can_be_begun_amid() -> None:
    one = training(batch_size=30)
    batches = list(one._batches(2, 0))
    assert [len(targets) for _, targets in batches] == [30, 30, 30, 20]
    rows = torch.cat([rows for rows, _ in batches])
    assert sorted(rows.tolist()) == sorted(one.train[0].tolist())
    assert not torch.equal(rows, torch.cat([rows for rows, _ in one._batches(3, 0)]))
    for (left, _), (right, _) in zip(batches[1:], one._batches(2, 1), strict=True):
        assert torch.equal(left, right)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"monitor": "val_los"},
            r"monitor must be one of val_loss, val_accuracy, loss, accuracy, got 'val_los'; did you",
        ),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"hidden": 0}, r"hidden must be in \[1, 100000\], got 0"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        ({"scaler": "max"}, "scaler must be one of minmax, standard, whiten, none, got 'max'"),
        ({"lr": 0.0}, "lr must be positive, got 0.0"),
    ],
)
def test_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        training(**options)


def test_divergence_is_told() -> None:
    with pytest.raises(ValueError, match=r"became (nan|inf)"):
        list(training(optimizer="sgd", lr=1e30)())
