"""How a network is broken: f(model, images, targets, *, epsilon, options) -> images in [0, 1] and inside the ball.

`outcome` measures what an attack came to, `Trace` tells what it did, `Query` counts and caps what a black box is asked.
"""

from .fgsm import fgsm
from .mi_fgsm import mi_fgsm
from .outcome import Outcome, outcome
from .pgd import pgd
from .query import BudgetSpentError, Query
from .trace import Trace

__all__ = [
    "BudgetSpentError",
    "Outcome",
    "Query",
    "Trace",
    "fgsm",
    "mi_fgsm",
    "outcome",
    "pgd",
]
