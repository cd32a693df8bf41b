"""A lock file is held by one process at a time, which it names; whoever waits has it when that ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from catalog.errors import WorldError
from catalog.locking import held

HOLD = """
import sys
from pathlib import Path
from catalog.locking import held
with held(Path(sys.argv[1]), "the bench"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_another_process_is_named_and_waited_for_and_a_killed_one_gives_it_back(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(WorldError, match=f"another run has the bench: process {holder.pid}"), held(path, "the bench"):
        pass

    def end(why: str) -> None:
        told.append(why)
        holder.kill()

    told: list[str] = []
    with held(path, "the bench", wait=end):
        assert path.read_text() == f"{os.getpid()}\n"
    assert told == [f"another run has the bench: process {holder.pid}"]
    assert path.read_text() == ""
    holder.communicate()
