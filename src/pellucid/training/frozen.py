"""Frozen layers: a part of a network that training leaves as it is, bit by bit, with the statistics of its norms.

J. Yosinski et al., "How transferable are features in deep neural networks?", NeurIPS 2014,
https://arxiv.org/abs/1411.1792 (which layers to keep).
J. Howard, S. Ruder, "Universal Language Model Fine-tuning for Text Classification", ACL 2018,
https://arxiv.org/abs/1801.06146 (rates that fall towards the first layers).
"""

from collections.abc import Sequence

import torch
from torch import nn

from pellucid.checks import check_range, near

from .classify import Classify

NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
"""Layers that normalise."""


class FineTune(Classify):
    """The step of a network of which a part is kept: that part stays in eval mode while the rest trains.

    Args:
        model: maps images (N, C, H, W) in [0, 1] to logits (N, K).
        kept: the modules to keep, as `freeze` returns them.
        label_smoothing: as of Classify.
    """

    def __init__(self, model: nn.Module, kept: Sequence[nn.Module], *, label_smoothing: float = 0.0) -> None:
        super().__init__(model, label_smoothing=label_smoothing)
        self._kept = tuple(kept)

    def train(self, mode: bool = True) -> "FineTune":
        """Train what is learned; what is kept answers as it does when it is asked."""
        super().train(mode)
        for module in self._kept:
            module.training = False
        return self


def freeze(network: nn.Module, until: str, *, norms: bool = False, only: bool = False) -> tuple[nn.Module, ...]:
    """Keep the layers before a place as they are: no gradient for them, and eval mode.

    Args:
        network: whose parameters are marked; those that are not kept need a gradient afterwards.
        until: the first layer that is learned, by name; or how many layers with weights, or what share, are kept first.
        norms: keep every normalising layer too, wherever it stands.
        only: learn nothing but the layer `until` and what is in it, wherever the network names it.

    Returns:
        The modules that must stay in eval mode; dropout before the place is among them.

    Raises:
        ValueError: no such layer, a number out of range, or nothing is left to learn.
    """
    modules = dict(network.named_modules())
    own = [name for name, module in modules.items() if next(module.parameters(recurse=False), None) is not None]
    place = _place(own, list(modules), until)
    kept = {name for number, name in enumerate(own) if number < place}
    kept = {name for name in own if not _is_within(name, until)} if only else kept
    kept |= {name for name in own if norms and isinstance(modules[name], NORMS)}
    if len(kept) == len(own):
        raise ValueError(f"freeze_until must leave a layer to learn, got {until!r}: no trainable parameter is left")
    for name in own:
        for parameter in modules[name].parameters(recurse=False):
            parameter.requires_grad_(name not in kept)
    order = list(modules)
    begins = until if until and until in modules else next(name for name in own if name not in kept)
    first = order.index(begins)  # a head that begins with dropout learns with it

    def is_before(number: int, name: str) -> bool:
        return not _is_within(name, until) if only else number < first

    return tuple(
        module
        for number, (name, module) in enumerate(modules.items())
        if _is_kept([one for one in own if _is_within(one, name)], kept, is_before=is_before(number, name))
        or (norms and isinstance(module, NORMS))
    )


def discriminate(
    optimizer: torch.optim.Optimizer, network: nn.Module, head: str, *, lr: float, trunk_lr: float, rate_decay: float
) -> None:
    """Give the head one learning rate, and the blocks of the trunk smaller ones, the smaller the earlier they stand.

    Args:
        optimizer: fresh, over parameters of the network; its groups are parted.
        network: named as `head` names it.
        head: the layer that learns at `lr`.
        lr: of the head, at least 0.
        trunk_lr: of the trunk's last block, at least 0.
        rate_decay: by which each block's rate is smaller than that of the one behind it, in (0, 1].
    """
    check_range("lr", lr, 0)
    check_range("trunk_lr", trunk_lr, 0)
    if not 0 < rate_decay <= 1:
        raise ValueError(f"rate_decay must be in (0, 1], got {rate_decay}")
    depths = _depths(network, head)
    rates = {
        parameter: lr if _is_within(name, head) else trunk_lr * rate_decay ** depths[name]
        for name, parameter in network.named_parameters()
    }
    groups = []
    for group in optimizer.param_groups:
        for rate in dict.fromkeys(rates[parameter] for parameter in group["params"]):
            same = [parameter for parameter in group["params"] if rates[parameter] == rate]
            groups.append({**group, "params": same, "lr": rate})
    optimizer.param_groups[:] = sorted(groups, key=lambda group: -group["lr"])  # the first one's is what is told


def _place(own: list[str], modules: list[str], until: str) -> int:
    """How many of the layers with weights stand before a place."""
    if until in modules and until:
        order = modules.index(until)
        return sum(modules.index(name) < order for name in own)
    if until.isdecimal():
        check_range("freeze_until", int(until), 0, len(own))
        return int(until)
    try:
        share = float(until)
    except ValueError as error:
        known = near(until, modules)
        raise ValueError(
            f"freeze_until must be a layer, a number of layers or a share of them, got {until!r}{known}"
        ) from error
    check_range("freeze_until", share, 0, 1)
    return int(share * len(own))


def _is_kept(own: list[str], kept: set[str], *, is_before: bool) -> bool:
    """Whether a module is kept: all its layers with weights are; one without any, if it stands before the rest."""
    return all(name in kept for name in own) if own else is_before


def _is_within(name: str, above: str) -> bool:
    return name == above or name.startswith(f"{above}.") or not above


def _depths(network: nn.Module, head: str) -> dict[str, int]:
    """How many blocks of the trunk stand behind the one of each parameter; a block is a child of the trunk."""
    names = [name for name, _ in network.named_parameters() if not _is_within(name, head)]
    level = 1
    while len({_block(name, level) for name in names}) == 1 and any(name.count(".") > level for name in names):
        level += 1
    blocks = list(dict.fromkeys(_block(name, level) for name in names))
    return {name: len(blocks) - 1 - blocks.index(_block(name, level)) for name in names}


def _block(name: str, level: int) -> str:
    return ".".join(name.split(".")[:level])
