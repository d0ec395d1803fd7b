"""The most bytes of tensors alive at once while a block runs."""

from weakref import finalize

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the storages that operations make, and takes them off as they die; parameters and inputs not counted."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self.seen: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        out = func(*args, **(kwargs or {}))
        old = {t.untyped_storage()._cdata for t in args if isinstance(t, Tensor)}
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, Tensor):
                self._add(tensor.untyped_storage(), old)
        return out

    def _add(self, storage: torch.UntypedStorage, old: set[int]) -> None:
        key = storage._cdata
        if key in old or key in self.seen:
            return
        self.seen.add(key)
        self.now += storage.nbytes()
        self.most = max(self.most, self.now)
        finalize(storage, self._drop, key, storage.nbytes())  # a view keeps it alive as well

    def _drop(self, key: int, size: int) -> None:
        self.seen.discard(key)
        self.now -= size
