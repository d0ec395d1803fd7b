"""Which map finds what a network looks at: areas under deletion and insertion curves on photographs of ImageNet.

    python benchmarks/faithfulness.py [--images 200 --masks 500 --steps 12 --nets mobilenet_v2 squeezenet1_1]

Needs PELLUCID_WEIGHTS and PELLUCID_DATA. The predicted class of each image is explained. Images come in one order,
shuffled with seed 0, whatever their number, and the nets take turns. What is finished is kept in OUT/chunks.jsonl, one
line for each net, method and few images, so that a run that was ended (also by Ctrl-C) tells the table of the images it
finished, and goes on where it was, also with more images. Lines are used again only under the same settings. The table
is printed and written to OUT/table.json. --estimate times a few passes and says how long it would take.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line does, before torch is imported

import torch
from torch import Tensor

from pellucid import data, explain, metrics, models
from pellucid.metrics.explanation import average_drop, baselines, deletion, insertion, is_flat

MEASURES = ("deletion", "insertion", "drop", "increase")
CHEAP = ("random", "blobs", "centre", "edges")
PAID: dict[str, int] = {"forward": 1, "backward": 2}
"""What an image costs, in forward passes."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", nargs="+", default=["mobilenet_v2", "squeezenet1_1"])
    parser.add_argument("--images", type=int, default=200, help="of the 1,000, one a class")
    parser.add_argument("--masks", type=int, default=500, help="of rise")
    parser.add_argument("--steps", type=int, default=12, help="of the curves")
    parser.add_argument("--chunk", type=int, default=10, help="images between two lines")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "measured" / "faithfulness")
    parser.add_argument("--estimate", action="store_true", help="say how long it would take, and end")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    settings = {"masks": args.masks, "steps": args.steps, "chunk": args.chunk}
    left = estimate(args, settings)
    if args.estimate:
        return
    start = time.perf_counter()
    try:
        for first in range(0, args.images, args.chunk):
            for net in args.nets:
                measure_chunk(args, net, first, settings)
    except KeyboardInterrupt:
        print("ended early: the table is of the images that are finished")
    print(f"took {(time.perf_counter() - start) / 60:.0f} minutes, {left / 60:.0f} were expected")
    tables = {net: table(kept(args.out, settings), net) for net in args.nets}
    (args.out / "table.json").write_text(json.dumps({"settings": settings, "tables": tables}, indent=1))
    for net, rows in tables.items():
        show(net, rows)


def methods(masks: int) -> dict[str, Callable[..., Tensor]]:
    """Those on the face, with the settings of this benchmark."""
    told: dict[str, dict[str, Any]] = {
        "grad_cam": {},
        "grad_cam_plus_plus": {},
        "layer_cam": {},
        "rise": {"masks": masks},
        "occlusion": {"window": 32, "stride": 16},
        "saliency": {},
        "integrated_gradients": {"steps": 20},
    }
    return {name: partial(getattr(explain, name), **given) for name, given in told.items() if name in explain.__all__}


def opened(args: argparse.Namespace, net: str) -> tuple[models.Model, data.ImageSet]:
    """A net and its share of the photographs."""
    model = models.load(Path(os.environ["PELLUCID_WEIGHTS"]) / net).to(args.device)
    images = data.open_images(Path(os.environ["PELLUCID_DATA"]) / "imagenet-sample")
    places = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[: args.images].tolist()
    return model, images.subset(places)


