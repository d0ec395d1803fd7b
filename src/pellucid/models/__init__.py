"""A model owns its normalisation, class names and input frame; load one, save one, look at its layers, ask it."""

from . import zoo
from ._model_json import is_model_folder, save
from .create import create
from .describe import Description, ReceptiveField, Row, describe, receptive_field
from .evaluate import Cost, Plan, differentiate, evaluate, is_rehearsal, rehearsal, unvaried
from .fills import FILLS, as_number, filled
from .find_classes import find_classes
from .grids import Grid, cam_layers, find_grid
from .layers import Layer, layers
from .load import load
from .model import Model, network_of
from .predict import Prediction, are_probabilities, class_logits, predict, rank
from .scores import OBJECTIVES, Score, scorer
from .weights import weights_hash

__all__ = [
    "FILLS",
    "OBJECTIVES",
    "Cost",
    "Description",
    "Grid",
    "Layer",
    "Model",
    "Plan",
    "Prediction",
    "ReceptiveField",
    "Row",
    "Score",
    "are_probabilities",
    "as_number",
    "cam_layers",
    "class_logits",
    "create",
    "describe",
    "differentiate",
    "evaluate",
    "filled",
    "find_classes",
    "find_grid",
    "is_model_folder",
    "is_rehearsal",
    "layers",
    "load",
    "network_of",
    "predict",
    "rank",
    "receptive_field",
    "rehearsal",
    "save",
    "scorer",
    "unvaried",
    "weights_hash",
    "zoo",
]
