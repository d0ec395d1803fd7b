"""Images, boxes and points brought to where a matrix puts them."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ._op import Size
from .warps import adjugate


def warped(images: Tensor, matrix: Tensor, mode: str) -> Tensor:
    """Images (N, C, H, W), looked up at matrix (N, 3, 3) times each pixel's middle; zero outside.

    Args:
        images: any dtype where mode is nearest, else float.
        matrix: (N, 3, 3), float64, on the CPU: from a place in what comes out to one in what goes in, in pixels.
        mode: bilinear or nearest.
    """
    if not images.is_floating_point():
        return warped(images.double(), matrix, mode).to(images.dtype)
    height, width = images.shape[-2:]
    scale = torch.tensor([2 / width, 2 / height], dtype=torch.float64)[:, None]
    sides = matrix[:, :2] * scale - matrix[:, 2:]  # (N, 2, 3): to [-1, 1], as grid_sample counts
    rows = torch.cat([sides, matrix[:, 2:]], dim=1).to(images)[..., None, None]  # (N, 3, 3, 1, 1)
    x = torch.arange(width, device=images.device, dtype=images.dtype) + 0.5
    y = (torch.arange(height, device=images.device, dtype=images.dtype) + 0.5)[:, None]
    grid = images.new_empty(len(images), height, width, 2)
    for axis in (0, 1):
        torch.add(rows[:, axis, 0] * x + rows[:, axis, 2], rows[:, axis, 1] * y, out=grid[..., axis])
    if bool((matrix[:, 2, :2] != 0).any()):
        grid /= (rows[:, 2, 0] * x + rows[:, 2, 2] + rows[:, 2, 1] * y)[..., None]
    looked_up = F.grid_sample(images, grid, mode=mode, padding_mode="zeros", align_corners=False)
    return looked_up.clamp_(0, 1) if mode == "bilinear" else looked_up


def moved_points(points: Tensor, matrix: Tensor) -> Tensor:
    """Points (P, 2), x and y in pixels, where the matrix (3, 3) of `warped` puts them."""
    forward = adjugate(matrix[None])[0].to(points.device)
    placed = torch.cat([points.double(), points.new_ones(len(points), 1).double()], dim=1) @ forward.T  # (P, 3)
    return (placed[:, :2] / placed[:, 2:]).to(points.dtype)


def moved_boxes(boxes: Tensor, matrix: Tensor, size: Size) -> tuple[Tensor, Tensor]:
    """Boxes (M, 4), x0 y0 x1 y1 half open in pixels, around where their corners go, cut at the image's edge.

    Returns:
        The boxes (M, 4), and the share (M,) of each one's area that is left in the image.
    """
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 2)
    placed = moved_points(corners, matrix).view(-1, 4, 2)  # (M, 4, 2)
    low, high = placed.amin(dim=1), placed.amax(dim=1)
    edge = low.new_tensor([size[1], size[0]])
    inside_low, inside_high = low.clamp(min=0).minimum(edge), high.clamp(min=0).minimum(edge)
    area, left = (high - low).prod(dim=1), (inside_high - inside_low).prod(dim=1)
    share = torch.where(area > 0, left / torch.where(area > 0, area, 1), 0)
    return torch.cat([inside_low, inside_high], dim=1), share
