"""Numbers in, pictures and pages out; knows no method."""

from .blocks import cards, definitions, details, gallery, grid, notice, plain_list, table
from .figures import histogram, panel, reliability_diagram
from .maps import Map, save_maps
from .page import Fact, Section, page
from .pictures import colour, data_uri, enlarged, fitted, overlay, pixels

__all__ = [
    "Fact",
    "Map",
    "Section",
    "cards",
    "colour",
    "data_uri",
    "definitions",
    "details",
    "enlarged",
    "fitted",
    "gallery",
    "grid",
    "histogram",
    "notice",
    "overlay",
    "page",
    "panel",
    "pixels",
    "plain_list",
    "reliability_diagram",
    "save_maps",
    "table",
]
