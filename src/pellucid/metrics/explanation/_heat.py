"""What is asked of a map before it is measured."""

from torch import Tensor


def check_heat(heat: Tensor, images: Tensor | None = None) -> None:
    """Refuse anything but finite float maps (N, H, W), one of each image's size."""
    if not isinstance(heat, Tensor) or not heat.is_floating_point():
        given = heat.dtype if isinstance(heat, Tensor) else type(heat).__name__
        raise ValueError(f"heat must be a float tensor (N, H, W), got {given}")
    if images is not None and heat.shape != (len(images), *images.shape[-2:]):
        wanted = (len(images), *images.shape[-2:])
        raise ValueError(f"heat must have shape {wanted}, one map of each image's size, got {tuple(heat.shape)}")
    if heat.ndim != 3 or heat.numel() == 0:
        raise ValueError(f"heat must have shape (N, H, W) and not be empty, got {tuple(heat.shape)}")
    bad = (~heat.isfinite()).flatten(1).any(dim=1)
    if bad.any():
        raise ValueError(
            f"heat must be finite, got NaN or infinity in map {int(bad.nonzero()[0])} (is_flat tells which)"
        )
