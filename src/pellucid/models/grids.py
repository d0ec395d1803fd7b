"""Where a layer's output holds maps: channels first, channels last, or tokens behind class and register tokens."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .layers import asked_with, input_shape, map_layers
from .model import network_of
from .probes import activations, calls, find_layer, first_tensor

MOST_PREFIX = 16
"""Class and register tokens a network may put before the tokens of its grid."""

NORMS = (nn.LayerNorm, nn.RMSNorm)
"""What transformers look through: the input of every block, brought to one scale."""


@dataclass(frozen=True)
class Grid:
    """How a layer's output for N images is read as maps (N, K, h, w)."""

    form: str  # first: (N, K, h, w); last: (N, h, w, K); tokens: (N, prefix + h * w, K)
    size: tuple[int, int]  # (h, w)
    prefix: int = 0  # class and register tokens before those of the grid

    def maps(self, output: Tensor) -> Tensor:
        """The layer's output, or a gradient of its shape, as (N, K, h, w); class and register tokens left out."""
        if self.form == "first":
            return output
        if self.form == "tokens":
            output = output[:, self.prefix :].reshape(len(output), *self.size, -1)
        return output.movedim(-1, 1)


def cam_layers(model: nn.Module, size: int | tuple[int, ...] | None = None) -> tuple[str, ...]:
    """Layers that suit Grad-CAM, the best first: the deepest of each resolution, the coarsest resolution first.

    In a convolutional network a layer qualifies when its output is a map (N, C, h, w) of more than one position, and
    when it computes something (a pool or a dropout does not). Among those of one resolution the least nested is taken,
    so that a block goes before its parts, and of these the last. Where the deepest such layer lies in the first half of
    the network (a patch embedding says nothing of what the blocks behind it found), the norms of a transformer are
    taken, of each grid the three deepest alike whose own tokens still reach the answer: behind the last attention
    only the class token does.

    Args:
        model: a Model or any module; in any mode, left as it was.
        size: of the images, as for `layers`.
    """
    return suited(map_layers(model, size), token_layers(model, size))


def suited(maps: tuple[str, ...], tokens: tuple[str, ...]) -> tuple[str, ...]:
    """What suits Grad-CAM, from map_layers and token_layers: of a hierarchical transformer's maps only the deepest."""
    return (*maps[:1], *(name for name in tokens if name not in maps[:1])) if tokens else maps


def find_grid(model: nn.Module, layer: str, size: int | tuple[int, ...] | None = None, given: str = "") -> Grid:
    """How a layer's output is read as maps.

    Of four dimensions those are the grid that keep the image's ratio. Tokens are a grid of the image's ratio behind as
    many class and register tokens as the network says (timm's num_prefix_tokens), or behind the fewest that leave one.

    Args:
        model: a Model or any module; in any mode, left as it was.
        layer: dotted name.
        size: of the images, as for `layers`.
        given: the grid of tokens as "HxW", such as "14x14", where it cannot be found; "" finds it.

    Raises:
        ValueError: no such layer, it is never reached, or it has no maps; names better ones and why.
    """
    shape = input_shape(model, size)
    name, _ = find_layer(model, layer)
    with asked_with(model, shape) as images, activations(model, [name]) as recorded:
        model(images)
    if name not in recorded:
        raise ValueError(f"layer {name!r} is never reached in the forward pass{_better(model, shape)}")
    output = tuple(recorded[name].shape)
    sides = _given_sides(given)
    found = _grid(output, shape, _stated_prefix(model), sides)
    if found is None:
        told = f" in a grid of {given}" if given else ""
        raise ValueError(f"layer {name!r} puts out no maps (N, C, h, w){told} but {output}{_better(model, shape)}")
    return found


def grid_of(model: nn.Module, output: Sequence[int], image: Sequence[int]) -> Grid | None:
    """How an output of a shape (N, ...), of images of a size (C, H, W), is read as maps; None where there are none."""
    return _grid((1, *output[1:]), image, _stated_prefix(model), None)


def token_grid(model: nn.Module, tokens: int, size: tuple[int, ...], given: str = "") -> Grid:
    """How so many tokens, of images of a size (C, H, W), are read as maps; found as by `find_grid`.

    Raises:
        ValueError: they make no grid.
    """
    found = _grid((1, tokens, 1), size, _stated_prefix(model), _given_sides(given))
    if found is None:
        told = f" of {given}" if given else ""
        raise ValueError(f"{tokens} tokens make no grid{told} of an image of {size[1]}x{size[2]}: give grid as HxW")
    return found


def token_layers(model: nn.Module, size: int | tuple[int, ...] | None = None) -> tuple[str, ...]:
    """Norms of a transformer whose grid tokens reach the answer: of each grid the deepest, and two above it like it.

    Left out are norms whose tokens do not lie as the grid says (hierarchical networks may keep them in another order):
    where a corner of the image changes, the tokens of that corner must change most.
    """
    shape = input_shape(model, size)
    placed = _placed(model, shape, [one for one in _seen_norms(model, shape) if _is_reached(one)])
    return _deepest([one.name for one in placed], {one.name: one.grid for one in placed})


class _Seen(NamedTuple):
    """A norm's output in one pass: its grid, and the slope of the answer with respect to it."""

    name: str
    grid: Grid
    slope: Tensor  # (1, K, h, w)


def _is_reached(one: _Seen) -> bool:
    """Whether most positions of the grid matter to the answer."""
    return bool((one.slope.abs().amax(dim=1) > 0).float().mean() > 0.5)


