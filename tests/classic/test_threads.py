import threading
from collections.abc import Iterator, Sequence

import pytest
import torch

from pellucid.classic import dense_sift
from pellucid.classic._cells import Cells, parts
from pellucid.classic._threads import in_threads, one_thread


@pytest.fixture(params=[1, 2, 5])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_every_part_is_worked_on_once_and_each_thread_takes_one_for_an_operation(threads: int) -> None:
    met: list[tuple[int, int, int, bool]] = []

    def work(some: Sequence[int]) -> None:
        met.extend((part, threading.get_ident(), torch.get_num_threads(), torch.is_grad_enabled()) for part in some)

    with one_thread() as known:
        in_threads(work, range(11), known)
    assert known == threads
    assert sorted(part for part, *_ in met) == list(range(11))
    assert len({thread for _, thread, *_ in met}) <= threads
    assert {(own, is_recording) for *_, own, is_recording in met} == {(1, False)}
    assert torch.get_num_threads() == threads


def test_an_error_of_any_part_comes_out_and_threads_are_as_before(threads: int) -> None:
    def work(some: Sequence[int]) -> None:
        if 3 in some:
            raise ValueError("no third part")

    with pytest.raises(ValueError, match="third"), one_thread() as known:
        in_threads(work, range(5), known)
    assert torch.get_num_threads() == threads


def test_descriptors_do_not_depend_on_threads_nor_on_the_mode(threads: int) -> None:
    images = torch.rand(5, 1, 40, 50, generator=torch.Generator().manual_seed(0))
    found = dense_sift(images)
    with torch.inference_mode():
        assert torch.equal(dense_sift(images), found)
    torch.testing.assert_close(torch.cat([dense_sift(image[None]) for image in images]), found)


@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("pixels", [1, 5000, 10**6])
def test_parts_cover_every_row_of_every_image_once(count: int, pixels: int) -> None:
    cells = Cells(patch=16, stride=8, bins=8, orientation="hard", reach=2, sigma=8.0)
    for rows, width in ((1, 16), (31, 256), (90, 2000)):
        met = torch.zeros(count, rows)
        for which, band in parts(count, rows, cells, width, pixels=pixels, threads=3):
            met[which, band] += 1
        assert (met == 1).all()
