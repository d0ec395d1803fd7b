"""The MLP four ways: one small network trained by hand, with autograd, with nn and with optim."""

import torch
from markupsafe import Markup

from pellucid import report
from pellucid.foundations.formula import formula
from pellucid.foundations.four_ways import WAYS, batch_order, first_weights, gradients_by_hand
from pellucid.foundations.lesson import Lesson
from pellucid.foundations.mlp_study import Labelled, Learned, landscape, learn, settings
from pellucid.foundations.rows import Rows, rows
from pellucid.report import Fact, Section

from ._cells import apart, kept, share
from ._plane import plane

TOLD = {
    "manual": "all: forward pass, loss, chain rule, step",
    "autograd": "the forward pass, the loss and the step",
    "nn": "the step",
    "optim": "nothing",
}
"""What each way still does by hand."""

ALIKE = 20
"""Epochs for which all four ways are compared; the first goes on alone."""

SHOWN = (1, 10, 100)
"""Steps whose losses are shown, beside the last."""


def mlp(
    *,
    data: str = "circles",
    hidden: int = 10,
    lr: float = 0.07,
    batch: int = 10,
    epochs: int = 150,
    lrs: str = "0.007,0.07,0.3,2",
    batches: str = "1,10,50",
    generator: torch.Generator | None = None,
) -> Lesson:
    """One network trained four ways to the same losses, and what step length and batch size do to it.

    Args:
        data: circles, moons, iris, digits, or a folder of pictures with a train and a test part.
        hidden: units in the middle, at least 1.
        lr: length of a step, above 0.
        batch: rows a step, at least 1.
        epochs: times over all training rows, at least 1.
        lrs: step lengths to compare, with commas, at most six.
        batches: batch sizes to compare, with commas, at most six.
        generator: of the set, the first weights and the order; None: seed 0.
    """
    seed = 0 if generator is None else generator.initial_seed()
    compared = _numbers("lrs", lrs), _whole("batches", batches)
    found = rows(data, seed=seed)

    def learned(way: str, lr: float, batch: int, epochs: int = epochs) -> Learned:
        again = torch.Generator().manual_seed(seed)  # the same first weights and the same order for all
        told = {"hidden": hidden, "batch": batch, "epochs": epochs}
        return learn(found.train, found.test, way=way, lr=lr, generator=again, **told)

    first = learned("manual", lr, batch)
    ways = {"manual": first} | {way: learned(way, lr, batch, min(epochs, ALIKE)) for way in WAYS if way != "manual"}
    studied = {
        (one, many): first if (one, many) == (lr, batch) else learned("manual", one, many)
        for one, many in settings(*compared, lr=lr, batch=batch)
    }
    most = max(_apart(first, way) for way in ways.values())
    facts = (
        Fact(
            "Four ways",
            apart(most),
            f"The largest difference of {len(ways['optim'].step_losses)} batch losses.",
        ),
        Fact(
            "Test accuracy",
            share(float(first.test_accuracy[-1])),
            f"Of {len(found.test.targets)} rows it never saw, after {epochs} epochs with lr {lr} and batch {batch}.",
        ),
        _steadiness({one: studied[one, batch] for one in compared[0]}),
    )
    sections = (
        _four(ways),
        _learning(found, first),
        _lengths({one: studied[one, batch] for one in compared[0]}, batch),
        _sizes({one: studied[lr, one] for one in compared[1]}, lr),
    )
    lead = f"A network {found.train.values.shape[1]}-{hidden}-{len(found.classes)} learns {data}: X to tanh to softmax."
    return Lesson(
        "One network, four ways",
        lead,
        _steps(found, hidden, lr, batch=batch, seed=seed) + _losses(ways),
        facts,
        sections,
    )


