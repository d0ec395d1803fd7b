import platform
import subprocess
import sys

import pytest

STEPS = """
import resource, torch
from pellucid.training._memory import keep_freed_memory
kept = keep_freed_memory() if {kept} else None
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for step in range(12):
    if step == 2:
        before = faults()
    block = torch.ones(2**24)  # 64 MiB, 16,384 pages
    del block
print(kept, faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc is what is told")
def test_a_freed_block_is_used_again_instead_of_fresh_pages() -> None:
    told, fresh = (
        subprocess.run([sys.executable, "-c", STEPS.format(kept=kept)], capture_output=True, text=True, check=True)
        for kept in (True, False)
    )
    assert told.stdout.split()[0] == "True"
    assert int(told.stdout.split()[1]) < 0.1 * int(fresh.stdout.split()[1])
