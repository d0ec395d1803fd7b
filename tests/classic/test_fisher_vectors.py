import pytest
import torch
from torch import Tensor

from pellucid.classic import FisherVectors

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
