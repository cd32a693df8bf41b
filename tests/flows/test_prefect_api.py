"""Prefect's API for one run: it is there while flows run, ends with its parent, and stands back where there is one."""

import json
import stat
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from catalog.errors import WorldError
from flows.prefect_api import first_come, password_file, server_password, start_api, start_server, use_api


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


def test_a_password_is_kept_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("PREFECT_SERVER_API_AUTH_STRING", raising=False)
    made = server_password()
    file = password_file()
    assert (file.parent.parent, stat.S_IMODE(file.stat().st_mode)) == (tmp_path / "config", 0o600)
    assert made.startswith("plimsoll:")
    assert len(made) > 40
    assert server_password() == made
    file.chmod(0o644)
    with pytest.raises(WorldError, match="others may read") as refused:
        start_server(1)
    assert f"rm {file}" in refused.value.help()
    assert made not in str(refused.value)
    file.chmod(0o600)
    file.write_text("\n")  # an empty one would let everybody in
    with pytest.raises(WorldError, match="holds no password"):
        server_password()
    file.unlink()
    assert server_password() != made
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "me:mine")
    assert server_password() == "me:mine"


def test_servers_prepare_one_database_one_after_the_other(tmp_path: Path) -> None:
    home, order = tmp_path / "new" / "home", list[str]()
    turn = first_come(home)

    def second() -> None:
        with first_come(home):
            order.append("second")

    waiting = threading.Thread(target=second)
    waiting.start()
    waiting.join(0.2)  # it waits for as long as the first has not closed
    order.append("first")
    turn.close()
    waiting.join(60)
    assert order == ["first", "second"]
    (tmp_path / "file").touch()
    first_come(tmp_path / "file" / "home").close()  # nothing can be made there: whoever starts there says why
