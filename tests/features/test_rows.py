import os
from pathlib import Path

import numpy as np
import pytest

from pellucid.features import _rows
from pellucid.features._rows import HEADER, LINE, Growing, mapped, write_chosen

ROWS = np.random.default_rng(0).random((7, 5), dtype=np.float32)
KEYS = [f"{number:032x}" for number in range(7)]


def grown(path: Path) -> Growing:
    growing = Growing(path)
    growing.append(KEYS[:4], ROWS[:4])
    growing.append(KEYS[4:], ROWS[4:])
    return growing


def test_rows_that_grew_are_a_file_that_numpy_reads(tmp_path: Path) -> None:
    path = tmp_path / "a.rows.npy"
    grown(path)
    again = Growing(path)
    assert again.keys == KEYS
    np.testing.assert_array_equal(again.array(), ROWS)
    again.close()
    np.testing.assert_array_equal(np.load(path), ROWS)
    np.testing.assert_array_equal(mapped(path, 7, 5), ROWS)
    np.save(tmp_path / "plain.npy", ROWS)
    assert (tmp_path / "plain.npy").stat().st_size == path.stat().st_size
    again.discard()
    assert not [*tmp_path.glob("a.*")]


@pytest.mark.parametrize(
    ("rows", "keys", "left"),
    [
        (HEADER + 20 * 6 + 3, LINE * 8, 6),  # a row that is cut off takes its key with it
        (HEADER + 20 * 7, LINE * 5 + 9, 4),  # and a key its row
        (HEADER, LINE * 8, 0),
        (HEADER - 20, LINE * 8, 0),
        (HEADER + 20 * 7, LINE - 1, 0),
        (0, 0, 0),
    ],
)
def test_what_was_cut_off_is_computed_again(tmp_path: Path, rows: int, keys: int, left: int) -> None:
    path = tmp_path / "a.rows.npy"
    growing = grown(path)
    os.truncate(path, rows)
    os.truncate(growing.journal, keys)
    again = Growing(path)
    assert again.keys == KEYS[:left]
    again.append(KEYS[left:], ROWS[left:])
    assert Growing(path).keys == KEYS
    again.close()
    np.testing.assert_array_equal(np.load(path), ROWS)


def test_keys_behind_a_damaged_one_are_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "a.rows.npy"
    with grown(path).journal.open("r+b") as file:
        file.seek(LINE * 3)
        file.write(b"?")
    again = Growing(path)
    assert again.keys == KEYS[:2]
    assert again.journal.stat().st_size == LINE * 3


def test_chosen_rows_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    which, places = np.array([0, 1, 1, 0, 1]), np.array([6, 2, 0, 0, 6])
    wanted = np.where(which[:, None] == 0, ROWS[places], -ROWS[places])
    for budget in (1, 45, 2**20):
        monkeypatch.setattr(_rows, "AT_ONCE", budget)
        write_chosen(tmp_path / "b.npy", [ROWS, -ROWS], which, places)
        np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), wanted)
