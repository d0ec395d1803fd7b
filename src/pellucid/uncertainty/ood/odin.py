"""ODIN: a high temperature, and a small step towards being surer, which known images answer to more.

S. Liang, Y. Li, R. Srikant, "Enhancing The Reliability of Out-of-distribution Image Detection in Neural Networks",
ICLR 2018, section 3. https://arxiv.org/abs/1706.02690
"""

from torch import Tensor, nn

from pellucid.checks import check_eval, check_images, check_range
from pellucid.models import differentiate, unvaried
from pellucid.uncertainty._logits import as_logits, check_temperature, checked, logits_beyond, remainder


def odin(
    model: nn.Module, images: Tensor, *, temperature: float = 1000.0, epsilon: float = 0.0014, clip: bool = False
) -> Tensor:
    """One minus the largest probability at a high temperature, after a step that makes the model surer.

    The step is epsilon times the sign of the gradient (0 where it is 0; the authors' code takes +1 there) of the
    predicted class's log probability at the same temperature. It is in units of the images, the normalisation being
    the model's own; unless clipped, it may leave [0, 1], as in the paper.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].
        temperature: what the logits are divided by, above 0, in the step and in the score alike.
        epsilon: length of the step in every value of the image, at least 0; 0 takes no gradient.
        clip: bring the image back into [0, 1] after the step.

    Returns:
        (N,), float64, in [0, 1 - 1/K]; higher = less to be trusted. Temperature 1 and epsilon 0 give max_probability.

    Raises:
        ValueError: no gradient reaches the image, the model is training, or an argument is out of its range.
    """
    check_eval(model)
    check_images(images)
    check_temperature(temperature)
    check_range("epsilon", epsilon, 0)
    images = images.detach()
    if epsilon > 0:
        images = images + epsilon * surer(model, images, temperature)
        images = images.clamp(0, 1) if clip else images
    return remainder(logits_beyond(model, images) / temperature)


def surer(model: nn.Module, images: Tensor, temperature: float) -> Tensor:
    """Signs (N, C, H, W) of the gradient of the predicted class's log probability at a temperature.

    Raises:
        ValueError: no gradient reaches the image.
    """

    def sureness(outputs: object, _rows: Tensor) -> Tensor:
        return (as_logits(checked(outputs)) / temperature).log_softmax(dim=1).max(dim=1).values

    def sign(gradients: Tensor, _sources: Tensor, _rows: Tensor) -> Tensor:
        return gradients.sign()

    try:
        return differentiate(model, unvaried(images), sureness, sign, label="stepping")[0]
    except ValueError as error:
        if "does not depend on" not in str(error):
            raise
        raise ValueError("no gradient reaches the image: take epsilon=0, or another method than odin") from error
