"""A run: a folder that tells everything about a training, is readable at every moment, and can be gone on with.

record.json          that pellucid made it, and with which versions
config.yaml          the recipe, its data and all its options
metrics.jsonl        a line an epoch, appended and flushed; metrics.csv is the same as a table
last.pt              the last checkpoint: weights, optimizer, schedule, position and random state; tensors and numbers
model.json           the best model so far, with its weights.safetensors: the folder is a MODEL
snapshots/           a model of each cycle's end, epoch-0004 and so on, where they are asked for
results.json         what came out; it is there once the run has finished
index.html           the page
"""

import csv
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch

from pellucid.files import check_new_folder, read_object, write_json, written
from pellucid.models import is_model_folder, settle
from pellucid.records import record as made

from ._clearing import is_half_made, is_held, mend, set_aside
from .state import RandomStates, random_states, set_random_state

SNAPSHOTS = "snapshots"
"""The folder, within a run's, of the models that were kept at the ends of the learning rate's cycles."""


class Part(Protocol):
    """Anything that can be put into a checkpoint: a module, an optimizer, a schedule, a State."""

    def state_dict(self) -> Mapping[str, Any]:
        """What it holds: tensors, numbers, words, lists and mappings of them."""

    def load_state_dict(self, saved: Any) -> Any:
        """Take it back."""


