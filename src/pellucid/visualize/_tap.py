"""Places in a network by name or pattern, and how what they put out is read as maps."""

from collections.abc import Callable
from fnmatch import fnmatchcase

from torch import Tensor, nn

from pellucid.checks import near
from pellucid.models import Grid, find_grid, network_of
from pellucid.models.taps import parts_of


def named_layers(model: nn.Module, layers: str) -> tuple[str, ...]:
    """The places that names and patterns with commas mean, in the network's order.

    Raises:
        ValueError: a name or pattern matches no layer; names the nearest.
    """
    known = [name for name, _ in network_of(model).named_modules() if name]
    wanted = [word.strip() for word in layers.split(",") if word.strip()]
    if not wanted:
        raise ValueError(f'layers must name at least one layer, such as "features.*", got {layers!r}')
    chosen: list[str] = []
    for word in wanted:
        name, _ = parts_of(word)
        if name in known:
            chosen.append(word)
            continue
        matching = [one for one in known if fnmatchcase(one, word)]
        if not matching:
            raise ValueError(f"layers: {word!r} matches no layer of the model{near(word.strip('*?.'), known)}")
        chosen += matching
    return tuple(sorted(dict.fromkeys(chosen), key=lambda place: known.index(parts_of(place)[0])))


def maps_of(model: nn.Module, layer: str, size: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
    """What reads a layer's output as maps (N, K, h, w): 1 x 1 where it has no positions; tokens in their grid.

    Args:
        model: a Model or any module.
        layer: a place, as for `Tap`.
        size: (C, H, W) of the images.
    """
    found: list[Grid] = []

    def maps(output: Tensor) -> Tensor:
        if output.ndim == 2:
            return output[:, :, None, None]
        if output.ndim == 4 and output.shape[2] * output.shape[3] == 1:
            return output
        if not found:
            found.append(find_grid(model, parts_of(layer)[0], size))
        return found[0].maps(output)

    return maps


def one_layer(model: nn.Module, layer: str) -> str:
    """The one place a name means.

    Raises:
        ValueError: it means none or several.
    """
    places = named_layers(model, layer)
    if len(places) > 1:
        raise ValueError(f"layer must be one, got {layer!r}, which means {len(places)}: {', '.join(places[:5])}")
    return places[0]
