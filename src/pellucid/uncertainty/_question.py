"""What every sampler is asked with."""

from torch import Tensor, nn

from pellucid.checks import check_count, check_eval, check_images


def check_sampling(model: nn.Module, images: Tensor, samples: int) -> Tensor:
    """The images, detached; refuses a model in training mode, images that are none, or fewer than one sample."""
    check_eval(model)
    check_images(images)
    check_count("samples", samples, 1)
    return images.detach()
