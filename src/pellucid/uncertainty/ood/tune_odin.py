"""ODIN's options, chosen without a look at the images it will be tested on.

S. Liang, Y. Li, R. Srikant, "Enhancing The Reliability of Out-of-distribution Image Detection in Neural Networks",
ICLR 2018, section 4 (with images from elsewhere). https://arxiv.org/abs/1706.02690
Y.-C. Hsu, Y. Shen, H. Jin, Z. Kira, "Generalized ODIN: Detecting Out-of-distribution Image without Learning from
Out-of-distribution Data", CVPR 2020, section 3.2 (without). https://arxiv.org/abs/2002.11297
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pellucid.checks import check_choice, check_eval, check_images
from pellucid.metrics.ranking import false_positive_rate
from pellucid.models import Plan, evaluate
from pellucid.uncertainty._logits import as_logits, checked, remainder

from ._sets import check_apart, check_same_shape
from .odin import surer

TEMPERATURES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
EPSILONS = tuple(0.0002 * step for step in range(21))
MODES = ("in_only", "with_ood")


@dataclass(frozen=True)
class OdinOptions:
    """What to call odin with, and how it came about."""

    temperature: float
    epsilon: float
    mode: str  # in_only or with_ood
    temperatures: tuple[float, ...]  # T tried
    epsilons: tuple[float, ...]  # E tried
    values: Tensor  # (T, E), float64: in_only the mean largest probability (most is best), with_ood FPR95 (least is)


def tune_odin(
    model: nn.Module,
    images: Tensor,
    out_images: Tensor | None = None,
    test_images: Tensor | None = None,
    *,
    mode: str = "in_only",
) -> OdinOptions:
    """Choose odin's temperature and epsilon; of several that are as good the first, which is the smallest.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1]; known images held out for this, of no test.
        out_images: (M, C, H, W), images from elsewhere to tune on; only for with_ood.
        test_images: (L, C, H, W), those from elsewhere that it will be tested on, to see that none is tuned on.
        mode: in_only (epsilon, by the mean score of known images at temperature 1000) or with_ood (both, by FPR95).

    Raises:
        ValueError: with_ood lacks a set, the sets share images, or no gradient reaches the image.
    """
    check_choice("mode", mode, MODES)
    check_eval(model)
    check_images(images)
    if mode == "in_only":
        if out_images is not None:
            raise ValueError("out_images must not be given where mode is in_only, which asks for no image of elsewhere")
        sure = 1 - _scores(model, images, 1000.0)  # (E, N)
        values = sure.mean(dim=1)[None]
        return OdinOptions(1000.0, EPSILONS[int(values.argmax())], mode, (1000.0,), EPSILONS, values.cpu())
    if out_images is None or test_images is None:
        missing = "out_images" if out_images is None else "test_images"
        raise ValueError(f"{missing} must be given where mode is with_ood: tuning and test need sets of their own")
    check_images(out_images)
    check_same_shape(images, out_images)
    check_apart("out_images", out_images, "test_images", test_images)
    check_apart("out_images", out_images, "images", images)
    is_known = torch.arange(len(images) + len(out_images)) < len(images)
    both = torch.cat([images, out_images.to(images)])
    rates = [[false_positive_rate(-one, is_known) for one in _scores(model, both, t).cpu()] for t in TEMPERATURES]
    values = torch.tensor(rates, dtype=torch.float64)
    row, column = divmod(int(values.argmin()), len(EPSILONS))
    return OdinOptions(TEMPERATURES[row], EPSILONS[column], mode, TEMPERATURES, EPSILONS, values)


def _scores(model: nn.Module, images: Tensor, temperature: float) -> Tensor:
    """odin's scores (E, N) at every epsilon, for one gradient."""
    images = images.detach()
    signs = surer(model, images, temperature)
    steps = torch.tensor(EPSILONS, dtype=images.dtype, device=images.device)

    def vary(some: Tensor, numbers: Tensor, rows: Tensor) -> Tensor:
        return some + steps[numbers].view(-1, 1, 1, 1, 1) * signs[rows]  # (p, n, C, H, W)

    def read(outputs: object, _rows: Tensor) -> Tensor:
        return remainder(as_logits(checked(outputs)) / temperature)

    return evaluate(model, Plan(images, len(EPSILONS), vary), read, label="tuning")
