"""A process may be ended at any system call by which it writes, and any disk may fill up: nothing promised is lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MEMORY = Path("/dev/shm")  # noqa: S108 - where a file system in memory is, on Linux; elsewhere the disk does
LEAST = {
    "evidence": {"create", "write", "fsync", "rename", "mkdir", "link", "unlink", "chmod", "truncate"},
    "torn": {"create", "write", "fsync", "rename", "mkdir", "truncate"},
    "bundle": {"create", "write", "fsync", "rename", "mkdir"},
    "index": {"rename", "unlink"},
}


@pytest.mark.parametrize("scenario", LEAST)
def test_whatever_call_is_the_last_nothing_promised_is_lost_and_the_same_work_comes_to_its_end(scenario: str) -> None:
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    if MEMORY.is_dir():
        environ["TMPDIR"] = str(MEMORY)
    command = [sys.executable, "-m", "tests.catalog.crashes", scenario]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environ)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["problems"] == {}, done.stderr
    assert set(answer["calls"]) >= LEAST[scenario]
    assert answer["trials"] > sum(answer["calls"].values())
