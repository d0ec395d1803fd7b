import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.explain import grad_cam, layer_cam

from .nets import Functional, GapNet

IMAGES = torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TARGETS = torch.tensor([4, 1])


def large(small: Tensor) -> Tensor:
    return F.interpolate(small[:, None], (9, 9), mode="bilinear", align_corners=False)[:, 0].detach()


def test_with_global_pooling_only_the_wanted_channels_count() -> None:
    model = GapNet()
    features = model.features(IMAGES)
    expected = torch.einsum("nk,nkhw->nhw", model.head.weight[TARGETS].relu(), features) / 16
    assert (expected < 0).any()
    torch.testing.assert_close(layer_cam(model, IMAGES, TARGETS, relu=False), large(expected))
    torch.testing.assert_close(layer_cam(model, IMAGES, TARGETS), large(expected.relu()))


def test_each_position_has_its_own_weight() -> None:
    model = Functional().double()
    kept: list[Tensor] = []
    handle = model.first.register_forward_hook(lambda _m, _i, output: kept.append(output))
    score = model(IMAGES).gather(1, TARGETS[:, None]).sum()
    handle.remove()
    slopes = torch.autograd.grad(score, kept[0])[0]
    expected = torch.zeros(2, 9, 9, dtype=torch.float64)
    for n in range(2):
        for k in range(8):
            for i in range(9):
                for j in range(9):
                    expected[n, i, j] += max(slopes[n, k, i, j].item(), 0) * kept[0][n, k, i, j].item()
    torch.testing.assert_close(layer_cam(model, IMAGES, TARGETS, layer="first"), expected.relu())
    assert not torch.allclose(expected.relu(), grad_cam(model, IMAGES, TARGETS, layer="first"))


def test_scaling_the_score_scales_the_map() -> None:
    model = GapNet()
    twice = layer_cam(model, IMAGES, lambda outputs: 2 * outputs[:, 1])
    torch.testing.assert_close(twice, 2 * layer_cam(model, IMAGES, torch.tensor([1, 1])))


def test_zero_activation_gives_a_zero_map() -> None:
    model = GapNet()
    with torch.no_grad():
        model.features[2].weight.zero_()  # type: ignore[operator]
        model.features[2].bias.zero_()  # type: ignore[operator]
    assert layer_cam(model, IMAGES, TARGETS).abs().max() == 0


def test_a_wrong_objective_is_refused() -> None:
    with pytest.raises(ValueError, match="objective must be one of score, logprob, prob, loss, got 'logit'"):
        layer_cam(GapNet(), IMAGES, TARGETS, objective="logit")
