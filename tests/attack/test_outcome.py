"""What an attack came to, against numbers by hand."""

import math

import pytest
import torch

from pellucid.attack import outcome

from .nets import Linear

WEIGHT = torch.zeros(2, 1, 2, 2)
WEIGHT[1, 0, 0, 0] = 4.0  # z1 - z0 = 4 x - 2: class 1 from x = 0.5 on
NET = Linear(WEIGHT, torch.tensor([2.0, 0.0]))


def pictures(*values: float) -> torch.Tensor:
    made = torch.full((len(values), 1, 2, 2), 0.25)
    made[:, 0, 0, 0] = torch.tensor(values)
    return made


def test_every_number_by_hand() -> None:
    clean, made = pictures(0.2, 0.2, 0.8), pictures(0.6, 0.4, 0.8)
    made[0, 0, 1, 1] += 0.3
    found = outcome(NET, clean, made, torch.tensor([0, 0, 0]))
    assert found.success.tolist() == [True, False, True]
    assert found.is_done.tolist() == [False, False, True], "the third was wrong before"
    assert (found.before.tolist(), found.after.tolist()) == ([0, 0, 1], [1, 0, 1])
    assert (found.attacked, found.rate.value, round(found.accuracy.value, 6)) == (2, 0.5, round(1 / 3, 6))
    assert found.l0.tolist() == [2, 1, 0]
    torch.testing.assert_close(found.linf, torch.tensor([0.4, 0.2, 0.0]))
    torch.testing.assert_close(found.l1, torch.tensor([0.7, 0.2, 0.0]))
    torch.testing.assert_close(found.l2, torch.tensor([0.5, 0.2, 0.0]))
    chance = 1 / (1 + math.exp(4 * 0.6 - 2))
    assert found.target_after[0].item() == pytest.approx(chance)
    assert found.probability_after[0].item() == pytest.approx(1 - chance)
    assert (
        found.target_before[0].item() == found.probability_before[0].item() == pytest.approx(1 / (1 + math.exp(-1.2)))
    )


def test_a_change_that_rounding_undoes_is_told() -> None:
    found = outcome(NET, pictures(0.2), pictures(127.6 / 255), torch.tensor([0]))
    assert found.success.tolist() == [True]
    assert found.success_8bit.tolist() == [True]
    found = outcome(NET, pictures(0.2), pictures(127.5000001 / 255 + 1e-6), torch.tensor([1]), targeted=True)
    assert found.success.tolist() == [True]
    net = Linear(WEIGHT, torch.tensor([4 * 127.4 / 255, 0.0]))
    found = outcome(net, pictures(0.2), pictures(127.45 / 255), torch.tensor([0]))
    assert (found.success.tolist(), found.success_8bit.tolist()) == ([True], [False])
    assert (found.rate.value, found.rate_8bit.value) == (1.0, 0.0)


def test_targeted_success_is_being_called_the_target() -> None:
    found = outcome(NET, pictures(0.2, 0.7), pictures(0.6, 0.7), torch.tensor([1, 1]), targeted=True)
    assert found.success.tolist() == [True, True]
    assert found.is_done.tolist() == [False, True]
    assert found.rate.value == 1.0


def test_a_rate_of_nothing_is_no_number() -> None:
    found = outcome(NET, pictures(0.7), pictures(0.7), torch.tensor([0]))
    assert found.attacked == 0
    assert math.isnan(found.rate.value)


def test_what_is_no_result_is_refused() -> None:
    clean = pictures(0.2)
    with pytest.raises(ValueError, match=r"adversarial must have the images' shape \(1, 1, 2, 2\), got \(2, 1, 2, 2\)"):
        outcome(NET, clean, pictures(0.2, 0.3), torch.tensor([0]))
    with pytest.raises(ValueError, match=r"adversarial must be in \[0, 1\], got 0.25 to 1.2"):
        outcome(NET, clean, pictures(1.2), torch.tensor([0]))
    with pytest.raises(ValueError, match=r"adversarial must be in \[0, 1\], got nan"):
        outcome(NET, clean, pictures(math.nan), torch.tensor([0]))
