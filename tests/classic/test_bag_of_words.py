from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pellucid.classic import BagOfWords, Dictionary, FisherVectors, dense_sift, encode, pyramid, vlad, word_patches
from pellucid.data import ImageSet, open_images
from pellucid.features import Column, Store

SMALL: dict[str, Any] = {"side": 48, "words": 6, "sample": 600, "starts": 1}


def stripes(count: int, *, is_upright: bool) -> "np.ndarray":
    """Noisy stripes of several widths, (count, 48, 48), uint8; the lower half is flat."""
    random = np.random.default_rng(int(is_upright))
    place = np.arange(48)[None, :] / random.uniform(1.5, 4, count)[:, None] + random.uniform(0, 6, count)[:, None]
    wave = np.broadcast_to(np.sin(place)[:, None], (count, 48, 48)).copy()
    wave += random.normal(0, 0.1, wave.shape)
    wave = wave if is_upright else wave.transpose(0, 2, 1)
    found: np.ndarray = (127 + 80 * wave).clip(0, 255).astype(np.uint8)
    found[:, 24:] = 90
    return found


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    folder = tmp_path_factory.mktemp("stripes")
    for name, is_upright in (("lying", False), ("upright", True)):
        (folder / name).mkdir()
        for number, picture in enumerate(stripes(10, is_upright=is_upright)):
            Image.fromarray(picture).save(folder / name / f"{number}.png")
    return open_images(folder)


def pictures(images: ImageSet, bag: BagOfWords) -> torch.Tensor:
    return torch.stack([images.read(place, bag.geometry).float() / 255 for place in range(len(images))])


def test_is_sift_words_and_pyramid_in_a_row(images: ImageSet) -> None:
    bag = BagOfWords(**SMALL, levels=2, pool="max", encoding="llc").fit(images)
    assert isinstance(bag.dictionary_, Dictionary)
    found = bag.features(images)
    descriptors = dense_sift(pictures(images, bag))
    wanted = pyramid(encode(descriptors, bag.dictionary_, how="llc"), (5, 5), levels=2, pool="max")
    torch.testing.assert_close(found.rows, wanted)
    assert found.places.tolist() == list(range(20))
    assert found.rows.shape == (20, 5 * 7)


def test_what_is_read_at_a_time_changes_nothing(images: ImageSet) -> None:
    bag, other = BagOfWords(**SMALL).fit(images), BagOfWords(**SMALL)
    other.images_a_pass = 3
    other.fit(images)
    assert bag.hash == other.hash
    torch.testing.assert_close(other.features(images).rows, bag.features(images).rows)


def test_stripes_are_told_apart_by_a_neighbour(images: ImageSet) -> None:
    rows = BagOfWords(**SMALL, norm="root").fit(images).features(images).rows
    alike = (rows @ rows.T).fill_diagonal_(-1)
    assert torch.equal(images.targets[alike.argmax(dim=1)], images.targets)


def test_one_word_counts_patches_and_flat_ones(images: ImageSet) -> None:
    rows = BagOfWords(side=48, words=1, norm="none").fit(images).features(images).rows
    descriptors = dense_sift(pictures(images, BagOfWords(side=48, words=1)))
    live = descriptors.any(dim=2).sum(dim=1)
    assert torch.equal(rows, torch.stack([live, 25 - live], dim=1).float())
    assert (live < 25).all()


def test_vlad_and_fisher_vectors_too(images: ImageSet) -> None:
    bag = BagOfWords(**SMALL, encoding="vlad").fit(images)
    assert isinstance(bag.dictionary_, Dictionary)
    torch.testing.assert_close(bag.features(images).rows, vlad(dense_sift(pictures(images, bag)), bag.dictionary_))
    fisher = BagOfWords(**{**SMALL, "words": 2}, encoding="fisher").fit(images)
    assert isinstance(fisher.dictionary_, FisherVectors)
    assert fisher.features(images).rows.shape == (20, 2 * 2 * 64)
    with pytest.raises(ValueError, match="encoding must be another for a map of words"):
        fisher.word_map(pictures(images, fisher))


