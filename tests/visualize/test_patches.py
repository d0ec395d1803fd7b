import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pellucid.data import ImageSet, read_image
from pellucid.data.image_set import Item
from pellucid.data.sources import Array, Folder
from pellucid.models import Model, receptive_field
from pellucid.visualize import patches

from .nets import small, wrapped


def held(pixels: "np.ndarray") -> ImageSet:
    items = tuple(Item(f"{n}.png", None, str(n)) for n in range(len(pixels)))
    return ImageSet("memory", (), items, (Array(pixels),))


NOISE = np.random.default_rng(0).integers(0, 256, (11, 16, 16, 3), dtype=np.uint8)
TEMPLATE = np.array([[255, 0, 255], [0, 255, 0], [255, 0, 255]], dtype=np.uint8)
PLANTED = {0: (2, 9), 3: (0, 0), 5: (13, 13)}  # image: top left corner


def detector(padding: int, stride: int = 1) -> Model:
    """One filter that answers 5 to its template and less to all else; the second is its negative."""
    conv = nn.Conv2d(1, 2, 3, padding=padding, stride=stride)
    kernel = torch.from_numpy(TEMPLATE / 255.0 * 2 - 1)
    with torch.no_grad():
        conv.weight.copy_(torch.stack([kernel, -kernel])[:, None])
        conv.bias.zero_()  # type: ignore[union-attr]
    net = nn.Sequential(conv, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return wrapped(net.eval(), classes=2, size=(16, 16), mean=(0.0,), std=(1.0,))


def planted() -> ImageSet:
    pixels = np.zeros((7, 16, 16), dtype=np.uint8)
    for image, (top, left) in PLANTED.items():
        pixels[image, top : top + 3, left : left + 3] = TEMPLATE
    return held(pixels)


@pytest.mark.parametrize("padding", [0, 1, 2])
def test_a_planted_template_is_found_at_its_place(padding: int) -> None:
    images = planted()
    found = patches(detector(padding), images, layer="0", units="0", top=3)
    assert (found.units, found.images.tolist(), found.files[0][0]) == ((0,), [[0, 3, 5]], "0.png")
    assert found.boxes.tolist() == [[[top, left, top + 3, left + 3] for top, left in PLANTED.values()]]
    assert found.positions.tolist() == [[[top + padding, left + padding] for top, left in PLANTED.values()]]
    assert found.values.tolist() == [[5.0, 5.0, 5.0]]
    assert not found.is_padded.any()
    crops = found.crops(images, 0)
    assert torch.equal(crops, torch.from_numpy(TEMPLATE / 255).float().expand(3, 1, 3, 3))


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("layer", ["0", "4"])
def test_the_best_equal_brute_force(layer: str, many: bool) -> None:
    model = small()
    found = patches(model, held(NOISE), layer=layer, top=6, many=many, batch_size=4)
    net = model.network
    assert isinstance(net, nn.Sequential)
    x = torch.from_numpy(NOISE).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        maps = net[: int(layer) + 1]((x - model.mean) / model.std)  # (N, K, h, w)
    assert found.units == tuple(range(maps.shape[1]))
    for unit in found.units:
        every = [
            (float(maps[n, unit, i, j]), n, [i, j])
            for n in range(len(maps))
            for i in range(maps.shape[2])
            for j in range(maps.shape[3])
        ]
        if not many:
            every = [max((one for one in every if one[1] == n), key=lambda one: one[0]) for n in range(len(maps))]
        best = sorted(every, key=lambda one: -one[0])[:6]
        torch.testing.assert_close(found.values[unit], torch.tensor([one[0] for one in best]))
        for rank, (value, image, place) in enumerate(best):
            if value > 0:  # zeros of a ReLU tie
                assert (int(found.images[unit, rank]), found.positions[unit, rank].tolist()) == (image, place)


def test_only_pixels_in_the_window_matter_to_the_unit() -> None:
    model = small()
    found = patches(model, held(NOISE), layer="4", units="2", top=1)
    top, left, bottom, right = found.boxes[0, 0].tolist()
    place, (row, column) = int(found.images[0, 0]), found.positions[0, 0].tolist()
    image = torch.from_numpy(NOISE[place]).permute(2, 0, 1)[None].float() / 255
    inside = torch.zeros(1, 1, 16, 16, dtype=torch.bool)
    inside[..., top:bottom, left:right] = True

    def value(x: Tensor) -> Tensor:
        net = model.network
        assert isinstance(net, nn.Sequential)
        answer: Tensor = net[:5]((x - model.mean) / model.std)[0, 2, row, column]
        return answer

    with torch.no_grad():
        before = value(image)
        torch.testing.assert_close(value(torch.where(inside, image, 1 - image)), before)
        corner = image.clone()
        corner[..., bottom - 1, right - 1] = 1 - corner[..., bottom - 1, right - 1]
        corner[..., top, left] = 1 - corner[..., top, left]
        assert abs(value(corner) - before) > 1e-4


def test_the_edge_is_clipped_flagged_and_shown_gray() -> None:
    pixels = np.zeros((1, 16, 16), dtype=np.uint8)
    pixels[0, 0, 0] = 255  # only the centre of a window at (0, 0) answers 1 to it
    found = patches(detector(1), held(pixels), layer="0", units="0", top=1)
    assert found.windows.tolist() == [[[-1, -1, 2, 2]]]
    assert found.boxes.tolist() == [[[0, 0, 2, 2]]]
    assert found.is_padded.all()
    crop = found.crops(held(pixels), 0)[0, 0]
    assert crop.tolist() == [[0.5, 0.5, 0.5], [0.5, 1, 0], [0.5, 0, 0]]


def test_a_layer_without_positions_gives_whole_images() -> None:
    model = small()
    for layer in ("5", "7"):  # 1 x 1 maps, and logits
        found = patches(model, held(NOISE), layer=layer, units="1", top=2)
        assert found.boxes.tolist() == [[[0, 0, 16, 16]] * 2]
    assert found.crops(held(NOISE), 1).shape == (2, 3, 16, 16)
    wide = nn.Sequential(nn.Conv2d(3, 2, 33, padding=16), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    found = patches(wrapped(wide.eval(), classes=2, size=(16, 16)), held(NOISE), layer="0", top=2)
    assert found.boxes[0, 0].tolist() == [0, 0, 16, 16]


def test_the_batches_change_nothing() -> None:
    model, images = small(), held(NOISE)
    one, other = (patches(model, images, layer="4", top=5, batch_size=n) for n in (1, 11))
    torch.testing.assert_close(one.values, other.values)
    positive = one.values > 0
    assert torch.equal(one.images[positive], other.images[positive])
    assert torch.equal(one.windows[positive], other.windows[positive])


def test_of_equal_values_the_earlier_image_comes_first() -> None:
    found = patches(detector(0), held(np.zeros((6, 16, 16), dtype=np.uint8)), layer="0", top=3, batch_size=2)
    assert found.images.tolist() == [[0, 1, 2], [0, 1, 2]]


def test_the_unreadable_are_listed(tmp_path: Any) -> None:
    from PIL import Image

    Image.fromarray(NOISE[0]).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("x")
    items = tuple(Item(name, None, name) for name in ("b.png", "a.png"))
    images = ImageSet(str(tmp_path), (), items, (Folder(tmp_path),))
    found = patches(small(), images, layer="0", top=2)
    assert [error.file for error in found.errors] == ["b.png"]
    assert found.images.tolist() == [[1]] * 6
    torch.testing.assert_close(found.crops(images, 0).shape, torch.Size([1, 3, 3, 3]))
    assert read_image(tmp_path / "a.png").shape == (1, 3, 16, 16)
    with pytest.raises(ValueError, match="none of the 1 pictures could be read: not a picture"):
        patches(small(), images.subset([0]), layer="0", top=1)


def test_rows_for_a_table() -> None:
    rows = patches(detector(1), planted(), layer="0", units="0", top=2).json()
    assert [row["rank"] for row in rows] == [1, 2]
    assert rows[0] == {
        "unit": 0,
        "rank": 1,
        "value": 5.0,
        "image": 0,
        "file": "0.png",
        "position": [3, 10],
        "box": [2, 9, 5, 12],
        "window": [2, 9, 5, 12],
        "is_padded": False,
    }


def test_the_field_of_a_block_is_that_of_its_output() -> None:
    block = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU()), nn.Conv2d(4, 4, 5))
    model = wrapped(block.eval(), classes=4, size=(16, 16))
    inner, outer = receptive_field(model, "0"), receptive_field(model, "1")
    assert inner is not None
    assert outer is not None
    assert (inner.size, inner.stride, inner.start) == ((3, 3), (2, 2), (0, 0))
    assert (outer.size, outer.start) == ((11, 11), (4, 4))


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"top": 0}, r"top must be in \[1, 11\], got 0"),
        ({"top": 12}, r"top must be in \[1, 11\], got 12"),
        ({"units": "6", "top": 1}, r"units must be in \[0, 5\], the layer has 6 channels, got 6"),
        ({"units": "a", "top": 1}, "units must be numbers with commas"),
        ({"layer": "9", "top": 1}, "'9' matches no layer"),
        ({"layer": "*", "top": 1}, "layer must be one, got '\\*', which means 8"),
    ],
)
def test_refuses(told: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        patches(small(), held(NOISE), **{"layer": "0", **told})
    empty = dataclasses.replace(held(NOISE), items=())
    with pytest.raises(ValueError, match="images must not be empty"):
        patches(small(), empty, layer="0")
    with pytest.raises(ValueError, match="unit must be one of those searched"):
        patches(small(), held(NOISE), layer="0", units="1", top=1).crops(held(NOISE), 0)
