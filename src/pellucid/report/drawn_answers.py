"""Pictures beside what a network answers when it is asked again and again: a histogram for each class, on one axis."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from markupsafe import Markup
from torch import Tensor

from pellucid.checks import check_count

from .blocks import checked_uri

WIDE, HIGH, LEAST = 200, 40, 1.2
"""Of a histogram, in units of its own; a bin that holds anything is at least so high."""


@dataclass(frozen=True)
class DrawnAnswers:
    """A picture and the answers to it."""

    picture: str  # data URI
    heading: str
    text: str
    classes: tuple[str, ...]  # C names, those shown
    probabilities: Tensor  # (S, C), in [0, 1], of the classes shown, one row for each answer
    votes: tuple[int, ...]  # C, answers that call it so


def drawn_answers(entries: Sequence[DrawnAnswers], *, bins: int = 20, unit: str = "draws") -> Markup:
    """Pictures with a histogram of the answers for each class; all histograms of the page have the same axes.

    Args:
        entries: in order.
        bins: of equal width over [0, 1], at least 2.
        unit: what an answer is called, several.
    """
    check_count("bins", bins, 2)
    inside = Markup("").join(_entry(one, bins, unit) for one in entries)
    return Markup('<ul class="gallery answers">{}</ul>').format(inside)


def _entry(one: DrawnAnswers, bins: int, unit: str) -> Markup:
    rows = zip(one.classes, one.probabilities.T, one.votes, strict=True)
    drawn = Markup("").join(_class(name, column, votes, bins, unit) for name, column, votes in rows)
    scale = Markup('<div class="scale" aria-hidden="true"><span>0</span><span>probability</span><span>1</span></div>')
    picture = Markup('<figure><img src="{}" alt="{}" loading="lazy"></figure>')
    return Markup('<li><h4>{}</h4><p>{}</p><div class="asked">{}<div>{}{}</div></div></li>').format(
        one.heading, one.text, picture.format(checked_uri(one.picture), one.text), drawn, scale
    )


def _class(name: str, values: Tensor, votes: int, bins: int, unit: str) -> Markup:
    """One class: its name, its votes, how its probability is spread."""
    count = len(values)
    place = (values.double() * bins).long().clamp(0, bins - 1)
    shares = torch.bincount(place, minlength=bins).double() / count
    bars = Markup("").join(
        Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
            number * WIDE / bins + 0.5, HIGH - tall, WIDE / bins - 1, tall
        )
        for number, share in enumerate(shares.tolist())
        if (tall := max(LEAST, HIGH * share) if share else 0)
    )
    mean = float(values.double().mean())
    told = f"{name}: mean probability {mean:.2f}, {votes} of {count} {unit} vote for it"
    lines = Markup(
        '<line x1="0" x2="{0}" y1="{1}" y2="{1}"/><line class="mean" x1="{2:.1f}" x2="{2:.1f}" y1="0" y2="{1}"/>'
    ).format(WIDE, HIGH, WIDE * mean)
    return Markup(
        '<div class="answer"><span>{}</span><small>{} of {} votes, mean {:.2f}</small>'
        '<svg viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}{}</svg></div>'
    ).format(name, votes, count, mean, WIDE, HIGH, told, bars, lines)
