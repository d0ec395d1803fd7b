"""Make patch.png: a toaster patch trained on crops of scikit-image's public-domain photographs, laid on them.

    python docs/images/make_patch.py MODEL [PATCH.png]

MODEL is the folder of any ImageNet classifier; what is committed is MobileNetV2's. Training takes about ten minutes on
two free cores; a PATCH.png that `write_patch` wrote saves it.
"""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from matplotlib import pyplot
from PIL import Image
from skimage import data
from torch import Tensor

from pellucid import models, report
from pellucid.attack import Patch, Trace, patch, read_patch
from pellucid.attack._places import Places

PHOTOGRAPHS = ("cat", "astronaut", "coffee", "rocket")
AT = ((168, 58), (160, 170), (60, 60), (150, 60))
"""Row and column of the patch's centre in each, chosen before the answers were seen: the cat stays a cat."""
STEPS = 260


def photograph(name: str) -> Tensor:
    """(1, 3, H, W), in [0, 1]."""
    return torch.from_numpy(getattr(data, name)()).permute(2, 0, 1)[None].float() / 255


def square(image: Tensor, top: int, left: int, side: int) -> Tensor:
    """A square of an image, brought to 224 x 224."""
    part = image[..., top : top + side, left : left + side]
    return F.interpolate(part, (224, 224), mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)


def crops(generator: torch.Generator) -> Tensor:
    """Sixteen of each photograph, of half its shorter side to all of it, half of them mirrored."""
    made: list[Tensor] = []
    for name in PHOTOGRAPHS:
        image = photograph(name)
        height, width = image.shape[-2:]
        for _ in range(16):
            size, down, across, turn = torch.rand(4, generator=generator).tolist()
            side = int(min(height, width) * (0.5 + 0.5 * size))
            one = square(image, int(down * (height - side)), int(across * (width - side)), side)
            made.append(one.flip(3) if turn < 0.5 else one)
    return torch.cat(made)


def middles() -> Tensor:
    """The middle square of each photograph."""
    images = [photograph(name) for name in PHOTOGRAPHS]
    sides = [min(image.shape[-2:]) for image in images]
    return torch.cat(
        [
            square(image, (image.shape[-2] - side) // 2, (image.shape[-1] - side) // 2, side)
            for image, side in zip(images, sides, strict=True)
        ]
    )


def trained(model: models.Model) -> Patch:
    """A toaster, on 5 % of the crops."""
    images = crops(torch.Generator().manual_seed(0))
    target = torch.full((len(images),), model.classes.index("toaster"))
    trace = Trace()
    patch(model, images, target, targeted=True, steps=STEPS, trace=trace)
    made: Patch = trace.made
    return made


def draw(model: models.Model, made: Patch, path: Path) -> None:
    """The patch, and each photograph before and after, with what it is called."""
    images = middles()
    rows, columns = torch.tensor(AT).float().T
    places = Places(rows, columns, torch.tensor([12.0, -8.0, 0.0, -15.0]), torch.tensor([1.2, 1.2, 1.2, 1.2]))
    patched = made.paste(images, places=places)
    alone = made.mask * made.colours + (1 - made.mask)
    figure, axes = pyplot.subplots(2, 5, figsize=(9.6, 4.3), dpi=100)
    for row, some in zip(axes[:, 1:], (images, patched), strict=True):
        with torch.no_grad():
            chances, called = model(some).softmax(dim=1).max(dim=1)
        for axis, image, chance, one in zip(row, some, chances.tolist(), called.tolist(), strict=True):
            axis.imshow(report.pixels(image))
            axis.set_title(f"{model.classes[one].split(',')[0]}  {chance:.0%}", fontsize=10)
    axes[1, 0].imshow(report.pixels(alone), interpolation="bilinear")
    axes[1, 0].set_title("the patch: a toaster", fontsize=10)
    share = f"{100 * made.spread.area * 1.2**2:.0f} %"
    told = f"MobileNetV2\nwithout (above)\nand with (below)\na patch on {share}\nof the image"
    axes[0, 0].text(0, 0.5, told, fontsize=11, va="center", transform=axes[0, 0].transAxes)
    for axis in axes.flat:
        axis.axis("off")
    figure.tight_layout(pad=0.8, w_pad=0.6, h_pad=0.8)
    figure.savefig(path)
    pyplot.close(figure)
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(200, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)


if __name__ == "__main__":
    chosen = models.load(sys.argv[1])
    chosen.eval()
    given = read_patch(sys.argv[2]) if len(sys.argv) > 2 else trained(chosen)
    draw(chosen, given, Path(__file__).parent / "patch.png")
