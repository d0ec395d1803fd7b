"""What the tests of the zoo share: small nets of every kind, and numbers for their norms."""

from typing import Any

import torch
from torch import nn

from pellucid.models.zoo._build import construct

SMALL: dict[str, tuple[str, int, dict[str, Any]]] = {
    # one of each kind of network, in its least costly form: architecture, size, arguments
    "alexnet": ("alexnet", 32, {}),
    "densenet": ("densenet_40_12", 8, {}),
    "densenet_bc": ("densenet_bc_100_12", 8, {}),
    "digits_cnn": ("digits_cnn", 8, {"width": 4}),
    "efficientnet": ("efficientnet_b0", 32, {}),
    "fast_net": ("fast_net", 32, {"width": 4}),
    "googlenet": ("googlenet", 8, {}),
    "googlenet without aux": ("googlenet", 8, {"aux": False}),
    "ladder_net": ("ladder_net", 8, {"batch_norm": True, "dropout": 0.1}),
    "lenet5": ("lenet5", 32, {}),
    "lenet5_bn": ("lenet5_bn", 32, {}),
    "mobilenet_v1": ("mobilenet_v1", 32, {"width": 0.1}),
    "nin": ("nin", 32, {}),
    "resnet18": ("resnet18", 8, {}),
    "resnet50": ("resnet50", 8, {}),
    "resnet_cifar A": ("resnet_cifar", 8, {"depth": 8}),
    "resnet_cifar B": ("resnet_cifar", 8, {"depth": 8, "shortcut": "B"}),
    "se_resnet18": ("se_resnet18", 8, {}),
    "vgg11": ("vgg11", 32, {}),
    "vgg11_bn": ("vgg11_bn", 32, {}),
    "wide_resnet": ("wide_resnet", 8, {"depth": 10, "width": 1, "dropout": 0.1}),
}

UNTRIED = {"resnext": "34 million weights; its block and its stages are resnet50's"}
"""Files of the zoo without a kind above, and why."""


def small(kind: str, classes: int = 5) -> tuple[nn.Module, torch.Tensor]:
    """A network of a kind, in training mode, and four images for it."""
    name, size, arguments = SMALL[kind]
    torch.manual_seed(0)
    channels = 1 if name == "digits_cnn" else 3
    network = construct(name, {"classes": classes, "size": size, "channels": channels, **arguments})
    return network, torch.rand(4, channels, size, size)


def stages(network: nn.Module) -> tuple[str, ...]:
    """What a network says are its last maps of each side."""
    found: Any = network.stages
    assert isinstance(found, tuple)
    return found


def scatter_norms(network: nn.Module) -> None:
    """Norms as after training: no two channels alike."""
    numbers = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            count = module.num_features
            assert module.running_mean is not None
            assert module.running_var is not None
            module.weight.data = 0.5 + torch.rand(count, generator=numbers)
            module.bias.data = 0.2 * torch.randn(count, generator=numbers)
            module.running_mean.copy_(0.2 * torch.randn(count, generator=numbers))
            module.running_var.copy_(0.5 + torch.rand(count, generator=numbers))
