"""Make the README's picture and the gallery from scikit-image's public-domain photographs.

    python docs/make_pictures.py MODEL

MODEL is the folder of any ImageNet classifier; what is committed is MobileNetV2's. The gallery is what
`pellucid gallery MODEL cat.png astronaut.png coffee.png rocket.png -o gallery` makes.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from skimage import data

from pellucid.cli import main

HERE = Path(__file__).parent
PHOTOGRAPHS = ("cat", "astronaut", "coffee", "rocket")
SHOWN = "integrated_gradients,guided_backprop,occlusion,rise,grad_cam,layer_cam"


def make(model: Path) -> None:
    """Both, in a folder of their own, so that no path of this machine stands in them."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path(model.name).symlink_to(model)
        for name in PHOTOGRAPHS:
            Image.fromarray(getattr(data, name)()).save(f"{name}.png")
        run("explain", model.name, "cat.png", "--method", SHOWN, "--target", "Egyptian cat,tiger cat", "-o", "maps")
        with Image.open("maps/cat.png") as panel:
            small = panel.convert("RGB").resize((panel.width * 5 // 8, panel.height * 5 // 8), Image.Resampling.LANCZOS)
            small.save(HERE / "cat.jpg", quality=85)
        run("gallery", model.name, *(f"{name}.png" for name in PHOTOGRAPHS), "-o", "gallery")
        for file in Path("gallery").iterdir():
            shutil.copyfile(file, HERE / "gallery" / file.name)


def run(*words: str) -> None:
    """One command of pellucid; its failure ends all."""
    if code := main(words):
        sys.exit(code)


if __name__ == "__main__":
    make(Path(sys.argv[1]).resolve())
