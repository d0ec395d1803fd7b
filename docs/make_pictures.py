"""Make the picture of the README: scikit-image's public-domain cat, as `pellucid explain` draws it.

    python docs/make_pictures.py MODEL

MODEL is any ImageNet classifier; the committed picture is MobileNetV2's.
"""

import sys
import tempfile
from pathlib import Path

from PIL import Image
from skimage import data

from pellucid.cli import main


def make(model: str) -> None:
    """Explain the cat for two of its classes and keep the panel."""
    with tempfile.TemporaryDirectory() as folder:
        cat, maps = Path(folder) / "cat.png", Path(folder) / "maps"
        Image.fromarray(data.cat()).save(cat)
        methods, targets = "saliency,guided_backprop,occlusion,grad_cam", "Egyptian cat,tiger cat"
        code = main(["explain", model, str(cat), "--method", methods, "--target", targets, "-o", str(maps)])
        if code:
            sys.exit(code)
        with Image.open(maps / "cat.png") as panel:
            panel.convert("RGB").resize((panel.width * 3 // 4, panel.height * 3 // 4)).save(
                Path(__file__).parent / "cat.jpg", quality=85
            )


if __name__ == "__main__":
    make(sys.argv[1])
