from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from pellucid.explain import attention_rollout
from pellucid.models import rehearsal
from pellucid.models.attention import attentions

from .nets import Attending, Functional

IMAGES = torch.rand(2, 3, 16, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TARGETS = torch.tensor([4, 1])
GRID = (4, 3)


def layers_of(model: Attending, image: Tensor) -> list[Tensor]:
    """The attention of both layers for one image, (heads, T, T), still in the graph."""
    x = model.patches(image[None]).flatten(2).mT
    x = torch.cat([model.token, x], dim=1)
    found = []
    for layer in range(2):
        weights, value = model.weights(x, layer)
        found.append(weights)
        x = x + (weights @ value).transpose(1, 2).flatten(2)
    return [weights[0] for weights in found]


def rolled(layers: list[list[list[float]]]) -> list[list[float]]:
    """The paper's product, by loops."""
    size = len(layers[0])
    found = [[float(i == j) for j in range(size)] for i in range(size)]
    for weights in layers:
        both = [[0.5 * weights[i][j] + 0.5 * (i == j) for j in range(size)] for i in range(size)]
        both = [[value / sum(row) for value in row] for row in both]
        found = [[sum(both[i][k] * found[k][j] for k in range(size)) for j in range(size)] for i in range(size)]
    return found


def large(row: Tensor) -> Tensor:
    """Patches (12,) as a map of the image."""
    return F.interpolate(row.view(1, 1, *GRID), (16, 12), mode="bilinear", align_corners=False)[0, 0]


@pytest.mark.parametrize("heads", ["mean", "max", "min"])
def test_equals_a_plain_loop(heads: str) -> None:
    model = Attending().double()
    heat = attention_rollout(model, IMAGES, TARGETS, heads=heads)
    join: Callable[..., Tensor] = getattr(torch, {"mean": "mean", "max": "amax", "min": "amin"}[heads])
    for image, one in zip(IMAGES, heat, strict=True):
        found = rolled([join(weights, dim=0).tolist() for weights in layers_of(model, image)])
        torch.testing.assert_close(one, large(torch.tensor(found[0][1:], dtype=torch.float64)))


def test_without_a_class_token_the_mean_over_the_patches_is_taken() -> None:
    model = Attending(has_class_token=False).double()
    heat = attention_rollout(model, IMAGES, TARGETS)
    for image, one in zip(IMAGES, heat, strict=True):
        found = rolled([weights.mean(0).tolist() for weights in layers_of(model, image)])
        torch.testing.assert_close(one, large(torch.tensor(found, dtype=torch.float64).mean(dim=0)))
    assert attention_rollout(model, IMAGES, TARGETS).mean().item() == pytest.approx(1 / 12, rel=0.2)


def test_what_is_discarded_are_the_lowest() -> None:
    model = Attending().double()
    heat = attention_rollout(model, IMAGES, TARGETS, discard=0.6)
    for image, one in zip(IMAGES, heat, strict=True):
        kept = []
        for weights in layers_of(model, image):
            joined = weights.mean(0)
            least = sorted(joined.flatten().tolist())[int(0.6 * 13 * 13)]
            kept.append(joined.where(joined >= least, 0.0).tolist())
        torch.testing.assert_close(one, large(torch.tensor(rolled(kept)[0][1:], dtype=torch.float64)))
    assert not torch.allclose(heat, attention_rollout(model, IMAGES, TARGETS))


@pytest.mark.parametrize("objective", ["score", "prob"])
def test_weighting_by_the_slope_equals_finite_differences(objective: str) -> None:
    model = Attending().double()
    heat = attention_rollout(model, IMAGES, TARGETS, weighting="gradient", objective=objective)
    for image, target, one in zip(IMAGES, TARGETS.tolist(), heat, strict=True):

        def read(logits: Tensor, target: int = target) -> Tensor:
            return logits[target] if objective == "score" else logits.softmax(dim=0)[target]

        found = torch.eye(13, dtype=torch.float64)
        for number, weights in enumerate(layers_of(model, image)):
            slope = slope_of(read, model, image, number)
            found = found + (weights.detach() * slope).clamp(min=0).mean(dim=0) @ found
        torch.testing.assert_close(one, large(found[0, 1:]), rtol=1e-4, atol=1e-8)
        assert one.abs().max() > 1e-5


def slope_of(read: Callable[[Tensor], Tensor], model: Attending, image: Tensor, number: int) -> Tensor:
    """What `read` takes from the logits, by differences of one layer's attention: the first also changes the second."""
    weights = layers_of(model, image)[number].detach()
    slope = torch.zeros_like(weights)
    for place in torch.cartesian_prod(*(torch.arange(side) for side in slope.shape)).tolist():
        for sign in (1, -1):
            moved = weights.clone()
            moved[tuple(place)] += sign * 1e-4
            slope[tuple(place)] += sign * read(ran(model, image, {number: moved})) / 2e-4
    return slope


@torch.no_grad()
def ran(model: Attending, image: Tensor, given: dict[int, Tensor]) -> Tensor:
    """The logits (5,), with the attention of some layers exchanged."""
    x = model.patches(image[None]).flatten(2).mT
    x = torch.cat([model.token, x], dim=1)
    for layer in range(2):
        weights, values = model.weights(x, layer)
        x = x + (given.get(layer, weights) @ values).transpose(1, 2).flatten(2)
    logits: Tensor = model.head(x[0, 0])
    return logits


def test_weighting_makes_the_target_matter() -> None:
    model = Attending().double()
    other = (TARGETS + 1) % 5
    assert torch.equal(attention_rollout(model, IMAGES, TARGETS), attention_rollout(model, IMAGES, other))
    told: dict[str, Any] = {"weighting": "gradient"}
    first, second = (attention_rollout(model, IMAGES, targets, **told) for targets in (TARGETS, other))
    assert not torch.allclose(first, second)
    nn.init.zeros_(model.head.weight)
    assert attention_rollout(model, IMAGES, TARGETS, **told).abs().max() == 0


def test_the_cost_of_each_weighting() -> None:
    for weighting, backward in (("none", 1), ("gradient", 3)):
        with rehearsal() as cost:
            attention_rollout(Attending().double(), IMAGES, TARGETS, weighting=weighting)
        assert (cost.forward, cost.backward) == (3, backward), (
            "and one image asked from which tokens the answer is read"
        )


def vit(**told: Any) -> nn.Module:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"img_size": 32, "patch_size": 8, "embed_dim": 12, "depth": 2, "num_heads": 3}
    model: nn.Module = timm.create_model("vit_tiny_patch16_224", **sizes, num_classes=5, **told)
    return model.double().eval()


