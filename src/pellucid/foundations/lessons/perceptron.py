"""Perceptron: gates, a line that learns, how often it errs, and the table that needs two layers."""

import torch
from markupsafe import Markup
from torch import Tensor

from pellucid import report
from pellucid.checks import check_count, check_range
from pellucid.foundations.gates import AND, NAND, NOT, OR, GateNetwork, all_inputs, fires, gate_network
from pellucid.foundations.hyperplane import activation, line, margin
from pellucid.foundations.lesson import Lesson
from pellucid.foundations.perceptron import Perceptron, mistake_bound
from pellucid.report import Fact, Field, Section

GATES = {"OR": OR, "AND": AND, "NAND": NAND, "NOT": NOT}
XOR = torch.tensor([0.0, 1.0, 1.0, 0.0])
BITS = all_inputs(2)  # (4, 2)


def perceptron(
    *,
    rule: str = "perceptron",
    eta: float = 1.0,
    epochs: int = 100,
    points: int = 60,
    gap: float = 0.08,
    generator: torch.Generator | None = None,
) -> Lesson:
    """One unit draws a line: logic gates, learning from mistakes, and XOR, which takes two layers.

    Args:
        rule: perceptron (learn from mistakes only) or hebb (learn from every point).
        eta: length of a step, above 0; from zero weights it changes no prediction.
        epochs: passes over the points at most, 1 to 1000.
        points: of the set that a line is learned for, 10 to 500.
        gap: empty strip on each side of the line that made the set, in the unit of the points, 0.01 to 0.5.
        generator: of the set's points; None: seed 0.
    """
    check_count("epochs", epochs, 1, 1000)
    check_count("points", points, 10, 500)
    check_range("gap", gap, 0.01, 0.5)
    spots, targets, truth = _set(points, gap, generator)
    learned = Perceptron(rule=rule, eta=eta, epochs=epochs).fit(spots, targets)
    on_xor = Perceptron(rule=rule, eta=eta, epochs=min(epochs, 30), shuffle=True).fit(BITS, 2 * XOR - 1)
    network = gate_network(XOR)
    bound = mistake_bound(spots, targets, truth)
    facts = (
        Fact("A unit", "w0 + w·x ≥ 0", "It fires on one side of a line: OR, AND, NAND and NOT are four such lines."),
        Fact(
            "Mistakes",
            f"{sum(learned.mistakes_)} of at most {bound:.0f}" if rule == "perceptron" else f"{sum(learned.mistakes_)}",
            f"{_end(learned)} No order of these {points} points can cost the perceptron rule more than (R/γ)² = "
            f"{bound:.0f} mistakes{'' if rule == 'perceptron' else '; for the rule hebb nothing is promised'}.",
        ),
        Fact("XOR", "two layers", "No line parts its four points; two ANDs and an OR over them answer it."),
    )
    sections = (
        _gates(),
        _learning(spots, targets, learned, bound),
        _exclusive(on_xor, network),
    )
    lead = "A weighted sum and a threshold: what one unit can do, how it learns it, and where it ends."
    steps = (*_gate_steps(), *_and_steps(rule, eta), _xor_step(on_xor, network))
    return Lesson("The perceptron", lead, steps, facts, sections)


