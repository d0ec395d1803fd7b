"""LeNet-5 with batch norm behind its convolutions, for colour images.

Y. LeCun et al., "Gradient-Based Learning Applied to Document Recognition", Proceedings of the IEEE 86(11), 1998.
http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf
S. Ioffe, C. Szegedy, "Batch Normalization", ICML 2015. https://arxiv.org/abs/1502.03167
"""

from torch import nn

from .lenet import SIZES, lenet5

__all__ = ["SIZES", "lenet5_bn"]


def lenet5_bn(*, classes: int = 10, size: int = 32, channels: int = 3) -> nn.Module:
    """lenet5 with batch norm before the ReLU of each convolution; all else, the first weights too, is as in lenet5.

    Args:
        classes: number of outputs.
        size: side of the images, 8 to 32.
        channels: of the images.
    """
    network = lenet5(classes=classes, size=size, channels=channels)
    for name, maps in (("conv1", 6), ("conv2", 16)):
        layer = network.get_submodule(name)
        assert isinstance(layer, nn.Sequential)
        layer.insert(1, nn.BatchNorm2d(maps))
    return network
