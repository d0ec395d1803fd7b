from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pellucid.report import Map, save_maps


def test_maps_are_written_as_pictures_and_numbers(tmp_path: Path) -> None:
    heat = torch.randn(20, 30)
    maps = [
        Map("saliency", "Saliency", 7, "cat", heat, {"layer": None}),
        Map("saliency", "Saliency", 9, "$x^2$ dog", torch.zeros(20, 30), {}),
    ]
    entry = save_maps(tmp_path, "pet", torch.rand(3, 20, 30), maps, "pet.jpg")
    assert entry["panel"] == "pet.png"
    first, second = entry["maps"]
    assert first["target"] == {"index": 7, "name": "cat"}
    assert (first["is_flat"], second["is_flat"]) == (False, True)
    np.testing.assert_array_equal(np.load(tmp_path / first["heat"], allow_pickle=False), heat.numpy())
    with Image.open(tmp_path / first["overlay"]) as overlay, Image.open(tmp_path / "pet.png") as panel:
        assert overlay.size == (180, 120), "enlarged by a whole factor, to at least 112"
        assert panel.size[0] > 500
    assert sorted(p.name for p in (tmp_path / "pet").iterdir()) == [
        "saliency-7.npy",
        "saliency-7.png",
        "saliency-9.npy",
        "saliency-9.png",
    ]