@pytest.mark.parametrize("encoding", ["hard", "uncertainty", "vlad", "fisher"])
def test_several_sizes_of_patches_count_together(images: ImageSet, encoding: str) -> None:
    bag = BagOfWords(**{**SMALL, "words": 3}, scales=2, levels=2, encoding=encoding).fit(images)
    assert bag.patches == (16, 24)
    whole = pictures(images, bag)
    descriptors = torch.cat([dense_sift(whole, patch=side, sigma=side / 2) for side in (16, 24)], dim=1)
    sizes = [(5, 5), (4, 4)]
    if isinstance(bag.dictionary_, FisherVectors):
        wanted = bag.dictionary_(descriptors, size=sizes, levels=2)
    elif encoding == "vlad":
        wanted = vlad(descriptors, bag.dictionary_, size=sizes, levels=2)
    else:
        codes = encode(descriptors, bag.dictionary_, how=encoding)
        wanted = pyramid(codes, sizes, levels=2)
        if encoding == "hard":
            assert torch.equal(bag.word_map(whole).flatten(1), codes.words[:, :25, 0])
            assert int(word_patches(bag, images, [0]).counts.sum()) == 20 * 25
    torch.testing.assert_close(bag.features(images).rows, wanted, rtol=1e-3, atol=1e-4)


def test_each_size_is_the_root_of_two_larger() -> None:
    assert BagOfWords(patch=16, scales=4).patches == (16, 24, 32, 44)
    assert BagOfWords(patch=12, scales=4).patches == (12, 16, 24, 32)
    assert BagOfWords(patch=4, scales=3).patches == (4, 8, 12)


@pytest.mark.parametrize("encoding", ["hard", "fisher"])
def test_is_kept_and_read_again(images: ImageSet, tmp_path: Path, encoding: str) -> None:
    bag = BagOfWords(**{**SMALL, "words": 3}, encoding=encoding).fit(images)
    bag.save(tmp_path / "bag")
    found = BagOfWords.load(tmp_path / "bag")
    assert found.hash == bag.hash
    torch.testing.assert_close(found.features(images).rows, bag.features(images).rows)
    found.features(images).check_same(bag.features(images))


def test_bags_of_another_dictionary_are_refused(images: ImageSet) -> None:
    one = BagOfWords(**SMALL).fit(images)
    two = BagOfWords(**SMALL).fit(images, generator=torch.Generator().manual_seed(4))
    with pytest.raises(ValueError, match="bags must be of one dictionary"):
        one.features(images).check_same(two.features(images))
    counted = BagOfWords(**SMALL, norm="l1").fit(images)
    with pytest.raises(ValueError, match="bags must be of one dictionary"):
        one.features(images).check_same(counted.features(images))


def test_fills_a_store_of_features(images: ImageSet, tmp_path: Path) -> None:
    bag = BagOfWords(**SMALL).fit(images)
    store = Store(tmp_path / "store")
    assert store.fill_from(bag, images, [Column("bag")]).computed == 20
    assert Store(tmp_path / "store").fill_from(bag, images, [Column("bag")]).computed == 0
    torch.testing.assert_close(store.tensor("bag"), bag.features(images).rows)
    with pytest.raises(ValueError, match="holds features of bag of 6 words"):
        store.check(BagOfWords(**SMALL).fit(images, generator=torch.Generator().manual_seed(4)))
    with pytest.raises(ValueError, match="layers must be one of bag, got 'word'"):
        bag.rows(pictures(images, bag), [Column("word")])


