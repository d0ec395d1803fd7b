"""Commands in processes of their own, which may be killed: forked from one that has imported everything, so that each
starts at once.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

SERVER = """
import json, os, sys
import jsonargparse, lightning_fabric, matplotlib.figure, sklearn.datasets, torch.optim, yaml
from pellucid import data, models, report, training
from pellucid.cli import main
from pellucid.training import recipes

for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if child == 0:
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(asked[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        exec(asked["before"])
        code = main(asked["words"])
        sys.stdout.flush()
        os._exit(code)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@dataclass
class Child:
    """A running command."""

    number: int
    answers: IO[str]
    place: Path

    def send(self, sign: signal.Signals) -> None:
        """Send a signal, unless it has ended already."""
        with suppress(ProcessLookupError):
            os.kill(self.number, sign)

    def wait(self) -> int:
        """The exit code; minus the signal's number for a killed one."""
        return int(self.answers.readline())

    @property
    def out(self) -> str:
        return (self.place / "out.txt").read_text()

    @property
    def err(self) -> str:
        return (self.place / "err.txt").read_text()


@dataclass
class Forks:
    """Starts commands."""

    server: "subprocess.Popen[str]"
    place: Path

    def start(self, *words: str | Path, before: str = "") -> Child:
        """Start `pellucid words...`; `before` is Python that runs in the child first."""
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        asked = {"words": [str(word) for word in words], "before": before}
        asked |= {name: str(self.place / f"{name}.txt") for name in ("out", "err")}
        self.server.stdin.write(json.dumps(asked) + "\n")
        self.server.stdin.flush()
        return Child(int(self.server.stdout.readline()), self.server.stdout, self.place)


@contextmanager
def forks(place: Path) -> Iterator[Forks]:
    """The process the others are forked from; it has never trained, for threads do not survive a fork."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=place
    ) as server:
        yield Forks(server, place)
        assert server.stdin is not None
        server.stdin.close()
