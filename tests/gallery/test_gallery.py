"""The gallery: one page of everything that can be seen inside."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from pellucid import data, explain
from pellucid.gallery import Gallery, gallery
from pellucid.methods import methods, title
from pellucid.models import Model

QUICK = "saliency,grad_cam,occlusion,cam"
CLASSES = ("ant", "bee", "<cow>")


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
    )


def model(network: nn.Module) -> Model:
    return Model(network.eval(), mean=[0.5], std=[0.5], classes=CLASSES, size=12)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for seed, name in enumerate(("one.png", "two & three.png")):
        noise = np.random.default_rng(seed).integers(0, 256, (12, 12), dtype=np.uint8)
        Image.fromarray(noise).save(folder / name)
    (folder / "broken.png").write_text("x")
    return folder


@pytest.fixture(scope="module")
def found(pictures: Path) -> Gallery:
    return gallery(model(net()), data.gather([pictures]), methods=QUICK, made=2, steps=3)


def test_every_picture_is_shown_under_every_method(found: Gallery) -> None:
    page = found.page()
    looks = page.partition('<section id="looks"')[2].partition("</section>")[0]
    assert looks.count("<h4>") == 2
    for name in QUICK.split(","):
        assert looks.count(f"<figcaption>{title(methods(explain)[name])}</figcaption>") == 2
    assert [section.key for section in found.sections] == ["looks", "inside", "made", "notes"]
    assert "two &amp; three.png" in page
    assert "&lt;cow&gt;" in page
    assert "<cow>" not in page


def test_what_cannot_be_read_is_told(found: Gallery) -> None:
    (note,) = found.notes
    assert note.endswith("broken.png: not a picture of a known format")


def test_a_method_that_does_not_suit_is_left_out_with_its_reason(pictures: Path) -> None:
    dense = model(nn.Sequential(nn.Flatten(), nn.Linear(144, 3)))
    found = gallery(
        dense, data.gather([pictures / "one.png"]), methods="grad_cam,saliency,guided_backprop", made=1, steps=1
    )
    assert [note.partition(":")[0] for note in found.notes] == ["guided_backprop", "grad_cam"]
    assert [section.key for section in found.sections] == ["looks", "made", "notes"]
    assert "guided_backprop needs ReLU" in found.page()


def test_all_asks_every_method_and_more_of_the_first_picture(pictures: Path) -> None:
    found = gallery(model(net()), data.gather([pictures / "one.png"]), made=1, steps=1)
    assert [section.key for section in found.sections] == [
        *("looks", "classes", "hidden", "sharper", "inside", "made", "notes"),
    ]
    assert [note.partition(":")[0] for note in found.notes] == ["attention_rollout"]
    page = found.page()
    for name, method in methods(explain).items():
        assert (f"<dt>{title(method)}</dt>" in page) == (name != "attention_rollout")
    assert page.count('<ul class="legend">') == 1
    assert gallery(model(net()), data.gather([pictures / "one.png"]), methods="saliency,all", made=0).notes


def test_a_map_of_nan_is_told_and_loses_nothing(pictures: Path) -> None:
    class Root(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return (images - images.min()).sqrt()  # its slope at zero is infinite

    broken = model(nn.Sequential(Root(), net()))
    found = gallery(broken, data.gather([pictures / "one.png"]), methods="saliency,occlusion", made=0)
    assert "Saliency (holds NaN: nothing to see)" in found.page()
    assert "Occlusion (" not in found.page()


def test_the_same_seed_makes_the_same_page(pictures: Path) -> None:
    pages = [
        gallery(model(net()), data.gather([pictures / "one.png"]), methods="smooth_grad", made=1, steps=2, seed=seed)
        for seed in (1, 1, 2)
    ]
    bodies = [[str(section.body) for section in page.sections] for page in pages]
    assert bodies[0] == bodies[1] != bodies[2]


def test_saved_whole_with_its_record(found: Gallery, tmp_path: Path) -> None:
    folder = found.save(tmp_path / "out")
    assert sorted(path.name for path in folder.iterdir()) == ["index.html", "record.json"]
    told = json.loads((folder / "record.json").read_text())
    assert told["command"] == "gallery"
    assert told["options"] == {"methods": QUICK, "made": 2, "steps": 3}
    with pytest.raises(ValueError, match="exists already"):
        found.save(folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": "salience"}, "method must be one of all, .*, got 'salience'; did you mean saliency"),
        ({"methods": ""}, "method must be one of all"),
        ({"made": 17}, r"made must be in \[0, 16\], got 17"),
    ],
)
def test_refuses(pictures: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gallery(model(net()), data.gather([pictures]), **options)  # type: ignore[arg-type]


def test_refuses_too_many_pictures(tmp_path: Path) -> None:
    for number in range(25):
        Image.new("L", (4, 4)).save(tmp_path / f"{number}.png")
    with pytest.raises(ValueError, match=r"pictures must be in \[1, 24\], got 25"):
        gallery(model(net()), data.gather([tmp_path]))
