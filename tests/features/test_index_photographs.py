"""An index of real photographs: each finds itself first, and the fast searches find nearly what the exact one does."""

from pathlib import Path

import pytest
import torch

from pellucid.data import ImageSet, open_images
from pellucid.features import ImageIndex, Index, Store, last_features, retrieval
from pellucid.models import load

COUNT = 600


@pytest.fixture(scope="module")
def photographs(data_folder: Path) -> ImageSet:
    """Forty of each of fifteen scenes."""
    every = open_images(data_folder / "fifteen-scene", split="all")
    return every.subset(
        [int(row) for label in range(15) for row in (every.targets == label).nonzero()[: COUNT // 15, 0]]
    )


@pytest.fixture(scope="module")
def rows(
    photographs: ImageSet, weights_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (N, D) by a small ImageNet network, and the classes (N,)."""
    model = load(str(weights_folder / "mobilenet_v1_025"))
    store = Store(tmp_path_factory.mktemp("photographs") / "features")
    layer = last_features(model)
    store.fill(model, photographs, [layer])
    return store.tensor(layer, store.rows(photographs)), photographs.targets


@pytest.mark.parametrize("distance", ["mse", "cosine", "l1"])
def test_a_photograph_finds_itself_first(rows: tuple[torch.Tensor, torch.Tensor], distance: str) -> None:
    features, _ = rows
    assert features.shape == (COUNT, 256)
    found = Index(distance=distance).fit(features).search(features, k=2)
    itself = found.rows[:, 0] == torch.arange(COUNT)
    assert bool((found.distances[:, 0] == 0).all())
    assert bool((itself | (found.distances[:, 1] == 0)).all()), "another comes first only where it is the same"
    assert int(itself.sum()) >= COUNT - 4  # the set has 18 pairs of equal pictures among 4,485


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
@pytest.mark.parametrize("distance", ["mse", "cosine"])
def test_fast_searches_find_nearly_what_the_exact_one_does(
    rows: tuple[torch.Tensor, torch.Tensor], kind: str, distance: str
) -> None:
    features, _ = rows
    exact = Index(distance=distance).fit(features).search(features, k=10).rows
    fast = Index(kind=kind, distance=distance).fit(features)
    found = fast.search(features, k=10).rows
    shared = (found[:, :, None] == exact[:, None]).any(dim=2).double().mean()
    assert shared >= 0.9
    assert fast.recall(k=10, queries=COUNT) == pytest.approx(float(shared), abs=0.02)


def test_a_search_that_looks_into_one_cell_misses_some(rows: tuple[torch.Tensor, torch.Tensor]) -> None:
    told = [Index(kind="ivf", cells=30, probes=probes).fit(rows[0]).recall(queries=COUNT) for probes in (1, 5, 30)]
    assert 0.3 < told[0] < 0.9 < told[1] < told[2] == 1


def test_like_finds_like(rows: tuple[torch.Tensor, torch.Tensor]) -> None:
    told = retrieval(*rows, k=10)
    assert told.chance == pytest.approx(39 / 599)
    assert told.precision.mean() > 0.4


def test_a_folder_of_photographs_is_indexed_and_asked(
    tmp_path: Path, photographs: ImageSet, weights_folder: Path
) -> None:
    model = load(str(weights_folder / "mobilenet_v1_025"))
    some = photographs.subset(list(range(0, COUNT, 20)))
    index = ImageIndex(tmp_path / "index")
    assert index.fill(model, some).computed == 30
    found = ImageIndex(tmp_path / "index").search(model, some, k=3)
    assert found.rows[:, 0].tolist() == found.itself.tolist()
    assert bool((found.distances[:, 0] == 0).all())
