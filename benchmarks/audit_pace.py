"""How fast the audit reads and predicts, against the bare network on decoded tensors, in one process.

    python benchmarks/audit_pace.py MODEL IMAGES [--repeats 3]

Prints, for each repeat in turn (A B C, A B C, ...) and as the median of ratios:
- bare: the network alone on the same images, decoded and in memory, at the same batch size;
- pass: read -> predict -> tables (goal: at least 0.7 of the pace of bare);
- audit: the whole default audit, heat maps and page included (goal: at most 3 times the pass).
"""

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line does, before torch is imported

import torch

from pellucid import data, models
from pellucid.audit import audit
from pellucid.audit.predictions import predict_set


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("images")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=16)
    args = parser.parse_args()
    model, images = models.load(args.model), data.open_images(args.images)
    pixels = torch.cat([batch.pixels for batch in data.batches(images, model.geometry)])
    targets = data.match_classes(images, model.classes, model.class_ids)[images.targets].tolist()

    def bare() -> None:
        with torch.inference_mode():
            for chunk in torch.split(pixels, args.batch_size):
                model(chunk.float() / 255)

    def read_and_predict() -> None:
        predict_set(model, images, targets, batch_size=args.batch_size)

    def whole() -> None:
        with tempfile.TemporaryDirectory() as folder:
            audit(model, images, batch_size=args.batch_size).save(Path(folder) / "report")

    seconds: dict[str, list[float]] = {"bare": [], "pass": [], "audit": []}
    bare()  # warm
    for _ in range(args.repeats):
        for name, work in (("bare", bare), ("pass", read_and_predict), ("audit", whole)):
            seconds[name].append(timed(work))
    count = len(pixels)
    for name, taken in seconds.items():
        print(f"{name:6} {statistics.median(taken):7.2f} s  {count / statistics.median(taken):7.1f} images/s")
    pace = statistics.median(b / p for b, p in zip(seconds["bare"], seconds["pass"], strict=True))
    cost = statistics.median(a / p for a, p in zip(seconds["audit"], seconds["pass"], strict=True))
    print(f"pass runs at {pace:.2f} of the bare network's pace; the whole audit takes {cost:.2f} times the pass")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB (this process)")


def timed(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
