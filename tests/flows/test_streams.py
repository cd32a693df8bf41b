"""Standard output and error: a reader that leaves changes nothing, a lost answer is told, no encoding is too small."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from phases import PLIMSOLL

from tests.shops import write_shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streams") / "shop"
    write_shop(folder)
    return folder


def shell(script: str, shop: Path, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Runs a shell script; `$P` is the command and `$C` the catalogue. What it prints ends with each status."""
    surroundings = {**os.environ, "P": PLIMSOLL, "C": str(shop), **environ}
    command = ["/bin/bash", "-o", "pipefail", "-c", script]
    encoding = environ.get("PYTHONIOENCODING", "utf-8")
    ended = subprocess.run(command, capture_output=True, env=surroundings, check=False, encoding=encoding)
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended


def test_a_reader_that_leaves_takes_nothing_from_the_outcome(shop: Path) -> None:
    ended = shell("{ $P volumes launch --catalog $C --json; echo $? >&2; } | head -c 1", shop)
    assert ended.stderr == "0\n"
    ended = shell("{ sleep 1; $P volumes launch --catalog $C; echo $? >&2; } | true", shop)
    assert ended.stderr == "0\n"


@pytest.mark.end_to_end
def test_progress_that_nobody_reads_ends_no_run(shop: Path, tmp_path: Path, alone: dict[str, str]) -> None:
    """Standard output and error in one pipe, whose reader leaves after a line: the phase goes on to its report."""
    home = tmp_path / "home"
    run = "$P run pilot --tests pilot.orders.load --catalog $C --home $H"
    script = f"exec 3>&1; {{ {run}; echo $? >&3; }} 2>&1 | head -1 >&2"
    ended = shell(script, shop, **{**alone, "P": PLIMSOLL, "C": str(shop), "H": str(home)})
    assert "starting" in ended.stderr
    assert ended.stdout == "1\n"  # the other tests were not run
    assert (home / "reports" / "pilot" / "report.html").is_file()


def test_messages_that_nobody_reads_change_no_status(shop: Path) -> None:
    ended = shell("{ sleep 1; $P plan harvest --catalog $C; echo $? >&3; } 3>&1 2>&1 >/dev/null | true; ", shop)
    assert ended.returncode in (0, 141)
    ended = shell("exec 3>&1; { sleep 1; $P plan harvest --catalog $C; echo $? >&3; } 2>&1 >/dev/null | true", shop)
    assert ended.stdout == "2\n"


@pytest.mark.parametrize("where", [">&-", "> /dev/full"])
@pytest.mark.parametrize("command", ["check --catalog $C", "check --catalog $C --json", "--help"])
def test_an_answer_that_is_lost_is_a_fault_of_the_environment(where: str, command: str, shop: Path) -> None:
    ended = shell(f"$P {command} {where}", shop)
    assert ended.returncode == 3
    assert ended.stderr.startswith("plimsoll: the answer could not be written to standard output: ")


def test_closed_streams_leave_a_refusal_its_status(shop: Path) -> None:
    assert shell("$P plan harvest --catalog $C 2>&-", shop).returncode == 2
    assert shell("$P plan harvest --catalog $C >&- 2>&- <&-", shop).returncode == 2


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_every_encoding_holds_every_answer(encoding: str, shop: Path) -> None:
    where = "--catalog $C --home /nonexistent/h"
    for command in (f"plan launch {where}", f"explain launch.orders.load {where}", "volumes launch --catalog $C"):
        assert shell(f"$P {command}", shop, PYTHONIOENCODING=encoding).returncode == 0
        answer = shell(f"$P {command} --json", shop, PYTHONIOENCODING=encoding)
        assert json.loads(answer.stdout)


def test_marks_have_plain_forms_and_other_characters_are_escaped() -> None:
    assert "✔ proved, 3 µs → ✘ “no”".encode("ascii", "plimsoll") == rb"+ proved, 3 us -> x \u201cno\u201d"
    assert json.loads(f'"{chr(0xDCFF)}"'.encode("utf-8", "plimsoll")) == "\udcff"
