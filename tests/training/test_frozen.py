"""Frozen layers stay as they are, bit by bit; what is learned, and how fast, is what was asked for."""

import pytest
import torch
from torch import nn

from pellucid.training import FineTune, discriminate, fit, freeze, optimizer


def network() -> nn.Sequential:
    """Convolution, norm and dropout twice, then a head; layers with weights are 0, 1, 4, 5 and 9."""
    torch.manual_seed(1)
    first = (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5))
    second = (nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5))
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(4 * 16, 2))


def batches(count: int = 2) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(8, 3, 8, 8, generator=generator)
    return [(images, (images[:, 0].mean(dim=(1, 2)) > 0.5).long())] * count


def learned(net: nn.Module) -> list[str]:
    return sorted({name.partition(".")[0] for name, one in net.named_parameters() if one.requires_grad})


@pytest.mark.parametrize(
    ("until", "norms", "expected"),
    [
        ("9", False, ["9"]),  # a layer's name
        ("4", False, ["4", "5", "9"]),
        ("3", False, ["4", "5", "9"]),  # the name of a layer without weights
        ("0", False, ["0", "1", "4", "5", "9"]),
        ("0", True, ["0", "4", "9"]),
        ("0.4", False, ["4", "5", "9"]),
        ("0.79", False, ["5", "9"]),
        ("0.8", True, ["9"]),
    ],
)
def test_what_is_learned(until: str, norms: bool, expected: list[str]) -> None:
    net = network()
    freeze(net, until, norms=norms)
    assert learned(net) == expected


def test_a_number_counts_layers_with_weights() -> None:
    net = nn.ModuleDict({"trunk": network(), "head": nn.Linear(2, 2)})
    for number, left in ((0, 6), (2, 4), (5, 1)):
        freeze(net, str(number))
        assert sum(name.endswith("weight") and one.requires_grad for name, one in net.named_parameters()) == left


def test_a_head_that_begins_with_dropout_drops() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Dropout(0.5), nn.Flatten(), nn.Sequential(nn.Dropout(0.3), nn.Linear(4, 2))
    )
    step = FineTune(net, freeze(net, "3")).train()
    assert [name for name, module in net.named_modules() if module.training] == ["", "3", "3.0", "3.1"]
    assert step.eval().training is False
    assert not any(module.training for module in net.modules())


def test_a_prefix_begins_where_its_first_layer_stands() -> None:
    net = nn.ModuleDict({"trunk": network(), "head": nn.Linear(2, 2)})
    freeze(net, "head")
    assert learned(net) == ["head"]
    freeze(net, "trunk")
    assert learned(net) == ["head", "trunk"]


def test_what_is_kept_stays_in_eval_mode_while_the_rest_trains() -> None:
    net = network()
    step = FineTune(net, freeze(net, "4"))
    step.train()
    assert [module.training for module in net] == [False] * 4 + [True] * 6
    step.train()
    assert net.training
    step.eval()
    assert not any(module.training for module in net.modules())
    kept = FineTune(net, freeze(net, "0", norms=True)).train()
    assert [number for number, module in enumerate(net) if not module.training] == [1, 5]
    assert kept.training


def test_the_frozen_part_is_bit_identical_with_its_statistics_and_absent_from_the_optimizer() -> None:
    net = network()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    step = FineTune(net, freeze(net, "4"))
    tuned = optimizer("adamw", step, lr=0.01, weight_decay=0.5)
    list(fit(step, batches(3), tuned, epochs=2))
    after = net.state_dict()
    same = {name for name, tensor in after.items() if torch.equal(tensor, before[name])}
    assert {name for name in after if name[0] in "01"} == same
    assert float(after["5.num_batches_tracked"]) == 6
    held = {parameter for group in tuned.param_groups for parameter in group["params"]}
    assert held == {parameter for parameter in net.parameters() if parameter.requires_grad}
    assert all(parameter.grad is None for parameter in net[0].parameters())


def test_thirty_two_images_are_learned_by_heart() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4))
    step = FineTune(net, freeze(net, "3"))
    images, targets = torch.rand(32, 3, 8, 8), torch.arange(32) % 4
    records = list(fit(step, [(images, targets)], optimizer("adam", step, lr=0.01), epochs=80))
    assert records[-1].values["accuracy"] == 1