def _set(count: int, gap: float, generator: torch.Generator | None) -> tuple[Tensor, Tensor, Tensor]:
    """Points of a square, their targets -1 and +1, and the line that parts them with a gap on each side."""
    generator = generator or torch.Generator().manual_seed(0)
    angle = 6.283 * torch.rand(1, generator=generator, dtype=torch.float64)
    truth = torch.cat([-angle.cos() - angle.sin(), angle.cos(), angle.sin()])  # ||w|| = 1, through (1, 1)
    made = 2 * torch.rand(40 * count, 2, generator=generator, dtype=torch.float64)  # (M, 2), in [0, 2]
    excited = activation(truth, made)
    sides = [(excited > gap).nonzero()[:, 0], (excited < -gap).nonzero()[:, 0]]
    chosen = torch.cat([sides[0][: count // 2], sides[1][: count - count // 2]]).sort().values
    return made[chosen], excited[chosen].sign(), truth


def _end(learned: Perceptron) -> str:
    if learned.is_separated_:
        return f"After {len(learned.mistakes_)} epochs every point is on its side."
    return f"After {len(learned.mistakes_)} epochs {learned.errors_} points are still on the wrong side."


def _gates() -> Section:
    inputs, drawn = all_inputs(2), []
    for name in ("OR", "AND", "NAND"):
        weights = torch.tensor(GATES[name], dtype=torch.float64)
        answers = fires(weights, inputs).long()
        label = f"{name}: the four inputs and the line {line(weights)}"
        told = _formula(weights).replace("-", "−")
        figure = report.scatter(inputs, answers, label, names=("0", "1"), boundaries=[weights.tolist()], side=2.6)
        drawn.append((figure, f"{name}: {told} ≥ 0. The arrow points to where it fires."))
    rows = [
        (
            name,
            _formula(torch.tensor(weights)).replace("-", "−"),
            " ".join(f"{v:g}" for v in fires(weights, all_inputs(len(weights) - 1))),
        )
        for name, weights in GATES.items()
    ]
    head = ("gate", "fires where ≥ 0", "answers to 00 01 10 11")
    table = report.table(head, rows, "Weights of each gate and what it answers (NOT: to 0 and 1)")
    return Section(
        "gates", "Gates are lines", "Each gate fires on one side of its line.", report.drawings(drawn) + table
    )


def _learning(spots: Tensor, targets: Tensor, learned: Perceptron, bound: float) -> Section:
    kept = learned.path_[1:]
    shown = kept[torch.linspace(0, len(kept) - 1, min(len(kept), 8)).round().long()]
    sides = ((targets + 1) / 2).long()
    label = f"{len(spots)} points of two classes and the line after each of some steps; the last is drawn strongest"
    figure = report.scatter(
        spots,
        sides,
        label,
        names=("class −1", "class +1"),
        boundaries=shown.tolist(),
        circled=learned.predict(spots) != targets,
    )
    epochs = torch.arange(1, len(learned.mistakes_) + 1)
    counts = report.lines(
        {"mistakes": (epochs, torch.tensor(learned.mistakes_))},
        f"Mistakes in each of {len(epochs)} epochs",
        x="epoch",
        y="mistakes",
        is_from_zero=True,
    )
    width = f", and leaves a margin of {margin(learned.weights_, spots, targets):.3f}" if learned.is_separated_ else ""
    caption = (
        f"The line after some of {len(kept)} steps, from faint to strong{width}. Points on its wrong side are ringed."
    )
    steps = (
        f"{sum(learned.mistakes_)} mistakes in all; the perceptron rule makes at most {bound:.0f} here, in any order."
    )
    lead = {
        "perceptron": "Each point on the wrong side pulls the line to its own side; when none is left, learning ends.",
        "hebb": "Every point pulls the line to its own side, the right ones too, so learning never ends by itself.",
    }[learned.rule]
    notes = Markup("").join(report.notice(note) for note in learned.notes_)
    return Section("line", "A line learns", lead, report.drawings([(figure, caption), (counts, steps)]) + notes)


def _exclusive(learned: Perceptron, network: GateNetwork) -> Section:
    label = "The four points of XOR and the line after each step: it never rests"
    moving = report.scatter(BITS, XOR.long(), label, names=("0", "1"), boundaries=learned.path_[-9:].tolist(), side=2.8)
    epochs = torch.arange(1, len(learned.mistakes_) + 1)
    counts = report.lines(
        {"mistakes": (epochs, torch.tensor(learned.mistakes_))},
        "Mistakes on XOR in each epoch: never zero",
        x="epoch",
        y="mistakes, of 4 points",
        is_from_zero=True,
        width=3.6,
        height=2.9,
    )
    grid = torch.linspace(-0.35, 1.35, 181, dtype=torch.float64)
    plane = torch.cartesian_prod(grid, grid)  # x2 runs fastest
    excited = torch.stack([activation(weights, plane) for weights in network.hidden]).amax(dim=0)
    field = Field(grid, grid, excited.view(181, 181).T)  # above 0 where an AND fires
    solved = report.scatter(
        all_inputs(2), XOR.long(), "XOR answered by two ANDs and an OR", names=("0", "1"), field=field, side=2.8
    )
    drawn = [
        (moving, "One unit: the lines of its last steps."),
        (counts, f"One unit: {min(learned.mistakes_)} to {max(learned.mistakes_)} mistakes in every epoch."),
        (solved, "Two layers: each AND fires beyond one line, the OR joins both sides."),
    ]
    lead = "Two classes that lie crosswise: one unit errs forever, a second layer ends it."
    return Section("xor", "XOR takes two layers", lead, report.drawings(drawn))


def _gate_steps() -> tuple[str, ...]:
    told = []
    for name, weights in GATES.items():
        inputs = all_inputs(len(weights) - 1)
        excited = activation(torch.tensor(weights, dtype=torch.float64), inputs).tolist()
        lines = [
            f"{_row(row)}: {_formula(torch.tensor(weights))} = {value:g} -> {int(value >= 0)}"
            for row, value in zip(inputs.tolist(), excited, strict=True)
        ]
        told.append("\n".join([f"{name} fires where {_formula(torch.tensor(weights))} >= 0", *lines]))
    return tuple(told)


def _and_steps(rule: str, eta: float) -> tuple[str, ...]:
    """AND on bits, each visit with its numbers, an epoch a step."""
    targets = 2 * fires(AND, all_inputs(2)) - 1
    epochs: dict[int, list[str]] = {}
    for visit in Perceptron(rule=rule, eta=eta, epochs=12 if rule == "perceptron" else 2).visits(BITS, targets):
        target, moved = targets[visit.index].item(), visit.is_mistake or rule == "hebb"
        weights = ", ".join(f"{w:g}" for w in visit.weights.tolist())
        said = f"step to w = ({weights})" if moved else "stays"
        lines = epochs.setdefault(visit.epoch, [])
        seen = f"x = {_row(BITS[visit.index].tolist())}  t = {target:+g}  a = {visit.activation:+g}"
        lines.append(f"{seen}  t·a = {target * visit.activation:+g}  {said}")
    heads = "learning AND from inputs 0 and 1, {} rule, w = (w0, w1, w2), epoch {}"
    return tuple("\n".join([heads.format(rule, number + 1), *lines]) for number, lines in epochs.items())


def _xor_step(learned: Perceptron, network: GateNetwork) -> str:
    lines = [f"one unit, mistakes in each epoch: {' '.join(str(m) for m in learned.mistakes_[:10])} ..."]
    fired = network.fired(all_inputs(2))
    lines += [
        f"AND {number + 1} of the two layers: {_formula(weights)} >= 0" for number, weights in enumerate(network.hidden)
    ]
    lines.append(f"OR over them: {_formula(network.output, 'h')} >= 0")
    answers = network(all_inputs(2))
    for row, hidden, answer in zip(all_inputs(2).tolist(), fired.tolist(), answers.tolist(), strict=True):
        lines.append(f"x = {_row(row)}  h = {_row(hidden)}  -> {answer:g}")
    return "\n".join(["XOR: one unit never gets it, two layers do at once", *lines])


def _formula(weights: Tensor, letter: str = "x") -> str:
    """w0 + w·x as text: "-0.5 + x1 + x2"."""
    text = f"{weights[0].item():g}"
    for number, weight in enumerate(weights[1:].tolist(), 1):
        size = "" if abs(weight) == 1 else f"{abs(weight):g} "
        text += f" {'-' if weight < 0 else '+'} {size}{letter}{number}"
    return text


def _row(values: list[float]) -> str:
    return f"({', '.join(f'{value:g}' for value in values)})"
