import sys

import pytest
import torch

from pellucid.features import map_scores, project
from pellucid.features.project import _start

TARGETS = torch.arange(3).repeat_interleave(25)
BLOBS = torch.randn(75, 60, generator=torch.Generator().manual_seed(0)) + 20 * torch.eye(60)[TARGETS]


@pytest.mark.parametrize("how", ["pca", "tsne"])
def test_far_blobs_stay_apart_and_the_same_seed_makes_the_same_map(how: str) -> None:
    found = project(BLOBS, how, perplexity=10)
    assert found.points.shape == (75, 2)
    assert found.points.dtype == torch.float32
    assert found.rows.tolist() == list(range(75))
    assert found.points.equal(project(BLOBS, how, perplexity=10).points)
    scores = map_scores(BLOBS, TARGETS, found)
    assert scores.agreement > 0.99
    assert scores.agreement_before > 0.99
    assert scores.silhouette > 0.5
    assert scores.silhouette_before > 0.5


def test_pca_is_that_of_the_covariance() -> None:
    found = project(BLOBS, "pca").points.double()
    centred = BLOBS.double() - BLOBS.double().mean(dim=0)
    wanted = centred @ torch.linalg.eigh(centred.T @ centred).eigenvectors.flip(1)[:, :2]
    signs = (found * wanted).sum(dim=0).sign()
    torch.testing.assert_close(found, wanted * signs, atol=1e-4, rtol=1e-4)


def test_two_columns_are_the_plane_already() -> None:
    found = project(BLOBS[:, :2])
    assert found.how == "plane"
    assert found.points.equal(BLOBS[:, :2])


def test_one_column_lies_on_a_line() -> None:
    found = project(BLOBS[:, :1], "pca")
    assert found.points[:, 1].eq(0).all()


def test_more_rows_are_sampled_and_labels_with_them() -> None:
    found = project(BLOBS, "pca", most=30)
    assert found.rows.diff().min() > 0
    assert len(found.points) == len(found.rows) == 30
    assert found.rows.equal(project(BLOBS, "pca", most=30).rows)
    other = project(BLOBS, "pca", most=30, generator=torch.Generator().manual_seed(1))
    assert not found.rows.equal(other.rows)
    assert map_scores(BLOBS, TARGETS, found).agreement > 0.99


def test_classes_that_say_nothing_score_nothing() -> None:
    mixed = TARGETS[torch.randperm(75, generator=torch.Generator().manual_seed(1))]
    scores = map_scores(BLOBS, mixed, project(BLOBS, "pca"))
    assert scores.silhouette < 0.1
    assert scores.agreement < 0.6


def test_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="below a third of the 75 rows, got 30: take at most 24"):
        project(BLOBS)
    with pytest.raises(ValueError, match="rows must be at least 3, got 2"):
        project(BLOBS[:2], "pca")
    with pytest.raises(ValueError, match="how must be one of pca, tsne, umap, got 'mds'"):
        project(BLOBS, "mds")
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ValueError, match="how=umap needs the package umap-learn: pip install umap-learn, or take tsne"):
        project(BLOBS, "umap")
    with pytest.raises(ValueError, match="targets must be of 2 to 74 classes, got 1 of 75 rows"):
        map_scores(BLOBS, torch.zeros(75, dtype=torch.int64), project(BLOBS, "pca"))


def test_the_map_starts_small() -> None:
    """So small, by a deviation of 1e-4, that the first steps do not meet far points (Kobak and Berens, 2019)."""
    rows = 7 * torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    start = torch.from_numpy(_start(rows.numpy(), 0))
    assert float(start[:, 0].std(correction=0)) == pytest.approx(1e-4, rel=1e-4)
    assert float(start[:, 1].std(correction=0)) < 1e-4
