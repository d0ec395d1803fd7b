import pytest
import torch
from torch import Tensor, nn

from pellucid.models import Model, are_probabilities, class_logits, predict

IMAGES = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
LOGITS = torch.tensor([[1.0, 3.0, 3.0, -2.0], [0.5, 0.5, 0.5, 0.5], [5.0, 1.0, 2.0, 9.0]])


class Says(nn.Module):
    """Gives the logits it was made with."""

    def __init__(self, logits: object) -> None:
        super().__init__()
        self.logits = logits
        self.eval()

    def forward(self, images: Tensor) -> object:
        return self.logits


def test_the_most_probable_come_first_and_ties_go_to_the_lower_index() -> None:
    found = predict(Says(LOGITS), IMAGES, top=4)
    assert found.indices.tolist() == [[1, 2, 0, 3], [0, 1, 2, 3], [3, 0, 2, 1]]
    assert found.logits.tolist() == [[3, 3, 1, -2], [0.5] * 4, [9, 5, 2, 1]]


def test_probabilities_are_the_exponentials_over_their_sum() -> None:
    found = predict(Says(LOGITS), IMAGES, top=2)
    weights = LOGITS.double().exp()
    expected = (weights / weights.sum(dim=1, keepdim=True)).gather(1, found.indices)
    torch.testing.assert_close(found.probabilities.double(), expected, rtol=1e-6, atol=1e-7)


def test_all_classes_are_a_permutation_and_sum_to_one() -> None:
    logits = torch.randn(3, 50, generator=torch.Generator().manual_seed(1))
    found = predict(Says(logits), IMAGES, top=50)
    assert found.indices.sort(dim=1).values.tolist() == [list(range(50))] * 3
    torch.testing.assert_close(found.probabilities.sum(dim=1), torch.ones(3))


def test_a_constant_added_to_all_logits_changes_no_probability() -> None:
    one, two = predict(Says(LOGITS), IMAGES, top=3), predict(Says(LOGITS + 1000), IMAGES, top=3)
    assert torch.equal(one.indices, two.indices)
    torch.testing.assert_close(one.probabilities, two.probabilities)


def test_half_precision_is_answered_in_float32() -> None:
    found = predict(Says(LOGITS.half()), IMAGES, top=2)
    assert found.probabilities.dtype == found.logits.dtype == torch.float32
    torch.testing.assert_close(found.probabilities, predict(Says(LOGITS), IMAGES, top=2).probabilities)


@pytest.mark.parametrize("top", [0, 5, -1])
def test_refuses_top(top: int) -> None:
    with pytest.raises(ValueError, match=rf"top must be in \[1, 4\], got {top}"):
        predict(Says(LOGITS), IMAGES, top=top)


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        (torch.full((3, 4), torch.nan), "the model's logits are not finite"),
        (torch.full((3, 4), torch.inf), "the model's logits are not finite"),
        (torch.zeros(3, 4, 1), r"the model must return logits \(N, K\), got \(3, 4, 1\)"),
        ([LOGITS], r"the model must return logits \(N, K\), got list"),
    ],
)
def test_refuses_outputs_that_are_no_logits(logits: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        predict(Says(logits), IMAGES)


def test_refuses_a_wrong_number_of_names() -> None:
    model = Model(Says(LOGITS), mean=[0.0], std=[1.0], classes=["cat", "dog"], size=4)
    with pytest.raises(ValueError, match="names has 2 entries, but the network has 4 outputs"):
        predict(model, IMAGES)
    with pytest.raises(ValueError, match="names has 2 entries"):
        class_logits(model, IMAGES)


def test_refuses_a_training_model_and_bad_images() -> None:
    with pytest.raises(ValueError, match="model must be in eval mode"):
        predict(Says(LOGITS).train(), IMAGES)
    with pytest.raises(ValueError, match="normalised twice, or still 0 to 255"):
        predict(Says(LOGITS), IMAGES * 255)


@pytest.mark.parametrize(
    ("outputs", "answer"),
    [
        (LOGITS, False),
        (LOGITS.softmax(dim=1), True),
        (LOGITS.log_softmax(dim=1), False),
        (LOGITS.softmax(dim=1)[:, :3], False),
        (torch.ones(3, 1), False),
    ],
)
def test_knows_probabilities_from_logits(outputs: Tensor, answer: bool) -> None:
    assert are_probabilities(outputs) is answer
