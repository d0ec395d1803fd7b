from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pellucid.foundations.rows import rows


@pytest.mark.parametrize(
    ("name", "train", "test", "columns", "classes"),
    [("circles", 200, 2000, 2, 2), ("moons", 200, 2000, 2, 2), ("iris", 120, 30, 4, 3), ("digits", 1437, 360, 64, 10)],
)
def test_sets_by_name(name: str, train: int, test: int, columns: int, classes: int) -> None:
    found = rows(name, seed=1)
    assert (len(found.train.values), len(found.test.values)) == (train, test)
    assert len(found.columns) == found.train.values.shape[1] == columns
    assert len(found.classes) == classes
    assert found.train.targets.max() == found.test.targets.max() == classes - 1
    assert found.train.values.isfinite().all()


def test_a_folder_of_pictures_gives_its_pixels(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for shade, name in ((0, "dark"), (255, "light")):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            Image.fromarray(np.full((9, 9), shade, dtype=np.uint8)).save(folder / "one.png")
    found = rows(str(tmp_path), side=5)
    assert found.classes == ("dark", "light")
    assert found.train.values.tolist() == [[0.0] * 25, [1.0] * 25]
    assert found.test.targets.tolist() == [0, 1]


def test_refuses_what_is_no_set() -> None:
    with pytest.raises(ValueError, match="data must be circles, moons, iris, digits or a folder of pictures: nowhere"):
        rows("nowhere")
