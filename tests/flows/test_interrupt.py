"""An interruption is heard before the next stage, wherever it came."""

import subprocess
import sys

SCRIPT = """
import os, signal
from contextlib import suppress
from flows.interrupt import heed
from flows.stage import stage

done = []

@stage("first")
def first():
    with suppress(KeyboardInterrupt):  # as a library's callback may
        os.kill(os.getpid(), signal.SIGINT)
    done.append("first")

@stage("second")
def second():
    done.append("second")

heed()
first()
try:
    second()
except KeyboardInterrupt:
    done.append("interrupted")
print(*done)
"""


def test_an_interruption_that_was_lost_is_heard_before_the_next_stage() -> None:
    ended = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert ended.stdout == "first interrupted\n"


def test_nothing_is_interrupted_where_nobody_asked() -> None:
    script = SCRIPT.replace("os.kill(os.getpid(), signal.SIGINT)", "pass")
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout == "first second\n"


def test_what_a_shell_runs_in_the_background_is_not_interrupted_from_the_terminal() -> None:
    script = SCRIPT.replace("heed()\n", "signal.signal(signal.SIGINT, signal.SIG_IGN)\nheed()\n")
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout == "first second\n"
