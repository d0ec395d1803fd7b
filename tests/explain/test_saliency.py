import pytest
import torch

from pellucid.explain import saliency
from pellucid.models import Model

from .nets import Functional, GapNet, Linear

GENERATOR = torch.Generator().manual_seed(1)
WEIGHT = torch.randn(5, 3, 8, 8, generator=GENERATOR, dtype=torch.float64)
IMAGES = torch.rand(2, 3, 8, 8, generator=GENERATOR, dtype=torch.float64)
TARGETS = torch.tensor([4, 1])


def test_linear_model_is_its_weights() -> None:
    chosen = WEIGHT[TARGETS]
    for reduce, expected in (
        ("max", chosen.abs().amax(dim=1)),
        ("mean", chosen.abs().mean(dim=1)),
        ("l2", chosen.square().sum(dim=1).sqrt()),
        ("sum", chosen.sum(dim=1)),
    ):
        torch.testing.assert_close(saliency(Linear(WEIGHT), IMAGES, TARGETS, reduce=reduce), expected)


def test_times_input_sums_to_the_score_of_a_linear_model() -> None:
    model = Linear(WEIGHT)
    heat = saliency(model, IMAGES, TARGETS, reduce="sum", times_input=True)
    torch.testing.assert_close(heat.sum(dim=(1, 2)), model(IMAGES)[range(2), TARGETS])


@pytest.mark.parametrize("objective", ["score", "logprob", "prob", "loss"])
def test_equals_central_differences(objective: str) -> None:
    model = GapNet()

    def value(images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = model(images)
        logprob = logits.log_softmax(dim=1)[range(2), TARGETS]
        told = {"score": logits[range(2), TARGETS], "logprob": logprob, "prob": logprob.exp(), "loss": -logprob}
        return told[objective]

    heat = saliency(model, IMAGES, TARGETS, objective=objective, reduce="sum")
    step = 1e-6
    for row, column in ((0, 0), (3, 5), (7, 7)):
        moved = torch.zeros_like(IMAGES)
        moved[:, :, row, column] = step
        slope = (value(IMAGES + moved) - value(IMAGES - moved)) / (2 * step)
        torch.testing.assert_close(heat[:, row, column], slope, rtol=1e-6, atol=1e-9)


def test_loss_gradient_is_probabilities_minus_truth_through_the_weights() -> None:
    model = Linear(WEIGHT)
    error = model(IMAGES).softmax(dim=1) - torch.nn.functional.one_hot(TARGETS, 5)
    expected = torch.einsum("nk,kchw->nchw", error, WEIGHT).sum(dim=1)
    torch.testing.assert_close(saliency(model, IMAGES, TARGETS, objective="loss", reduce="sum"), expected)


def test_is_taken_before_the_normalisation() -> None:
    model = Model(Linear(WEIGHT), mean=[0.5] * 3, std=[0.25] * 3, classes=list("abcde"), size=8)
    torch.testing.assert_close(saliency(model, IMAGES, TARGETS), 4 * WEIGHT[TARGETS].abs().amax(dim=1))


def test_a_score_that_ignores_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match="the score does not depend on the input"):
        saliency(Functional().double(), IMAGES, lambda outputs: outputs.detach()[:, 0])


@pytest.mark.parametrize(("option", "value"), [("objective", "logit"), ("reduce", "maximum")])
def test_unknown_words_are_refused(option: str, value: str) -> None:
    with pytest.raises(ValueError, match=rf"{option} must be one of .*, got '{value}'"):
        saliency(Linear(WEIGHT), IMAGES, TARGETS, **{option: value})  # type: ignore[arg-type]