class Run:
    """A run's folder.

    Args:
        folder: it must hold a run; `Run.create` makes one.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.config = _config(self.folder)

    @classmethod
    def create(cls, folder: str | Path, config: Mapping[str, Any], *, seed: int = 0, force: bool = False) -> "Run":
        """Make a run's folder.

        Args:
            folder: to make.
            config: recipe, data and options, as they are to stand in config.yaml.
            seed: of the record.
            force: set a run that stands there aside until the new one has learned, if pellucid made all of it.

        Raises:
            ValueError: the folder is there and may not be replaced; says the remedy.
        """
        place = Path(folder)
        mend(place)
        if is_run(place):
            set_aside(place, force=force)
        elif is_half_made(place):
            shutil.rmtree(place)
        check_new_folder(place)
        place.mkdir(parents=True, exist_ok=True)
        stamp = made("train", options=config, model={}, seed=seed, data={"path": str(config.get("data", ""))})
        with written(place / "record.json") as new:
            write_json(new, stamp.json())
        with written(place / "config.yaml") as new:
            import yaml

            new.write_text(yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True), encoding="utf-8")
        return cls(place)

    def learn_from(self, parts: Mapping[str, Mapping[str, Any]], *, writes: bool = True) -> None:
        """Note in record.json what is learned from, or compare with what was noted when the run was begun.

        Args:
            parts: number and hash of each part's images or rows, by name.
            writes: only the first of several processes does.

        Raises:
            ValueError: the data are others than those the run was begun with.
        """
        told = read_object(self.folder / "record.json")
        before = told.get("data", {}).get("parts")
        for name in sorted({*(before or parts), *parts}):
            if before is not None and before.get(name) != parts.get(name):
                changed = f"the {name} part of {self.config.get('data')} is not the one it was begun with"
                raise ValueError(f"{self.folder}: {changed}: put that back, or begin a new run")
        if before is None and writes:
            with written(self.folder / "record.json") as new:
                write_json(new, {**told, "data": {**told.get("data", {}), "parts": parts}})

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep every other process from writing to the run while the block runs; a killed process lets go of it."""
        from filelock import FileLock, Timeout

        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise ValueError(f"{self.folder}: another process is training this run") from error
        try:
            for left in self.folder.glob(".*.part"):
                left.unlink()  # of a process that was killed amid a write
            yield
        finally:
            lock.release()

    @property
    def is_held(self) -> bool:
        """Whether a process is training it now."""
        return is_held(self.folder)

    @property
    def is_finished(self) -> bool:
        """Whether it came to its end."""
        return (self.folder / "results.json").is_file()

    @property
    def results(self) -> dict[str, Any]:
        """What came out; empty before the end."""
        return read_object(self.folder / "results.json") if self.is_finished else {}

    def records(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl so far; one cut short by a crash is left out."""
        path = self.folder / "metrics.jsonl"
        lines = path.read_bytes().splitlines(keepends=True) if path.is_file() else []
        found = []
        for number, line in enumerate(lines, start=1):
            if line.endswith(b"\n"):
                try:
                    found.append(dict(json.loads(line)))
                except (ValueError, TypeError) as error:
                    raise ValueError(f"{path}: line {number} is damaged") from error
        return found

    def log(self, values: Mapping[str, Any]) -> None:
        """Append a line; it is on the disk when the call returns."""
        line = (json.dumps(values, allow_nan=False) + "\n").encode()
        try:
            with (self.folder / "metrics.jsonl").open("ab", buffering=0) as file:
                count = file.write(line)
                os.fsync(file.fileno())
            if count != len(line):
                raise OSError("only a part of the line was written")
            self._table(values)
        except OSError as error:
            raise OSError(f"{self.folder}: its metrics could not be written ({error}); is the disk full?") from error

    def checkpoint(self, parts: Mapping[str, Part], random: RandomStates | None = None) -> None:
        """Write the last checkpoint, whole or not at all.

        Args:
            parts: by name, all that changes while one trains.
            random: of every process; None: of this one.

        Raises:
            OSError: no room; the checkpoint before it is still there.
        """
        log = self.folder / "metrics.jsonl"
        states = random_states() if random is None else random
        saved = {
            "format": 1,
            "parts": {name: dict(part.state_dict()) for name, part in parts.items()},
            "random": states.cpu,
            "cuda": states.cuda,
            "lines": log.stat().st_size if log.is_file() else 0,
        }
        with written(self.folder / "last.pt") as new:
            torch.save(saved, new)

    def restore(self, parts: Mapping[str, Part], rank: int = 0) -> bool:
        """Put the last checkpoint back; False when there is none yet. Lines logged after it are taken back.

        Args:
            parts: as they were checkpointed, freshly made.
            rank: of this process, whose random state it gets; the first one takes the lines back.

        Raises:
            ValueError: the checkpoint is damaged, or of another kind of run.
        """
        path = self.folder / "last.pt"
        saved: dict[str, Any] = {"lines": 0}
        if path.is_file():
            saved = _checkpoint(path)
            if set(saved["parts"]) != set(parts):
                raise ValueError(f"{path}: holds {', '.join(saved['parts'])}, not {', '.join(parts)}")
            for name, part in parts.items():
                try:
                    part.load_state_dict(saved["parts"][name])
                except (RuntimeError, ValueError, LookupError) as error:
                    reason = str(error).strip().rpartition("\n")[2].strip()
                    raise ValueError(
                        f"{path}: does not fit what is trained now ({reason}); has the data changed?"
                    ) from error
            set_random_state(RandomStates(saved["random"], saved["cuda"]), rank)
        log = self.folder / "metrics.jsonl"
        if rank == 0 and log.is_file() and log.stat().st_size > saved["lines"]:
            os.truncate(log, saved["lines"])
            self._table()
        return path.is_file()

    def finish(self, results: Mapping[str, Any]) -> None:
        """Write results.json: the run has come to its end, and its weights file has its usual name."""
        if is_model_folder(self.folder):
            settle(self.folder)
        with written(self.folder / "results.json") as new:
            write_json(new, dict(results))

    def _table(self, values: Mapping[str, Any] | None = None) -> None:
        """Append a row to metrics.csv; write it anew where the columns are others, or no row is given."""
        path = self.folder / "metrics.csv"
        if values is not None and path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                columns = next(csv.reader(file), [])
            if set(values) <= set(columns):
                with path.open("a", newline="", encoding="utf-8") as file:
                    csv.DictWriter(file, columns).writerow(values)
                return
        records = self.records()
        columns = list(dict.fromkeys(name for line in records for name in line))
        with written(path) as new, new.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, columns)
            table.writeheader()
            table.writerows(records)


def is_run(folder: Path) -> bool:
    """Whether a folder holds a run."""
    return (folder / "config.yaml").is_file() and (folder / "record.json").is_file()


def _config(folder: Path) -> dict[str, Any]:
    """The recipe and its options."""
    import yaml

    if not is_run(folder):
        raise ValueError(
            f"{folder}: is not a run (it has no config.yaml and record.json); make one with pellucid train"
        )
    try:
        config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{folder / 'config.yaml'}: not readable ({' '.join(str(error).split())})") from error
    if not isinstance(config, dict) or "recipe" not in config:
        raise ValueError(f"{folder / 'config.yaml'}: must name a recipe")
    return config


def _checkpoint(path: Path) -> dict[str, Any]:
    """What a checkpoint holds."""
    try:
        saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        kinds = {"parts": dict, "random": list, "cuda": list, "lines": int}
        if not all(isinstance(saved[name], kind) for name, kind in kinds.items()) or not saved["random"]:
            raise TypeError("of another form")
    except Exception as error:  # a damaged file raises whatever its reader meets
        raise ValueError(f"{path}: not a readable checkpoint; start again with --force") from error
    return saved
