import pytest
import torch

from pellucid.classic import Dictionary, vlad

ROWS = torch.rand(2, 20, 5, generator=torch.Generator().manual_seed(0))
ROWS[:, 4] = 0


def test_equals_the_loop_over_descriptors() -> None:
    known = Dictionary(words=3).fit(ROWS)
    for root, each in ((False, False), (True, False), (True, True)):
        rows = []
        for image in ROWS:
            sums = torch.zeros(3, 5)
            for one in image[image.any(dim=1)]:
                word = int((known.words_[:3] - one).norm(dim=1).argmin())
                sums[word] += one - known.words_[word]
            sums = sums / sums.norm(dim=1, keepdim=True) if each else sums
            sums = sums.sign() * sums.abs().sqrt() if root else sums
            rows.append((sums / sums.norm()).flatten())
        torch.testing.assert_close(vlad(ROWS, known, root=root, each=each), torch.stack(rows), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("each", [False, True])
def test_a_pyramid_is_the_parts_side_by_side(each: bool) -> None:
    known = Dictionary(words=3).fit(ROWS)
    found = vlad(ROWS, known, each=each, size=(4, 5), levels=2).view(2, 5, -1)
    left = torch.arange(20) % 5 < 2  # the middle column's middle lies on the line, and goes to the right
    top = torch.arange(20) < 10
    places = [torch.ones(20, dtype=torch.bool), top & left, top & ~left, ~top & left, ~top & ~left]
    for number, place in enumerate(places):
        torch.testing.assert_close(found[:, number] * 5**0.5, vlad(ROWS[:, place], known, each=each))


def test_zeros_count_nothing() -> None:
    known = Dictionary(words=3).fit(ROWS)
    assert not vlad(torch.zeros(1, 4, 5), known).any()
    with_more = torch.cat([ROWS, torch.zeros(2, 9, 5)], dim=1)
    torch.testing.assert_close(vlad(with_more, known), vlad(ROWS, known))


def test_refuses() -> None:
    with pytest.raises(ValueError, match="the dictionary must be fitted on descriptors first"):
        vlad(ROWS, Dictionary())
    with pytest.raises(ValueError, match="descriptors must have the 5 numbers learned, got 4"):
        vlad(ROWS[..., 1:], Dictionary(words=2).fit(ROWS))
    with pytest.raises(ValueError, match="size must be rows and columns of the 20 patches for 2 levels, got None"):
        vlad(ROWS, Dictionary(words=2).fit(ROWS), levels=2)
    with pytest.raises(ValueError, match="size must be rows and columns of the 20 patches, got 4 x 4"):
        vlad(ROWS, Dictionary(words=2).fit(ROWS), size=(4, 4))