def _seen_norms(model: nn.Module, shape: tuple[int, ...]) -> list[_Seen]:
    """Norms whose output holds a grid channels last or as tokens, in the order in which they finish."""
    seen: dict[str, Tensor] = {}
    pooled: list[Tensor] = []

    def after(name: str, module: nn.Module, output: Any) -> None:
        found = first_tensor(output)
        if isinstance(module, NORMS) and found is not None and name:
            seen.pop(name, None)
            seen[name] = found

    def before(_name: str, module: nn.Module, inputs: Any) -> None:
        found = first_tensor(inputs)
        if isinstance(module, nn.Linear) and found is not None:
            pooled[:] = [found]

    with torch.inference_mode(False), asked_with(model, shape) as images, torch.enable_grad():
        with calls(model, before, after):
            answer = first_tensor(network_of(model)(images.requires_grad_()))
        if pooled and pooled[0].ndim == 2 and len(pooled[0]) == 1:  # a head that starts at zero hides nothing
            answer = pooled[0]
        grids = {name: _grid(tuple(found.shape), shape, _stated_prefix(model), None) for name, found in seen.items()}
        wanted = {name: grid for name, grid in grids.items() if grid is not None and grid.form != "first"}
        if answer is None or not answer.requires_grad or not wanted or images.is_meta:
            return []
        probe = torch.linspace(1, 2, answer.numel(), device=answer.device, dtype=answer.dtype).view_as(answer)
        slopes = torch.autograd.grad((answer * probe).sum(), [seen[name] for name in wanted], allow_unused=True)
    return [
        _Seen(name, grid, grid.maps(torch.zeros_like(seen[name]) if slope is None else slope))
        for (name, grid), slope in zip(wanted.items(), slopes, strict=True)
    ]


def _placed(model: nn.Module, shape: tuple[int, ...], norms: Sequence[_Seen]) -> list[_Seen]:
    """Those whose grid answers most where the image changes: in its upper right third."""
    if not norms:
        return []
    names = [one.name for one in norms]
    with asked_with(model, shape) as images, activations(model, names) as recorded:
        model(images)
        before = dict(recorded)
        changed = images.clone()
        height, width = (max(1, side // 3) for side in shape[-2:])
        changed[..., :height, -width:] = torch.linspace(0, 1, width, device=images.device, dtype=images.dtype)
        model(changed)
        after = dict(recorded)
    return [one for one in norms if _moved(one.grid.maps(after[one.name] - before[one.name]).abs().sum(dim=1)[0])]


def _moved(change: Tensor) -> bool:
    """Whether the upper right third of a grid (h, w) changed clearly more than the rest."""
    height, width = (max(1, -(-side // 3)) for side in change.shape)
    inside = torch.zeros_like(change, dtype=torch.bool)
    inside[:height, -width:] = True
    if bool(inside.all()) or float(change.max()) == 0:
        return True  # nothing to tell by
    return bool(change[inside].mean() > 1.2 * change[~inside].mean())


def _deepest(names: Sequence[str], grids: dict[str, Grid]) -> tuple[str, ...]:
    """Of each grid the last, and at most two before it whose names end alike."""
    found: dict[tuple[int, int], list[str]] = {}
    for name in reversed(names):
        like = found.setdefault(grids[name].size, [])
        if len(like) < 3 and (not like or like[0].rpartition(".")[2] == name.rpartition(".")[2]):
            like.append(name)
    return tuple(name for like in found.values() for name in like)


def _grid(
    output: Sequence[int], image: Sequence[int], stated: int | None, given: tuple[int, int] | None
) -> Grid | None:
    """The grid of an output of a shape, for one image; None where there is none, or where windows make up the batch."""
    if output[0] != 1:
        return None
    if len(output) == 4 and given is None:
        _, first, second, third = output
        if not _alike(second, third, image) and _alike(first, second, image):
            return Grid("last", (first, second))
        return Grid("first", (second, third)) if second * third > 1 else None
    if len(output) == 4 and given in {tuple(output[2:]), tuple(output[1:3])}:
        return Grid("first" if given == tuple(output[2:]) else "last", given)
    if len(output) != 3:
        return None
    tokens = output[1]
    if given is not None:
        prefix = tokens - math.prod(given)
        return Grid("tokens", given, prefix) if 0 <= prefix <= MOST_PREFIX else None
    for prefix in [*([] if stated is None else [stated]), *range(MOST_PREFIX + 1)]:
        height = round(math.sqrt(max(0, tokens - prefix) * image[1] / image[2]))
        width = (tokens - prefix) // height if height else 0
        if height * width == tokens - prefix and _alike(height, width, image):
            return Grid("tokens", (height, width), prefix)
    return None


def _alike(height: int, width: int, image: Sequence[int]) -> bool:
    """Whether two sides, of more than one position, keep the image's ratio."""
    return height * width > 1 and round(height * image[2] / image[1]) == width


def _stated_prefix(model: nn.Module) -> int | None:
    stated = (getattr(module, "num_prefix_tokens", None) for module in network_of(model).modules())
    return next((count for count in stated if isinstance(count, int)), None)


def _given_sides(given: str) -> tuple[int, int] | None:
    if not given:
        return None
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", given)
    if found is None or "0" in found.groups():
        raise ValueError(f'grid must be HxW, such as "14x14", got {given!r}')
    return int(found[1]), int(found[2])


def _better(model: nn.Module, shape: tuple[int, ...]) -> str:
    """Three layers to take instead, each with its reason."""
    names = cam_layers(model, shape)[:3]
    if not names:
        return "; no layer suits: use saliency, which needs none"
    told: list[str] = []
    for name in names:
        height, width = find_grid(model, name, shape).size
        told.append(f"{name} ({'the deepest maps' if not told else 'maps'}, {height}x{width})")
    return "; try " + ", ".join(told)
