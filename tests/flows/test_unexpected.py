"""Errors that nobody foresaw: a sentence, what to do, status 3, and never a traceback."""

import errno
import json
import os
import stat
from pathlib import Path

import pytest

from catalog.errors import EvidenceError, Status, UsageError
from flows import cli, unexpected


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:  # noqa: BLE001  # whatever was raised
        return caught


@pytest.mark.parametrize(
    ("error", "saying", "remedy"),
    [
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "Too many open files", "ulimit -n"),
        (BlockingIOError(errno.EAGAIN, "fork"), "Resource temporarily unavailable", "ulimit -u"),
        (OSError(errno.ENOSPC, "full", "/somewhere"), "No space left on device /somewhere", "free space"),
        (MemoryError(), "not enough memory", "memory"),
    ],
)
def test_what_the_machine_refuses_is_said_with_what_to_do(error: Exception, saying: str, remedy: str) -> None:
    wrapped = RuntimeError("in the midst of something")
    wrapped.__cause__ = error
    for each in (raised(error), raised(wrapped)):
        told = unexpected.told(each)
        assert (told.status, saying in str(told), remedy in told.help()) == (Status.ENVIRONMENT, True, True)


def test_what_is_nobodys_fault_but_ours_keeps_its_traceback_in_a_private_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def broken(_options: object) -> Status:
        raise KeyError("what was thought to be there")

    monkeypatch.setattr("flows.decisions.plan", broken)
    assert cli.main(["plan", "ioc", "--json"]) == Status.ENVIRONMENT
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert json.loads(out)["error"] == "a fault of Plimsoll itself: KeyError: 'what was thought to be there'"
    (kept,) = tmp_path.iterdir()
    assert str(kept) in err
    assert "in broken" in kept.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    assert "could not be written" in unexpected.told(raised(KeyError("x"))).help()


def test_errors_of_ones_own_pass_as_they_are() -> None:
    error = UsageError("which?")
    assert unexpected.told(error) is error


def test_what_could_not_be_read_for_want_of_memory_is_no_fault_of_the_evidence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import duckdb

    def index(_options: object) -> Status:
        with duckdb.connect(config={"memory_limit": "1MB", "threads": 1, "temp_directory": ""}) as connection:
            try:
                connection.execute("CREATE TABLE t AS SELECT range AS number FROM range(1000000)")
            except duckdb.Error as error:
                raise EvidenceError(f"the ledger cannot be indexed: {error}") from error
        return Status.PROVED

    monkeypatch.setattr("flows.decisions.plan", index)
    assert cli.main(["plan", "ioc"]) == Status.ENVIRONMENT
    assert "there is not enough memory" in capsys.readouterr().err


def test_an_api_that_is_gone_is_told_from_a_fault_of_our_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    gone = {PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 0}
    with (
        temporary_settings(gone),
        get_client(sync_client=True) as client,
        pytest.raises(Exception, match="Connection refused") as caught,
    ):
        client.hello()
    told = unexpected.told(caught.value)
    assert "Prefect's API failed" in str(told)
    assert "PREFECT_API_URL" in told.help()
