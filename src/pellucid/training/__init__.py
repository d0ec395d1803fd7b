"""The loop: `for record in fit(step, batches): ...`; a learner is a step, everything else is visible in the caller."""

from .classify import Classify, classify
from .fit import Epoch, fit

__all__ = ["Classify", "Epoch", "classify", "fit"]
