import pytest
import torch
from torch import nn

from pellucid.training import Average


def test_equals_the_recursion_by_hand() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = Average(model, decay=0.4)
    expected = {name: value.clone() for name, value in model.state_dict().items()}
    for update in range(1, 6):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.rand_like(parameter))
            model(torch.rand(4, 2))  # moves the running statistics
        average.update()
        decay = min(0.4, (1 + update) / (10 + update))
        for name, value in model.state_dict().items():
            kept = value if not value.is_floating_point() else decay * expected[name] + (1 - decay) * value
            expected[name] = kept.clone()
    for name, value in average.model.state_dict().items():
        torch.testing.assert_close(value, expected[name])


def test_the_copy_is_frozen_and_in_eval_mode_and_the_model_is_not() -> None:
    model = nn.Sequential(nn.Dropout(), nn.Linear(1, 1))
    average = Average(model)
    assert not average.model.training
    assert model.training
    assert not any(parameter.requires_grad for parameter in average.model.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_saved_one_goes_on() -> None:
    model = nn.Linear(2, 2)
    one, other = Average(model, decay=0.9), Average(model, decay=0.9)
    for _ in range(3):
        with torch.no_grad():
            model.weight.add_(1.0)
        one.update()
    other.load_state_dict(one.state_dict())
    one.update()
    other.update()
    assert torch.equal(one.model.weight, other.model.weight)  # type: ignore[arg-type]


@pytest.mark.parametrize(("decay", "message"), [(1.0, "decay must be below 1"), (-0.1, r"decay must be in \[0, 1\]")])
def test_refuses(decay: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Average(nn.Linear(1, 1), decay=decay)
