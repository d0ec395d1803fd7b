"""A model owns its normalisation, class names and input frame; load one, save one, look at its layers, ask it."""

from . import zoo
from ._model_json import is_model_folder, save
from .create import create
from .describe import Description, ReceptiveField, Row, describe
from .evaluate import Plan, evaluate
from .find_classes import find_classes
from .layers import Layer, cam_layers, layers
from .load import load
from .model import Model, network_of
from .predict import Prediction, are_probabilities, class_logits, predict, rank
from .weights import weights_hash

__all__ = [
    "Description",
    "Layer",
    "Model",
    "Plan",
    "Prediction",
    "ReceptiveField",
    "Row",
    "are_probabilities",
    "cam_layers",
    "class_logits",
    "create",
    "describe",
    "evaluate",
    "find_classes",
    "is_model_folder",
    "layers",
    "load",
    "network_of",
    "predict",
    "rank",
    "save",
    "weights_hash",
    "zoo",
]
