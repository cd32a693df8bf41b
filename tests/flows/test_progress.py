"""Progress: lines for everybody, a bar for a terminal, nothing for a deployment."""

import io
import sys

import pytest

from flows.progress import Progress, current, use


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_a_test_is_told_with_its_place_and_its_length(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    progress = Progress()
    with progress.test("ioc.dsp.stress", place="2 of 12", seconds=15) as bar:
        for step in range(2):
            bar(step, 10, 20, 100)
        progress.say("a line [in brackets] meanwhile")
    told = stream.getvalue()
    assert "2 of 12  ioc.dsp.stress  executing, at most 15 s" in told
    assert "a line [in brackets] meanwhile" in told
    assert ("step 2" in told) == stream.isatty()


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_bytes_are_shown_with_their_rate_on_a_terminal_only(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr("flows.progress._OFTEN", 0)
    with Progress().reading("verifying [home]") as progress:
        for done in range(0, 3_000_001, 1_000_000):
            progress(done, 3_000_000)
    told = stream.getvalue()
    if not stream.isatty():
        assert told == ""
        return
    assert "verifying [home]" in told
    assert "3.0/3.0 MB" in told
    assert "/s" in told


def test_a_quiet_one_says_nothing_and_is_what_there_is_at_first(capsys: pytest.CaptureFixture[str]) -> None:
    before = current()
    try:
        use(Progress(quiet=True))
        current().say("nothing")
        with current().test("t", place="1 of 1", seconds=1) as bar:
            bar(0, 1, 1, 1)
        with current().reading("bytes") as progress:
            progress(1, 1)
    finally:
        use(before)
    assert capsys.readouterr().err == ""
