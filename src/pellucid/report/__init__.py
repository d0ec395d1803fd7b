"""Numbers in, pictures and pages out; knows no method."""

from .blocks import cards, definitions, details, gallery, grid, legend, notice, plain_list, table
from .figures import histogram, panel, reliability_diagram
from .frames import FORMATS, save_frames
from .maps import Box, Map, map_rows, save_maps
from .page import Fact, Section, page
from .pictures import boxed, colour, data_uri, enlarged, fitted, overlay, pixels
from .sheets import bar_chart, captioned, channel_sheet, contact_sheet, curves, mosaic, scaled_maps

__all__ = [
    "FORMATS",
    "Box",
    "Fact",
    "Map",
    "Section",
    "bar_chart",
    "boxed",
    "captioned",
    "cards",
    "channel_sheet",
    "colour",
    "contact_sheet",
    "curves",
    "data_uri",
    "definitions",
    "details",
    "enlarged",
    "fitted",
    "gallery",
    "grid",
    "histogram",
    "legend",
    "map_rows",
    "mosaic",
    "notice",
    "overlay",
    "page",
    "panel",
    "pixels",
    "plain_list",
    "reliability_diagram",
    "save_frames",
    "save_maps",
    "scaled_maps",
    "table",
]
