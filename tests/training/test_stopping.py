import pytest

from pellucid.training import Stopping


def test_patience_stops_so_many_epochs_after_the_best() -> None:
    stopping = Stopping("val_loss", patience=3)
    losses = [5.0, 3.0, 4.0, 3.0, 3.5, 1.0]
    told = []
    for epoch, loss in enumerate(losses, 1):
        told.append(stopping.is_better(epoch, {"val_loss": loss}))
        if stopping.is_over:
            break
    assert told == [True, True, False, False, False]
    assert (epoch, stopping.best, stopping.best_epoch) == (5, 3.0, 2)


def test_accuracy_grows_and_a_small_gain_is_none() -> None:
    stopping = Stopping("val_accuracy", min_delta=0.01)
    assert [stopping.is_better(e, {"val_accuracy": a}) for e, a in enumerate([0.5, 0.505, 0.52])] == [True, False, True]
    assert not stopping.is_over


def test_among_equals_the_smaller_loss_is_better_and_patience_is_not_lengthened() -> None:
    stopping = Stopping("val_accuracy", patience=3, tie="val_loss")
    seen = [(0.9, 0.5), (0.9, 0.6), (0.9, 0.4), (0.8, 0.1)]
    told = [stopping.is_better(e, {"val_accuracy": a, "val_loss": v}) for e, (a, v) in enumerate(seen, 1)]
    assert told == [True, False, True, False]
    assert (stopping.best_epoch, stopping.is_over) == (3, True)


def test_a_saved_one_goes_on() -> None:
    one = Stopping("loss", patience=2)
    one.is_better(1, {"loss": 1.0})
    one.is_better(2, {"loss": 2.0})
    other = Stopping("loss", patience=2)
    other.load_state_dict(one.state_dict())
    other.is_better(3, {"loss": 1.0})
    assert other.is_over
    assert other.best_epoch == 1


def test_a_value_that_is_not_told_is_an_error() -> None:
    with pytest.raises(
        ValueError, match=r"monitor must be one of loss, val_loss, got 'val_los'; did you mean val_loss"
    ):
        Stopping("val_los").is_better(1, {"loss": 1.0, "val_loss": 1.0})


def test_nan_is_an_error() -> None:
    with pytest.raises(ValueError, match="loss became nan in epoch 4: lower lr"):
        Stopping("loss").is_better(4, {"loss": float("nan")})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patience": 0}, "patience must be at least 1, got 0"),
        ({"min_delta": -1.0}, "min_delta must be at least 0, got -1"),
        ({"mode": "least"}, "mode must be one of , min, max, got 'least'"),
    ],
)
def test_refuses(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Stopping("loss", **options)  # type: ignore[arg-type]
