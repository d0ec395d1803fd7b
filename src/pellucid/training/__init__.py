"""The loop: `for record in fit(step, batches, optimizer, epochs=...): ...`; a learner is a step, everything else is
visible in the caller. Ready trainings stand in `recipes`.
"""

from .averaging import Average
from .classify import Classify, Judgement, judge
from .engine import engine
from .fit import Epoch, fit
from .fresh import fresh_model
from .optimizers import optimizer
from .runs import Run
from .schedules import Schedule
from .sets import Sets, open_sets
from .start import resume, start
from .state import State
from .stopping import Stopping

__all__ = [
    "Average",
    "Classify",
    "Epoch",
    "Judgement",
    "Run",
    "Schedule",
    "Sets",
    "State",
    "Stopping",
    "engine",
    "fit",
    "fresh_model",
    "judge",
    "open_sets",
    "optimizer",
    "resume",
    "start",
]
