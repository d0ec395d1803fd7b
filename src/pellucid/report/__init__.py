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
    thumbnails,
    worked_steps,
)
from .changes import change_sheet
from .contours import contours
from .descriptors import descriptor_sheet
from .differences import before_after, magnified
from .drawn_answers import DrawnAnswers, drawn_answers
from .figures import histogram, panel, reliability_diagram
from .frames import FORMATS, save_frames
from .line_sheets import Curves, line_sheet
from .maps import Box, Map, map_rows, save_maps
from .matched_pictures import matched_pictures
from .matrices import Matrix, matrices
from .named_points import NamedPoint, named_points, save_named_points
from .page import Fact, Section, page
from .pictures import boxed, colour, data_uri, enlarged, fitted, overlay, pixels, thumbnail
from .plots import Field, lines, scatter
from .point_map import MOST_PICTURES, PointPicture, point_map, point_picture
from .populations import populations
from .predictions import Predicted, predictions
from .ranges import Range, ranges
from .retrieved import Picture, retrieved
from .risk_curves import risk_curves
from .sheets import bar_chart, captioned, channel_sheet, contact_sheet, curves, mosaic, pair_sheet, scaled_maps
from .surfaces import surface
from .word_sheets import word_map_sheet, word_sheet

__all__ = [
    "FORMATS",
    "MOST_PICTURES",
    "Box",
    "Curves",
    "DrawnAnswers",
    "Fact",
    "Field",
    "Map",
    "Matrix",
    "NamedPoint",
    "Picture",
    "PointPicture",
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
    "descriptor_sheet",
    "details",
    "drawings",
    "drawn_answers",
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
    "matched_pictures",
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
    "point_map",
    "point_picture",
    "populations",
    "predictions",
    "ranges",
    "reliability_diagram",
    "retrieved",
    "risk_curves",
    "save_frames",
    "save_maps",
    "save_named_points",
    "scaled_maps",
    "scatter",
    "surface",
    "table",
    "thumbnail",
    "thumbnails",
    "word_map_sheet",
    "word_sheet",
    "worked_steps",
]
