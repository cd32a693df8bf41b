"""Secrets that a run is given are nowhere in what it leaves: workspace, reports, bundle, messages, Prefect's files."""

import io
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from exporters import Exporter, serving
from phases import Bench

from catalog.ledger import Kind
from catalog.workspace import Workspace

pytestmark = pytest.mark.end_to_end

TOKEN = "canary-of-a-bearer-token"
WATCHED = """
  - id: watched
    title: A rehearsal whose metrics are scraped with a token
    extends: rehearsal
    prometheus:
      orders: [{{url: {url}, every: 50 ms, token: SHOP_TOKEN, metrics: {{memory_bytes: {{series: resident}}}}}}]
"""


def private_key() -> str:
    """A new key that signs, as PEM."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Ed25519PrivateKey.generate().private_bytes(*form).decode()


def texts(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below a folder by its name, unpacked where it is a table or an archive."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield from unpacked(str(path), path.read_bytes())


def unpacked(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    import duckdb

    yield name, data
    if data.startswith(b"PAR1"):
        with duckdb.connect() as connection:
            rows = connection.execute("SELECT * FROM read_parquet(?)", [name]).fetchall()
        yield f"{name} (rows)", repr(rows).encode()
    elif data.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield from ((f"{name}/{each}", archive.read(each)) for each in archive.namelist())


def listening(family: list[psutil.Process]) -> set[str]:
    """The addresses that processes listen on."""
    found = set()
    for process in family:
        with suppress(psutil.NoSuchProcess):
            found |= {each.laddr.ip for each in process.net_connections() if each.status == psutil.CONN_LISTEN}
    return found


def is_run(process: psutil.Process) -> bool:
    """Whether it runs the test; one that has ended meanwhile does not."""
    with suppress(psutil.Error):
        return "pilot.orders.load" in process.cmdline()
    return False


def readable_by_others(folder: Path) -> list[Path]:
    """Temporary folders of ours that are open to anybody else: what is in them is as private as they are."""
    return [each for each in folder.glob("plimsoll-*") if each.stat().st_mode & 0o077]


def test_no_secret_is_left_anywhere_and_nothing_is_open_meanwhile(shop: Bench, tmp_path: Path) -> None:
    pem = private_key()
    secrets = {
        "SHOP_TOKEN": TOKEN,
        "PLIMSOLL_KEY_PEM": pem,
        "AWS_SECRET_ACCESS_KEY": "canary-of-a-bucket",
        "OPENLINEAGE_API_KEY": "canary-of-a-collector",
    }
    bench = replace(shop, environ={**shop.environ, **secrets, "TMPDIR": str(tmp_path)})

    def answer(_path: str) -> tuple[int, str]:
        """Every other time an error that tells what it was sent, as careless servers do."""
        if len(seen) == 1:
            run = next(each for each in psutil.Process().children() if is_run(each))
            meanwhile["listening"] = listening([run, *run.children(recursive=True)])
            meanwhile["temporary"] = list(tmp_path.glob("plimsoll-*"))
            meanwhile["open"] = readable_by_others(tmp_path)
        return (200, "resident 4096\n") if len(seen) % 2 else (401, f'{{"error": "not for {seen[-1][1]}"}}')

    said, meanwhile = [], dict[str, Any]()
    with serving(answer) as exporter:
        seen = exporter.seen
        watch(bench, exporter)
        for arguments in (
            ("run", "pilot", "--tests", "pilot.orders.load", "--environment", "watched"),
            ("explain", "pilot.orders.load", "--environment", "watched", "--json"),
            ("export", "pilot", "--out", str(tmp_path / "pilot.zip")),
        ):
            ended = bench.run(*arguments)
            assert ended.status in (0, 1), ended.stderr
            said += [(" ".join(arguments), f"{ended.stdout}{ended.stderr}".encode())]
    assert meanwhile["listening"] == {"127.0.0.1"}
    assert (meanwhile["temporary"] != [], meanwhile["open"]) == (True, [])
    assert seen
    assert {token for _, token in seen} == {f"Bearer {TOKEN}"}
    executed = Workspace.open(bench.home).select(Kind.EXECUTED)[0]
    assert "[redacted]" in str(Workspace.open(bench.home).store.document(executed.output("run") or "")["sources"])
    left = [*said, *texts(tmp_path), *texts(Path(bench.environ["PREFECT_HOME"]))]
    assert len(left) > 100
    lines = {line for line in pem.splitlines() if "-----" not in line}
    canaries = [each.encode() for each in {TOKEN, "canary-of", bench.environ["PREFECT_API_AUTH_STRING"], *lines}]
    assert [name for name, data in left if any(canary in data for canary in canaries)] == []


def watch(bench: Bench, exporter: Exporter) -> None:
    environments = bench.catalog / "environments.yaml"
    environments.write_text(environments.read_text() + WATCHED.format(url=exporter.url))
