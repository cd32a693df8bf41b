"""`plimsoll extensions`: nothing where nothing is installed, every name with its digest, and what is wrong with it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributions import install_guide

from flows.cli import main


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The guide's distribution, installed for this process."""
    monkeypatch.syspath_prepend(str(install_guide(tmp_path / "site")))
    yield tmp_path / "site"
    for name in [name for name in sys.modules if name.partition(".")[0] == "acme_plimsoll"]:
        del sys.modules[name]


def test_where_nothing_is_installed_it_says_where_to_read_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["extensions"]) == 0
    assert "docs/extending.md" in capsys.readouterr().out


def test_everything_that_is_installed_is_listed(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["extensions"]) == 0
    listed = capsys.readouterr().out
    for name in ("form", "threads", "nginx", "acme-log", "narrow"):
        assert name in listed
    assert "acme-plimsoll 1.0" in listed


def test_what_fails_is_told_under_the_list(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (site / "acme_plimsoll" / "log.py").unlink()
    (site / "acme_plimsoll" / "nginx.py").write_text("1 / 0\n")
    assert main(["extensions"]) == 3
    told = capsys.readouterr().out
    assert "the metric source 'nginx' of acme-plimsoll 1.0 cannot be loaded from" in told
    assert "ZeroDivisionError: division by zero" in told
    assert "the result format 'acme-log' of acme-plimsoll 1.0 cannot be loaded" in told
