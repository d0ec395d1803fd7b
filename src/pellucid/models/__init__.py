"""A model owns its normalisation, class names and input frame; load one, save one, look at its layers, ask it."""

from . import zoo
from ._chunks import paced
from ._folder import settle
from ._model_json import is_model_folder, save
from ._table_json import is_table_model, load_table_model, save_table_model
from .create import create
from .describe import Description, ReceptiveField, Row, describe, receptive_field
from .evaluate import Cost, Plan, differentiate, evaluate, is_rehearsal, rehearsal, unvaried
from .fills import FILLS, as_number, filled
from .find_classes import find_classes
from .framed import framed
from .grids import Grid, cam_layers, find_grid
from .heads import find_head, with_head
from .layers import Layer, layers
from .load import load
from .model import Model, network_of
from .predict import Prediction, are_probabilities, class_logits, predict, rank
from .scaling import SCALERS, Scaler
from .scores import OBJECTIVES, Score, scorer
from .survey import Accuracy, Measured, Survey, Surveyed, accuracies, networks, survey, survey_one
from .table_model import TableModel, create_table_model
from .weights import weights_hash

__all__ = [
    "FILLS",
    "OBJECTIVES",
    "SCALERS",
    "Accuracy",
    "Cost",
    "Description",
    "Grid",
    "Layer",
    "Measured",
    "Model",
    "Plan",
    "Prediction",
    "ReceptiveField",
    "Row",
    "Scaler",
    "Score",
    "Survey",
    "Surveyed",
    "TableModel",
    "accuracies",
    "are_probabilities",
    "as_number",
    "cam_layers",
    "class_logits",
    "create",
    "create_table_model",
    "describe",
    "differentiate",
    "evaluate",
    "filled",
    "find_classes",
    "find_grid",
    "find_head",
    "framed",
    "is_model_folder",
    "is_rehearsal",
    "is_table_model",
    "layers",
    "load",
    "load_table_model",
    "network_of",
    "networks",
    "paced",
    "predict",
    "rank",
    "receptive_field",
    "rehearsal",
    "save",
    "save_table_model",
    "scorer",
    "settle",
    "survey",
    "survey_one",
    "unvaried",
    "weights_hash",
    "with_head",
    "zoo",
]
