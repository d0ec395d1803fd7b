import sys

import pytest
import torch
from torch import Tensor

from pellucid.classic import FisherVectors
from pellucid.classic._means import cluster
from pellucid.classic._mixture import learned

GENERATOR = torch.Generator().manual_seed(0)
ROWS = torch.randn(4, 60, 6, generator=GENERATOR) * torch.tensor([3.0, 2, 1, 1, 0.5, 0.1])
ROWS[:, :30, 0] += 9
ROWS[:, 5] = 0


def log_likelihood(known: FisherVectors, rows: Tensor, means: Tensor, deviations: Tensor) -> Tensor:
    """Mean over descriptors, of the mixture."""
    shown = (rows.double() - known.origin_) @ known.axes_.double()
    apart = (shown[:, None] - means) / deviations
    each = known.shares_.double().log() - (deviations.log() + 0.5 * apart.square()).sum(dim=2)
    mean: Tensor = each.logsumexp(dim=1).mean()
    return mean


def test_is_the_gradient_of_the_likelihood_scaled_by_what_it_varies() -> None:
    known = FisherVectors(components=3, dimensions=4, root=False).fit(ROWS)
    rows = ROWS[1][ROWS[1].any(dim=1)]
    means = known.means_.double().requires_grad_()
    deviations = known.deviations_.double().requires_grad_()
    by_mean, by_deviation = torch.autograd.grad(log_likelihood(known, rows, means, deviations), (means, deviations))
    shares = known.shares_.double()[:, None]
    scaled = torch.cat(
        [
            (by_mean * deviations / shares.sqrt()).flatten(),
            (by_deviation * deviations / (2 * shares).sqrt()).flatten(),
        ]
    )
    wanted = (scaled / scaled.norm()).detach().float()
    torch.testing.assert_close(known(ROWS[1:2])[0], wanted, rtol=1e-3, atol=1e-4)


def test_one_step_from_the_k_means_is_the_loop_over_components() -> None:
    rows = ROWS[ROWS.any(dim=2)][:, :3]
    known = learned(rows, 3, 1, seed=5)
    centres = cluster(rows, 3, 1, 10, 5)
    label = torch.cdist(rows, centres).argmin(dim=1)
    densities = []
    for number in range(3):
        own = rows[label == number].double()
        deviation = own.std(dim=0, correction=0)
        apart = (rows - own.mean(dim=0)) / deviation
        densities.append(len(own) * ((-0.5 * apart.square()).exp() / deviation).prod(dim=1))
    near = torch.stack(densities, dim=1)
    near = near / near.sum(dim=1, keepdim=True)
    for number, weight in enumerate(near.T[..., None]):
        mean = (weight * rows).sum(dim=0) / weight.sum()
        variance = (weight * (rows - mean).square()).sum(dim=0) / weight.sum()
        torch.testing.assert_close(known.shares[number].double(), weight.mean(), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(known.means[number].double(), mean, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(known.deviations[number].double(), variance.sqrt(), rtol=1e-4, atol=1e-4)


def test_every_step_makes_the_rows_likelier_as_much_as_scikit_learn() -> None:
    mixture = pytest.importorskip("sklearn.mixture")
    rows = ROWS[ROWS.any(dim=2)]
    likely = [float(learned(rows, 4, steps, seed=0).near(rows)[1].mean()) for steps in (1, 2, 4, 8, 50)]
    assert likely == sorted(likely)
    peer = mixture.GaussianMixture(4, covariance_type="diag", random_state=0, n_init=5).fit(rows.numpy())
    assert likely[-1] > peer.score(rows.numpy()) - 0.05


def test_far_groups_are_found_and_equal_rows_keep_a_deviation() -> None:
    groups = torch.randn(4, 50, 3, generator=torch.Generator().manual_seed(2))
    groups = groups + 40 * torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 1]])[:, None]
    groups[3] = groups[3, :1]  # all the same row
    known = learned(groups.flatten(0, 1), 4, 30, seed=0)
    order = torch.cdist(groups.mean(dim=1), known.means).argmin(dim=1)
    torch.testing.assert_close(known.shares, torch.full((4,), 0.25))
    torch.testing.assert_close(known.means[order], groups.mean(dim=1), rtol=1e-4, atol=1e-4)
    wanted = groups[:3].std(dim=1, correction=0)
    torch.testing.assert_close(known.deviations[order][:3], wanted, rtol=1e-3, atol=1e-3)
    assert (known.deviations > 0.1).all()


