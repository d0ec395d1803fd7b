"""Work in parts on a few threads, each by itself: small tensor operations lose more by being shared than they gain."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Part = TypeVar("Part")


def in_threads(work: Callable[[Sequence[Part]], None], parts: Sequence[Part]) -> None:
    """Call work with all parts on as many threads as torch may use, each with every so-many-th part.

    Meanwhile torch takes one thread an operation, in the calling thread too; gradients are not recorded.
    """
    threads = torch.get_num_threads()
    count = min(threads, len(parts))
    is_inference = torch.is_inference_mode_enabled()

    def alone(some: Sequence[Part]) -> None:
        with torch.inference_mode(is_inference), torch.no_grad():
            work(some)

    torch.set_num_threads(1)  # new threads take this over
    try:
        if count == 1:
            alone(parts)
            return
        with ThreadPoolExecutor(count - 1) as pool:
            others = [pool.submit(alone, parts[number::count]) for number in range(1, count)]
            alone(parts[::count])
            for other in others:
                other.result()
    finally:
        torch.set_num_threads(threads)
