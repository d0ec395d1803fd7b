"""A run that its time limit stopped says so, in its record and on its page, until it goes on."""

from typing import TYPE_CHECKING

from pellucid.files import read_object, write_json, written

from .page import lasted, write_page
from .runs import Run

if TYPE_CHECKING:
    from .recipes import Told


def stop(run: Run, minutes: float) -> "Told":
    """Note that a run was stopped after so many minutes, draw its page, and say how it goes on."""
    from .recipes import Told

    _note(run, minutes)
    write_page(run)
    told = f"{run.folder}: stopped after {lasted(60 * minutes)}, its time limit; go on with --resume"
    return Told(told, {"minutes": minutes})


def go_on(run: Run) -> None:
    """Take the note back, and the page that tells it."""
    if "limit" in read_object(run.folder / "record.json"):
        _note(run, None)
        (run.folder / "index.html").unlink(missing_ok=True)


def _note(run: Run, minutes: float | None) -> None:
    told = {name: value for name, value in read_object(run.folder / "record.json").items() if name != "limit"}
    with written(run.folder / "record.json") as new:
        write_json(new, told if minutes is None else {**told, "limit": minutes})
