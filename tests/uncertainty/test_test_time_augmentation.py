"""Test-time augmentation against plain loops, torchvision's windows and what must not change."""

from importlib import import_module
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as theirs

from pellucid import uncertainty
from pellucid.data.augment import Policy, cutmix, mixup, policy
from pellucid.uncertainty import aggregate, predicted_variance, variation_ratio, views
from pellucid.uncertainty._views import windows

from .nets import modules, small_images

IMAGES = small_images().double()
POLICIES = ["none", "hflip", "five_crop", "ten_crop", "cifar", "rotate=30,noise=0.1,brightness=0.5"]


@pytest.fixture(scope="module")
def net() -> nn.Module:
    """Its convolution sees left from right, its pooled features as well."""
    return modules().double()


def ask(net: nn.Module, images: Tensor = IMAGES, **options: Any) -> Tensor:
    return uncertainty.test_time_augmentation(net, images, **options)


def plain(net: nn.Module, images: Tensor = IMAGES) -> Tensor:
    with torch.no_grad():
        found: Tensor = net(images).softmax(dim=1)
    return found


@pytest.mark.parametrize(("name", "count"), [*zip(POLICIES, [1, 2, 6, 11, 5, 5], strict=True)])
def test_samples_are_the_answers_to_the_views_one_by_one(net: nn.Module, name: str, count: int) -> None:
    found = ask(net, policy=name, samples=4)
    shown = views(IMAGES, policy=name, samples=4)
    assert found.shape == (count, 4, 5)
    assert len(shown.told) == count
    assert float(shown.images.min()) >= 0
    assert float(shown.images.max()) <= 1
    each = torch.stack([torch.cat([plain(net, image[None]) for image in some]) for some in shown.images])
    torch.testing.assert_close(found, each, rtol=0, atol=1e-12)
    torch.testing.assert_close(found.sum(dim=2), torch.ones(count, 4, dtype=torch.float64))
    torch.testing.assert_close(found[0], plain(net), rtol=0, atol=1e-12)
    if count > 1:
        assert float(found.var(dim=0).amax(dim=1).min()) > 1e-9, "every image's views differ"


def test_identity_alone_and_copies_of_it_are_the_plain_answer(net: nn.Module) -> None:
    torch.testing.assert_close(ask(net, policy="none")[0], plain(net), rtol=0, atol=1e-12)
    copies = ask(net, policy="hflip=0,rotate=90:probability=0", samples=7)
    torch.testing.assert_close(copies, plain(net).expand(8, -1, -1), rtol=0, atol=1e-12)
    torch.testing.assert_close(ask(net, policy="cifar", samples=0), plain(net)[None], rtol=0, atol=1e-12)
    whole = ask(net, policy="five_crop", crop=1.0)
    torch.testing.assert_close(whole, plain(net).expand(6, -1, -1), rtol=0, atol=1e-12)


def test_hflip_does_not_see_a_mirrored_input(net: nn.Module) -> None:
    one, other = (aggregate(ask(net, images, policy="hflip")) for images in (IMAGES, IMAGES.flip(-1)))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-15)
    assert float((plain(net) - plain(net, IMAGES.flip(-1))).abs().max()) > 1e-3, "the net alone does"


def test_a_network_that_is_blind_to_flips_has_no_spread() -> None:
    class Blind(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            rows = images.sum(dim=3)[:, :2, 0]
            return torch.cat([rows, rows[:, :1]], dim=1)

    drawn = ask(Blind().eval(), policy="hflip")
    assert float(predicted_variance(drawn).max()) < 1e-30
    assert float(variation_ratio(drawn).max()) == 0


@pytest.mark.parametrize(("height", "width", "crop"), [(32, 32, 0.875), (30, 22, 0.8), (9, 7, 0.6)])
def test_windows_are_where_torchvision_puts_them(height: int, width: int, crop: float) -> None:
    image = torch.rand(1, 3, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    size = [round(crop * height), round(crop * width)]
    ours = [image[..., top : top + h, left : left + w] for top, left, h, w in windows(height, width, crop)]
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs.five_crop(image, size), strict=True))
    ten = views(image, policy="ten_crop", crop=crop)
    expected = [
        theirs.resize(cut, [height, width], interpolation=theirs.InterpolationMode.BILINEAR, antialias=False)
        for cut in theirs.ten_crop(image, size)
    ]
    torch.testing.assert_close(ten.images[1:], torch.stack(expected))
    assert ten.told[:2] == ("as it is", "top left")
    assert ten.told[-1] == "centre of hflip"


