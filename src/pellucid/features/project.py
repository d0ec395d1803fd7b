"""Features drawn in the plane: their two main directions (PCA), or a map that keeps neighbours together.

L. van der Maaten, G. Hinton, "Visualizing Data using t-SNE", JMLR 9, 2008. https://jmlr.org/papers/v9/vandermaaten08a.html
D. Kobak, P. Berens, "The art of using t-SNE for single-cell transcriptomics", Nature Communications 10, 2019 (started
from the main directions). https://doi.org/10.1038/s41467-019-13056-x
L. McInnes, J. Healy, J. Melville, "UMAP: Uniform Manifold Approximation and Projection for Dimension Reduction", 2018.
https://arxiv.org/abs/1802.03426
"""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pellucid.checks import check_choice, check_count, check_range

from .index import Index, as_array
from .normaliser import Rows

HOWS = ("pca", "tsne", "umap")

SEED = 42
"""Of a map, where none is given."""


@dataclass(frozen=True)
class Projection:
    """Rows as points of the plane. Of t-SNE and UMAP only who is near whom has a meaning."""

    points: Tensor  # (n, 2), float32
    rows: Tensor  # (n,), int64, rising: which rows they are; all, unless there were more than `most`
    how: str  # pca, tsne or umap; "plane" where the features had two columns


@dataclass(frozen=True)
class MapScores:
    """How well classes stand apart: in the plane, and in the features the plane was made of."""

    silhouette: float  # in [-1, 1]; 1: every class a cluster of its own
    silhouette_before: float  # of the features
    agreement: float  # in [0, 1]: share of points whose nearest other is of their class
    agreement_before: float  # of the features


def project(
    features: Rows,
    how: str = "tsne",
    *,
    perplexity: float = 30.0,
    first_pca: int = 50,
    most: int = 10_000,
    neighbours: int = 15,
    generator: torch.Generator | None = None,
) -> Projection:
    """Rows of features as points of the plane; features of two columns are the plane already.

    Args:
        features: (N, D), float, finite, N at least 3.
        how: pca, tsne, or umap, which must be installed.
        perplexity: of tsne, how many neighbours count, above 0 and below N / 3.
        first_pca: columns that tsne is given, the main directions of more; at least 2.
        most: rows drawn, a sample of more; at least 3.
        neighbours: of umap, at least 2 and below N.
        generator: of the sample and the map; None takes one of seed 42.

    Raises:
        ValueError: no finite matrix, too few rows for the perplexity (tells the largest), or umap is missing.
    """
    check_choice("how", how, HOWS)
    check_count("most", most, 3)
    check_count("first_pca", first_pca, 2)
    rows = as_array(features)
    check_range("rows", len(rows), 3)
    source = torch.Generator().manual_seed(SEED) if generator is None else generator
    seed = SEED if generator is None else int(torch.randint(2**31 - 1, (), generator=source, device=source.device))
    chosen = torch.arange(len(rows))
    if len(rows) > most:
        chosen = torch.randperm(len(rows), generator=source, device=source.device)[:most].cpu().sort().values
        rows = rows[chosen.numpy()]
    if rows.shape[1] == 2:
        return Projection(torch.from_numpy(np.array(rows)), chosen, "plane")
    if how == "tsne":
        points = _tsne(rows, perplexity, first_pca, seed)
    else:
        points = _pca(rows, 2, seed) if how == "pca" else _umap(rows, neighbours, seed)
    return Projection(torch.from_numpy(points.astype(np.float32)), chosen, how)


def map_scores(features: Rows, targets: Tensor, projection: Projection) -> MapScores:
    """How well classes stand apart in a map, and before it.

    Args:
        features: (N, D), what was projected.
        targets: (N,), int64; rows with -1 have no class and are left out.
        projection: of the features.

    Raises:
        ValueError: fewer than two classes, or no class of two rows.
    """
    from sklearn.metrics import silhouette_score

    labels = targets[projection.rows]
    known = labels >= 0
    labels = labels[known]
    classes = len(set(labels.tolist()))
    if not 2 <= classes < len(labels):
        raise ValueError(f"targets must be of 2 to {len(labels) - 1} classes, got {classes} of {len(labels)} rows")
    before = as_array(features)[projection.rows[known].numpy()]
    after = as_array(projection.points[known])
    silhouettes = [float(silhouette_score(rows, labels.numpy())) for rows in (after, before)]
    agreements = [_agreement(rows, labels) for rows in (after, before)]
    return MapScores(silhouettes[0], silhouettes[1], agreements[0], agreements[1])


def _tsne(rows: np.ndarray, perplexity: float, first_pca: int, seed: int) -> np.ndarray:
    from sklearn.manifold import TSNE

    limit = len(rows) / 3
    if not 0 < perplexity < limit:
        largest = int(np.ceil(limit)) - 1
        raise ValueError(
            f"perplexity must be above 0 and below a third of the {len(rows)} rows, got {perplexity:g}: take at most "
            f"{largest}"
            if largest
            else f"rows must be at least 4 for tsne, got {len(rows)}: take how=pca"
        )
    least = min(first_pca, len(rows))
    given = _pca(rows, least, seed) if rows.shape[1] > least else rows - rows.mean(axis=0)
    made: np.ndarray = TSNE(perplexity=perplexity, init=_start(given, seed), random_state=seed).fit_transform(given)
    return made


def _start(rows: np.ndarray, seed: int) -> np.ndarray:
    """The two main directions, brought to the small size that t-SNE starts from."""
    start = _pca(rows, 2, seed)
    spread = start[:, 0].std()
    return (start / (spread or 1) * 1e-4).astype(np.float32)


def _pca(rows: np.ndarray, columns: int, seed: int) -> np.ndarray:
    """(N, columns); directions that rows lack are zero."""
    from sklearn.decomposition import PCA

    count = min(columns, *rows.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # rows that are all equal have no share of variance
        made = PCA(count, random_state=seed).fit_transform(rows)
    return np.pad(made, ((0, 0), (0, columns - count)))


def _umap(rows: np.ndarray, neighbours: int, seed: int) -> np.ndarray:
    try:
        import umap
    except ImportError as error:
        raise ValueError("how=umap needs the package umap-learn: pip install umap-learn, or take tsne") from error
    check_count("neighbours", neighbours, 2, len(rows) - 1)
    made: np.ndarray = umap.UMAP(n_neighbors=neighbours, random_state=seed, n_jobs=1).fit_transform(rows)
    return made


def _agreement(rows: np.ndarray, labels: Tensor) -> float:
    nearest = Index().fit(rows).search(rows, k=1, exclude=torch.arange(len(rows))).rows[:, 0]
    return float((labels[nearest] == labels).double().mean())
