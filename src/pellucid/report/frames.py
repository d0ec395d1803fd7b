"""Frames become a moving picture: GIF, which everything plays, or APNG, which keeps every colour."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from torch import Tensor

from pellucid.checks import check_choice, check_range

from .pictures import fitted, pixels

FORMATS = {"gif": ".gif", "apng": ".png"}
"""Formats, with the suffix of their files."""


def save_frames(
    frames: Tensor | Sequence[Tensor], path: Path, *, form: str = "gif", seconds: float = 0.12, hold: float = 1.5
) -> None:
    """Write images as one moving picture that starts again at its end.

    Args:
        frames: (F, C, H, W), in [0, 1], at least one; small ones are enlarged pixel by pixel.
        path: the file to write.
        form: gif (256 colours a frame) or apng (every colour, larger).
        seconds: each frame is shown, at least 0.02, for players slow down what is faster.
        hold: seconds the last frame is shown, at least as long.
    """
    check_choice("form", form, FORMATS)
    check_range("seconds", seconds, 0.02)
    check_range("hold", hold, seconds)
    if not len(frames):
        raise ValueError("frames must be at least one, got none")
    shown = [Image.fromarray(pixels(fitted(one, 112, 1024))) for one in frames]
    times = [round(1000 * seconds)] * (len(shown) - 1) + [round(1000 * hold)]
    if form == "gif":
        flat = [one.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.FLOYDSTEINBERG) for one in shown]
        flat[0].save(path, "GIF", save_all=True, append_images=flat[1:], duration=times, loop=0, disposal=2)
    else:
        shown[0].save(path, "PNG", save_all=True, append_images=shown[1:], duration=times, loop=0)
