"""Temporary folders: gone with their process, or removed by the next; a living process's are left alone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys
from tasks.scratch import scratch
with scratch() as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""
STARTER = """
import sys, time
from tasks.wire.process import ChildProcess
child = ChildProcess(sys.argv[1], {}, name="a child")
print(child.pid, flush=True)
time.sleep(60)
"""


def start(script: str, temporary: Path, *arguments: str) -> "subprocess.Popen[str]":
    environ = {**os.environ, "TMPDIR": str(temporary)}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environ)


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_folder_ends_with_its_process(tmp_path):
    holder = start(HOLDER, tmp_path)
    folder = Path(first_line(holder))
    assert folder.parent.name.startswith("plimsoll-")
    assert {each.stat().st_mode & 0o777 for each in (folder, folder.parent)} == {0o700}
    assert (folder.parent / "owner").stat().st_mode & 0o777 == 0o600
    holder.communicate("")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    (tmp_path / "plimsoll-of-somebody").mkdir()
    (tmp_path / "plimsoll-file").touch()
    killed, living = start(HOLDER, tmp_path), start(HOLDER, tmp_path)
    left, held = Path(first_line(killed)).parent, Path(first_line(living)).parent
    killed.kill()
    killed.communicate()
    assert left.is_dir()
    start(HOLDER, tmp_path).communicate("")
    assert {path.name for path in tmp_path.iterdir()} == {held.name, "plimsoll-of-somebody", "plimsoll-file"}
    living.communicate("")


def test_a_child_that_still_loads_ends_with_its_parent(tmp_path):
    for module in ("tasks.judge", "flows.prefect_api"):
        parent = start(STARTER, tmp_path, module)
        child = int(first_line(parent))
        time.sleep(0.5)  # python is up, and the module is importing for seconds to come
        parent.send_signal(signal.SIGKILL)
        parent.communicate()
        deadline = time.monotonic() + 2
        while is_running(child) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not is_running(child), module


def is_running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
