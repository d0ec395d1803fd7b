"""Origins of features to compare a trained network's with: its own architecture with random weights, and raw pixels."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.checks import check_count, check_eval, check_images
from pellucid.features.column import Column
from pellucid.features.extract import extract
from pellucid.geometry import Geometry
from pellucid.models import Model

PIXELS = Column("pixels", "flat")
"""The one column of `RawPixels`."""


def origin_rows(
    model: Model,
    train: Tensor,
    test: Tensor,
    layer: str,
    *,
    pool: str = "auto",
    draws: int = 3,
    statistics: bool = False,
    generator: torch.Generator | None = None,
) -> dict[str, list[tuple[Tensor, Tensor]]]:
    """Training and test rows of images in memory, of three origins, as `compare_origins` takes them.

    Args:
        model: a trained Model in eval mode, left untouched.
        train: (N, C, H, W), float, in [0, 1].
        test: (M, C, H, W), likewise.
        layer: dotted name, of the trained and the random networks.
        pool: as of `extract`.
        draws: random networks, at least 1.
        statistics: have the random networks' batch norms take the statistics of the training images.
        generator: of the random weights, on the CPU; None takes one of seed 0.

    Returns:
        pretrained, pixels and random: for each the rows (N, D) and (M, D) of one draw, or of several.
    """
    check_count("draws", draws, 1)
    source = torch.Generator().manual_seed(0) if generator is None else generator
    networks = [random_network(model, images=train if statistics else None, generator=source) for _ in range(draws)]

    def rows(network: Model) -> tuple[Tensor, Tensor]:
        first, second = (extract(network, images, [layer], pool=pool)[layer] for images in (train, test))
        return first, second

    return {
        "pretrained": [rows(model)],
        "pixels": [(train.flatten(1).float(), test.flatten(1).float())],
        "random": [rows(network) for network in networks],
    }


def random_network(
    model: Model, *, images: Tensor | None = None, batch_size: int = 64, generator: torch.Generator | None = None
) -> Model:
    """A copy of a model with random weights, each module's as torch begins with; in eval mode.

    Args:
        model: in eval mode, left untouched.
        images: (N, C, H, W), whose statistics the batch norms then have; None leaves mean 0 and variance 1.
        batch_size: images a pass for that, at least 2.
        generator: of the weights, on the CPU; None takes one of seed 0.

    Raises:
        ValueError: parameters that no module's reset_parameters draws; names them.
    """
    check_eval(model)
    check_count("batch_size", batch_size, 2)
    source = torch.Generator().manual_seed(0) if generator is None else generator
    made = copy.deepcopy(model)
    seed = int(torch.randint(2**62, (1,), generator=source))
    with torch.random.fork_rng([made.mean.device.index] if made.mean.is_cuda else []):
        torch.manual_seed(seed)
        _reset(made.network)
    if images is not None:
        check_images(images)
        _estimate(made, images, batch_size)
    made.source = {**model.source, "weights": f"random, seed {seed}"}
    if "spec" in made.source:
        made.source["spec"] = f"{made.source['spec']} with random weights"
    return made


class RawPixels:
    """The pixels of an image, flattened, as a `FeatureSource`: what a `Store` is filled with to compare.

    Args:
        geometry: the frame a picture is brought to; a model's own, to compare with it.
    """

    def __init__(self, geometry: Geometry) -> None:
        self._geometry = geometry

    @property
    def about(self) -> Mapping[str, Any]:
        """See FeatureSource."""
        frame = self._geometry
        resize = list(frame.resize) if isinstance(frame.resize, tuple) else frame.resize
        told = {"size": list(frame.size), "resize": resize, "interpolation": frame.interpolation}
        return {
            "kind": "pixels",
            "name": "raw pixels",
            "weights": "none",
            "preprocessing": {**told, "channels": frame.channels},
        }

    @property
    def geometry(self) -> Geometry:
        """See FeatureSource."""
        return self._geometry

    @property
    def images_a_pass(self) -> int:
        """See FeatureSource."""
        return 64

    def rows(self, images: Tensor, columns: Sequence[Column]) -> dict[Column, Tensor]:
        """See FeatureSource; the only column is PIXELS."""
        wrong = next((column for column in columns if column != PIXELS), None)
        if wrong is not None:
            raise ValueError(f"raw pixels must be asked for as {PIXELS}, got {wrong}")
        return {PIXELS: images.flatten(1).float()}


def _reset(network: nn.Module) -> None:
    """Draw all parameters anew."""
    drawn: set[int] = set()
    for module in network.modules():
        reset = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
        if callable(reset):
            reset()
            drawn |= {id(parameter) for parameter in module.parameters(recurse=False)}
    kept = [name for name, parameter in network.named_parameters() if id(parameter) not in drawn]
    if kept:
        raise ValueError(
            f"model must draw its parameters by reset_parameters, but {kept[0]} (of {len(kept)}) is a bare one: give "
            "a network of random weights of your own"
        )


@torch.no_grad()
def _estimate(model: Model, images: Tensor, batch_size: int) -> None:
    """Give the batch norms the mean statistics over the batches."""
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum, norm.training = None, True
    channels = model.geometry.channels
    for part in torch.split(images, batch_size):
        model(part.expand(-1, channels, -1, -1) if part.shape[1] == 1 else part)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum, norm.training = momentum, False