def test_a_pyramid_is_the_parts_side_by_side() -> None:
    known = FisherVectors(components=2, dimensions=3).fit(ROWS)
    found = known(ROWS, size=[(5, 6), (3, 10)], levels=2).view(4, 5, -1)
    down, across = (torch.cat(one) for one in zip(middles(5, 6), middles(3, 10), strict=True))
    places = [torch.ones(60, dtype=torch.bool)]
    places += [((down >= 0.5) == low) & ((across >= 0.5) == right) for low in (False, True) for right in (False, True)]
    for number, place in enumerate(places):
        torch.testing.assert_close(found[:, number] * 5**0.5, known(ROWS[:, place]), rtol=1e-3, atol=1e-3)
    blind = ROWS.clone()
    blind[0, places[3]] = 0  # a quarter of the first image is flat
    found = known(blind, size=[(5, 6), (3, 10)], levels=2).view(4, 5, -1)
    assert not found[0, 3].any()
    torch.testing.assert_close(found.norm(dim=2)[0, [0, 1, 2, 4]], torch.full((4,), 0.5))


def middles(rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """Where the middles of a grid's patches lie, in [0, 1], downwards and to the right, row by row."""
    down, across = ((torch.arange(long) + 0.5) / long for long in (rows, columns))
    return down.repeat_interleave(columns), across.repeat(rows)


def test_what_is_held_at_a_time_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    known = FisherVectors(components=2, dimensions=3).fit(ROWS)
    whole = known(ROWS, size=(6, 10), levels=2)
    monkeypatch.setattr(sys.modules["pellucid.classic.fisher_vectors"], "NUMBERS_AT_ONCE", 1)
    torch.testing.assert_close(known(ROWS, size=(6, 10), levels=2), whole)


def test_roots_and_norm() -> None:
    plain = FisherVectors(components=2, dimensions=3, root=False).fit(ROWS)
    rooted = FisherVectors(components=2, dimensions=3).fit(ROWS)
    flat = plain(ROWS)
    wanted = flat.sign() * flat.abs().sqrt()
    torch.testing.assert_close(rooted(ROWS), wanted / wanted.norm(dim=1, keepdim=True), rtol=1e-3, atol=1e-4)
    assert flat.shape == (4, 2 * 2 * 3)
    torch.testing.assert_close(flat.norm(dim=1), torch.ones(4))


def test_directions_are_those_of_the_largest_variance() -> None:
    known = FisherVectors(components=1, dimensions=2).fit(ROWS)
    rows = ROWS[ROWS.any(dim=2)]
    axes = torch.linalg.svd(rows - rows.mean(dim=0), full_matrices=False)[2][:2]
    torch.testing.assert_close((known.axes_.T * axes).sum(dim=1).abs(), torch.ones(2))


def test_an_image_is_described_alone_and_zeros_count_nothing() -> None:
    known = FisherVectors(components=2, dimensions=3).fit(ROWS)
    torch.testing.assert_close(known(ROWS)[2:3], known(ROWS[2:3]))
    torch.testing.assert_close(known(torch.cat([ROWS, torch.zeros(4, 7, 6)], dim=1)), known(ROWS))
    assert not known(torch.zeros(1, 3, 6)).any()
    assert known.hash_ == FisherVectors(components=2, dimensions=3).fit(ROWS).hash_


def test_refuses() -> None:
    with pytest.raises(ValueError, match="components must be at least 1, got 0"):
        FisherVectors(components=0)
    with pytest.raises(ValueError, match=r"dimensions must be in \[1, 6\], got 7"):
        FisherVectors(components=2, dimensions=7).fit(ROWS)
    with pytest.raises(ValueError, match="components must be at most the 236 descriptors there are, got 237"):
        FisherVectors(components=237).fit(ROWS)
    with pytest.raises(ValueError, match="the mixture must be fitted on descriptors first"):
        FisherVectors()(ROWS)
    with pytest.raises(ValueError, match="components must be at most the 1 different descriptors there are, got 2"):
        FisherVectors(components=2, dimensions=3).fit(torch.ones(9, 6))
    with pytest.raises(ValueError, match="iterations must be at least 1, got 0"):
        FisherVectors(iterations=0)
    known = FisherVectors(components=2, dimensions=3).fit(ROWS)
    with pytest.raises(ValueError, match="size must be rows and columns of the 60 patches for 3 levels, got None"):
        known(ROWS, levels=3)
    with pytest.raises(ValueError, match="levels must leave each part a patch, got 3 for 3 x 20 patches"):
        known(ROWS, size=(3, 20), levels=3)
