import pytest
import torch

from pellucid.metrics.explanation import average_drop

from .nets import HEAT, IMAGES, TARGETS, Linear, Small


def total(outputs: torch.Tensor) -> torch.Tensor:
    return outputs[:, 0]


def test_a_linear_score_falls_by_what_is_faded() -> None:
    model = Linear(torch.tensor([[[[3.0, 1.0, -2.0]]]]))
    images = torch.ones(2, 1, 1, 3)
    heat = torch.tensor(
        [[[5.0, 4.0, 3.0]], [[0.0, 1.0, 0.0]]]
    )  # shows 1, 1/2 and 0 of the pixels; then the second only
    found = average_drop(model, images, total, heat)
    assert found.before.tolist() == [2, 2]
    assert found.after.tolist() == [3.5, 1]
    assert found.drop.tolist() == [0, 0.5]
    assert found.increase.tolist() == [True, False]
    assert (found.drop_percent, found.increase_percent) == (25, 50)


def test_a_plain_loop_gives_the_same() -> None:
    model, found = Small(), average_drop(Small(), IMAGES, TARGETS, HEAT)
    for number, target in enumerate(TARGETS.tolist()):
        heat = HEAT[number]
        mask = (heat - heat.min()) / (heat.max() - heat.min())
        with torch.no_grad():
            before, after = (
                model(torch.stack([IMAGES[number], IMAGES[number] * mask])).softmax(dim=1)[:, target].tolist()
            )
        assert found.drop[number].item() == pytest.approx(max(0, before - after) / before)
        assert bool(found.increase[number]) == (after > before)


def test_a_map_of_another_scale_drops_the_same() -> None:
    torch.testing.assert_close(
        average_drop(Small(), IMAGES, TARGETS, 7 * HEAT - 3).drop, average_drop(Small(), IMAGES, TARGETS, HEAT).drop
    )


def test_a_flat_map_shows_nothing() -> None:
    found = average_drop(Linear(torch.ones(1, 3, 8, 8).double()), IMAGES, total, torch.ones_like(HEAT))
    assert found.drop.tolist() == [1, 1, 1]
    assert found.is_flat.all()


def test_nothing_can_be_lost_of_nothing() -> None:
    found = average_drop(Linear(torch.zeros(1, 3, 8, 8).double()), IMAGES, total, HEAT)
    assert found.drop.tolist() == [0, 0, 0]
    assert not found.increase.any()


def test_cold_pixels_fade_to_the_fill() -> None:
    model = Linear(torch.ones(1, 3, 8, 8).double())
    heat = HEAT.clone()
    heat[:, 0, 0] = 9
    blurred = average_drop(model, IMAGES, total, heat, fill="blur")
    assert (blurred.drop < average_drop(model, IMAGES, total, heat).drop).all(), "less of the sum is lost"
