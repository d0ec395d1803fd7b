import sys

import pytest
import torch
from torch import Tensor

from pellucid.classic import Dictionary, encode


def dictionary(words: Tensor, *, spread: float = 0.5) -> Dictionary:
    """A dictionary of words (K, D) given."""
    made = Dictionary(words=len(words))
    made.words_ = torch.cat([words, torch.zeros(1, words.shape[1])])
    made.hash_, made.spread_, made.inertia_ = "made", spread, 0.0
    return made


GENERATOR = torch.Generator().manual_seed(0)
WORDS = torch.nn.functional.normalize(torch.rand(12, 9, generator=GENERATOR), dim=1)
ROWS = torch.nn.functional.normalize(torch.rand(2, 30, 9, generator=GENERATOR), dim=2)
ROWS[0, 3] = ROWS[1, 7] = 0
FLAT = ~ROWS.any(dim=2)
KNOWN = dictionary(WORDS)


def distances() -> Tensor:
    """(2, 30, 12), one by one."""
    apart = ROWS[:, :, None].double() - WORDS.double()
    return apart.square().sum(dim=3).sqrt()


def test_hard_is_the_nearest_word_and_zeros_the_null_word() -> None:
    codes = encode(ROWS, KNOWN)
    assert torch.equal(codes.words[..., 0], torch.where(FLAT, 12, distances().argmin(dim=2)))
    assert (codes.weights == 1).all()
    assert (codes.count, codes.dictionary) == (13, "made")


def test_the_null_word_may_be_the_nearest() -> None:
    short = dictionary(WORDS * torch.linspace(0.05, 3, 12)[:, None])
    words = torch.cat([short.words_[:-1], torch.zeros(1, 9)])
    wanted = (ROWS[:, :, None] - words).norm(dim=3).argmin(dim=2)
    found = encode(ROWS * 0.5, short, null="nearest").words[..., 0]
    wanted = (ROWS[:, :, None] * 0.5 - words).norm(dim=3).argmin(dim=2)
    assert torch.equal(found, wanted)
    assert (encode(ROWS * 1e-3, short, null="nearest").words == 12).all()
    assert (encode(ROWS * 1e-3, short).words[..., 0] == torch.where(FLAT, 12, 0)).all()


