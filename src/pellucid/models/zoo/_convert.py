"""torchvision's weights for our networks: their tensors, under our layers' names.

A file whose networks torchvision has too says so with TORCHVISION: patterns of torchvision's names and what they are
called here, tried in order. After that a number in a name is the place within a Sequential, whatever it is called here.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ._build import construct, module_of, names


def from_torchvision(name: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A torchvision network's state dict under the names of ours, for its layout for large images.

    Args:
        name: one of the zoo's architectures.
        state: what torchvision's network of the same kind calls its tensors.

    Raises:
        ValueError: torchvision has no such network, or a tensor's name is none of that network's.
    """
    patterns = getattr(module_of(name), "TORCHVISION", None)
    if patterns is None:
        raise ValueError(f"torchvision has no network like {name}: give a state dict with the names of ours")
    with torch.device("meta"):
        network = construct(name, {})
    known = set(network.state_dict())
    renamed = {}
    for theirs, tensor in state.items():
        ours = theirs
        for pattern, replacement in patterns.items():
            ours = re.sub(pattern, replacement, ours)
        ours = _placed(network, ours)
        if ours not in known:
            instead = f"{name}_bn"
            is_other = instead in names() and is_torchvision(instead, state)
            remedy = f": these are the weights of {instead}" if is_other else ""
            raise ValueError(f"{name} has no tensor that torchvision calls {theirs!r}{remedy}")
        renamed[ours] = tensor
    return renamed


def is_torchvision(name: str, state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict has torchvision's names for one of our networks."""
    try:
        from_torchvision(name, state)
    except ValueError:
        return False
    return True


def _placed(network: nn.Module, name: str) -> str:
    """A dotted name in which numbers that count the parts of a Sequential have become the parts' names."""
    parts = name.split(".")
    module: nn.Module | None = network
    for depth, part in enumerate(parts):
        children = {} if module is None else dict(module.named_children())
        if part not in children and part.isdecimal() and int(part) < len(children):
            parts[depth] = [*children][int(part)]
        module = children.get(parts[depth])
    return ".".join(parts)
