from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from pellucid import data, models
from pellucid.training import Classify, classify, fit


class Line(nn.Module):
    """loss = mean (w x - y)^2."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(1))

    def forward(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        x, y = batch
        return {"loss": (self.w * x - y).square().mean(), "w": self.w[0]}


def two(_epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    for x in (1.0, 2.0):
        yield torch.tensor([x]), torch.tensor([3 * x])


def test_steps_equal_gradient_descent_by_hand() -> None:
    step = Line()
    records = list(fit(step, two, torch.optim.SGD(step.parameters(), lr=0.05), epochs=2))
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
    for record in fit(step, two, torch.optim.SGD(step.parameters(), lr=0.01), epochs=100):
        if record.epoch == 3:
            break
    assert record.steps == 6


def test_a_loss_that_is_no_number_is_told() -> None:
    step = Line()
    with pytest.raises(ValueError, match=r"the loss became (nan|inf) at epoch \d+, lr 1e\+30: lower lr"):
        list(fit(step, two, torch.optim.SGD(step.parameters(), lr=1e30), epochs=9))


def test_classify_step_is_cross_entropy_and_accuracy() -> None:
    logits = torch.randn(6, 3)
    targets = torch.tensor([0, 1, 2, 0, 1, 2])
    told = Classify(nn.Identity())((logits, targets))
    expected = -logits.log_softmax(dim=1)[range(6), targets].mean()
    torch.testing.assert_close(told["loss"], expected)
    assert told["accuracy"].item() == pytest.approx((logits.argmax(dim=1) == targets).double().mean().item())


def test_same_seed_same_weights() -> None:
    train = data.builtin("digits", split="train").subset(list(range(200)))

    def trained() -> list[Tensor]:
        torch.manual_seed(3)
        model = models.create("digits_cnn", classes=train.classes, width=4)
        list(classify(model, train, epochs=2, generator=torch.Generator().manual_seed(1)))
        return list(model.parameters())

    with torch.random.fork_rng():
        for one, other in zip(trained(), trained(), strict=True):
            assert torch.equal(one, other)
