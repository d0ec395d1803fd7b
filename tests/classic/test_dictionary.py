from pathlib import Path

import pytest
import torch
from torch import Tensor

from pellucid.classic import Dictionary
from pellucid.classic._means import cluster
from pellucid.classic._rows import nearest


def blobs(count: int = 3, each: int = 60, *, width: int = 4, apart: float = 20.0) -> Tensor:
    """Rows around `count` far points, in this order."""
    generator = torch.Generator().manual_seed(5)
    middles = torch.randn(count, width, generator=generator) * apart
    return (middles[:, None] + torch.randn(count, each, width, generator=generator)).flatten(0, 1)


@pytest.mark.parametrize("mini_batch", [False, True])
def test_words_are_the_means_of_far_groups_and_the_null_word_is_last(mini_batch: bool) -> None:
    rows = blobs()
    found = Dictionary(words=3, mini_batch=mini_batch).fit(torch.cat([rows, torch.zeros(50, 4)]))
    means = rows.view(3, -1, 4).mean(dim=1)
    assert found.words_.shape == (4, 4)
    assert not found.words_[3].any()
    gaps = torch.cdist(found.words_[:3], means)
    assert sorted(gaps.argmin(dim=1).tolist()) == [0, 1, 2]
    assert gaps.amin(dim=1).max() < (0.3 if mini_batch else 1e-4)
    squares = (rows.view(3, -1, 4) - means[:, None]).square().sum(dim=2)
    if not mini_batch:
        assert found.inertia_ == pytest.approx(float(squares.mean()), rel=1e-4)
        assert found.spread_ == pytest.approx(float(squares.sqrt().median()), rel=1e-3)


def test_one_word_is_the_mean() -> None:
    rows = blobs()
    torch.testing.assert_close(Dictionary(words=1).fit(rows).words_[0], rows.mean(dim=0))


def test_no_step_makes_it_worse() -> None:
    rows = torch.rand(400, 6, generator=torch.Generator().manual_seed(0))
    errors = [float(nearest(rows, cluster(rows, 12, 1, steps, 3))[1].sum()) for steps in (1, 2, 3, 5, 8, 30)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0]


def test_each_word_is_the_mean_of_what_lies_nearest_to_it() -> None:
    rows = torch.rand(300, 3, generator=torch.Generator().manual_seed(1))
    centres = cluster(rows, 5, 3, 300, 0)
    place = nearest(rows, centres)[0]
    means = torch.stack([rows[place == word].mean(dim=0) for word in range(5)])
    torch.testing.assert_close(means, centres, rtol=0, atol=5e-3)  # it ends where a step gains a ten-thousandth


def test_no_word_is_empty() -> None:
    rows = torch.cat(
        [torch.full((500, 2), 1.0), torch.eye(2) * 9, torch.eye(2) * -9]
    )  # few different, one of them often
    words = Dictionary(words=5).fit(rows).words_[:-1]
    assert torch.bincount(nearest(rows, words)[0], minlength=5).all()
    assert Dictionary(words=5).fit(rows).inertia_ == pytest.approx(0, abs=1e-6)


def test_the_same_seed_gives_the_same_words_and_nothing_else_is_seeded() -> None:
    rows = torch.rand(500, 8, generator=torch.Generator().manual_seed(2))
    state = torch.get_rng_state()
    one, two = (Dictionary(words=7, sample=300).fit(rows) for _ in range(2))
    assert one.hash_ == two.hash_
    assert torch.equal(torch.get_rng_state(), state)
    other = Dictionary(words=7, sample=300).fit(rows, generator=torch.Generator().manual_seed(8))
    assert other.hash_ != one.hash_


def test_is_kept_and_read_again(tmp_path: Path) -> None:
    made = Dictionary(words=3, starts=2).fit(blobs())
    made.save(tmp_path / "words")
    found = Dictionary.load(tmp_path / "words")
    assert torch.equal(found.words_, made.words_)
    assert (found.hash_, found.inertia_, found.spread_) == (made.hash_, made.inertia_, made.spread_)
    assert (found.words, found.starts) == (3, 2)
    with pytest.raises(ValueError, match="exists already"):
        made.save(tmp_path / "words")
    made.save(tmp_path / "words", force=True)


def test_damage_is_told(tmp_path: Path) -> None:
    Dictionary(words=3).fit(blobs()).save(tmp_path / "words")
    file = tmp_path / "words" / "learned.safetensors"
    content = bytearray(file.read_bytes())
    content[-20] ^= 255
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"learned.safetensors: is damaged, or not what learned.json was written with"):
        Dictionary.load(tmp_path / "words")
    with pytest.raises(ValueError, match="is no saved visual dictionary"):
        Dictionary.load(tmp_path)


def test_refuses() -> None:
    with pytest.raises(ValueError, match="words must be at least 1, got 0"):
        Dictionary(words=0)
    with pytest.raises(ValueError, match="words must be at most the 180 different descriptors there are, got 181"):
        Dictionary(words=181).fit(blobs())
    with pytest.raises(ValueError, match="words must be at most the 2 different descriptors there are, got 3"):
        Dictionary(words=3).fit(torch.eye(2).repeat(20, 1))
    with pytest.raises(ValueError, match="descriptors must not all be zeros: the images are flat"):
        Dictionary(words=2).fit(torch.zeros(5, 8))
    with pytest.raises(ValueError, match="descriptors must be finite, got NaN or infinity"):
        Dictionary(words=2).fit(torch.full((5, 8), float("nan")))
    with pytest.raises(ValueError, match="the dictionary must be fitted on descriptors first"):
        len(Dictionary())
