"""Images lie as the network is fastest, and as it can take them."""

import pytest
import torch
from torch import Tensor, nn

from pellucid.attack import Query, pgd, square
from pellucid.attack._layout import Layout

from .nets import called, small_images, small_net


class Viewed(nn.Module):
    """Flattens its maps by `view`, as many networks do."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = small_net()
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        x = self.inner[:5](images)  # type: ignore[index]
        return self.inner[6](x.view(len(x), -1))  # type: ignore[index,no-any-return]


def test_a_network_that_views_is_attacked_all_the_same() -> None:
    images = small_images(5)
    targets = called(Viewed(), images)
    for attack in (pgd, square):
        made = attack(Viewed(), images, targets, epsilon=0.05)
        torch.testing.assert_close(made, attack(small_net(), images, targets, epsilon=0.05))
        assert made.is_contiguous()
    query = Query(Viewed())
    torch.testing.assert_close(query(images), Viewed()(images).detach())
    assert query.count == 5


def test_channels_come_last_only_where_that_helps() -> None:
    images = small_images()
    assert Layout(small_net()).of(images).is_contiguous(memory_format=torch.channels_last)
    assert Layout(lambda some: some).of(images).is_contiguous()
    assert Layout(small_net()).of(images[:, :1]).is_contiguous()


def test_another_fault_is_not_hidden() -> None:
    def broken(_images: Tensor) -> Tensor:
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        Layout(small_net()).asked(broken, small_images())
