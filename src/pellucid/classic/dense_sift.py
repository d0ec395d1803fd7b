"""Dense SIFT: what the edges of each small patch look like, as 128 numbers that light hardly changes.

D. Lowe, "Distinctive Image Features from Scale-Invariant Keypoints", International Journal of Computer Vision 60(2),
2004, section 6, https://doi.org/10.1023/B:VISI.0000029664.99615.94; on a regular grid, as in S. Lazebnik, C. Schmid,
J. Ponce, "Beyond Bags of Features", CVPR 2006, section 4, https://doi.org/10.1109/CVPR.2006.68.
"""

from functools import cache
from itertools import product

import torch
from torch import Tensor

from pellucid.checks import check_choice, check_count, check_images, check_range

from ._gradients import BORDERS, SHARES, check_channels, gray, orientations, padded

CELLS = 4
"""A patch has so many rows and so many columns of cells."""

CPU_PIXELS, OTHER_PIXELS = 2**16, 2**23
"""Pixels that are worked on at a time: on a CPU, for each thread, what its cache holds; else what keeps it busy."""


@torch.no_grad()
def dense_sift(
    images: Tensor,
    *,
    patch: int = 16,
    stride: int = 8,
    bins: int = 8,
    orientation: str = "hard",
    cells: str = "hard",
    sigma: float = 8.0,
    floor: float = 0.5,
    clamp: float = 0.2,
    border: str = "replicate",
) -> Tensor:
    """SIFT descriptors of the patches on a regular grid, without turning or scaling any.

    Each of a patch's 4 x 4 cells counts its gradients by direction, weighted by their magnitude and by a Gaussian
    around the patch's middle. Patches are those of `grid`, row by row. With cells "linear" a gradient is shared among
    the cells around it, so that those up to half a cell outside the patch count too, as in Lowe's own; there, beyond
    the image's edge, nothing is counted.

    Args:
        images: (N, 1 or 3, H, W), float, in [0, 1], at least patch x patch; colour becomes gray.
        patch: side of a patch, in pixels, a multiple of 4, at least 4 and at most the image's shorter side.
        stride: step from patch to patch, in pixels, at least 1.
        bins: directions told apart, at least 2; bin 0 points right, to brighter, the next ones turn downwards.
        orientation: hard (a gradient counts for the nearest direction) or linear (is shared between the nearest two).
        cells: hard (a gradient counts for the cell it lies in) or linear (is shared among the up to four around it).
        sigma: standard deviation of the Gaussian weight, in pixels, above 0.
        floor: a descriptor of smaller norm (before it is made 1) becomes zeros; 0.5 is an edge of 5 % contrast.
        clamp: no number is larger before the last normalisation, in (0, 1]: tells an edge's light from its shape.
        border: what lies beyond the image's edge: replicate (the last pixel again) or reflect (the mirror image).

    Returns:
        (N, P, 16 * bins), float32 (float64 of such images), order cell row, cell column, direction; norm 1 or all 0.

    Raises:
        ValueError: images are too small, outside [0, 1] or neither gray nor RGB, or an option is out of its range.
    """
    check_images(images)
    height, width = images.shape[-2:]
    check_channels(images)
    _check_options(bins=bins, orientation=orientation, cells=cells, sigma=sigma, floor=floor, clamp=clamp)
    check_choice("border", border, BORDERS)
    rows, columns = grid_size(height, width, patch=patch, stride=stride)

    reach = patch // CELLS // 2 if cells == "linear" else 0
    framed = padded(gray(images), border)  # (N, H + 2, W + 2)
    weights = _weights(patch, sigma, reach).to(framed)  # (4, patch + 2 * reach)
    found = framed.new_empty(len(images), rows, columns, CELLS, CELLS, bins)
    count, band = _part(len(images), rows, patch=patch, stride=stride, width=width, device=images.device)
    deep = -(-((band - 1) * stride + patch + 2 * reach) // stride) * stride  # lines of an image, a multiple of stride
    spare = max(0, patch + 2 * reach - stride)  # so that every stride of lines starts a window
    lines = framed.new_empty(count * deep + spare, bins, width + 2 * reach)
    for start, first in product(range(0, len(images), count), range(0, rows, band)):
        some = framed[start : start + count]
        last = min(first + band, rows)
        top, bottom = first * stride - reach, (last - 1) * stride + patch + reach
        low, high = max(top, 0), min(bottom, height)
        used = lines[: len(some) * deep + spare].zero_()
        inside = used[: len(some) * deep].view(len(some), deep, bins, -1)[..., reach : reach + width]
        for bin_, strength in orientations(some[:, low : high + 2], bins, orientation):
            inside[:, low - top : high - top].scatter_(2, bin_, strength)
        _pool(used, weights, stride, found[start : start + count, first:last])
    return _normalised(found.view(len(images), rows * columns, -1), floor, clamp)


def grid(height: int, width: int, *, patch: int = 16, stride: int = 8) -> Tensor:
    """Where the patches of `dense_sift` lie: all that fit, row by row.

    Args:
        height: of the images, in pixels.
        width: of the images, in pixels.
        patch: side of a patch, in pixels, a multiple of 4.
        stride: step from patch to patch, in pixels, at least 1.

    Returns:
        (P, 2), int64: row and column of each patch's upper left pixel; its middle lies (patch - 1) / 2 further.

    Raises:
        ValueError: not one patch fits, or an option is out of its range.
    """
    rows, columns = grid_size(height, width, patch=patch, stride=stride)
    return torch.cartesian_prod(torch.arange(rows) * stride, torch.arange(columns) * stride).view(-1, 2)


def grid_size(height: int, width: int, *, patch: int = 16, stride: int = 8) -> tuple[int, int]:
    """How many rows and columns of patches `grid` has."""
    check_count("patch", patch, CELLS)
    if patch % CELLS:
        raise ValueError(f"patch must be a multiple of {CELLS}, got {patch}: it has {CELLS} x {CELLS} cells")
    check_count("stride", stride, 1)
    if min(height, width) < patch:
        raise ValueError(f"images must be at least {patch} x {patch}, one patch, got {height} x {width}")
    return (height - patch) // stride + 1, (width - patch) // stride + 1


def _check_options(*, bins: int, orientation: str, cells: str, sigma: float, floor: float, clamp: float) -> None:
    check_count("bins", bins, 2)
    check_choice("orientation", orientation, SHARES)
    check_choice("cells", cells, SHARES)
    if not 0 < sigma < float("inf"):
        raise ValueError(f"sigma must be above 0 and finite, got {sigma}")
    check_range("floor", floor, 0)
    if not 0 < clamp <= 1:
        raise ValueError(f"clamp must be in (0, 1], got {clamp}")


def _part(count: int, rows: int, *, patch: int, stride: int, width: int, device: torch.device) -> tuple[int, int]:
    """Images and rows of patches that are worked on at a time; which changes time and memory, never the result."""
    pixels = CPU_PIXELS * torch.get_num_threads() if device.type == "cpu" else OTHER_PIXELS
    band = max(1, min(rows, (pixels // width - patch) // stride + 1))
    return min(count, max(1, pixels // (width * ((band - 1) * stride + patch)))), band


@cache
def _weights(patch: int, sigma: float, reach: int) -> Tensor:
    """How much a pixel's row counts for each row of cells, (4, patch + 2 * reach), float64; for columns the same."""
    cell = patch // CELLS
    pixel = torch.arange(-reach, patch + reach, dtype=torch.float64)
    gauss = (-0.5 * ((pixel - (patch - 1) / 2) / sigma).square()).exp()
    middles = (torch.arange(CELLS) + 0.5) * cell - 0.5
    far = (pixel - middles[:, None]).abs() / cell  # (4, patch + 2 * reach), in cells
    return gauss * ((1 - far).clamp(min=0) if reach else (far < 0.5).double())


def _pool(lines: Tensor, weights: Tensor, stride: int, out: Tensor) -> None:
    """Weighted sums over the cells of all patches, out (n, rows, columns, 4, 4, bins), of lines (L, bins, w).

    The images lie below each other, each a multiple of the stride high; windows that reach from one into the next
    are summed too and dropped, so that there is but one product for all.
    """
    down = _summed(lines.flatten(1), weights, stride)  # (n * windows, 4, bins * w)
    across = _summed(down.view(-1, lines.shape[2]).T, weights, stride)  # (columns, 4, n * windows * 4 * bins)
    sums = across.view(len(across), CELLS, len(out), -1, CELLS, lines.shape[1])
    out.copy_(sums[:, :, :, : out.shape[1]].permute(2, 3, 0, 4, 1, 5))


def _summed(lines: Tensor, weights: Tensor, stride: int) -> Tensor:
    """Four weighted sums of every window of lines (L, M), one a stride: (windows, 4, M); no window is copied."""
    windows = lines.unfold(0, weights.shape[1], stride).mT  # (windows, taps, M)
    return torch.bmm(weights.expand(len(windows), -1, -1), windows)


def _normalised(found: Tensor, floor: float, clamp: float) -> Tensor:
    """Norm 1, no number above the clamp, norm 1 again; weak ones are zeros. Works in place."""
    norm = torch.linalg.vector_norm(found, dim=-1, keepdim=True)
    is_weak = norm < max(floor, torch.finfo(found.dtype).tiny)
    torch.minimum(found, norm * clamp, out=found)
    norm = torch.linalg.vector_norm(found, dim=-1, keepdim=True)
    return found.mul_(torch.where(is_weak, 0, 1 / norm))
