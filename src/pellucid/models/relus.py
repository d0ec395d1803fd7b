"""Another backward rule for every ReLU that a network runs, however it is written: at function level, without hooks."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


@contextmanager
def relu_rule(rule: Callable[[Tensor, Tensor], Tensor]) -> Iterator[Counter[str]]:
    """Replace the backward rule of every ReLU and ReLU6 run inside the block: module, in-place, functional, method.

    Args:
        rule: maps (active, gradient) to the gradient passed on; active is a bool tensor, true where the input is
            strictly inside the part of slope one.

    Yields:
        A counter of the ReLUs met, by the name of the function.
    """
    met: Counter[str] = Counter()
    with _ReluMode(rule, met):
        yield met


class _ReluMode(TorchFunctionMode):
    """Catches the functions by which a ReLU can be called; everything else passes."""

    def __init__(self, rule: Callable[[Tensor, Tensor], Tensor], met: Counter[str]) -> None:
        super().__init__()
        self.rule, self.met = rule, met

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        reader = _RELUS.get(func)
        x, top, in_place = reader(*args, **(kwargs or {})) if reader else (None, None, False)
        if x is None or top is None:
            return func(*args, **(kwargs or {}))
        self.met[func.__name__] += 1
        out: Tensor = _Relu.apply(x, top, self.rule)
        return x.copy_(out) if in_place else out


_Call: TypeAlias = tuple[Tensor, float | None, bool]  # input, where it saturates (None: no ReLU), whether in place


def _relu(input: Tensor, inplace: bool = False) -> _Call:
    return input, math.inf, inplace


def _relu6(input: Tensor, inplace: bool = False) -> _Call:
    return input, 6.0, inplace


def _clamp(input: Tensor, min: Any = None, max: Any = None) -> _Call:
    is_relu = isinstance(min, int | float) and min == 0 and max is None
    return input, math.inf if is_relu else None, False


def _threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> _Call:
    return input, math.inf if threshold == value == 0 else None, inplace


def _hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> _Call:
    return input, max_val if min_val == 0 else None, inplace


_RELUS: dict[Callable[..., Any], Callable[..., _Call]] = {
    **dict.fromkeys((F.relu, torch.relu, Tensor.relu), _relu),
    **dict.fromkeys((torch.relu_, Tensor.relu_), partial(_relu, inplace=True)),
    **dict.fromkeys((torch.clamp, Tensor.clamp, torch.clamp_min, Tensor.clamp_min), _clamp),
    F.threshold: _threshold,
    F.relu6: _relu6,
    F.hardtanh: _hardtanh,
}


class _Relu(torch.autograd.Function):
    """ReLU, or ReLU6 and its like, forward; any rule backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, top: float, rule: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        active = x > 0 if top == math.inf else (x > 0) & (x < top)
        ctx.save_for_backward(active)
        ctx.rule = rule
        return x.clamp(0, top)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (active,) = ctx.saved_tensors
        return ctx.rule(active, gradient), None, None
