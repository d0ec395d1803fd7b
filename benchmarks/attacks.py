"""Attacks beside torchattacks and foolbox: how long they take, how often they succeed, how far they go.

    python benchmarks/attacks.py pace [--model MODEL] [--images 64] [--repeats 5] [--only pgd40,...]
    python benchmarks/attacks.py rates [--model MODEL] [--images 200] [--only pgd,...]
    PELLUCID_DATA=... python benchmarks/attacks.py pixels [--model MODEL] [--images 100]

Every side gets the same network, images and settings in the same process. `pace` asks in turn (ours, theirs, ours, ...)
and prints the medians and the median of the ratios of neighbours, ours / theirs (under 1: we are faster); "same work"
takes every step of every image, as the peer does, "as is" stops an image at its first success, as pellucid does unless
told otherwise. `rates` prints the share of the rightly classified images that are broken within --epsilon 255ths, with
its interval, and the median change, all judged by a fresh pass; fooling reaches for random classes. `pixels` gives
one-pixel success and queries for 1, 3 and 5 pixels.

MODEL and DATA are as on pellucid's command line; left out, a small net is trained on the digits first (about 10 s).
"""

import argparse
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line does, before torch is imported

import foolbox
import torch
import torchattacks
from torch import Tensor, nn

from pellucid import attack, data, models
from pellucid.attack import Trace, outcome
from pellucid.training import start

Make = Callable[[], Tensor]


def timed(make: Make) -> float:
    began = time.perf_counter()
    make()
    return time.perf_counter() - began


def pace(net: nn.Module, images: Tensor, targets: Tensor, repeats: int, only: Sequence[str]) -> None:
    print("attack         ours   theirs  ours/theirs  turns          what")
    for name, told, our, their in paired(net, images, targets):
        if only and name not in only:
            continue
        timed(our), timed(their)
        turns = [(timed(our), timed(their)) for _ in range(repeats)]
        ratios = [one / other for one, other in turns]
        one, other = (statistics.median(side) for side in zip(*turns, strict=True))
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(f"{name:11}{one:7.3f}s{other:8.3f}s{statistics.median(ratios):13.2f}  {spread:13}  {told}", flush=True)


def paired(net: nn.Module, images: Tensor, targets: Tensor) -> list[tuple[str, str, Make, Make]]:
    """Name, what is compared, what we do, what the peer does."""
    epsilon, alpha = 8 / 255, 2 / 255
    boxed = foolbox.PyTorchModel(net, bounds=(0, 1), device=images.device)
    found: list[tuple[str, str, Make, Make]] = []
    for steps in (10, 40):
        told = {"epsilon": epsilon, "alpha": alpha, "steps": steps}

        def same(told: dict[str, float] = told) -> Tensor:
            return attack.pgd(net, images, targets, keep_best=False, **told)  # type: ignore[arg-type]

        def default(told: dict[str, float] = told) -> Tensor:
            return attack.pgd(net, images, targets, **told)  # type: ignore[arg-type]

        theirs = torchattacks.PGD(net, eps=epsilon, alpha=alpha, steps=steps)
        fool = foolbox.attacks.LinfPGD(abs_stepsize=alpha, steps=steps)

        def torchs(theirs: torchattacks.PGD = theirs) -> Tensor:
            return theirs(images, targets)  # type: ignore[no-any-return]

        def fools(fool: foolbox.attacks.LinfPGD = fool) -> Tensor:
            return fool(boxed, images, targets, epsilons=epsilon)[1]  # type: ignore[no-any-return]

        found += [
            (f"pgd{steps}", "torchattacks, same work", same, torchs),
            (f"pgd{steps}", "torchattacks, as is", default, torchs),
            (f"pgd{steps}", "foolbox, same work", same, fools),
            (f"pgd{steps}", "foolbox, as is", default, fools),
        ]
    squares = torchattacks.Square(net, norm="Linf", eps=epsilon, n_queries=500, loss="margin", seed=0)
    found.append(
        (
            "square",
            "torchattacks, 500 queries",
            lambda: attack.square(net, images, targets, epsilon=epsilon, max_queries=500),
            lambda: squares(images, targets),
        )
    )
    for population, generations, count in ((10, 10, 64), (100, 10, 8)):
        some, wanted = images[:count], targets[:count]
        pixels = torchattacks.OnePixel(net, pixels=1, steps=generations, popsize=population, inf_batch=128)

        def one(
            some: Tensor = some, wanted: Tensor = wanted, population: int = population, generations: int = generations
        ) -> Tensor:
            return attack.one_pixel(net, some, wanted, population=population, generations=generations)

        def theirs_one(pixels: torchattacks.OnePixel = pixels, some: Tensor = some, wanted: Tensor = wanted) -> Tensor:
            made: Tensor = pixels(some, wanted)
            return made

        told_one = f"torchattacks, {len(some)} images, population {population}, {generations} generations"
        found.append(("one_pixel", told_one, one, theirs_one))
    return found


