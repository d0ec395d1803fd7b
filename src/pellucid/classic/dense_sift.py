"""Dense SIFT: what the edges of each small patch look like, as 128 numbers that light hardly changes.

D. Lowe, "Distinctive Image Features from Scale-Invariant Keypoints", International Journal of Computer Vision 60(2),
2004, section 6, https://doi.org/10.1023/B:VISI.0000029664.99615.94; on a regular grid, as in S. Lazebnik, C. Schmid,
J. Ponce, "Beyond Bags of Features", CVPR 2006, section 4, https://doi.org/10.1109/CVPR.2006.68.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from pellucid.checks import check_choice, check_count, check_images, check_range

from ._cells import CELLS, Cells, Counter, parts
from ._gradients import BORDERS, SHARES, check_channels, gray, padded
from ._threads import in_threads, one_thread

CPU_PIXELS, OTHER_PIXELS = 2**17, 2**23
"""Pixels that are worked on at a time: on a CPU, by each thread, what its cache holds; else what keeps it busy."""


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
    _check_options(bins=bins, orientation=orientation, cells=cells, sigma=sigma, floor=floor, clamp=clamp)
    check_choice("border", border, BORDERS)
    with one_thread() as threads:
        check_images(images)
        check_channels(images)
        count, _, height, width = images.shape
        rows, columns = grid_size(height, width, patch=patch, stride=stride)
        reach = patch // CELLS // 2 if cells == "linear" else 0
        how = Cells(patch=patch, stride=stride, bins=bins, orientation=orientation, reach=reach, sigma=sigma)
        like = images if images.dtype == torch.float64 else images.float()
        found = like.new_empty(count, rows, columns, CELLS, CELLS, bins)
        pixels, most = (CPU_PIXELS, threads) if images.device.type == "cpu" else (OTHER_PIXELS, 1)
        todo = parts(count, rows, how, width, pixels=pixels, threads=most)

        def work(some: Sequence[tuple[slice, slice]]) -> None:
            counted = Counter(how, like, todo[0][0].stop, todo[0][1].stop, width)
            for which, band in some:
                here = found[which, band]
                counted(padded(gray(images[which]), border), band.start, here)
                _normalise(here.flatten(3), floor, clamp)

        in_threads(work, todo, most)
    return found.view(count, rows * columns, -1)


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


def _normalise(found: Tensor, floor: float, clamp: float) -> None:
    """Norm 1, no number above the clamp, norm 1 again; weak ones are zeros. Works in place."""
    norm = torch.linalg.vector_norm(found, dim=-1, keepdim=True)
    is_weak = norm < max(floor, torch.finfo(found.dtype).tiny)
    torch.minimum(found, norm * clamp, out=found)
    norm = torch.linalg.vector_norm(found, dim=-1, keepdim=True)
    found.mul_(torch.where(is_weak, 0, 1 / norm))
