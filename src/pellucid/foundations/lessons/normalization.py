"""Normalisation: which neighbours a number is compared with, and what dropout does to it."""

import torch
from markupsafe import Markup
from torch import Tensor

from pellucid import report
from pellucid.checks import check_count
from pellucid.foundations.dropout import dropout
from pellucid.foundations.formula import formula
from pellucid.foundations.lesson import Lesson
from pellucid.foundations.normalizers import (
    batch_norm,
    batch_norm_frozen,
    group_norm,
    instance_norm,
    layer_norm,
    remembered,
)
from pellucid.methods import Method, summary
from pellucid.report import Fact, Matrix, Section

from ._cells import broad, kept

NAMES = {"batch_norm": "batch", "layer_norm": "layer", "instance_norm": "instance", "group_norm": "group"}


def normalization(
    *,
    images: int = 4,
    channels: int = 4,
    groups: int = 2,
    p: float = 0.5,
    batches: int = 60,
    generator: torch.Generator | None = None,
) -> Lesson:
    """Batch, layer, instance and group norm by the axes they average over, and dropout's mean and variance.

    Args:
        images: of the batch, 2 to 8.
        channels: of each image, 2 to 12.
        groups: of the group norm, a divisor of channels.
        p: probability with which dropout silences a number, in [0, 1).
        batches: that batch norm remembers, 1 to 1000.
        generator: of the numbers; None: seed 0.
    """
    check_count("images", images, 2, 8)
    check_count("channels", channels, 2, 12)
    check_count("batches", batches, 1, 1000)
    drawn = generator or torch.Generator().manual_seed(0)
    sizes = torch.linspace(0.5, 3, channels, dtype=torch.float64)[:, None, None]
    means = torch.linspace(-2, 3, channels, dtype=torch.float64)[:, None, None]
    light = torch.linspace(0.6, 1.6, images, dtype=torch.float64)[:, None, None, None]

    def fresh() -> Tensor:
        return light * (means + sizes * torch.randn(images, channels, 6, 6, generator=drawn, dtype=torch.float64))

    values = fresh()
    found = {
        "batch_norm": batch_norm(values),
        "layer_norm": layer_norm(values),
        "instance_norm": instance_norm(values),
        "group_norm": group_norm(values, groups=groups),
    }
    frozen = batch_norm_frozen(values, remembered(values))
    facts = (
        Fact("Batch norm", "others matter", "In training an image's numbers depend on the rest of its batch."),
        Fact("Group norm", "1 is layer, C is instance", "Between the two, and no batch is asked: for tiny batches."),
        Fact("A bias before it", "no gradient", "Batch norm takes the mean off again, so leave such a bias out."),
    )
    sections = (
        _axes(images, channels, groups),
        _means(values, found),
        _memory([fresh() for _ in range(batches)], means, light),
        _silenced(p, drawn),
        _formulas(),
    )
    lead = "Take off a mean, divide by a spread: the four norms differ in whose mean and spread it is."
    return Lesson("Normalisation and dropout", lead, _steps(values, found, frozen), facts, sections)


def _axes(images: int, channels: int, groups: int) -> Section:
    """Who shares a mean with the first channel of the first image."""
    width = channels // groups
    masks = {name: torch.zeros(images, channels, dtype=torch.bool) for name in NAMES}
    masks["batch_norm"][:, 0] = True
    masks["layer_norm"][0] = True
    masks["instance_norm"][0, 0] = True
    masks["group_norm"][0, :width] = True
    picture = report.matrices(
        [
            Matrix(f"{NAMES[name]} norm", mask.double(), " " * (n > 0), mask)
            for n, (name, mask) in enumerate(masks.items())
        ],
        f"Which of {images} images and {channels} channels share a mean with the first, for each of the four norms",
        numbers=False,
    )
    counts = ", ".join(f"{NAMES[name]} norm {int(mask.sum())}" for name, mask in masks.items())
    drawn = [(picture, f"Rows are images, columns channels. Maps that share a mean: {counts} of {images * channels}.")]
    lead = "Framed: the maps whose numbers are averaged together with those of the first channel of the first image."
    return Section("axes", "Whose mean", lead, report.drawings(drawn))


def _means(values: Tensor, found: dict[str, Tensor]) -> Section:
    before = {"before": values, **{NAMES[name]: one for name, one in found.items()}}
    pictures = [
        Matrix(name, _short(one.mean(dim=(2, 3))), sign="" if name == "before" else " ") for name, one in before.items()
    ]
    spreads = [
        Matrix(name, _short(one.std(dim=(2, 3), unbiased=False)), sign="" if name == "before" else " ")
        for name, one in before.items()
    ]
    drawn = [
        (report.matrices(pictures, "Mean of each map before and after each norm"), "Mean of each map."),
        (report.matrices(spreads, "Spread of each map before and after each norm"), "Standard deviation of each map."),
    ]
    lead = "Rows are images, of which the later are brighter; columns are channels, of which the later are stronger."
    return Section("numbers", "Before and after", lead, report.drawings(drawn))


