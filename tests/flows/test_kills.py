"""A phase ended by SIGKILL at random moments, and on a disk that fills up: what was recorded stands, and it goes on.

The long form, with disks of two sizes, and a seed of one's own:
`PLIMSOLL_KILLS=50 PLIMSOLL_SEED=3 .venv/bin/pytest tests/flows/test_kills.py`
"""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from phases import PLIMSOLL, Bench

from catalog.underway import left
from catalog.verification import verify
from catalog.workspace import FORMAT_FILE

pytestmark = pytest.mark.end_to_end

KILLS = int(os.environ.get("PLIMSOLL_KILLS", "1"))
SEED = int(os.environ.get("PLIMSOLL_SEED", "1"))
RUN = ("run", "pilot", "--tests", "pilot.storefront.load", "--json")
LONGEST = 20  # seconds, in which such a run has ended on an idle machine

FILLS_UP = """
import json, os, subprocess, sys
home, size, command = sys.argv[1], sys.argv[2], sys.argv[3:]
def done(*words):
    ended = subprocess.run(words, capture_output=True, text=True)
    return {"status": ended.returncode, "stdout": ended.stdout, "stderr": ended.stderr}
subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", home], check=True)
verify = [command[0], "verify", "--json", "--home", f"{home}/home"]
told = {"full": done(*command), "left": done(*verify)}
subprocess.run(["mount", "-o", "remount,size=256m", home], check=True)
told |= {"again": done(*command), "end": done(*verify)}
print(json.dumps(told))
"""


def test_a_run_killed_at_random_moments_loses_nothing_that_it_recorded(shop: Bench) -> None:
    chance = random.Random(SEED)  # noqa: S311 - picks moments, not secrets
    head = None
    for number in range(KILLS):
        process = shop.start(*RUN)
        moment = chance.uniform(0, LONGEST)
        try:
            process.communicate(timeout=moment)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        if (shop.home / FORMAT_FILE).exists():
            held = verify(shop.home, head=head)
            assert held.ok, f"seed {SEED}, kill {number} after {moment} s: {held.faults}"
            head = held.head or None
    ended = shop.run(*RUN)
    assert ended.answer["ends"]["executed"] == 1, f"seed {SEED}: {ended.stderr}"
    assert left(shop.home) == {}
    held = verify(shop.home, head=head)
    assert held.ok, f"seed {SEED}: {held.faults}"
    assert held.freshness == ("proven" if head else "not proven")


def mountable() -> bool:
    """Whether a file system of our own can be mounted here, for a process of ours alone."""
    words = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    try:
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.mark.parametrize("size", ["120k", "600k"] if KILLS > 1 else ["600k"])
def test_a_disk_that_fills_up_ends_a_run_clearly_and_it_goes_on_once_there_is_space(
    shop: Bench, tmp_path: Path, size: str
) -> None:
    if not mountable():
        pytest.xfail("no file system may be mounted here; tests/catalog/test_crashes.py fills disks that are not real")
    disk = tmp_path / "disk"
    disk.mkdir()
    where = ["--catalog", str(shop.catalog), "--home", str(disk / "home")]
    words = ["unshare", "-rm", sys.executable, "-c", FILLS_UP, str(disk), size, PLIMSOLL, *RUN, *where]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=shop.environ)
    told = json.loads(done.stdout)
    assert told["full"]["status"] == 3, told["full"]["stderr"]
    assert "No space left on device" in told["full"]["stderr"]
    assert "Check free space" in told["full"]["stderr"]
    assert "Traceback" not in told["full"]["stderr"]
    assert json.loads(told["left"]["stdout"])["faults"] == []
    assert json.loads(told["again"]["stdout"])["ends"]["executed"] == 1, told["again"]["stderr"]
    assert json.loads(told["end"]["stdout"])["faults"] == []
    assert json.loads(told["end"]["stdout"])["records"] > json.loads(told["left"]["stdout"])["records"]