def measure_chunk(args: argparse.Namespace, net: str, first: int, settings: dict[str, int]) -> None:
    """Every method on a few images, as far as it is not kept yet."""
    done = {(line["net"], line["method"], line["first"]) for line in kept(args.out, settings)}
    names = [name for name in NAMES if (net, name, first) not in done]
    if not names:
        return
    model, images = opened(args, net)
    chosen = images.subset(list(range(first, min(first + args.chunk, len(images)))))
    (batch,) = data.batches(chosen, model.geometry, batch_size=args.chunk, workers=0)
    pixels = batch.images(args.device)
    with torch.no_grad():
        targets = model(pixels).argmax(dim=1)
    for name, heats in maps(model, pixels, targets, args.masks, names):
        begun = time.perf_counter()
        line = {"net": net, "method": name, "first": first, "settings": settings}
        values = measured(model, pixels, targets, heats(), args.steps)
        line |= values | {"seconds": round(time.perf_counter() - begun, 2)}
        with (args.out / "chunks.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
    print(f"{net}: {min(first + args.chunk, args.images)} of {args.images} images", flush=True)


NAMES = (*methods(1), *CHEAP)


def maps(
    model: models.Model, pixels: Tensor, targets: Tensor, masks: int, names: list[str]
) -> Iterator[tuple[str, Callable[[], list[Tensor]]]]:
    """Each name and what makes its maps: one, of random ones two."""
    cheap = baselines(pixels, draws=2)
    for name in names:
        if name in CHEAP:
            heats = [heat for key, heat in cheap.items() if key.startswith(name)]
            yield name, lambda heats=heats: heats  # type: ignore[misc]
        else:
            method = methods(masks)[name]
            yield name, lambda method=method: [method(model, pixels, targets)]  # type: ignore[misc]


def measured(model: models.Model, pixels: Tensor, targets: Tensor, heats: list[Tensor], steps: int) -> dict[str, Any]:
    """The measures of each image, the mean over several maps of one."""
    found: dict[str, list[Tensor]] = {name: [] for name in (*MEASURES, "flat")}
    for heat in heats:
        fade = average_drop(model, pixels, targets, heat)
        found["deletion"].append(deletion(model, pixels, targets, heat, steps=steps).auc)
        found["insertion"].append(insertion(model, pixels, targets, heat, steps=steps).auc)
        found["drop"].append(fade.drop)
        found["increase"].append(fade.increase)
        found["flat"].append(is_flat(heat))
    return {name: torch.stack(each).double().mean(dim=0).tolist() for name, each in found.items()}


def kept(out: Path, settings: dict[str, int]) -> list[dict[str, Any]]:
    """Finished lines of the same settings; a line that was cut off is left out."""
    lines: list[dict[str, Any]] = []
    path = out / "chunks.jsonl"
    for text in path.read_text().split("\n") if path.exists() else []:
        try:
            lines.append(json.loads(text))
        except ValueError:
            continue
    return [line for line in lines if line["settings"] == settings]


def table(lines: list[dict[str, Any]], net: str) -> dict[str, Any]:
    """For each method the mean of each measure with its interval; the random order's difference tells who beats it."""
    values: dict[str, dict[str, Tensor]] = {}
    of_net = [line for line in lines if line["net"] == net]
    whole = [
        first for first in {line["first"] for line in of_net} if sum(x["first"] == first for x in of_net) == len(NAMES)
    ]
    for name in NAMES:
        mine = sorted((x for x in of_net if x["method"] == name and x["first"] in whole), key=lambda x: x["first"])
        values[name] = {key: torch.tensor([v for line in mine for v in line[key]]) for key in (*MEASURES, "flat")}
    rows: dict[str, Any] = {}
    for name, of in values.items():
        rows[name] = {key: vars(metrics.bootstrap(of[key])) for key in MEASURES}
        rows[name]["gain"] = vars(metrics.bootstrap(of["insertion"] - of["deletion"]))
        ahead = (of["insertion"] - of["deletion"]) - (values["random"]["insertion"] - values["random"]["deletion"])
        rows[name]["ahead_of_random"] = vars(metrics.bootstrap(ahead))
        rows[name] |= {"images": len(of["drop"]), "flat": int(of["flat"].sum())}
    return rows


def show(net: str, rows: dict[str, Any]) -> None:
    """The table, as the page has it."""
    print(f"\n### {net}, {rows['random']['images']} images\n")
    print("| map | deletion, lower is better | insertion, higher | insertion - deletion | drop, % | increase, % |")
    print("|---|---|---|---|---|---|")
    for name, row in sorted(rows.items(), key=lambda item: -item[1]["gain"]["value"]):
        told = [f"{row[k]['value']:.3f} ({row[k]['low']:.3f} to {row[k]['high']:.3f})" for k in (*MEASURES[:2], "gain")]
        told += [f"{100 * row[key]['value']:.0f}" for key in MEASURES[2:]]
        print(f"| {name} | {' | '.join(told)} |")


def estimate(args: argparse.Namespace, settings: dict[str, int]) -> float:
    """Seconds to go: passes that are left, counted by rehearsal, at the pace of some that are timed."""
    total = 0.0
    done = kept(args.out, settings)
    for net in args.nets:
        model, images = opened(args, net)
        few = images.subset([0, 1][: len(images)])
        pixels = next(iter(data.batches(few, model.geometry, workers=0))).images(args.device)
        targets = torch.zeros(len(few), dtype=torch.int64, device=args.device)
        heat = baselines(pixels)["centre"]
        deletion(model, pixels, targets, heat)  # warm
        begun = time.perf_counter()
        deletion(model, pixels, targets, heat, steps=63).auc.cpu()
        pace = 64 * len(few) / (time.perf_counter() - begun)
        passes = 0.0
        for name, heats in maps(model, pixels, targets, args.masks, list(NAMES)):
            with models.rehearsal() as cost:
                measured(model, pixels, targets, [heat + 0 * each for each in heats()], args.steps)
            share = 1 - args.chunk * sum((line["net"], line["method"]) == (net, name) for line in done) / args.images
            one = (cost.forward * PAID["forward"] + cost.backward * PAID["backward"]) / len(few)
            passes += max(0.0, share) * one * args.images
        total += passes / pace
        print(f"{net}: {passes:,.0f} passes left, {pace:.0f} a second: {passes / pace / 60:.0f} minutes", flush=True)
    return total


if __name__ == "__main__":
    main()
