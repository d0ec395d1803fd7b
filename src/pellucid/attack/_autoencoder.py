"""A small autoencoder of the images at hand: what a latent attack walks in when it is given no decoder.

The linear autoencoder's best weights are the principal components, so those are taken and not searched for: P. Baldi,
K. Hornik, "Neural Networks and Principal Component Analysis: Learning from Examples Without Local Minima", Neural
Networks 2, 1989, section 3. https://doi.org/10.1016/0893-6080(89)90014-2. A small net is trained to add what is left.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.progress import steps as progress

HIDDEN, MAPS, GRID = 128, 16, 8
"""Width of the hidden layer, and maps and side of the grid that it draws, before they are spread over the image."""

BATCH, RATE = 64, 3e-3
"""Images a step, and Adam's learning rate."""


class Autoencoder(nn.Module):
    """Images (N, C, H, W) to latents (N, D) and back; a latent's length is a pixel distance, in units of `scale`.

    Args:
        images: (M, C, H, W), at least two different ones; their principal components are taken.
        size: D, at most; never more than their span has dimensions.
        generator: of the small net's first weights.
    """

    mean: Tensor
    basis: Tensor
    scale: Tensor

    def __init__(self, images: Tensor, size: int, generator: torch.Generator) -> None:
        super().__init__()
        self.shape = tuple(images.shape[1:])
        mean, basis, deviations = _components(images.flatten(1), size)
        self.register_buffer("mean", mean)
        self.register_buffer("basis", basis)  # (D, C * H * W)
        self.register_buffer("scale", deviations.square().mean().sqrt())
        grid = MAPS * min(GRID, self.shape[1]) * min(GRID, self.shape[2])
        self.hidden = _drawn((HIDDEN, len(basis)), images, generator)
        self.drawing = _drawn((grid, HIDDEN), images, generator)
        self.mixing = nn.Parameter(images.new_zeros(self.shape[0], MAPS, 3, 3))  # adds nothing before it has learned

    def encode(self, images: Tensor) -> Tensor:
        """Latents (N, D)."""
        return (images.flatten(1) - self.mean) @ self.basis.T / self.scale

    def forward(self, latents: Tensor) -> Tensor:
        """Images (N, C, H, W), not yet clamped."""
        height, width = self.shape[1:]
        flat = self.mean + latents * self.scale @ self.basis
        drawn = ((latents @ self.hidden.T).tanh() @ self.drawing.T).relu()
        drawn = drawn.view(-1, MAPS, min(GRID, height), min(GRID, width))
        drawn = F.interpolate(drawn, size=(height, width), mode="bilinear", align_corners=False)
        return flat.view(-1, *self.shape) + F.conv2d(drawn, self.mixing, padding=1)


def trained_autoencoder(images: Tensor, *, size: int, steps: int, generator: torch.Generator) -> Autoencoder:
    """An autoencoder of these images (M, C, H, W), in eval mode.

    Raises:
        ValueError: all images are the same, so that there is nothing to walk between.
    """
    with torch.inference_mode(False), torch.enable_grad(), progress("autoencoder", steps) as done:
        images = images.clone()
        net = Autoencoder(images, size, generator)
        latents = net.encode(images)
        optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
        for _ in range(steps):
            some = torch.randperm(len(images), generator=generator, device=generator.device)[:BATCH].to(images.device)
            optimizer.zero_grad()
            F.mse_loss(net(latents[some]), images[some]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            done(1)
    net.requires_grad_(False).eval()
    learned = net.mixing.clone()
    after = _missed(net, images, latents)
    net.mixing.zero_()
    if after < _missed(net, images, latents):  # what the components make exactly can only be harmed
        net.mixing.copy_(learned)
    return net


def _missed(net: Autoencoder, images: Tensor, latents: Tensor) -> float:
    """Mean squared error over all images."""
    parts = zip(torch.split(images, BATCH), torch.split(latents, BATCH), strict=True)
    return sum(float((net(some) - wanted).square().sum()) for wanted, some in parts) / images.numel()


def _components(flat: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (P,), the principal directions (D, P) and their standard deviations (D,), largest first."""
    mean = flat.mean(dim=0)
    centred = (flat - mean).double()
    is_wide = flat.shape[0] <= flat.shape[1]
    values, vectors = torch.linalg.eigh(centred @ centred.T if is_wide else centred.T @ centred)
    values, vectors = values.flip(0), vectors.flip(1)
    rank = min(size, int((values > 1e-9 * max(float(values[0]), 1e-12)).sum()))
    if float(values[0]) < 1e-9 or not rank:
        raise ValueError("the images are all the same: give start=other images, or a decoder")
    values, vectors = values[:rank], vectors[:, :rank]
    basis = (vectors.T @ centred / values.sqrt()[:, None]) if is_wide else vectors.T
    return mean, basis.to(flat), (values / len(flat)).sqrt().to(flat)


def _drawn(shape: tuple[int, int], like: Tensor, generator: torch.Generator) -> nn.Parameter:
    drawn = torch.randn(shape, generator=generator, device=generator.device) / shape[1] ** 0.5
    return nn.Parameter(drawn.to(like))
