"""Everything the looking-inside methods show of a few pictures, as one page."""

from .gallery import Gallery, gallery

__all__ = ["Gallery", "gallery"]
