"""Attention rollout: follow the attention of a transformer from the answer's token back to the patches.

S. Abnar, W. Zuidema, "Quantifying Attention Flow in Transformers", ACL 2020, section 3, equation 1.
https://arxiv.org/abs/2005.00928
With weighting="gradient": H. Chefer, S. Gur, L. Wolf, "Generic Attention-model Explainability for Interpreting
Bi-Modal and Encoder-Decoder Transformers", ICCV 2021, equations 5 and 6. https://arxiv.org/abs/2103.15679
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pellucid.checks import Targets, check_choice, check_question
from pellucid.models import Plan, differentiate, evaluate, scorer
from pellucid.models.attention import Attention, attentions
from pellucid.models.grids import token_grid

from ._cam import enlarged

WEIGHTINGS = ("none", "gradient")
HEADS = ("mean", "max", "min")


def attention_rollout(
    model: nn.Module,
    images: Tensor,
    targets: Targets,
    *,
    weighting: str = "none",
    heads: str = "mean",
    discard: float = 0.0,
    objective: str = "score",
    grid: str = "",
) -> Tensor:
    """Share of the answer's token that comes from each patch, when attention is followed through all layers.

    The same for every target, as in the paper: half of each token comes from itself (the skip connection), half from
    where it attends. With weighting="gradient" each attention counts by how much the target wants more of it, cut
    below zero, and is added to the skip connection; then the target matters. Where the answer is a mean of patches,
    the mean over them is taken.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].
        targets: (N,), int64, the class to explain for each image; or a callable outputs -> (N,).
        weighting: none (the same for every target), or gradient (by the target's slope).
        heads: how the heads of a layer are joined: mean, max or min.
        discard: share of the lowest attentions of each layer that is left out, from 0 to below 1.
        objective: what is differentiated, if anything: score (the logit), logprob, prob, or loss.
        grid: sides of the grid of tokens as HxW, such as 14x14, where it is not found by itself.

    Returns:
        (N, H, W), dtype and device of images, bilinearly enlarged from the patches, at least 0. Without weighting in
        shares of 1 for all tokens; with it, in the objective's units.

    Raises:
        ValueError: an argument is out of its range, the model is training, or its attention is not one grid's.
    """
    check_question(model, images, targets)
    check_choice("weighting", weighting, WEIGHTINGS)
    check_choice("heads", heads, HEADS)
    if not 0 <= discard < 1:
        raise ValueError(f"discard must be in [0, 1), got {discard}")
    score = scorer(targets, objective)

    with attentions() as met:

        def fresh(some: Tensor, *_: Tensor) -> Tensor:
            met.clear()
            return some[None]

        def asking(*_: Tensor) -> Tensor:
            """Which tokens of the last layer the score depends on, (1, T)."""
            slope = met[-1].slope if met else None
            if slope is None:
                return images.new_zeros(1, 1)
            wide = slope.abs().amax(dim=-1)  # (1, heads, T), or (1, T) of a single head
            return (wide.amax(dim=1) if wide.ndim == 3 else wide).to(images)

        def rolled(rows: Tensor) -> Tensor:
            tokens = _checked(met, len(rows))
            at = token_grid(model, tokens, tuple(images.shape[1:]), grid)
            joined = [_joined(attention, heads, discard, weighting == "gradient") for attention in met]
            met.clear()
            found = _shares(joined) if weighting == "none" else _sums(joined)  # (R, T, T)
            by_patches = at.prefix == 0 or bool((asked[at.prefix :] > 0).float().mean() > 0.5)
            answer = found[:, at.prefix :].mean(dim=1) if by_patches else found[:, 0]  # (R, T)
            return at.maps(answer[..., None])[:, 0]  # (R, h, w)

        def read(outputs: object, rows: Tensor) -> Tensor:
            score(outputs, rows)  # refuses what is no target
            return rolled(rows)

        asked = differentiate(model, Plan(images[:1], 1, fresh), score, asking)[0, 0]  # (T,)
        plan = Plan(images, 1, fresh)
        if weighting == "none":
            heat = evaluate(model, plan, read)[0]
        else:
            heat = differentiate(model, plan, score, lambda _slope, _source, rows: rolled(rows))[0]
    return enlarged(heat.to(images), images.shape[-2:])


def _checked(met: Sequence[Attention], count: int) -> int:
    """How many tokens attend to each other, in every layer the same."""
    if not met:
        raise ValueError("attention_rollout needs a model with attention, and none was run; use grad_cam")
    shapes = [tuple(attention.weights.shape) for attention in met]
    tokens = shapes[0][-1]
    for number, shape in enumerate(shapes):
        if shape[0] != count or len(shape) not in {3, 4} or shape[-2:] != (tokens, tokens):
            raise ValueError(
                "attention_rollout needs attention among all tokens of an image, the same tokens in every layer, got "
                f"{shape} for {count} images in attention {number + 1} of {len(shapes)}, such as windows give; "
                "use grad_cam"
            )
    return tokens


def _joined(attention: Attention, heads: str, discard: float, by_slope: bool) -> Tensor:
    """The attention of one layer, (R, T, T), its heads joined and the lowest left out."""
    weights = attention.weights
    if by_slope:
        slope = attention.slope
        weights = torch.zeros_like(weights) if slope is None else (weights * slope).relu()
    if weights.ndim == 4:
        weights = {"mean": weights.mean(dim=1), "max": weights.amax(dim=1), "min": weights.amin(dim=1)}[heads]
    lowest = int(discard * weights[0].numel())
    if lowest:
        least = weights.flatten(1).kthvalue(lowest + 1, dim=1).values[:, None, None]
        weights = weights.where(weights >= least, 0.0)
    return weights


def _shares(layers: Sequence[Tensor]) -> Tensor:
    """The product over the layers, half of each the skip connection: rows that sum to 1."""
    unit = torch.eye(layers[0].shape[-1]).to(layers[0])
    found = unit.expand_as(layers[0])
    for weights in layers:
        both = (weights + unit) / 2
        found = both / both.sum(dim=-1, keepdim=True) @ found
    return found


def _sums(layers: Sequence[Tensor]) -> Tensor:
    """The product of (1 + weights) over the layers, less the 1 that says each token comes from itself."""
    unit = torch.eye(layers[0].shape[-1]).to(layers[0])
    found = unit.expand_as(layers[0])
    for weights in layers:
        found = found + weights @ found
    return found - unit
