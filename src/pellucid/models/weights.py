"""Weights into a network: safetensors, or `.pt`/`.pth` through weights_only, and never anything that runs code.

Everything is checked before a number is used: file hash, keys, shapes, kinds of number, finiteness.
"""

import errno
import hashlib
import pickle
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from pellucid.checks import near


def sha256(path: Path) -> str:
    """Hash of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weights_hash(network: nn.Module) -> str:
    """Hash of a network's parameters and buffers: names, kinds, shapes and values."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        if tensor.device.type != "meta":
            flat = tensor.detach().cpu().contiguous().flatten()
            digest.update(memoryview(flat.view(torch.uint8).numpy()) if flat.numel() else b"")
    return digest.hexdigest()


def write_weights(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors by name as safetensors, readable as every file here is: the library's own mode is the owner's only.

    Raises:
        OSError: the file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    path.touch()
    mode = path.stat().st_mode
    try:
        save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, path)
    except SafetensorError as error:
        raise OSError(errno.EIO, str(error)) from error
    path.chmod(mode)


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read a state dict from `.safetensors`, `.pt` or `.pth`.

    Raises:
        ValueError: the file is missing, of another kind, damaged, or holds anything but tensors.
    """
    place = Path(path)
    if not place.is_file():
        raise ValueError(f"{path}: no such weights file")
    if place.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(place)
        except (SafetensorError, OSError, ValueError) as error:
            raise ValueError(f"{path}: not a readable safetensors file ({first_line(error)})") from error
    if place.suffix not in {".pt", ".pth"}:
        raise ValueError(f"{path}: weights must be a .safetensors, .pt or .pth file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old and new kinds of file; what matters is refused or read
            state = torch.load(place, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path}: is damaged, or holds Python objects besides tensors, which could run code; "
            "save the network's state_dict() instead"
        ) from error
    except Exception as error:  # a damaged file raises whatever its reader meets
        raise ValueError(f"{path}: not a readable PyTorch weights file ({first_line(error)})") from error
    for key in ("state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path}: must hold a state dict (name -> tensor)")
    return {str(name).removeprefix("module."): value for name, value in state.items()}


@contextmanager
def no_larger_than(count: int) -> Iterator[None]:
    """Refuse to build a network with more than count parameters, before the memory for them is touched."""
    total = 0

    def hook(_module: nn.Module, _name: str, parameter: nn.Parameter | None) -> None:
        nonlocal total
        total += 0 if parameter is None else parameter.numel()
        if total > count:
            raise ValueError(f"the network has more parameters than its weights file can hold ({count} bytes)")

    handle = register_module_parameter_registration_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def first_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def put_weights(network: nn.Module, weights: Mapping[str, Tensor], origin: str) -> None:
    """Load weights into a network after checking them; half precision is widened to the network's own.

    Raises:
        ValueError: keys are missing or unknown, shapes or a kind of number differ, or a value is not finite.
    """
    wanted = network.state_dict()
    optional = {name for name in wanted if name.endswith("num_batches_tracked")}
    missing = sorted(set(wanted) - set(weights) - optional)
    unknown = sorted(set(weights) - set(wanted))
    if missing or unknown:
        groups = {"missing": missing, "unknown": unknown}
        parts = [f"{len(names)} {kind} (first: {names[0]})" for kind, names in groups.items() if names]
        hint = near(missing[0], unknown, 1) if missing and unknown else ""
        raise ValueError(f"{origin}: its tensors do not fit the architecture: {', '.join(parts)}{hint}")
    _check_shapes(weights, wanted, origin)
    for name, tensor in weights.items():
        _check(name, tensor, wanted[name], origin)
    network.load_state_dict(dict(weights), strict=False)


def _check_shapes(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor], origin: str) -> None:
    """Refuse tensors of other shapes; the first three are told."""
    differ = [name for name, tensor in weights.items() if tensor.shape != wanted[name].shape]
    told = [
        f"{name} must have shape {tuple(wanted[name].shape)}, got {tuple(weights[name].shape)}" for name in differ[:3]
    ]
    if told:
        more = f"; and {len(differ) - 3} more" if len(differ) > 3 else ""
        raise ValueError(f"{origin}: {'; '.join(told)}{more}")


def _check(name: str, tensor: Tensor, wanted: Tensor, origin: str) -> None:
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
        raise ValueError(f"{origin}: {name} must be a plain dense tensor, got {tensor.type()}")
    if tensor.is_floating_point() != wanted.is_floating_point() or tensor.is_complex():
        raise ValueError(f"{origin}: {name} must be {wanted.dtype}, got {tensor.dtype}")
    if tensor.is_floating_point() and not torch.isfinite(tensor.to(wanted.dtype)).all():
        raise ValueError(f"{origin}: {name} holds NaN or infinite values, or some too large for {wanted.dtype}")