def _short(values: Tensor) -> Tensor:
    """One digit after the point, and no minus before a zero."""
    return values.round(decimals=1) + 0.0


def _memory(batches: list[Tensor], means: Tensor, light: Tensor) -> Section:
    held, path = None, []
    for batch in batches:
        held = remembered(batch, held)
        path.append(held)
    steps = torch.arange(1, len(path) + 1)
    truth = means[:, 0, 0] * light.mean()
    middle = len(truth) - 1
    curves = {
        "remembered": (steps, torch.stack([one.mean[middle] for one in path])),
        "of each batch": (steps, torch.stack([batch[:, middle].mean() for batch in batches])),
        "true": (steps, truth[middle].expand(len(path))),
    }
    figure = report.lines(
        curves, f"Mean of channel {middle + 1}: of each batch, and as batch norm remembers it", x="batch", y="mean"
    )
    lead = (
        "In training each batch's own mean and variance; afterwards the remembered ones, and each image stands alone."
    )
    told = "It starts at 0 and forgets a tenth a batch, so that its error shrinks by 0.9 each time."
    return Section("memory", "What batch norm remembers", lead, report.drawings([(figure, told)]))


def _silenced(p: float, generator: torch.Generator) -> Section:
    many = dropout(torch.ones(20_000, dtype=torch.float64), p=p, generator=generator)
    row = torch.arange(1.0, 7.0, dtype=torch.float64)
    shown = [dropout(row, p=p, generator=generator) for _ in range(3)]
    pictures = [
        Matrix("x", row[None]),
        *(Matrix(f"call {n + 1}", _short(one[None]), sign="→") for n, one in enumerate(shown)),
    ]
    picture = report.matrices(pictures, "A row of numbers, and what dropout leaves of it in three calls")
    rates = torch.linspace(0, 0.9, 91, dtype=torch.float64)
    curve = report.lines(
        {"variance": (rates, rates / (1 - rates))},
        "Variance that dropout adds to a number 1, over the probability of silence",
        x="p",
        y="variance of 1",
        dots={"": (p, float(many.var()))},
    )
    drawn = [
        (picture, f"Zero with probability {p:g}, otherwise divided by {1 - p:g}; another mask at each call."),
        (
            curve,
            f"E[y] = x (here {many.mean():.3f}), Var[y] = x² p / (1 − p); the dot was measured on 20,000 numbers: "
            f"{many.var():.2f} at p = {p:g}.",
        ),
    ]
    return Section("dropout", "Dropout", summary(dropout), report.drawings(drawn))


def _formulas() -> Section:
    kinds: tuple[Method, ...] = (batch_norm, batch_norm_frozen, remembered, layer_norm, instance_norm, group_norm)
    body = [(kept(kind.__name__), broad("; ".join(formula(kind).splitlines())), broad(summary(kind))) for kind in kinds]
    table = report.table(("name", "formula", "what it is"), body, "Normalisers")
    note = report.notice("Dropout suits p up to 0.2 on inputs and up to 0.5 on hidden units; after training it is off.")
    return Section("formulas", "Formulas", "All divide by the root of the variance plus 1e-5.", table + Markup(note))


def _steps(values: Tensor, found: dict[str, Tensor], frozen: Tensor) -> tuple[str, ...]:
    one = float(values[0, 0, 0, 0])
    over = {"batch_norm": values[:, 0], "layer_norm": values[0], "instance_norm": values[0, 0]}
    told = []
    for name, shared in over.items():
        mean, variance = float(shared.mean()), float(shared.var(unbiased=False))
        result = float(found[name][0, 0, 0, 0])
        told.append(
            f"{NAMES[name]} norm: mean {mean:+.4f}, variance {variance:.4f} of {shared.numel()} numbers\n"
            f"({one:+.4f} - {mean:+.4f}) / sqrt({variance:.4f} + 0.00001) = {result:+.4f}"
        )
    first = f"The first number of the first channel of the first image, before: {one:+.4f}\nN, C, H, W = "
    return (
        first + ", ".join(map(str, values.shape)),
        *told,
        "batch norm after training, having remembered one batch only: mean 0.1 of it, variance 0.9 + 0.1 of it\n"
        f"{one:+.4f} becomes {float(frozen[0, 0, 0, 0]):+.4f}: it takes many batches until the memory is right",
    )
