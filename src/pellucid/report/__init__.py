"""Numbers in, pictures and pages out; knows no method."""

from .bands import bands
from .blocks import (
    cards,
    definitions,
    details,
    drawings,
    gallery,
    grid,
    legend,
    notice,
    plain_list,
    table,
    worked_steps,
)
from .changes import change_sheet
from .contours import contours
from .differences import before_after, magnified
from .figures import histogram, panel, reliability_diagram
from .frames import FORMATS, save_frames
from .line_sheets import Curves, line_sheet
from .maps import Box, Map, map_rows, save_maps
from .matrices import Matrix, matrices
from .named_points import NamedPoint, named_points, save_named_points
from .page import Fact, Section, page
from .pictures import boxed, colour, data_uri, enlarged, fitted, overlay, pixels
from .plots import Field, lines, scatter
from .predictions import Predicted, predictions
from .ranges import Range, ranges
from .sheets import bar_chart, captioned, channel_sheet, contact_sheet, curves, mosaic, pair_sheet, scaled_maps
from .surfaces import surface

__all__ = [
    "FORMATS",
    "Box",
    "Curves",
    "Fact",
    "Field",
    "Map",
    "Matrix",
    "NamedPoint",
    "Predicted",
    "Range",
    "Section",
    "bands",
    "bar_chart",
    "before_after",
    "boxed",
    "captioned",
    "cards",
    "change_sheet",
    "channel_sheet",
    "colour",
    "contact_sheet",
    "contours",
    "curves",
    "data_uri",
    "definitions",
    "details",
    "drawings",
    "enlarged",
    "fitted",
    "gallery",
    "grid",
    "histogram",
    "legend",
    "line_sheet",
    "lines",
    "magnified",
    "map_rows",
    "matrices",
    "mosaic",
    "named_points",
    "notice",
    "overlay",
    "page",
    "pair_sheet",
    "panel",
    "pixels",
    "plain_list",
    "predictions",
    "ranges",
    "reliability_diagram",
    "save_frames",
    "save_maps",
    "save_named_points",
    "scaled_maps",
    "scatter",
    "surface",
    "table",
    "worked_steps",
]
