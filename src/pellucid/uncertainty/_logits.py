"""A network's logits and probabilities, and one minus the largest of these to the last digit."""

import torch
from torch import Tensor, nn

from pellucid.checks import check_eval, check_images
from pellucid.models import are_probabilities, evaluate, unvaried


def logits_of(model: nn.Module, images: Tensor) -> Tensor:
    """Logits (N, K), float64; of a network that ends in a softmax, their logarithms.

    Raises:
        ValueError: the model is training, images are none, or it returns no finite matrix of at least two columns.
    """
    check_eval(model)
    check_images(images)
    return logits_beyond(model, images)


def raw_logits_of(model: nn.Module, images: Tensor, method: str) -> Tensor:
    """The same for a method that needs the logits' scale, which a softmax takes away.

    Raises:
        ValueError: as above, or the network ends in a softmax.
    """
    check_eval(model)
    check_images(images)
    logits = _outputs(model, images)
    if are_probabilities(logits):
        raise ValueError(
            f"{method} needs logits, but the network's outputs already sum to 1: take its last softmax away, or "
            "max_probability, which needs none"
        )
    return logits.double()


def logits_beyond(model: nn.Module, images: Tensor) -> Tensor:
    """Logits (N, K), float64, of images that a step may have taken out of [0, 1]."""
    return as_logits(_outputs(model, images))


def _outputs(model: nn.Module, images: Tensor) -> Tensor:
    return evaluate(model, unvaried(images.detach()), lambda found, _: checked(found), label="scoring")[0]


def as_logits(outputs: Tensor) -> Tensor:
    """Outputs (N, K) as logits, float64: those of a softmax give their logarithms."""
    if are_probabilities(outputs):
        return outputs.double().clamp(min=torch.finfo(outputs.dtype).tiny).log()
    return outputs.double()


def checked(outputs: object) -> Tensor:
    """Logits (R, K), float32 at least.

    Raises:
        ValueError: no finite matrix of at least two columns.
    """
    if not isinstance(outputs, Tensor) or outputs.ndim != 2:
        given = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise ValueError(f"the model must return logits (N, K), got {given}")
    if outputs.shape[1] < 2:
        raise ValueError("the model must have at least 2 classes to be unsure between, got 1")
    if not torch.isfinite(outputs).all():
        raise ValueError("the model's logits are not finite: its weights hold NaN, or the input overflows")
    return outputs.float() if outputs.dtype in {torch.float16, torch.bfloat16} else outputs


def probabilities(outputs: object) -> Tensor:
    """Class probabilities (R, K), float32 at least, of logits (R, K), or of rows that sum to 1 already.

    Raises:
        ValueError: no finite matrix of at least two columns.
    """
    found = checked(outputs)
    return found if are_probabilities(found) else found.softmax(dim=1)


def remainder(logits: Tensor) -> Tensor:
    """One minus the largest probability, (N,): s / (1 + s), with s the sum of the others' odds against it.

    It keeps apart what a subtraction from 1 would not: answers that are almost certain, or, at a high temperature,
    almost even. It grows as the largest log-softmax falls, which is -log(1 + s).
    """
    others = (logits - logits.max(dim=1, keepdim=True).values).exp()
    others = others.scatter(1, logits.argmax(dim=1, keepdim=True), 0).sum(dim=1)
    return others / (1 + others)


def check_temperature(temperature: float) -> None:
    """Refuse what is not above 0, or not finite."""
    if not 0 < temperature < float("inf"):
        raise ValueError(f"temperature must be above 0 and finite, got {temperature}")
