"""Recipes: trainings ready to be asked for by name; each is a function whose options are the flags of `pellucid train`.

recipe(data, run, fabric, *, options) -> what it tells, line by line; everything else goes into the run.
"""

from ._told import Told
from .cifar10_fast import cifar10_fast
from .classify import classify
from .finetune import finetune
from .jigsaw import jigsaw
from .ladder import ladder
from .tabular import tabular

__all__ = ["Told", "cifar10_fast", "classify", "finetune", "jigsaw", "ladder", "tabular"]
