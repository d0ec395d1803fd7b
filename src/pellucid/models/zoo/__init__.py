"""Networks of our own, built by name; this list is all that a model.json may name."""

from ._build import build
from ._convert import from_torchvision
from .alexnet import alexnet, alexnet_grouped
from .densenet import (
    densenet121,
    densenet161,
    densenet169,
    densenet201,
    densenet_40_12,
    densenet_bc_100_12,
    densenet_bc_190_40,
)
from .digits_cnn import digits_cnn
from .efficientnet import (
    efficientnet_b0,
    efficientnet_b1,
    efficientnet_b2,
    efficientnet_b3,
    efficientnet_b4,
    efficientnet_b7,
)
from .fast_net import fast_net
from .googlenet import googlenet, googlenet_bn
from .ladder_net import ladder_net
from .lenet import lenet5
from .lenet5_bn import lenet5_bn
from .mobilenet_v1 import mobilenet_v1
from .nin import nin
from .resnet import resnet18, resnet34, resnet50, resnet101, resnet152
from .resnet_cifar import resnet20, resnet32, resnet44, resnet56, resnet110, resnet_cifar
from .resnext import resnext29_8x64d, resnext29_16x64d, resnext50_32x4d, resnext101_32x8d
from .se_resnet import se_resnet18, se_resnet50
from .vgg import vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn
from .wide_resnet import wide_resnet, wide_resnet50_2, wrn_16_4, wrn_16_8, wrn_28_10, wrn_40_4

__all__ = [
    "alexnet",
    "alexnet_grouped",
    "build",
    "densenet121",
    "densenet161",
    "densenet169",
    "densenet201",
    "densenet_40_12",
    "densenet_bc_100_12",
    "densenet_bc_190_40",
    "digits_cnn",
    "efficientnet_b0",
    "efficientnet_b1",
    "efficientnet_b2",
    "efficientnet_b3",
    "efficientnet_b4",
    "efficientnet_b7",
    "fast_net",
    "from_torchvision",
    "googlenet",
    "googlenet_bn",
    "ladder_net",
    "lenet5",
    "lenet5_bn",
    "mobilenet_v1",
    "nin",
    "resnet18",
    "resnet20",
    "resnet32",
    "resnet34",
    "resnet44",
    "resnet50",
    "resnet56",
    "resnet101",
    "resnet110",
    "resnet152",
    "resnet_cifar",
    "resnext29_8x64d",
    "resnext29_16x64d",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "se_resnet18",
    "se_resnet50",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
    "wide_resnet",
    "wide_resnet50_2",
    "wrn_16_4",
    "wrn_16_8",
    "wrn_28_10",
    "wrn_40_4",
]