def test_the_map_of_words_is_what_is_counted(images: ImageSet) -> None:
    bag = BagOfWords(**SMALL, norm="none").fit(images)
    maps = bag.word_map(pictures(images, bag))
    assert maps.shape == (20, 5, 5)
    counts = torch.stack([torch.bincount(one.flatten(), minlength=7) for one in maps])
    assert torch.equal(counts.float(), bag.features(images).rows)
    assert (maps[:, -1] == 6).all()  # flat below


def test_unreadable_pictures_have_no_row(images: ImageSet, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    Image.fromarray(stripes(1, is_upright=True)[0]).save(tmp_path / "a" / "good.png")
    (tmp_path / "a" / "bad.png").write_bytes(b"no picture")
    found = BagOfWords(**SMALL).fit(images).features(open_images(tmp_path))
    assert found.places.tolist() == [1]
    assert [error.file for error in found.errors] == ["a/bad.png"]


def test_nearest_patches_of_words_equal_the_search_over_all(images: ImageSet) -> None:
    bag = BagOfWords(**SMALL).fit(images)
    bag.images_a_pass = 7
    found = word_patches(bag, images, [0, 4, 6], top=3)
    assert isinstance(bag.dictionary_, Dictionary)
    whole = pictures(images, bag)
    descriptors, maps = dense_sift(whole), bag.word_map(whole).flatten(1)
    assert torch.equal(found.counts, torch.bincount(maps.flatten(), minlength=7))
    for row, word in enumerate(found.words):
        far = (descriptors - bag.dictionary_.words_[word]).norm(dim=2).masked_fill(maps != word, float("inf"))
        best = far.amin(dim=1)
        order = best.argsort(stable=True)[:3]
        torch.testing.assert_close(found.distances[row], best[order], rtol=1e-3, atol=1e-3)
        for rank in range(3):
            number, (down, across) = int(found.images[row, rank]), found.corners[row, rank].tolist()
            if best[order[rank]] < float("inf"):
                cut = whole[number, :, down : down + 16, across : across + 16]
                assert torch.equal(found.patches[row, rank], cut)
                again = (dense_sift(whole[number : number + 1])[0] - bag.dictionary_.words_[word]).norm(dim=1)
                spot = down // 8 * 5 + across // 8
                assert float(again[spot]) == pytest.approx(float(found.distances[row, rank]), abs=1e-3)
            else:
                assert number == -1
    assert found.distances[2, 0] == 0  # the null word's are flat


def test_refuses(images: ImageSet, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="levels must leave each part a patch, got 3 for 5 x 5, 4 x 4, 3 x 3 patches"):
        BagOfWords(side=48, scales=3, levels=3)
    with pytest.raises(ValueError, match="scales must be at least 1, got 0"):
        BagOfWords(scales=0)
    with pytest.raises(ValueError, match=r"encoding must be one of hard, .*, got 'hart'; did you mean hard"):
        BagOfWords(encoding="hart")
    with pytest.raises(ValueError, match="images must be at least 16 x 16, one patch, got 15 x 15"):
        BagOfWords(side=15)
    with pytest.raises(ValueError, match="sigma must be above 0 and finite, got 0"):
        BagOfWords(sigma=0.0)
    with pytest.raises(ValueError, match="stride must be at least 1, got 0"):
        BagOfWords(stride=0)
    with pytest.raises(ValueError, match="the bag of words must be fitted on training pictures first"):
        BagOfWords(**SMALL).features(images)
    with pytest.raises(ValueError, match=r"images must be 48 x 48 \(see side\), got 40 x 48"):
        BagOfWords(**SMALL).describe(torch.zeros(1, 1, 40, 48))
    Image.new("L", (48, 48), 90).save(tmp_path / "flat.png")
    with pytest.raises(ValueError, match="descriptors must not all be zeros: the images are flat"):
        BagOfWords(**SMALL).fit(open_images(tmp_path))
    with pytest.raises(ValueError, match=r"words must be in \[0, 6\], got 7"):
        word_patches(BagOfWords(**SMALL).fit(images), images, [7])
