"""A store whose filling is killed, or finds the disk full, loses at most the batch it was at."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pellucid.data import open_images
from pellucid.features import Store

from .forks import forks
from .nets import write_picture, write_pictures
from .toys import Toy, filled, is_right, leftovers

NAMES = [f"{label}/{number}.png" for label in ("cat", "dog") for number in range(5)]

HERE = str(Path(__file__).parent)

FILLING = """
import os, resource, signal, sys
from pellucid.data import open_images
from pellucid.features import Column, Store
sys.path.insert(0, {here!r})
from toys import Toy

class Counting(Toy):
    def rows(self, images, columns):
        made = super().rows(images, columns)
        with open({counter!r}, "ab", buffering=0) as file:
            file.write(b"x" * len(images))
        return made

def fill():
    columns = [Column(layer, "flat") for layer in {layers!r}.split(",")]
    Store({store!r}).fill_from(Counting(), open_images({pictures!r}), columns)
"""

KILLED = """
left = {lines}
os.fsync = lambda _file: None  # a process that is killed leaves what it wrote to the system

def line(frame, event, _argument):
    global left
    if event == "line":
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return line

def call(frame, _event, _argument):
    return line if "/pellucid/features/" in frame.f_code.co_filename else None

sys.settrace(call)
fill()
sys.settrace(None)
with open({counter!r} + ".lines", "w") as file:
    file.write(str({lines} - left))
"""

FULL = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
kept = Counting.rows

def rows(self, images, columns):
    resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))
    return kept(self, images, columns)

Counting.rows = rows
try:
    fill()
except OSError as error:
    assert "is the disk full? What was there is kept" in str(error), error
    os._exit(3)
"""


@pytest.fixture(scope="module")
def fork() -> Iterator[Callable[[str], int]]:
    with forks() as run:
        yield run


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "pictures", NAMES, side=4)
    return tmp_path / "pictures"


@pytest.mark.parametrize("before", ["nothing", "another set"])
def test_killed_at_any_line(
    tmp_path: Path, pictures: Path, fork: Callable[[str], int], before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _file: None)
    base, needed, layers = tmp_path / "base", 10, "mean,pixels"
    if before == "another set":  # of which a file is changed, one gone, one new, and a column lacking
        filled(Store(base), pictures)
        write_picture(pictures / "cat/1.png", 50, 4)
        write_picture(pictures / "cat/7.png", 51, 4)
        (pictures / "dog/3.png").unlink()
        old = Store(base).tensor("mean")
    images = open_images(pictures)

    def told(name: str) -> dict[str, str]:
        paths = {"store": tmp_path / name, "counter": tmp_path / f"{name}.count", "pictures": pictures}
        return {**{key: str(path) for key, path in paths.items()}, "layers": layers, "here": HERE}

    def run(name: str, lines: int) -> int:
        if base.is_dir():
            shutil.copytree(base, tmp_path / name)
        return fork((FILLING + KILLED).format(**told(name), lines=lines))

    assert run("whole", 10**9) == 0
    every = int((tmp_path / "whole.count.lines").read_text())
    unlucky = 0
    for lines in range(1, every, max(1, every // 16)):
        name = f"killed-{lines}"
        assert run(name, lines) == -signal.SIGKILL
        store = Store(tmp_path / name)
        if len(store) and before == "another set" and store.columns.keys() == Store(base).columns.keys():
            assert store.tensor("mean").equal(old)  # what was there can be read until the new takes its place
        toy, counter = Toy(), tmp_path / f"{name}.count"
        filled(store, pictures, toy, layers)
        lost = (counter.stat().st_size if counter.is_file() else 0) + toy.given - needed
        assert 0 <= lost <= 2 * Toy.images_a_pass  # two kinds of batch at most are begun, by the columns they lack
        unlucky += lost > Toy.images_a_pass
        is_right(store, images, layers)
        assert not leftovers(store.folder)
        shutil.rmtree(store.folder)
    assert unlucky == 0


@pytest.mark.parametrize(("limit", "again"), [(40, 10), (150, 10), (190, 7), (220, 5), (1500, 0)])
def test_a_full_disk_loses_nothing(
    tmp_path: Path, pictures: Path, fork: Callable[[str], int], limit: int, again: int
) -> None:
    """No file may grow beyond a limit, in bytes; rows of 3 values take 12 behind a header of 128, their keys 33."""
    paths = {"store": tmp_path / "store", "counter": tmp_path / "count", "pictures": pictures}
    told = {**{key: str(path) for key, path in paths.items()}, "layers": "mean", "here": HERE}
    assert fork((FILLING + FULL).format(**told, limit=limit)) == 3
    toy, store = Toy(), Store(tmp_path / "store")
    filled(store, pictures, toy)
    assert toy.given == again
    is_right(store, open_images(pictures))
    assert not leftovers(store.folder)