def test_corners_of_a_photograph() -> None:
    assert windows(256, 256, 0.875) == [(0, 0, 224, 224), (0, 32, 224, 224), (32, 0, 224, 224), (32, 32, 224, 224),
                                        (16, 16, 224, 224)]  # fmt: skip


@pytest.mark.parametrize("name", ["hflip", "five_crop", "cifar", "rotate=30,noise=0.1,brightness=0.5"])
def test_order_chunks_and_company_change_nothing(net: nn.Module, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = ask(net, policy=name)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(ask(net, IMAGES[order], policy=name), expected[:, order], rtol=0, atol=1e-12)
    torch.testing.assert_close(ask(net, IMAGES[1:2], policy=name), expected[:, 1:2], rtol=0, atol=1e-12)
    torch.testing.assert_close(ask(net, policy=name, samples=3), expected[: 4 if len(expected) > 6 else None])
    monkeypatch.setattr(import_module("pellucid.models.evaluate"), "CPU_BUDGET", 1)
    torch.testing.assert_close(ask(net, policy=name), expected, rtol=0, atol=1e-12)


def test_draws_come_from_the_generator_alone(net: nn.Module) -> None:
    noise = torch.random.get_rng_state()
    one, same, other = (ask(net, policy="cifar", generator=torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)
    assert torch.equal(noise, torch.random.get_rng_state())
    assert not net.training
    assert torch.equal(ask(net, policy="cifar"), ask(net, policy=policy("cifar"))), "a policy is as good as its words"
    assert torch.equal(ask(net, policy="cifar"), ask(net, policy="cifar", generator=torch.Generator().manual_seed(0)))


def test_views_are_told() -> None:
    shown = views(IMAGES, policy="crop=2", samples=3)
    assert shown.told[0] == "as it is"
    padded = nn.functional.pad(IMAGES, (2, 2, 2, 2))
    for told, image in zip(shown.told[1:], shown.images[1:], strict=True):
        word, down, right = told.split()
        top, left = int(down) + 2, int(right) + 2
        assert word == "crop"
        assert torch.equal(image, padded[..., top : top + 8, left : left + 8]), "what is told is what is shown"
    assert shown.images.shape == (4, *IMAGES.shape)
    assert torch.equal(shown.images[0], IMAGES)


def test_refuses(net: nn.Module) -> None:
    for name, given in (("mixup", "mixup"), ("cutmix", "crop=4,cutmix"), ("mixup", mixup), ("cutmix", cutmix)):
        with pytest.raises(ValueError, match=f"policy must keep labels, but {name} changes labels"):
            ask(net, policy=given)
    for empty in ("", " , ", Policy()):
        with pytest.raises(ValueError, match="policy must hold an operation, got an empty one"):
            ask(net, policy=empty)
    with pytest.raises(ValueError, match=r"policy must be one of none, hflip, five_crop.*did you mean five_crop"):
        ask(net, policy="fivecrop")
    with pytest.raises(ValueError, match="policy five_crop must stand alone, got 'five_crop,hflip'"):
        ask(net, policy="five_crop,hflip")
    with pytest.raises(ValueError, match=r"policy must be a word or a data\.augment\.Policy, got int"):
        ask(net, policy=3)
    with pytest.raises(ValueError, match=r"of the images' own size \(8, 8\).* gives \(6, 6\)"):
        ask(net, policy="crop=0:side=6")
    with pytest.raises(ValueError, match="samples must be at least 0, got -1"):
        ask(net, policy="cifar", samples=-1)
    for crop in (0.0, 1.1):
        with pytest.raises(ValueError, match="crop must be above 0 and at most 1"):
            ask(net, policy="five_crop", crop=crop)
    with pytest.raises(ValueError, match="model must be in eval mode"):
        ask(modules().double().train())
    with pytest.raises(ValueError, match=r"images must be in \[0, 1\]"):
        ask(net, 3 * IMAGES)
    with pytest.raises(ValueError, match=r"images must be in \[0, 1\]"):
        views(3 * IMAGES)
