"""Work in parts on a few threads, each by itself: small tensor operations lose more by being shared than they gain."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Part = TypeVar("Part")


@contextmanager
def one_thread() -> Iterator[int]:
    """Let torch take one thread an operation while the block runs; gives how many it may use otherwise."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that begin now take this over
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)


def in_threads(work: Callable[[Sequence[Part]], None], parts: Sequence[Part], threads: int) -> None:
    """Call work with all parts, under `one_thread`, on several threads, each with every so-many-th part.

    Gradients are not recorded.
    """
    count = min(threads, len(parts))
    is_inference = torch.is_inference_mode_enabled()

    def alone(some: Sequence[Part]) -> None:
        with torch.inference_mode(is_inference), torch.no_grad():
            work(some)

    if count == 1:
        alone(parts)
        return
    with ThreadPoolExecutor(count - 1) as pool:
        others = [pool.submit(alone, parts[number::count]) for number in range(1, count)]
        alone(parts[::count])
        for other in others:
            other.result()
