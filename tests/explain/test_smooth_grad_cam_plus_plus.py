import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.explain import grad_cam_plus_plus, smooth_grad_cam_plus_plus
from pellucid.explain._noise import noisy
from pellucid.models import rehearsal

from .nets import Functional, GapNet, bright

IMAGES = torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TARGETS = torch.tensor([4, 1])
ROWS = torch.arange(2)


def large(small: Tensor) -> Tensor:
    return F.interpolate(small[:, None], (9, 9), mode="bilinear", align_corners=False)[:, 0].detach()


def copies(count: int, std: float, generator: torch.Generator | None = None) -> Tensor:
    """The copies (P, N, C, H, W) the method looks at."""
    return noisy(IMAGES, count, std, generator).vary(IMAGES, torch.arange(count), ROWS)


@pytest.mark.parametrize("average", ["maps", "derivatives"])
@pytest.mark.parametrize("normalise", [False, True])
def test_without_noise_it_is_grad_cam_plus_plus(average: str, normalise: bool) -> None:
    model = Functional().double()
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    told = {"layer": "first,second", "normalise": normalise}
    smooth = smooth_grad_cam_plus_plus(model, images, TARGETS, std=0.0, average=average, **told)  # type: ignore[arg-type]
    torch.testing.assert_close(smooth, grad_cam_plus_plus(model, images, TARGETS, **told))  # type: ignore[arg-type]


def test_the_mean_of_the_maps_of_the_copies() -> None:
    model = GapNet()
    expected = torch.zeros(2, 4, 4, dtype=torch.float64)
    for some in copies(5, 0.4):
        features = model.features(some).detach()
        head = model.head.weight[TARGETS].detach()
        weights = head.relu() / (2 + head * features.mean(dim=(2, 3)))
        expected += torch.einsum("nk,nkhw->nhw", weights, features).relu() / 5
    heat = smooth_grad_cam_plus_plus(model, IMAGES, TARGETS, samples=5, std=0.4)
    torch.testing.assert_close(heat, large(expected))


def test_one_map_of_the_mean_derivatives() -> None:
    model = Functional().double()
    first, second, third = (torch.zeros(2, 8, 9, 9, dtype=torch.float64) for _ in range(3))
    for some in copies(5, 0.4):
        kept: list[Tensor] = []
        handle = model.first.register_forward_hook(lambda _m, _i, output, kept=kept: kept.append(output))
        score = model(some).gather(1, TARGETS[:, None]).sum()
        handle.remove()
        g = torch.autograd.grad(score, kept[0])[0]
        first, second, third = first + g / 5, second + g**2 / 5, third + g**3 / 5
    f = model.first(IMAGES).detach()  # of the clean image
    below = 2 * second + f.sum(dim=(2, 3), keepdim=True) * third
    assert (below == 0).sum() == (second == 0).sum()
    alphas = torch.where(below == 0, 0, second / below)
    expected = ((alphas * first.relu()).sum(dim=(2, 3), keepdim=True) * f).sum(dim=1).relu()
    told = {"samples": 5, "std": 0.4, "average": "derivatives", "layer": "first"}
    torch.testing.assert_close(smooth_grad_cam_plus_plus(model, IMAGES, TARGETS, **told), expected.detach())  # type: ignore[arg-type]


def test_the_generator_decides_the_noise_of_all_layers() -> None:
    model = GapNet()
    told = {"samples": 3, "std": 0.5}
    first, again, other = (
        smooth_grad_cam_plus_plus(model, IMAGES, TARGETS, generator=torch.Generator().manual_seed(seed), **told)  # type: ignore[arg-type]
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    source = torch.Generator().manual_seed(1)
    both = smooth_grad_cam_plus_plus(model, IMAGES, TARGETS, generator=source, layer="features.2,features", **told)  # type: ignore[arg-type]
    torch.testing.assert_close(both * first.amax(dim=(1, 2), keepdim=True), first * both.amax(dim=(1, 2), keepdim=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 0}, "samples must be at least 1, got 0"),
        ({"std": -0.1}, "std must be at least 0, got -0.1"),
        ({"average": "heat"}, "average must be one of maps, derivatives, got 'heat'"),
        ({"objective": "logit"}, "objective must be one of score, logprob, prob, loss, got 'logit'"),
    ],
)
def test_refuses(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        smooth_grad_cam_plus_plus(GapNet(), IMAGES, TARGETS, **options)  # type: ignore[arg-type]


def test_costs_a_pass_forward_and_back_for_each_copy() -> None:
    for average, forward in (("maps", 20), ("derivatives", 22)):  # the clean image's maps besides
        with rehearsal() as cost:
            smooth_grad_cam_plus_plus(GapNet(), IMAGES, TARGETS, average=average)
        assert (cost.forward, cost.backward) == (forward, 20)


@pytest.mark.parametrize("average", ["maps", "derivatives"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_holds_sums_over_a_large_map(average: str, dtype: torch.dtype) -> None:
    net = bright()
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)).to(dtype)

    def heat(kind: torch.dtype) -> Tensor:
        told = {"layer": "0", "average": average, "samples": 3}
        found = smooth_grad_cam_plus_plus(net.to(kind), images.to(kind), torch.tensor([1]), **told)  # type: ignore[arg-type]
        return found.float()

    fine = heat(torch.float32)
    torch.testing.assert_close(heat(dtype) / fine.max(), fine / fine.max(), rtol=0, atol=0.03)
