"""Which tokens each token attended to, in whatever way a network writes its attention."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


@dataclass
class Attention:
    """The weights of one attention, and, once a backward pass went through them, the score's slope."""

    weights: Tensor  # (R, heads, T, S), or (R, T, S) of a single head; each row sums to 1
    slope: Tensor | None = None  # of the same shape


@contextmanager
def attentions() -> Iterator[list[Attention]]:
    """Record every attention run inside the block, in the order they are run; the caller may clear the list.

    Seen are scaled_dot_product_attention, multi-head attention (module or function, also where it asks for no weights
    or would take its fast path), and a softmax over the last dimension of a square (.., T, T). The network computes
    what it would, up to round-off, the fused kernels being written out. Only this thread is looked at.
    """
    met: list[Attention] = []
    with _AttentionMode(met):
        yield met


class _AttentionMode(TorchFunctionMode):
    """Catches the functions by which attention can be called; everything else passes."""

    def __init__(self, met: list[Attention]) -> None:
        super().__init__()
        self.met = met

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            weights, value = _written_out(*args, **kwargs)
            self._keep(weights, weights)
            return weights @ value
        if func is F.multi_head_attention_forward:
            return self._multi_head(args, kwargs)
        found = func(*args, **kwargs)
        if func in _SOFTMAXES and _is_square(found, kwargs.get("dim", args[1] if len(args) > 1 else None)):
            self._keep(found, found)
        return found

    def _multi_head(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Tensor, Tensor | None]:
        asked = {**kwargs, "need_weights": True, "average_attn_weights": False}
        found, weights = F.multi_head_attention_forward(*args, **asked)
        assert weights is not None
        self._keep(weights, weights if weights._base is None else weights._base)  # what it returns is a view
        if not kwargs.get("need_weights", True):
            return found, None
        return found, weights.mean(dim=-3) if kwargs.get("average_attn_weights", True) else weights

    def _keep(self, weights: Tensor, used: Tensor) -> None:
        """Record weights, and the slope of what the network goes on with: the same numbers, maybe of another shape."""
        attention = Attention(weights.detach())
        self.met.append(attention)

        def hook(slope: Tensor) -> None:
            attention.slope = slope.reshape(attention.weights.shape)

        if used.requires_grad:
            used.register_hook(hook)  # type: ignore[no-untyped-call]


_SOFTMAXES = {torch.softmax, Tensor.softmax, F.softmax}


def _is_square(found: Any, dim: Any) -> bool:
    return (
        isinstance(found, Tensor)
        and found.ndim in {3, 4}
        and found.shape[-1] == found.shape[-2] > 1
        and dim in {-1, found.ndim - 1}
    )


def _written_out(  # noqa: PLR0917 -- torch's own signature
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> tuple[Tensor, Tensor]:
    """The weights (.., T, S) of scaled_dot_product_attention, and the values (.., S, K) they mix."""
    if enable_gqa:
        key, value = (part.repeat_interleave(query.shape[-3] // part.shape[-3], dim=-3) for part in (key, value))
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    logits = (query * scale) @ key.mT
    if is_causal:
        attn_mask = torch.ones(logits.shape[-2:], dtype=torch.bool, device=logits.device).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        logits = logits.masked_fill(~attn_mask, -torch.inf)
    elif attn_mask is not None:
        logits = logits + attn_mask
    weights = logits.softmax(dim=-1)
    return F.dropout(weights, dropout_p) if dropout_p else weights, value
