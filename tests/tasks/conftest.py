"""Fixtures that several rooms of this ring share."""

import os

import pytest
from deciders import Deciders

BLOCKING = """
import sys

def _refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        raise PermissionError(f"{event} {arguments} from a process that has no business with the network")

sys.addaudithook(_refuse)
"""


@pytest.fixture(scope="session")
def judge(tmp_path_factory):
    """A warm judge whose process cannot reach the network, and whose home and temporary directories are watched."""
    from tasks.judge import start_judge

    blocking, home, temporary = (tmp_path_factory.mktemp(name) for name in ("blocking", "home", "temporary"))
    (blocking / "sitecustomize.py").write_text(BLOCKING)
    kept = {name: os.environ.get(name) for name in ("PYTHONPATH", "HOME", "TMPDIR")}
    os.environ |= {"PYTHONPATH": str(blocking), "HOME": str(home), "TMPDIR": str(temporary)}
    try:
        started = start_judge()
    finally:
        for name, value in kept.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    with started:
        started.home, started.temporary = home, temporary
        yield started


@pytest.fixture
def deciders(runbook, template, template_folder, tmp_path):
    """People who decide on the template's programme, in an empty workspace."""
    return Deciders(
        runbook.workspace,
        runbook.recorder,
        template,
        template_folder,
        tmp_path / "keys",
    )
