import torch

from pellucid.models.zoo import build
from pellucid.models.zoo.fast_net import FastNet, PatchWhitening, identity_convolution


def test_fitted_patches_have_unit_spread_and_no_correlation() -> None:
    mixing = torch.randn(12, 12, generator=torch.Generator().manual_seed(0))
    patches = torch.randn(5000, 12, generator=torch.Generator().manual_seed(1)) @ mixing
    images = patches.view(5000, 3, 2, 2)
    whitening = PatchWhitening(3)
    whitening.fit(images, epsilon=0.0)
    maps = whitening(images).flatten(1)[:, :12].detach()  # (5000, 12): the second half is the first, negated
    torch.testing.assert_close(maps.T @ maps / 5000, torch.eye(12), atol=1e-3, rtol=0)


def test_the_second_half_of_the_patches_is_the_first_negated() -> None:
    whitening = PatchWhitening(3)
    maps = whitening(torch.rand(2, 3, 5, 5))
    torch.testing.assert_close(maps[:, 12:], -maps[:, :12])


def test_a_convolution_begins_as_the_identity() -> None:
    conv = identity_convolution(4, 6)
    maps = torch.randn(2, 4, 5, 5)
    torch.testing.assert_close(conv(maps)[:, :4], maps)


def test_the_axes_are_kept_with_the_weights_and_are_not_learned() -> None:
    network = build("fast_net", classes=10)
    assert isinstance(network, FastNet)
    before = {name for name, _ in network.named_parameters()}
    assert "whitening.weight" not in before
    assert "whitening.weight" in network.state_dict()
    network.fit_input(torch.rand(8, 3, 32, 32))
    again = build("fast_net", classes=10)
    again.load_state_dict(network.state_dict())
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(network.eval()(images), again.eval()(images))


def test_a_mirrored_net_answers_alike_for_an_image_and_its_mirror_image() -> None:
    torch.manual_seed(0)
    plain, mirrored = build("fast_net", classes=10), build("fast_net", classes=10, mirrored=True)
    mirrored.load_state_dict(plain.state_dict())
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(mirrored.eval()(images), mirrored(images.flip(3)))
    plain.eval()
    torch.testing.assert_close(mirrored(images), (plain(images) + plain(images.flip(3))) / 2)
    mirrored.train()
    plain.train()
    torch.testing.assert_close(mirrored(images), plain(images))
