"""Python in processes of their own, which may be killed: forked from one that has imported everything, so that each
starts at once.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SERVER = """
import json, os, sys
import filelock, pyarrow.parquet
from pellucid import data, features

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        os.dup2(2, 1)
        exec(json.loads(line), {})
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@contextmanager
def forks() -> Iterator[Callable[[str], int]]:
    """What runs a script and returns its exit code; minus the signal's number for a killed one."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as server:

        def run(script: str) -> int:
            assert server.stdin is not None
            assert server.stdout is not None
            server.stdin.write(json.dumps(script) + "\n")
            server.stdin.flush()
            return int(server.stdout.readline())

        yield run
        assert server.stdin is not None
        server.stdin.close()
