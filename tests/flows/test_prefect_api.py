"""Prefect's API for one run: it is there while flows run, ends with its parent, and stands back where there is one."""

import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from flows.prefect_api import start_api, use_api


def test_it_serves_while_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    server = start_api()
    try:
        with use_api(server):
            from prefect.client.orchestration import get_client
            from prefect.settings import PREFECT_API_URL

            url = PREFECT_API_URL.value()
            with urllib.request.urlopen(f"{url}/health", timeout=10) as answer:  # noqa: S310  # loopback
                assert json.loads(answer.read()) is True
            with pytest.raises(urllib.error.HTTPError, match="401"):  # nobody else on this machine is let in
                urllib.request.urlopen(f"{url}/admin/version", timeout=10)  # noqa: S310  # loopback
            with get_client(sync_client=True) as client:
                assert client.read_flow_runs() == []
    finally:
        server.stop()
    assert not server.is_running


def test_it_stands_back_where_settings_name_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    server = start_api()
    try:
        with use_api(server):
            from prefect.settings import PREFECT_API_URL

            assert PREFECT_API_URL.value() == "http://127.0.0.1:9/api"
    finally:
        server.stop()