def test_soft_codes_are_gaussians_of_the_distance() -> None:
    gauss = (-distances().square() / (2 * 0.3**2)).exp()
    kernel, shared, plausible = (
        encode(ROWS, KNOWN, how=how, sigma=0.3).dense().double() for how in ("kernel", "uncertainty", "plausibility")
    )
    live = ~FLAT
    torch.testing.assert_close(kernel[live][:, :-1], gauss[live], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(shared[live][:, :-1], (gauss / gauss.sum(2, True))[live], rtol=1e-4, atol=1e-6)
    first = torch.nn.functional.one_hot(gauss.argmax(dim=2), 12)
    torch.testing.assert_close(plausible[live][:, :-1], (gauss * first)[live], rtol=1e-4, atol=1e-6)
    for found in (kernel, shared, plausible):
        assert not found[live][:, -1].any()
        assert torch.equal(found[FLAT], torch.nn.functional.one_hot(torch.tensor([12, 12]), 13).double())


def test_shares_sum_to_one_and_become_hard() -> None:
    torch.testing.assert_close(encode(ROWS, KNOWN, how="uncertainty").dense().sum(dim=2), torch.ones(2, 30))
    sharp = encode(ROWS, KNOWN, how="uncertainty", sigma=1e-4).dense()
    torch.testing.assert_close(sharp, encode(ROWS, KNOWN).dense())


def test_sigma_is_what_the_dictionary_met() -> None:
    torch.testing.assert_close(
        encode(ROWS, KNOWN, how="kernel").dense(), encode(ROWS, KNOWN, how="kernel", sigma=0.5).dense()
    )


def test_one_atom_is_the_word_most_alike() -> None:
    codes = encode(ROWS, KNOWN, how="omp", atoms=1)
    alike = ROWS @ WORDS.T
    live = ~FLAT
    assert torch.equal(codes.words[live][:, 0], alike.abs().argmax(dim=2)[live])
    torch.testing.assert_close(codes.weights[live][:, 0], alike.abs().amax(dim=2)[live])
    assert (codes.words[FLAT][:, 0] == 12).all()


@pytest.mark.parametrize("atoms", [2, 5, 9])
def test_omp_equals_scikit_learn(atoms: int) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    scaled = dictionary(WORDS * 7)  # words are brought to norm 1
    found = encode(ROWS, scaled, how="omp", atoms=atoms).dense()[..., :-1][~FLAT]
    wanted = linear_model.orthogonal_mp(WORDS.T.double().numpy(), ROWS[~FLAT].T.double().numpy(), n_nonzero_coefs=atoms)
    torch.testing.assert_close(found.double(), torch.from_numpy(wanted.T).abs(), rtol=1e-3, atol=1e-4)


def test_lasso_equals_scikit_learn() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    found = encode(ROWS, KNOWN, how="lasso", penalty=0.1).dense()[..., :-1][~FLAT]
    peer = linear_model.Lasso(
        alpha=0.1 / 9, fit_intercept=False, tol=1e-8, max_iter=10_000
    )  # halved and averaged there
    wanted = peer.fit(WORDS.T.double().numpy(), ROWS[~FLAT].T.double().numpy()).coef_
    torch.testing.assert_close(found.double(), torch.from_numpy(wanted).abs(), rtol=0, atol=5e-3)
    assert (found < 1e-6).double().mean() > 0.5


def test_llc_comes_closest_with_the_nearest_words_under_sum_one() -> None:
    codes = encode(ROWS, KNOWN, how="llc", neighbours=3)
    live = ~FLAT
    near = distances().argsort(dim=2)[..., :3]
    assert torch.equal(codes.words[live].sort(dim=1).values, near[live].sort(dim=1).values)
    torch.testing.assert_close(codes.weights.sum(dim=2), torch.ones(2, 30))
    row, chosen = ROWS[0, 0].double(), WORDS[codes.words[0, 0]].double()
    own = float((codes.weights[0, 0].double() @ chosen - row).square().sum())
    for change in torch.randn(200, 3, generator=torch.Generator().manual_seed(1)).double() * 0.05:
        other = codes.weights[0, 0].double() + change - change.mean()
        assert float((other @ chosen - row).square().sum()) > own * (1 - 1e-3)


def test_llc_takes_the_nearest_words_whatever_their_length() -> None:
    uneven = dictionary(WORDS * torch.linspace(0.5, 1.5, 12)[:, None])
    codes = encode(ROWS, uneven, how="llc", neighbours=3)
    near = (ROWS[:, :, None] - uneven.words_[:-1]).norm(dim=3).argsort(dim=2)[..., :3]
    assert torch.equal(codes.words[~FLAT].sort(dim=1).values, near[~FLAT].sort(dim=1).values)


@pytest.mark.parametrize("how", ["hard", "uncertainty", "kernel", "plausibility", "omp", "lasso", "llc"])
def test_the_block_changes_nothing(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = encode(ROWS, KNOWN, how=how).dense()
    monkeypatch.setattr(sys.modules["pellucid.classic._rows"], "BLOCK_BYTES", 13 * 4 * 7)
    torch.testing.assert_close(encode(ROWS, KNOWN, how=how).dense(), whole)
    torch.testing.assert_close(encode(ROWS[1:], KNOWN, how=how).dense(), whole[1:])


def test_refuses() -> None:
    with pytest.raises(ValueError, match=r"how must be one of hard, .*, got 'soft'"):
        encode(ROWS, KNOWN, how="soft")
    with pytest.raises(ValueError, match="null must be one of flat, nearest, got 'never'"):
        encode(ROWS, KNOWN, null="never")
    with pytest.raises(ValueError, match=r"atoms must be in \[1, 12\], got 13"):
        encode(ROWS, KNOWN, how="omp", atoms=13)
    with pytest.raises(ValueError, match="sigma must be above 0 and finite, got 0"):
        encode(ROWS, KNOWN, how="kernel", sigma=0)
    with pytest.raises(ValueError, match="descriptors must have the 9 numbers learned, got 8"):
        encode(ROWS[..., :8], KNOWN)
    with pytest.raises(ValueError, match=r"descriptors must be \(N, P, D\), those of N images, got \(30, 9\)"):
        encode(ROWS[0], KNOWN)
    with pytest.raises(ValueError, match="the dictionary must be fitted on descriptors first"):
        encode(ROWS, Dictionary())


def test_omp_takes_no_word_twice() -> None:
    exact = dictionary(torch.eye(9)[:6])
    codes = encode(torch.eye(9)[None, :6] * 2, exact, how="omp", atoms=4)
    assert all(len(set(names)) == 4 for names in codes.words[0].tolist())
    torch.testing.assert_close(codes.dense()[0, :, :-1], torch.eye(6) * 2)
