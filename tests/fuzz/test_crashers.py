"""What once broke a reader, or made it slow or greedy: every one again, in little memory and without a hang."""

import signal
import tracemalloc
from pathlib import Path

import pytest
from targets import TARGETS, seeds

CRASHERS = sorted(Path(__file__).with_name("crashers").glob("*/*"))
SECONDS = 120
MOST = 256 << 20
"""Bytes that reading a file of a few kilobytes may take."""


class TooSlowError(Exception):
    """A reader hangs."""


@pytest.fixture(autouse=True)
def bounded():
    def stop(*_):
        raise TooSlowError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
    assert peak < MOST


@pytest.mark.parametrize("file", CRASHERS, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_what_broke_a_reader_once_does_not_again(file):
    TARGETS[file.parent.name](file.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_takes_what_its_corpus_begins_with(target):
    given = seeds(target)
    assert given
    for each in given:
        TARGETS[target](each)


def test_every_kind_of_crasher_is_of_a_target():
    assert {file.parent.name for file in CRASHERS} <= TARGETS.keys()
