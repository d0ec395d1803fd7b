"""The loop: `for record in fit(step, batches, optimizer, epochs=...): ...`; a learner is a step, everything else is
visible in the caller. Ready trainings stand in `recipes`.
"""

from .averaging import Average
from .classify import Classify, Judgement, judge
from .comparison import Comparison, compared, comparison_rows, comparison_sections, said, write_comparison
from .engine import engine, placed
from .fit import Epoch, fit
from .fresh import fresh_model
from .frozen import FineTune, discriminate, freeze
from .optimizers import optimizer
from .page import lasted, run_page, write_page
from .runs import Run
from .schedules import Schedule
from .sets import Sets, open_sets
from .start import resume, start
from .state import State
from .stopping import Stopping
from .story import story
from .summaries import Summary, changed, defaults, differing, find_runs, summarised
from .sweep import sweep

__all__ = [
    "Average",
    "Classify",
    "Comparison",
    "Epoch",
    "FineTune",
    "Judgement",
    "Run",
    "Schedule",
    "Sets",
    "State",
    "Stopping",
    "Summary",
    "changed",
    "compared",
    "comparison_rows",
    "comparison_sections",
    "defaults",
    "differing",
    "discriminate",
    "engine",
    "find_runs",
    "fit",
    "freeze",
    "fresh_model",
    "judge",
    "lasted",
    "open_sets",
    "optimizer",
    "placed",
    "resume",
    "run_page",
    "said",
    "start",
    "story",
    "summarised",
    "sweep",
    "write_comparison",
    "write_page",
]