SQUARE = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("weighting", ["none", "gradient"])
def test_the_spelling_of_attention_does_not_matter(weighting: str) -> None:
    fused, written = vit(), vit()
    for name, module in written.named_modules():
        if name.endswith("attn"):
            module.fused_attn = False
    heats = [attention_rollout(model, SQUARE, TARGETS, weighting=weighting) for model in (fused, written)]
    torch.testing.assert_close(*heats)
    assert heats[0].amax() > heats[0].amin()


def test_registers_and_pooling_of_timm() -> None:
    for told, answers in (({"reg_tokens": 2}, slice(0, 1)), ({"global_pool": "avg", "reg_tokens": 2}, slice(3, None))):
        model = vit(**told)
        with torch.no_grad(), attentions() as met:
            model(SQUARE[:1])
        found = rolled([one.weights[0].mean(dim=0).tolist() for one in met])
        row = torch.tensor(found, dtype=torch.float64)[answers].mean(dim=0)[3:]
        expected = F.interpolate(row.view(1, 1, 4, 4), (32, 32), mode="bilinear", align_corners=False)[0]
        torch.testing.assert_close(attention_rollout(model, SQUARE[:1], TARGETS[:1]), expected)


def test_the_torchvision_transformer() -> None:
    torch.manual_seed(0)
    model = torchvision.models.VisionTransformer(32, 8, 2, 2, 8, 16, num_classes=5).double().eval()
    nn.init.normal_(model.heads[0].weight)  # it starts at zero
    with torch.no_grad(), attentions() as met:
        model(SQUARE[:1])
    row = torch.tensor(rolled([one.weights[0].mean(dim=0).tolist() for one in met])[0][1:], dtype=torch.float64)
    expected = F.interpolate(row.view(1, 1, 4, 4), (32, 32), mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(attention_rollout(model, SQUARE[:1], TARGETS[:1]), expected)
    assert attention_rollout(model, SQUARE, TARGETS, weighting="gradient").amax() > 0


def test_windows_are_refused() -> None:
    torch.manual_seed(0)
    model = torchvision.models.SwinTransformer([4, 4], 8, [1, 1], [2, 2], [4, 4], num_classes=5).double().eval()
    with pytest.raises(ValueError, match=r"needs attention among all tokens .* such as windows give; use grad_cam"):
        attention_rollout(model, SQUARE, TARGETS)


def test_a_model_without_attention_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a model with attention, and none was run; use grad_cam"):
        attention_rollout(Functional().double(), SQUARE, TARGETS)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"weighting": "slope"}, "weighting must be one of none, gradient, got 'slope'"),
        ({"heads": "median"}, "heads must be one of mean, max, min, got 'median'"),
        ({"discard": 1.0}, r"discard must be in \[0, 1\), got 1"),
        ({"discard": -0.1}, r"discard must be in \[0, 1\), got -0.1"),
        ({"objective": "odds"}, "objective must be one of score, logprob, prob, loss, got 'odds'"),
        ({"grid": "5x5"}, r"13 tokens make no grid of 5x5 of an image of 16x12: give grid as HxW"),
        ({"grid": "5"}, r'grid must be HxW, such as "14x14", got \'5\''),
    ],
)
def test_refuses(option: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        attention_rollout(Attending().double(), IMAGES, TARGETS, **option)


@pytest.mark.parametrize("told", [{}, {"global_pool": "avg"}, {"global_pool": "avg", "class_token": False}])
@pytest.mark.parametrize("weighting", ["none", "gradient"])
def test_from_which_tokens_the_answer_is_read_is_found_behind_any_wrapper(told: dict[str, Any], weighting: str) -> None:
    torch.manual_seed(0)
    bare = timm.models.VisionTransformer(
        img_size=16, patch_size=4, embed_dim=8, depth=2, num_heads=2, num_classes=5, **told
    ).double()
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    wrapped = nn.Sequential(nn.Identity(), bare).eval()  # hides what timm says of itself
    heat = attention_rollout(wrapped, image, TARGETS[:1], weighting=weighting)
    torch.testing.assert_close(heat, attention_rollout(bare.eval(), image, TARGETS[:1], weighting=weighting))
    assert heat.std() > 1e-6 * heat.mean(), "not rounding noise"
    if weighting == "none" and told:
        with attentions() as met, torch.no_grad():
            bare(image)
        rows = rolled([one.weights[0].mean(0).tolist() for one in met])
        grid = torch.tensor(rows, dtype=torch.float64)[-16:].mean(dim=0)[-16:].view(1, 1, 4, 4)
        torch.testing.assert_close(heat[0], F.interpolate(grid, (16, 16), mode="bilinear", align_corners=False)[0, 0])