def rates(net: nn.Module, **options: float) -> dict[str, float]:
    tuned = optimizer("adam", net, lr=1.0, weight_decay=0.1)
    discriminate(tuned, net, "head", **{"lr": 1.0, "trunk_lr": 0.1, "rate_decay": 0.5, **options})
    of = {parameter: float(group["lr"]) for group in tuned.param_groups for parameter in group["params"]}
    assert tuned.param_groups[0]["lr"] == max(of.values())
    return {name: of[parameter] for name, parameter in net.named_parameters()}


def test_each_block_learns_slower_than_the_one_behind_it() -> None:
    blocks = nn.ModuleList([nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), nn.Linear(2, 2)])
    net = nn.ModuleDict({"features": blocks, "head": nn.Linear(2, 2)})
    found = rates(net)
    assert found["head.weight"] == found["head.bias"] == 1.0
    assert found["features.2.weight"] == 0.1
    assert found["features.1.0.weight"] == found["features.1.1.bias"] == 0.05
    assert found["features.0.bias"] == 0.025
    assert set(rates(net, rate_decay=1.0).values()) == {1.0, 0.1}


def test_weight_decay_stays_with_the_weights_when_the_rates_are_parted() -> None:
    net = nn.ModuleDict({"trunk": nn.Linear(2, 2), "head": nn.Linear(2, 2)})
    tuned = optimizer("adamw", net, lr=1.0, weight_decay=0.25)
    discriminate(tuned, net, "head", lr=1.0, trunk_lr=0.1, rate_decay=1.0)
    of = {parameter: group["weight_decay"] for group in tuned.param_groups for parameter in group["params"]}
    assert {name: of[parameter] for name, parameter in net.named_parameters()} == {
        **{"trunk.weight": 0.25, "trunk.bias": 0.0, "head.weight": 0.25, "head.bias": 0.0}
    }


def test_a_step_at_rate_zero_changes_no_parameter() -> None:
    net = nn.ModuleDict({"trunk": nn.Linear(2, 2), "head": nn.Linear(2, 2)})
    before = {name: one.detach().clone() for name, one in net.named_parameters()}
    tuned = optimizer("adamw", net, lr=1.0, weight_decay=0.1)
    discriminate(tuned, net, "head", lr=0.0, trunk_lr=0.0, rate_decay=0.5)
    sum(one.sum() for one in net.parameters()).backward()  # type: ignore[union-attr]
    tuned.step()
    assert all(torch.equal(one, before[name]) for name, one in net.named_parameters())


@pytest.mark.parametrize(
    ("until", "message"),
    [
        ("5 layers", "freeze_until must be a layer, a number of layers or a share of them, got '5 layers'"),
        ("11", r"freeze_until must be in \[0, 5\], got 11"),
        ("1.5", r"freeze_until must be in \[0, 1\], got 1.5"),
        ("1.0", "freeze_until must leave a layer to learn, got '1.0': no trainable parameter is left"),
    ],
)
def test_refuses_a_place(until: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        freeze(network(), until)


def test_refuses_a_layer_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match="got 'haed'; did you mean head"):
        freeze(nn.ModuleDict({"trunk": nn.Linear(2, 2), "head": nn.Linear(2, 2)}), "haed")


@pytest.mark.parametrize(
    ("option", "value", "legal"),
    [("lr", -1.0, "at least 0"), ("trunk_lr", -1.0, "at least 0"), ("rate_decay", 0.0, r"in \(0, 1\]")],
)
def test_refuses_a_rate(option: str, value: float, legal: str) -> None:
    net = nn.ModuleDict({"trunk": nn.Linear(2, 2), "head": nn.Linear(2, 2)})
    with pytest.raises(ValueError, match=rf"{option} must be {legal}, got {value}"):
        rates(net, **{option: value})


def test_a_head_that_the_network_names_first_is_all_that_learns() -> None:
    net = nn.ModuleDict({"head": nn.Sequential(nn.Dropout(0.3), nn.Linear(4, 2)), "trunk": network()})
    kept = freeze(net, "head", only=True)
    assert learned(net) == ["head"]
    step = FineTune(net, kept).train()
    assert step.training
    assert {name for name, module in net.named_modules() if module.training} == {"", "head", "head.0", "head.1"}
