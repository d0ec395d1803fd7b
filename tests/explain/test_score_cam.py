import math
from importlib import import_module

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.explain import score_cam
from pellucid.models import Model, rehearsal

from .nets import GapNet

IMAGES = torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TARGETS = torch.tensor([4, 1])


def by_hand(model: nn.Module, maps: Tensor, fill: Tensor, channels: list[list[int]]) -> Tensor:
    """The algorithm of the paper in plain loops, the baseline's score included: (N, 9, 9)."""
    heat = torch.zeros(2, *maps.shape[2:], dtype=maps.dtype)
    for n, target in enumerate(TARGETS.tolist()):
        increases = []
        for k in channels[n]:
            large = F.interpolate(maps[n : n + 1, k : k + 1], (9, 9), mode="bilinear", align_corners=False)[0]
            mask = (large - large.min()) / (large.max() - large.min())
            seen = mask * IMAGES[n] + (1 - mask) * fill
            increases.append(model(seen[None])[0, target] - model(fill.expand(1, 3, 9, 9))[0, target])
        total = sum(math.exp(increase) for increase in increases)
        for k, increase in zip(channels[n], increases, strict=True):
            heat[n] += math.exp(increase) / total * maps[n, k]
    return F.interpolate(heat[:, None], (9, 9), mode="bilinear", align_corners=False)[:, 0]


@torch.no_grad()
@pytest.mark.parametrize("channels", [0, 8, 99])
def test_equals_the_algorithm_in_plain_loops(channels: int) -> None:
    model = GapNet()
    expected = by_hand(model, model.features(IMAGES), torch.zeros(3, 1, 1).double(), [list(range(8))] * 2)
    heat = score_cam(model, IMAGES, TARGETS, relu=False, channels=channels)
    torch.testing.assert_close(heat, expected)
    assert (expected < 0).any()


@torch.no_grad()
def test_what_is_hidden_takes_the_mean_colour_of_the_model() -> None:
    net = GapNet()
    model = Model(net, mean=(0.5, 0.25, 0.1), std=(0.5, 0.5, 0.5), classes=list("abcde"), size=9)
    maps = net.features((IMAGES - model.mean) / model.std)
    for fill, colour in (("mean", model.mean.double()), (0.5, torch.full((3, 1, 1), 0.5).double())):
        expected = by_hand(model, maps, colour, [list(range(8))] * 2)
        torch.testing.assert_close(score_cam(model, IMAGES, TARGETS, fill=fill, relu=False), expected)


@torch.no_grad()
def test_only_the_channels_that_vary_most_are_asked_about() -> None:
    model = GapNet()
    maps = model.features(IMAGES)
    chosen = [sorted(range(8), key=lambda k: -maps[n, k].std().item())[:3] for n in range(2)]
    expected = by_hand(model, maps, torch.zeros(3, 1, 1).double(), chosen)
    torch.testing.assert_close(score_cam(model, IMAGES, TARGETS, channels=3, relu=False), expected)
    with rehearsal() as cost:
        score_cam(model, IMAGES, TARGETS, channels=3)
    assert (cost.forward, cost.backward) == (2 * (1 + 3), 0)


def test_a_flat_map_hides_all() -> None:
    maps = torch.stack([torch.full((4, 4), 0.3), torch.arange(16.0).view(4, 4), torch.zeros(4, 4)])[None]
    masks = import_module("pellucid.explain.score_cam")._masks(maps, (11, 13))
    assert torch.equal(masks[0, 0], torch.zeros(11, 13))
    assert torch.equal(masks[0, 2], torch.zeros(11, 13))
    assert (masks[0, 1].min().item(), masks[0, 1].max().item()) == (0, 1)


def test_flat_maps_give_no_nan() -> None:
    model = GapNet()
    with torch.no_grad():
        model.features[2].weight[:4].zero_()  # type: ignore[index]
    assert score_cam(model, IMAGES, TARGETS).isfinite().all()
    with torch.no_grad():
        model.features[2].weight.zero_()  # type: ignore[operator]
        model.features[2].bias.zero_()  # type: ignore[operator]
    assert torch.equal(score_cam(model, IMAGES, TARGETS), torch.zeros(2, 9, 9).double())


def test_a_constant_score_weighs_all_channels_alike() -> None:
    model = GapNet()
    heat = score_cam(model, IMAGES, lambda outputs: 0 * outputs[:, 0], relu=False, layer="features.2")
    mean = model.features(IMAGES).mean(dim=1, keepdim=True).detach()
    torch.testing.assert_close(heat, F.interpolate(mean, (9, 9), mode="bilinear", align_corners=False)[:, 0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": -1}, "channels must be at least 0, got -1"),
        ({"fill": 2.0}, r"fill must be in \[0, 1\], got 2.0"),
        ({"objective": "logit"}, "objective must be one of score, logprob, prob, loss, got 'logit'"),
        ({"layer": "head"}, r"layer 'head' puts out no maps \(N, C, h, w\) but \(1, 5\); try features"),
    ],
)
def test_refuses(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score_cam(GapNet(), IMAGES, TARGETS, **options)  # type: ignore[arg-type]