def _numbers(name: str, text: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise ValueError(f"{name} must be numbers with commas, got {text!r}") from error
    if not 1 <= len(found) <= 6:
        raise ValueError(f"{name} must be one to six numbers with commas, got {text!r}")
    return found


def _whole(name: str, text: str) -> list[int]:
    found = _numbers(name, text)
    if not all(one.is_integer() for one in found):
        raise ValueError(f"{name} must be whole numbers with commas, got {text!r}")
    return [int(one) for one in found]


def _apart(one: Learned, other: Learned) -> float:
    """The largest difference of batch losses, as far as both go."""
    steps = min(len(one.step_losses), len(other.step_losses))
    return float((one.step_losses[:steps] - other.step_losses[:steps]).abs().max())


def _steadiness(studied: dict[float, Learned]) -> Fact:
    """How far the longest step falls back from the best it ever was."""
    longest = max(studied)
    scores = studied[longest].test_accuracy
    text = (
        f"Test accuracy with the longest step: from the best of all epochs, {share(float(scores.max()))}, to the last."
    )
    return Fact(f"lr {longest:g}", f"{share(float(scores[-1]))} in the end", text)


def _four(ways: dict[str, Learned]) -> Section:
    last = len(ways["optim"].step_losses)
    steps = [step for step in (*SHOWN, last) if step <= last]
    body = [
        (kept(name), TOLD[name], *(f"{way.step_losses[step - 1]:.12f}" for step in dict.fromkeys(steps)))
        for name, way in ways.items()
    ]
    head = ("way", "still by hand", *(f"loss, step {step}" for step in dict.fromkeys(steps)))
    table = report.table(head, body, "Loss of the batch before each step, in nats", numbers=range(2, len(head)))
    told = Markup("<pre>{}</pre>").format(formula(gradients_by_hand))
    lead = (
        "Each way hands one more piece to torch. Same first weights, same batches: the same path, to the last digits."
    )
    return Section("ways", "Four ways, one path", lead, table + told)


def _learning(found: Rows, learned: Learned) -> Section:
    epochs = torch.arange(len(learned.train_loss))
    drawn = [
        (
            report.lines(
                {"train": (epochs, learned.train_loss), "test": (epochs, learned.test_loss)},
                "Loss on training and test rows after each epoch",
                x="epoch",
                y="loss, nats",
                is_from_zero=True,
                width=3.2,
                height=2.9,
            ),
            "Loss after each epoch, on all rows of either part.",
        ),
        (
            report.lines(
                {"train": (epochs, 100 * learned.train_accuracy), "test": (epochs, 100 * learned.test_accuracy)},
                "Accuracy on training and test rows after each epoch",
                x="epoch",
                y="accuracy, %",
                width=3.2,
                height=2.9,
            ),
            "Accuracy after each epoch.",
        ),
    ]
    if found.train.values.shape[1] == 2 and len(found.classes) == 2:
        field = plane(found.train.values, lambda spots: landscape(learned.weights, spots))
        picture = report.scatter(
            found.train.values,
            found.train.targets,
            "The training points and the boundary the network drew between them",
            names=found.classes,
            axes=(found.columns[0], found.columns[1]),
            field=field,
            side=3.2,
        )
        drawn.insert(0, (picture, "The training points and the boundary it drew."))
    return Section("learning", "What it learns", "The boundary, and the way to it.", report.drawings(drawn))


def _lengths(studied: dict[float, Learned], batch: int) -> Section:
    curves = {
        f"lr {lr:g}": (torch.arange(len(one.test_accuracy)), 100 * one.test_accuracy) for lr, one in studied.items()
    }
    label = "Test accuracy after each epoch for several step lengths"
    drawn = report.lines(curves, label, x="epoch", y="test accuracy, %", width=7.0, height=3.4)
    table = report.table(
        ("lr", "train loss", "test accuracy", "lowest and highest of the last ten epochs", "best of all epochs"),
        [(f"{lr:g}", *_ends(one), share(float(one.test_accuracy.max()))) for lr, one in studied.items()],
        f"After the last epoch, batch {batch}; the best of all epochs is optimistic: chosen on the test rows",
        numbers=range(1, 5),
    )
    lead = (
        "Short steps arrive late. Long ones arrive early and then jump about, or throw every tanh to its end, where it "
        "has no slope and nothing is learned any more."
    )
    return Section("lengths", "How long a step", lead, report.drawings([(drawn, label + ".")]) + table)


def _sizes(studied: dict[int, Learned], lr: float) -> Section:
    by_epoch, by_update = {}, {}
    for batch, one in studied.items():
        updates = torch.linspace(0, len(one.step_losses), len(one.test_accuracy), dtype=torch.float64)
        by_epoch[f"batch {batch}"] = (torch.arange(len(updates)), 100 * one.test_accuracy)
        by_update[f"batch {batch}"] = (updates[1:], 100 * one.test_accuracy[1:])
    drawn = [
        (
            report.lines(by_epoch, "Test accuracy by epoch for several batch sizes", x="epoch", y="test accuracy, %"),
            "By epoch: a large batch makes fewer steps in as many epochs.",
        ),
        (
            report.lines(
                by_update,
                "Test accuracy by update for several batch sizes",
                x="updates",
                y="test accuracy, %",
                log="x",
            ),
            "By update: at equal numbers of steps the difference is noise, not slowness.",
        ),
    ]
    table = report.table(
        ("batch", "updates", "train loss", "test accuracy", "lowest and highest of the last ten epochs"),
        [(str(batch), str(len(one.step_losses)), *_ends(one)) for batch, one in studied.items()],
        f"After the last epoch, lr {lr:g}",
        numbers=range(1, 5),
    )
    lead = "One row a step is quick and noisy; many rows a step are calm, and larger batches are easier to spread out."
    return Section("sizes", "How many rows a step", lead, report.drawings(drawn) + table)


def _ends(learned: Learned) -> tuple[str, str, str]:
    last = learned.test_accuracy[-10:]
    spread = f"{share(float(last.min()))} to {share(float(last.max()))}"
    return f"{learned.train_loss[-1]:.4f}", share(float(learned.test_accuracy[-1])), spread


def _steps(found: Rows, hidden: int, lr: float, *, batch: int, seed: int) -> tuple[str, ...]:
    """The first step with its numbers."""
    drawn = torch.Generator().manual_seed(seed)
    start = first_weights(found.train.values.shape[1], hidden, len(found.classes), generator=drawn)
    own = batch_order(len(found.train.targets), batch=batch, epochs=1, generator=drawn)[0][0]
    step = Labelled(found.train.values[own], found.train.targets[own])
    loss, gradient = gradients_by_hand(start, step.values, step.targets)
    sizes = f"X {_shape(step.values)}, Wh {_shape(start.hidden_weight)}, Wy {_shape(start.output_weight)}"
    before, by = start.output_bias.tolist(), gradient.output_bias.tolist()
    moved = [f"{b:+.4f} - {lr:g} * {d:+.4f} = {b - lr * d:+.4f}" for b, d in zip(before[:3], by[:3], strict=True)]
    return (
        f"The forward pass of the first batch: {sizes}\nH = tanh(X Wh^T + bh), Y = H Wy^T + by\nloss = {loss:.6f} nats",
        f"The chain rule, backwards\n{formula(gradients_by_hand)}\nsum of dby over the classes = {sum(by):+.1e}",
        "\n".join(["One step: w - lr g, shown for the output bias", *moved]),
    )


def _losses(ways: dict[str, Learned]) -> tuple[str]:
    """The losses of all ways, digit under digit."""
    counts = [step for step in SHOWN if step <= len(ways["optim"].step_losses)]
    losses = [f"{name:9}" + "".join(f"{way.step_losses[n - 1]:>16.10f}" for n in counts) for name, way in ways.items()]
    return ("\n".join([f"Losses of the four ways at steps {', '.join(map(str, counts))}", *losses]),)


def _shape(tensor: torch.Tensor) -> str:
    return "x".join(map(str, tensor.shape))