def rates(net: models.Model, images: Tensor, targets: Tensor, epsilon: float, only: Sequence[str]) -> None:
    boxed = foolbox.PyTorchModel(net, bounds=(0, 1), device=images.device)

    def fool(one: object, bound: float | None) -> Make:
        return lambda: one(boxed, images, targets, epsilons=bound)[1]  # type: ignore[operator]

    def torchs(one: object) -> Make:
        return lambda: one(images, targets)  # type: ignore[operator]

    peers: dict[str, dict[str, Make]] = {
        "pgd": {
            "pellucid": lambda: attack.pgd(net, images, targets, epsilon=epsilon, steps=40),
            "torchattacks": torchs(torchattacks.PGD(net, eps=epsilon, alpha=epsilon / 4, steps=40)),
            "foolbox": fool(foolbox.attacks.LinfPGD(rel_stepsize=0.25, steps=40), epsilon),
        },
        "apgd": {
            "pellucid": lambda: attack.apgd(net, images, targets, epsilon=epsilon, steps=40),
            "torchattacks": torchs(torchattacks.APGD(net, eps=epsilon, steps=40)),
        },
        "square": {
            "pellucid": lambda: attack.square(net, images, targets, epsilon=epsilon, max_queries=1000),
            "torchattacks": torchs(torchattacks.Square(net, eps=epsilon, n_queries=1000, loss="margin")),
        },
        "deepfool": {
            "pellucid": lambda: attack.deepfool(net, images, targets),
            "torchattacks": torchs(torchattacks.DeepFool(net)),
            "foolbox": fool(foolbox.attacks.L2DeepFoolAttack(), None),
        },
        "carlini_wagner": {
            "pellucid": lambda: attack.carlini_wagner(net, images, targets, steps=200, rounds=6),
            "foolbox": fool(
                foolbox.attacks.L2CarliniWagnerAttack(steps=200, binary_search_steps=6, stepsize=0.01), None
            ),
            "torchattacks, c = 1": torchs(torchattacks.CW(net, c=1, steps=200, lr=0.01)),
        },
    }
    source = torch.Generator().manual_seed(0)
    goals = (targets + torch.randint(1, len(net.classes), targets.shape, generator=source)) % len(net.classes)
    peers |= {
        "fooling": {"pellucid": lambda: attack.fooling(net, images, goals)},
        "shapes": {"pellucid": lambda: attack.shapes(net, images, targets, max_queries=1000)},
        "strong": {"pellucid": lambda: attack.strong(net, images, targets, epsilon=epsilon, max_queries=500)},
    }
    print("attack          by                   broken, %  95 % interval   median l2  median linf    time")
    for name, sides in peers.items():
        if only and name not in only:
            continue
        for side, make in sides.items():
            began = time.perf_counter()
            made = make().clamp(0, 1)
            spent = time.perf_counter() - began
            aims = {"targets": goals, "targeted": True} if name == "fooling" else {"targets": targets}
            found = outcome(net, images, made, **aims)
            here, share = ~found.is_done & found.success, found.rate
            l2, linf = (float(size[here].median()) if here.any() else float("nan") for size in (found.l2, found.linf))
            span = f"{100 * share.low:.1f} to {100 * share.high:.1f}"
            print(
                f"{name:16}{side:20}{100 * share.value:9.1f}  {span:14}{l2:10.4f}{linf:13.4f}{spent:8.1f}s", flush=True
            )


def pixels(net: nn.Module, images: Tensor, targets: Tensor) -> None:
    print("pixels  broken, %  95 % interval  after 8 bits, %  mean queries    time")
    for count in (1, 3, 5):
        trace = Trace()
        began = time.perf_counter()
        made = attack.one_pixel(net, images, targets, pixels=count, trace=trace)
        spent = time.perf_counter() - began
        found = outcome(net, images, made, targets)
        assert int(found.l0.max()) <= count
        share, asked = found.rate, trace.forward[~found.is_done].double().mean()
        span = f"{100 * share.low:.1f} to {100 * share.high:.1f}"
        eight = 100 * found.rate_8bit.value
        print(f"{count:6}{100 * share.value:11.1f}  {span:14}{eight:16.1f}{asked:14.0f}{spent:8.0f}s", flush=True)


def asked(model: str | None, path: str | None, count: int) -> tuple[models.Model, Tensor, Tensor]:
    """A network and images it gets right."""
    if model is None:
        folder = Path(tempfile.mkdtemp()) / "digits"
        for _ in start("classify", "digits", folder, model="digits_cnn", epochs=20):
            pass
        model, path = str(folder), path or "digits"
    net = models.load(model).eval()
    place = path or f"{os.environ['PELLUCID_DATA']}/cifar10"
    pictures = data.builtin("digits") if place == "digits" else data.open_images(place)
    matches = {match.target: match.index for match in data.class_matches(pictures, net.classes, net.class_ids)}
    order = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(0)).tolist()
    images: list[Tensor] = []
    targets: list[int] = []
    chosen = pictures.subset(order[: 3 * count])
    for batch in data.batches(chosen, net.geometry, batch_size=64, workers=0):
        pixels = batch.images()
        own = torch.tensor([matches[int(chosen.targets[place])] for place in batch.indices])
        right = models.predict(net, pixels, top=1).indices[:, 0] == own
        images += [*pixels[right]]
        targets += own[right].tolist()
        if len(images) >= count:
            break
    return net, torch.stack(images[:count]), torch.tensor(targets[:count])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pace", "rates", "pixels"))
    parser.add_argument("--model", help="a run folder or another MODEL; none trains a small net on the digits")
    parser.add_argument(
        "--data", help="labelled images; none takes CIFAR-10's test part, or the digits' without a model"
    )
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--epsilon", type=float, default=4, help="of rates, in 255ths")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", type=lambda words: words.split(","), default=[])
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # the peers', of old torch calls
    net, images, targets = asked(args.model, args.data, args.images)
    print(
        f"{len(images)} images {tuple(images.shape[1:])}, torch {torch.__version__}, {torch.get_num_threads()} threads"
    )
    if args.what == "pace":
        pace(net, images, targets, args.repeats, args.only)
    elif args.what == "rates":
        rates(net, images, targets, args.epsilon / 255, args.only)
    else:
        pixels(net, images, targets)


if __name__ == "__main__":
    main()
