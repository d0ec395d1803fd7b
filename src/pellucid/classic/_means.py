"""k-means by faiss or scikit-learn, with no cluster left empty."""

import torch
from torch import Tensor

from ._rows import nearest


def cluster(
    rows: Tensor,
    count: int,
    starts: int,
    iterations: int,
    seed: int,
    *,
    mini_batch: bool = False,
    called: str = "words",
) -> Tensor:
    """Centres (K, D), float32, on the rows' device; the best of several starts.

    Args:
        rows: (M, D), float32.
        count: K.
        starts: how often it begins, by k-means++.
        iterations: Lloyd steps of each, at most.
        seed: of the starting points.
        mini_batch: by scikit-learn's MiniBatchKMeans.
        called: what refusals call the centres.

    Raises:
        ValueError: there are fewer different rows than centres.
    """
    if len(rows) < count or _fewer_than(rows, count):
        different = len(torch.unique(rows, dim=0))
        raise ValueError(f"{called} must be at most the {different} different descriptors there are, got {count}")
    if count == 1:
        return rows.double().mean(dim=0, keepdim=True).float()
    learn = _mini_batch if mini_batch else _lloyd
    return _filled(rows, learn(rows.cpu(), count, starts, iterations, seed).to(rows.device))


def _fewer_than(rows: Tensor, count: int) -> bool:
    """Whether there are fewer different rows than so many; seldom has to look at more than twice as many."""
    return len(torch.unique(rows[: 2 * count], dim=0)) < count and len(torch.unique(rows, dim=0)) < count


def _lloyd(rows: Tensor, count: int, starts: int, iterations: int, seed: int) -> Tensor:
    """By faiss; each start ends where a step lowers the error by less than a ten-thousandth."""
    import faiss

    learner = faiss.Kmeans(
        rows.shape[1],
        count,
        niter=iterations,
        nredo=starts,
        seed=seed,
        min_points_per_centroid=1,
        max_points_per_centroid=len(rows),
        init_method=faiss.ClusteringInitMethod_KMEANS_PLUS_PLUS,
        early_stop_threshold=1e-4,
    )
    learner.train(rows.numpy())
    assert learner.centroids is not None
    return torch.from_numpy(learner.centroids.copy())


def _mini_batch(rows: Tensor, count: int, starts: int, iterations: int, seed: int) -> Tensor:
    """By scikit-learn, 1,024 rows at a time, or twice as many as words."""
    from sklearn.cluster import MiniBatchKMeans

    batch = min(len(rows), max(1024, 2 * count))
    learner = MiniBatchKMeans(count, n_init=starts, max_iter=iterations, batch_size=batch, random_state=seed)
    return torch.from_numpy(learner.fit(rows.numpy()).cluster_centers_).float()


def _filled(rows: Tensor, centres: Tensor) -> Tensor:
    """Centres without an empty one: such a one moves onto the row that lies farthest from its own centre."""
    for _ in range(len(centres)):
        place, squares = nearest(rows, centres)
        empty = (torch.bincount(place, minlength=len(centres)) == 0).nonzero()[:, 0]
        if not len(empty):
            break
        centres = centres.clone()
        centres[empty[0]] = rows[squares.argmax()]
    return centres
