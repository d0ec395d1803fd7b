"""How sure it is, and when that can be trusted: all that is read off the logits of the labelled images."""

from dataclasses import dataclass

from pellucid.data import ImageSet
from pellucid.models import Model

from .ambiguous import Sets, find_sets
from .answers import Answers, find_answers
from .halves import halves_of
from .predictions import Predictions
from .scaled import Scaled, scale_halves
from .warned import Warned, find_warners


@dataclass(frozen=True)
class Certainty:
    """What was fitted on one half of the images is judged on the other."""

    scaled: Scaled | None  # None where no temperature is the best
    unscaled: str  # why not
    answers: Answers
    warned: Warned | None  # None where nothing can be ranked
    unwarned: str  # why not
    sets: Sets


def certainty_of(
    model: Model, images: ImageSet, predictions: Predictions, *, accuracy: float, bins: int, seed: int
) -> tuple[Certainty | None, str]:
    """All of it, or why nothing can be told.

    Args:
        model: in eval mode.
        images: the set.
        predictions: a row for each of its images.
        accuracy: share of its answers that is asked to be right, in (0, 1).
        bins: of the reliability diagrams.
        seed: of the halves, the masks and the draws.
    """
    try:
        halves = halves_of(predictions, seed)
    except ValueError as error:  # too few images, or no logits: the page repeats it
        return None, str(error)
    scaled, unscaled = scale_halves(halves, bins)
    warned, unwarned = find_warners(model, images, predictions, halves, seed)
    sets = find_sets(model, images, predictions, halves)
    return Certainty(scaled, unscaled, find_answers(halves, accuracy), warned, unwarned, sets), ""
