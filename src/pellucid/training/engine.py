"""Devices, processes and precision: lightning-fabric, set up once and used by everything that trains.

Several processes: every one runs the same command; each takes its share of every global batch, gradients are averaged
over them, and only the first writes. Under torchrun the processes are torchrun's, on one machine or many. Batch norm
takes its statistics from a process's own share; its running ones are the first process's.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from pellucid.checks import check_choice, check_count

from ._memory import keep_freed_memory

if TYPE_CHECKING:
    from lightning_fabric import Fabric

PRECISIONS = ("32-true", "64-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true")


def engine(
    *, device: str = "auto", devices: int = 1, nodes: int = 1, strategy: str = "auto", precision: str = "32-true"
) -> "Fabric":
    """Devices and processes for a training, started.

    Args:
        device: cpu, cuda, mps or auto, which takes the first of cuda, mps and cpu that is there.
        devices: processes on this machine, each with a device of its own, at least 1.
        nodes: machines, at least 1; more than one need torchrun (or a cluster) to start them.
        strategy: auto, ddp or another of lightning-fabric's; ddp sends the gradients by gloo on cpu, nccl on cuda.
        precision: 32-true, 64-true, bf16-mixed, 16-mixed, bf16-true or 16-true.

    Raises:
        ValueError: an option is unknown, or the device is not available here.
    """
    from lightning_fabric import Fabric

    check_choice("device", device, ("auto", "cpu", "cuda", "mps"))
    check_choice("precision", precision, PRECISIONS)
    check_count("devices", devices, 1)
    check_count("nodes", nodes, 1)
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    name = next(kind for kind in there if there[kind]) if device == "auto" else device
    if not there[name]:
        raise ValueError(f"device {name} is not available here; use --device cpu or auto")
    if strategy == "auto" and devices * nodes > 1:
        strategy = "ddp"
    try:
        fabric = Fabric(accelerator=name, devices=devices, num_nodes=nodes, strategy=strategy, precision=precision)
    except Exception as error:  # lightning has many ways to say that these do not go together
        raise ValueError(f"device {name} x {devices}, strategy {strategy}: {' '.join(str(error).split())}") from error
    if name == "cpu":
        keep_freed_memory()
    fabric.launch()
    return fabric


def placed(module: nn.Module, fabric: "Fabric | None") -> nn.Module:
    """A module on a training's device and of its precision, before an optimizer or an average is made of it.

    Args:
        module: moved and converted in place.
        fabric: of the training; None leaves it as it is.
    """
    if fabric is None:
        return module
    converted: nn.Module = fabric.strategy.precision.convert_module(module)
    return converted.to(fabric.device)


def is_plain(fabric: "Fabric") -> bool:
    """Whether one process trains on one device in float32: then nothing has to be wrapped."""
    from lightning_fabric.plugins import Precision
    from lightning_fabric.strategies import SingleDeviceStrategy

    return type(fabric.strategy) is SingleDeviceStrategy and type(fabric.strategy.precision) is Precision


def scaler_of(fabric: "Fabric") -> Any:
    """What scales the loss in 16-mixed, so that small gradients do not vanish; None in all other precisions."""
    return getattr(fabric.strategy.precision, "scaler", None)
