"""What is said of a training, by hand-made losses."""

from typing import Any

import pytest

from pellucid.training import story


def lines(*val: float, train: list[float] | None = None, **more: Any) -> list[dict[str, Any]]:
    """An epoch each; train losses fall from 1 where none are given."""
    falling = train or [1 / (number + 1) for number in range(len(val))]
    best = min(range(len(val)), key=val.__getitem__)
    return [
        {"epoch": number + 1, "lr": 0.1, "loss": loss, "val_loss": held, "best": number == best, **more}
        for number, (held, loss) in enumerate(zip(val, falling, strict=True))
    ]


def test_overfitting_is_dated() -> None:
    told = story(lines(1.0, 0.5, 0.3, 0.2, 0.3, 0.4, 0.5, 0.6))
    assert told == (
        "Val loss was lowest at epoch 4 (0.2) and rose to 0.6 by epoch 8 while train loss went on falling: overfitting "
        "from epoch 4 on."
    )


def test_a_rise_within_the_usual_jitter_is_none() -> None:
    assert "overfitting" not in story(lines(1.0, 0.3, 0.4, 0.29, 0.38, 0.28, 0.4))
    assert story(lines(1.0, 0.5, 0.3, 0.2, 0.205)).endswith("hardly changed at the end: it has settled.")


def test_a_rise_of_both_losses_is_unsteady_not_overfitting() -> None:
    told = story(lines(1.0, 0.5, 0.2, 0.4, 0.6, 0.8, 1.0, train=[1.0, 0.5, 0.2, 0.4, 0.6, 0.8, 1.0]))
    assert told.endswith("by epoch 7, and train loss did not fall either: unsteady, so a lower lr may help.")


def test_a_loss_that_still_falls_asks_for_more_epochs() -> None:
    assert story(lines(1.0, 0.8, 0.6, 0.4)) == (
        "Val loss was lowest at epoch 4 (0.4), the last, and was still falling: more epochs may help."
    )


def test_a_net_that_did_not_learn_is_told_first() -> None:
    told = story(lines(2.3, 2.31, 2.32, val_accuracy=0.11), classes=10)
    assert told == (
        "It did not learn: val accuracy 11.0% at its best is near chance, 10.0%. Another lr may help (it was 0.1 at "
        "its highest)."
    )
    assert "did not learn" not in story(lines(2.3, 2.0, val_accuracy=0.2), classes=10)
    assert "did not learn" not in story(lines(2.3, 2.0, val_accuracy=0.11)), "the classes are not known"


def test_the_gap_between_train_and_val_is_told_and_judged_values_come_before_met_ones() -> None:
    told = story(lines(0.5, 0.5, val_accuracy=0.8, accuracy=0.7, train_accuracy=0.99), classes=10)
    assert told.endswith("right on 99.0% of the train part, but on 80.0% of the val part.")
    assert "train part" not in story(lines(0.5, 0.5, val_accuracy=0.8, accuracy=0.84), classes=10)


@pytest.mark.parametrize(
    ("records", "told"),
    [
        ([], "No epoch is done yet."),
        ([{"epoch": 0, "val_loss": 2.3}], "No epoch is done yet."),
        (lines(0.5), "One epoch is done: val loss 0.5. It stopped at epoch 1 of 9."),
        (
            [{"epoch": 1, "loss": 2.0, "lr": 0.1}, {"epoch": 9, "loss": 1.0, "lr": 0.1}],
            "Train loss went from 2 to 1; nothing was held out, so overfitting would not be seen.",
        ),
    ],
)
def test_what_little_there_is_is_told(records: list[dict[str, Any]], told: str) -> None:
    assert story(records, wanted=9) == told
