"""The best layer beside visual words, picture by picture: what the network brings that was not there before it."""

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from torch import Tensor

from pellucid import report
from pellucid.audit.words import ends, percent, shifted_by, signed
from pellucid.metrics import Interval, bootstrap
from pellucid.report import Fact, Section

from ._shared import counted
from ._transfer_found import Found
from ._transfer_trials import NAMES, Trial, repeated
from ._transfer_words import LEVELS, patches_of, told_words

MOST_CLASSES = 40
"""Classes listed; of more, half of them from either end."""


@dataclass(frozen=True)
class Compared:
    """Two rows of the table on the same test pictures."""

    words: Trial
    network_right: Tensor  # (m,), bool
    words_right: Tensor  # (m,), bool
    gain: Interval  # share told right by the network less that by words, in [-1, 1]

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Pictures told right by both, only by the network, only by words, by neither."""
        one, other = self.network_right, self.words_right
        parts = (one & other, one & ~other, ~one & other, ~one & ~other)
        return int(parts[0].sum()), int(parts[1].sum()), int(parts[2].sum()), int(parts[3].sum())


def compared(found: Found) -> Compared | None:
    """The best layer beside the best of visual words; None where there are none."""
    words = found.trials.classic
    if words is None:
        return None
    targets = found.rows.targets[found.rows.test]
    one, other = (trial.predicted == targets for trial in (found.best, words))
    return Compared(words, one, other, bootstrap(one.double() - other.double()))


def classic_facts(found: Found) -> list[Fact]:
    """One sentence, where visual words were asked for."""
    both = compared(found)
    if both is None or found.words is None:
        return []
    share = both.words.accuracy
    text = (
        f"Without any network, by {found.words.count:,} visual words and {NAMES[both.words.kind]}, "
        f"{percent(share.value)} of the same test pictures are told right; the network's {found.best.layer} differs by "
        f"{_points(both.gain)} points."
    )
    if both.words.repeats:
        text += f" Over the drawn splits, with words learned anew in each, it is {repeated(both.words)}."
    return [Fact("Without a network", percent(share.value), text)]


def classic_numbers(found: Found) -> dict[str, Any] | None:
    """For `summary.json`; shares in [0, 1]."""
    both = compared(found)
    if both is None or found.words is None:
        return None
    names = ("both", "only_network", "only_words", "neither")
    return {
        "probe": both.words.kind,
        "normalise": both.words.normalise,
        "test_accuracy": ends(both.words.accuracy),
        "gain_of_the_network": ends(both.gain),
        "told_right_by": dict(zip(names, both.counts, strict=True)),
        **told_words(found.words),
    }


def classic_sections(found: Found) -> list[Section]:
    """What the network brings, class by class."""
    both = compared(found)
    if both is None or found.words is None:
        return []
    bag, many = found.words.bag, found.words.count
    side, patches = bag.options["side"], " and ".join(f"{one} x {one}" for one in bag.patches)
    lead = (
        f"The same pictures as before there were networks: gray, brought to {side} x {side}, cut into "
        f"{patches_of(bag):,} patches of {patches}. What a patch's gradients point to (dense SIFT) "
        f"makes it one of {many:,} visual words, found by k-means in {counted(found.words.learned, 'training picture')}"
        f". A picture's row is how often each word stands in all of it and in its {_parts()}; the same probes tell it."
    )
    body = report.notice(
        "The words were learned from all training pictures at once, without their classes. So their cross-validation "
        "is a little generous, and they are here for comparison: never chosen as best, nor kept as a model. Their test "
        "accuracy is as honest as the network's."
    )
    body += _four(found, both) + _by_class(found, both)
    return [Section("classic", "What the network brings", lead, body)]


def _parts() -> str:
    return " and ".join(f"{2**level} x {2**level}" for level in range(1, LEVELS)) + " parts"


def _points(gain: Interval) -> str:
    """A difference of shares as points, with its interval."""
    return shifted_by(Interval(100 * gain.value, 100 * gain.low, 100 * gain.high), 1)


def _four(found: Found, both: Compared) -> Markup:
    total = len(both.network_right)
    said = (
        "right by both",
        f"right only by the network ({found.best.name})",
        f"right only by visual words ({NAMES[both.words.kind]})",
        "right by neither",
    )
    rows = [(text, f"{count:,}", percent(count / total)) for text, count in zip(said, both.counts, strict=True)]
    told = (
        f"{counted(total, 'test picture')}; the network's share less that of words: {_points(both.gain)} points, 95 % "
        "interval in brackets"
    )
    return report.table(("told", "pictures", "share"), rows, told, numbers=(1, 2))


def _by_class(found: Found, both: Compared) -> Markup:
    """Where the network brings most comes first."""
    targets = found.rows.targets[found.rows.test]
    listed: list[tuple[float, str, int, float, float]] = []
    for number, name in enumerate(found.rows.classes):
        own = targets == number
        if bool(own.any()):
            network, words = (float(right[own].double().mean()) for right in (both.network_right, both.words_right))
            listed.append((network - words, name, int(own.sum()), network, words))
    listed.sort(key=lambda one: -one[0])
    half = MOST_CLASSES // 2
    shown = listed if len(listed) <= MOST_CLASSES else listed[:half] + listed[-half:]
    rows = [
        (name, f"{count:,}", percent(network), percent(words), signed(100 * gain, 1) if gain else "0")
        for gain, name, count, network, words in shown
    ]
    head = ("class", "test pictures", found.best.layer, "visual words", "points brought")
    told = "Told right, by class; where the network brings most stands first"
    told += f" ({half} at either end, of {len(listed):,})" if len(listed) > MOST_CLASSES else ""
    return report.table(head, rows, told, numbers=(1, 2, 3, 4))
