from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pellucid.report import Map, map_rows, save_maps


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


def test_maps_that_say_nothing_are_flagged_and_captioned() -> None:
    heat = torch.rand(4, 4)
    broken = heat.clone()
    broken[1, 1] = torch.nan
    for values, flat, told in (
        (heat, False, ""),
        (torch.full((4, 4), 2.0), True, " (the same everywhere: says nothing)"),
        (broken, True, " (holds NaN: nothing to see)"),
        (torch.full((4, 4), torch.nan), True, " (holds NaN: nothing to see)"),
    ):
        one = Map("saliency", "Saliency", 0, "cat", values)
        assert one.is_flat is flat
        assert one.caption == f"Saliency for “cat”{told}"
        assert map_rows(torch.rand(3, 4, 4), [one])[0][1][1] == one.caption
