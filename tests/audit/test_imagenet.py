"""The four ImageNet-trained models on the ImageNet sample: read, matched, predicted and counted right.

The weights page's figures are higher: it names the original photographs, of which the sample here is a bicubic resize
to 256 with JPEG compression, which is the likely cause. So two things are checked: the pixels are to the bit those of
torchvision's own transforms, and the accuracy is the one measured on these files.
"""

from pathlib import Path

import pytest
import torch
from torchvision import transforms

from pellucid import data, models
from pellucid.audit.predictions import predict_set
from pellucid.metrics import in_top_k

pytestmark = pytest.mark.real

MEASURED = {  # top-1, top-5 in percent on the sample; the weights page says 80.8/95.4, 61.0/83.3, 81.0/94.7, 45.1/71.1
    "mobilenet_v2": (78.5, 94.6),
    "squeezenet1_1": (60.2, 82.8),
    "mobilenet_v1_075": (77.0, 94.2),
    "mobilenet_v1_025": (44.3, 71.1),
}


@pytest.mark.parametrize("name", MEASURED)
def test_accuracy_is_the_measured_one(name: str, data_folder: Path, weights_folder: Path) -> None:
    model = models.load(weights_folder / name)
    images = data.open_images(data_folder / "imagenet-sample")
    targets = data.match_classes(images, model.classes, model.class_ids)
    assert targets.tolist() == list(range(1000)), "matched by wnid, in the standard order"
    found = predict_set(model, images, targets[images.targets].tolist())
    assert len(found) == 1000
    top1 = 100 * found.correct.double().mean().item()
    top5 = 100 * in_top_k(found.ranked, found.targets).double().mean().item()
    assert (top1, top5) == pytest.approx(MEASURED[name], abs=0.5)


@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v1_075"])
def test_pixels_are_those_of_torchvisions_transforms(name: str, data_folder: Path, weights_folder: Path) -> None:
    model = models.load(weights_folder / name)
    images = data.open_images(data_folder / "imagenet-sample")
    size, resize = model.geometry.size, model.geometry.resize
    assert isinstance(resize, int)
    theirs = transforms.Compose([transforms.Resize(resize), transforms.CenterCrop(size), transforms.PILToTensor()])
    for place in range(1000):
        item = images.items[place]
        picture = images.sources[item.source].read(item.name)
        assert torch.equal(images.read(place, model.geometry), theirs(picture.convert("RGB")))
