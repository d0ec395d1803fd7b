import itertools

import pytest
import torch
from torch import Tensor, nn

from pellucid.foundations.four_ways import (
    WAYS,
    Weights,
    batch_order,
    first_weights,
    gradients_by_hand,
    logits_of,
    network_of,
)

DRAWN = torch.Generator().manual_seed(0)
INPUTS = torch.randn(40, 3, generator=DRAWN, dtype=torch.float64)
TARGETS = torch.randint(0, 4, (40,), generator=DRAWN)
START = first_weights(3, 5, 4, generator=DRAWN)


def loss_of(weights: Weights, inputs: Tensor, targets: Tensor) -> Tensor:
    return nn.functional.cross_entropy(logits_of(weights, inputs), targets)


def batches(epochs: int = 10) -> list[tuple[Tensor, Tensor]]:
    order = itertools.chain.from_iterable(batch_order(40, batch=4, epochs=epochs))
    return [(INPUTS[rows], TARGETS[rows]) for rows in order]


def test_gradients_by_hand_equal_autograd() -> None:
    leaves = Weights(*(one.clone().requires_grad_() for one in START.all()))
    expected = loss_of(leaves, INPUTS, TARGETS)
    loss, found = gradients_by_hand(START, INPUTS, TARGETS)
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    for ours, theirs in zip(found.all(), torch.autograd.grad(expected, leaves.all()), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-14)


def test_gradients_by_hand_equal_central_differences() -> None:
    _, found = gradients_by_hand(START, INPUTS, TARGETS)
    step = 1e-6
    for place, gradient in enumerate(found.all()):
        for entry in range(gradient.numel()):
            losses = []
            for sign in (1, -1):
                moved = [one.clone() for one in START.all()]
                moved[place].view(-1)[entry] += sign * step
                losses.append(loss_of(Weights(*moved), INPUTS, TARGETS).item())
            difference = (losses[0] - losses[1]) / (2 * step)
            assert gradient.view(-1)[entry].item() == pytest.approx(difference, abs=1e-8, rel=1e-6)


def test_the_gradient_of_a_batch_is_the_mean_of_its_samples() -> None:
    _, whole = gradients_by_hand(START, INPUTS, TARGETS)
    alone = [gradients_by_hand(START, INPUTS[n : n + 1], TARGETS[n : n + 1])[1].all() for n in range(40)]
    for place, gradient in enumerate(whole.all()):
        torch.testing.assert_close(gradient, torch.stack([one[place] for one in alone]).mean(dim=0))


def test_what_comes_back_to_the_logits_sums_to_zero_over_the_classes() -> None:
    for n in range(5):  # of one sample, the gradient of the output bias is its row of dY
        _, found = gradients_by_hand(START, INPUTS[n : n + 1], TARGETS[n : n + 1])
        assert abs(found.output_bias.sum().item()) < 1e-15


def test_the_four_ways_take_the_same_path() -> None:
    shown = batches()
    assert len(shown) == 100
    paths = {name: list(way(START, shown, lr=0.5)) for name, way in WAYS.items()}
    assert loss_of(paths["manual"][-1].weights, INPUTS, TARGETS) < 0.95 * loss_of(START, INPUTS, TARGETS)
    for name, path in paths.items():
        losses = [update.loss for update in path]
        assert losses == pytest.approx([update.loss for update in paths["manual"]], abs=1e-9, rel=0), name
        for ours, theirs in zip(paths["manual"][-1].weights.all(), path[-1].weights.all(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)


@pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))
def test_lr_zero_leaves_the_weights_and_the_start_is_never_touched(way: object) -> None:
    before = [one.clone() for one in START.all()]
    last = list(way(START, batches(1), lr=0))[-1]  # type: ignore[operator]
    assert all(torch.equal(one, other) for one, other in zip(last.weights.all(), before, strict=True))
    list(way(START, batches(1), lr=1))  # type: ignore[operator]
    assert all(torch.equal(one, other) for one, other in zip(START.all(), before, strict=True))


def test_first_weights_are_drawn_as_told() -> None:
    drawn = first_weights(200, 100, 10)
    assert drawn.hidden_weight.std().item() == pytest.approx(0.3, rel=0.02)
    assert drawn.hidden_bias.abs().max() == drawn.output_bias.abs().max() == 0
    assert torch.equal(first_weights(2, 3, 2).hidden_weight, first_weights(2, 3, 2).hidden_weight)
    torch.testing.assert_close(network_of(START)(INPUTS).detach(), logits_of(START, INPUTS))


def test_every_epoch_shows_every_row_once_in_another_order() -> None:
    order = batch_order(10, batch=4, epochs=3)
    assert [[len(rows) for rows in epoch] for epoch in order] == [[4, 4, 2]] * 3
    seen = [torch.cat(list(epoch)).tolist() for epoch in order]
    assert all(sorted(rows) == list(range(10)) for rows in seen)
    assert seen[0] != seen[1]
    assert [len(rows) for rows in batch_order(10, batch=99, epochs=1)[0]] == [10]


def test_refuses() -> None:
    with pytest.raises(ValueError, match="lr must be at least 0, got -1"):
        next(WAYS["manual"](START, batches(1), lr=-1))
    with pytest.raises(ValueError, match="batch must be at least 1, got 0"):
        batch_order(10, batch=0, epochs=1)
    with pytest.raises(ValueError, match="classes must be at least 2, got 1"):
        first_weights(2, 3, 1)
