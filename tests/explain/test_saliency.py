import pytest
import torch
from torch import nn

from pellucid.explain import saliency
from pellucid.models import Model, rehearsal

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


@pytest.mark.parametrize(("option", "value"), [("objective", "logit"), ("reduce", "maximum"), ("domain", "pixels")])
def test_unknown_words_are_refused(option: str, value: str) -> None:
    with pytest.raises(ValueError, match=rf"{option} must be one of .*, got '{value}'"):
        saliency(Linear(WEIGHT), IMAGES, TARGETS, **{option: value})  # type: ignore[arg-type]


def test_the_network_domain_is_the_pixel_domain_times_std() -> None:
    std = torch.tensor([0.25, 0.5, 0.125], dtype=torch.float64)[:, None, None]
    model = Model(Linear(WEIGHT), mean=[0.5] * 3, std=std.flatten().tolist(), classes=list("abcde"), size=8)
    network = saliency(model, IMAGES, TARGETS, domain="network", reduce="l2")
    torch.testing.assert_close(network, WEIGHT[TARGETS].square().sum(dim=1).sqrt())
    pixel = saliency(model, IMAGES, TARGETS, reduce="l2")
    torch.testing.assert_close(pixel, (WEIGHT[TARGETS] / std).square().sum(dim=1).sqrt())
    plain = saliency(Linear(WEIGHT), IMAGES, TARGETS, domain="network")
    torch.testing.assert_close(plain, saliency(Linear(WEIGHT), IMAGES, TARGETS))


@pytest.mark.parametrize("domain", ["pixel", "network"])
@pytest.mark.parametrize(("baseline", "empty"), [("black", 0.0), ("mean", 0.5), (0.25, 0.25), ("0.25", 0.25)])
def test_times_input_counts_from_the_baseline(domain: str, baseline: float | str, empty: float) -> None:
    model = Model(Linear(WEIGHT), mean=[0.5] * 3, std=[0.25] * 3, classes=list("abcde"), size=8)
    heat = saliency(model, IMAGES, TARGETS, reduce="sum", times_input=True, baseline=baseline, domain=domain)
    torch.testing.assert_close(heat, ((IMAGES - empty) * 4 * WEIGHT[TARGETS]).sum(dim=1))


def test_a_blurred_baseline_leaves_nothing_of_a_flat_image() -> None:
    flat = torch.full((1, 3, 8, 8), 0.3, dtype=torch.float64)
    heat = saliency(Linear(WEIGHT), flat, TARGETS[:1], reduce="sum", times_input=True, baseline="blur")
    assert heat.abs().max() < 1e-6
    heat = saliency(Linear(WEIGHT), IMAGES, TARGETS, reduce="sum", times_input=True, baseline="blur")
    assert heat.abs().max() > 0.1


def bias_free(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        parts = [nn.Conv2d(3, 6, 3, bias=False), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(54, 5, bias=False)]
        return nn.Sequential(*parts).double().eval()


def test_times_input_sums_to_the_score_of_a_net_without_biases() -> None:
    model = bias_free()
    heat = saliency(model, IMAGES, TARGETS, reduce="sum", times_input=True)
    torch.testing.assert_close(heat.sum(dim=(1, 2)), model(IMAGES)[range(2), TARGETS].detach())


def test_scaled_logits_scale_the_map() -> None:
    small, large = saliency(Linear(WEIGHT), IMAGES, TARGETS), saliency(Linear(3 * WEIGHT), IMAGES, TARGETS)
    torch.testing.assert_close(large, 3 * small)


def test_a_loss_without_slope_warns_and_says_what_to_do() -> None:
    model, sure = Linear(1e3 * WEIGHT), Linear(1e3 * WEIGHT)(IMAGES).argmax(dim=1)
    with pytest.warns(UserWarning, match=r"the loss of 2 of 2 images has a gradient below 1e-08 .* objective='score'"):
        saliency(model, IMAGES, sure, objective="loss")
    wrong = (sure + 1) % 5  # a deliberately wrong label has a slope, and no warning
    assert saliency(model, IMAGES, wrong, objective="loss").amax() > 1


def test_a_rehearsal_says_nothing_of_a_loss_it_does_not_take() -> None:
    model, sure = Linear(1e3 * WEIGHT), Linear(1e3 * WEIGHT)(IMAGES).argmax(dim=1)
    with rehearsal():
        saliency(model, IMAGES, sure, objective="loss")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_squares_of_small_slopes_are_not_lost_in_half(dtype: torch.dtype) -> None:
    heat = saliency(Linear(1e-4 * WEIGHT), IMAGES.to(dtype), TARGETS, reduce="l2")
    torch.testing.assert_close(heat.double(), 1e-4 * WEIGHT[TARGETS].norm(dim=1), rtol=0.02, atol=1e-7)


def test_a_net_that_ends_in_softmax_is_told_with_the_way_out() -> None:
    ended = nn.Sequential(bias_free(), nn.Softmax(dim=1)).eval()
    with pytest.warns(UserWarning, match=r"already sum to 1: it ends in a softmax.*nn.Identity\(\).*callable") as told:
        saliency(ended, IMAGES, TARGETS)
    assert len(told) == 1
    heat = saliency(ended, IMAGES, lambda p: p[:, 2].log())
    plain = saliency(bias_free(), IMAGES, torch.tensor([2, 2]), objective="logprob")
    torch.testing.assert_close(heat, plain)


@pytest.mark.parametrize("baseline", ["white", "1.5", -0.1])
def test_a_baseline_that_is_none_is_refused(baseline: float | str) -> None:
    with pytest.raises(ValueError, match=r"baseline must be .*\[0, 1\], got '?-?[\w.]+'?"):
        saliency(Linear(WEIGHT), IMAGES, TARGETS, baseline=baseline)
