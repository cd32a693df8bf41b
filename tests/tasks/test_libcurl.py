"""The injector over libcurl does what the own one does, and speaks HTTP/2, proxies and PKCS#12 besides."""

import json
import os
import resource
import signal
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from loads import I0, OK, InPieces, RawHandler, assert_conserved, load_of, raw_server, steady
from proxies import HttpProxy, Socks5, h2_server, proxy
from tls_parties import Authority, tls_server

from catalog.errors import WorldError
from tasks.emulate.spec import ANYBODY, ComponentSpec
from tasks.emulate.system import start_component
from tasks.inject.files import NEVER, PHASES, RESULTS, Outcome
from tasks.inject.injector import (
    SEGMENTS,
    InterruptedLoadError,
    LibcurlInjector,
    Load,
    OwnInjector,
    Target,
    recovered,
    recovered_phases,
)
from tasks.inject.receive import open_port
from tasks.wire.reach import reach

PASSWORD = "correct horse"


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    """The authority that both sides trust."""
    return Authority(tmp_path, "ours")


def pkcs12(authority: Authority, subject: str) -> tuple[Path, x509.Certificate]:
    """A client's certificate and key in one encrypted file."""
    certificate_file, key_file = authority.issue(subject)
    certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
    key = load_pem_private_key(key_file.read_bytes(), None)
    data = serialize_key_and_certificates(
        subject.encode(), key, certificate, None, BestAvailableEncryption(PASSWORD.encode())  # type: ignore[arg-type] # an EC key, as issued
    )  # fmt: skip
    path = authority.folder / f"{subject}.p12"
    path.write_bytes(data)
    return path, certificate


def mixed(count: int) -> Load:
    return Load.of(
        sequence=np.arange(count) * 3 + 5,
        offset_us=np.sort(np.random.default_rng(1).integers(0, 500_000, count)),
        path=["p" if number % 3 else "q q" for number in range(count)],
        srv=["4.1.1" if number % 2 else "1.2.1" for number in range(count)],
        kind=["alert" if number % 3 == 0 else "request" for number in range(count)],
        device=[f"meter-{number % 7}" for number in range(count)],
    )


def test_the_same_load_comes_to_the_same_by_both_engines(tmp_path: Path) -> None:
    """Sequences, intended offsets, statuses, outcomes, codes and bytes; only instants may differ."""
    load, found = mixed(500), {}
    spec = ComponentSpec(component="c", codec="duis", routes={"p": None, "q q": None})
    with start_component(spec) as component:
        target = Target(urls={"p": component.url, "q q": component.url}, codec="duis", connections=8)
        for name, injector in (("own", OwnInjector()), ("libcurl", LibcurlInjector(folder=tmp_path))):
            found[name] = injector.run(load, target)
    for injection in found.values():
        assert_conserved(load, injection)
    own, libcurl = (found[name] for name in ("own", "libcurl"))
    for name in ("sequence", "status", "outcome", "bytes"):
        assert np.array_equal(own.columns[name], libcurl.columns[name]), name
    offsets = [each.columns["intended_us"] - each.columns["intended_us"][0] for each in (own, libcurl)]
    assert np.array_equal(*offsets)
    assert own.summary["codes"] == libcurl.summary["codes"]
    assert own.summary["bytes_sent"] == libcurl.summary["bytes_sent"]
    assert set(own.summary) < set(libcurl.summary)
    again = recovered(load, tmp_path)
    assert all(np.array_equal(again.columns[name], libcurl.columns[name]) for name in RESULTS)


def test_phases_of_each_transfer_are_kept_in_order_and_summed_up_in_integers(tmp_path: Path) -> None:
    load = steady(300, 600)
    with start_component(ComponentSpec(component="c", service_us=3000, routes={"p": None})) as component:
        target = Target(urls={"p": component.url}, codec="plain", connections=2, max_connections=8)
        injection = LibcurlInjector(folder=tmp_path).run(load, target)
    phases = recovered_phases(tmp_path)
    assert list(phases) == ["sequence", *PHASES]
    assert np.array_equal(np.sort(phases["sequence"]), load.sequence)
    for earlier, later in (("name_lookup", "connect"), ("pretransfer", "start_transfer"), ("start_transfer", "total")):
        assert np.all(phases[earlier] <= phases[later])
    assert phases["start_transfer"].min() >= 3000
    rows = injection.columns
    service = (rows["done_us"] - rows["sent_us"])[np.searchsorted(rows["sequence"], phases["sequence"])]
    assert np.all(phases["total"] - phases["pretransfer"] <= service + 1000)
    told = injection.summary["phases"]
    ordered = np.sort(phases["total"])
    assert told["total"] == {
        "transfers": 300, "p50_us": ordered[149], "p95_us": ordered[284], "p99_us": ordered[296],
        "max_us": ordered[299],
    }  # fmt: skip
    assert injection.summary["http"] == "http/1.1"
    assert "libcurl/" in injection.summary["library"]
    json.dumps(dict(injection.summary))


def test_a_frozen_system_shows_in_latencies_from_the_intended_instant() -> None:
    """A pool of 4 connections cannot hide that the system stood still for half a second."""
    load = steady(700, 400)
    with start_component(ComponentSpec(component="c", routes={"p": None})) as component:

        def freeze_once(_done: int, _offered: int, _total: int, frozen: list[bool] = []) -> None:  # noqa: B006 - a memory
            if not frozen:
                frozen.append(True)
                os.kill(component.pid, signal.SIGSTOP)
                threading.Event().wait(0.5)
                os.kill(component.pid, signal.SIGCONT)

        target = Target(urls={"p": component.url}, codec="plain", connections=4, max_connections=4)
        injection = LibcurlInjector().run(load, target, progress=freeze_once)
    assert_conserved(load, injection)
    columns = injection.columns
    from_intended, from_sent = (columns["done_us"] - columns[name] for name in ("intended_us", "sent_us"))
    assert from_intended.max() >= 450_000
    assert np.count_nonzero(from_intended > 100_000) >= 120
    assert np.count_nonzero(from_sent > 400_000) <= 4
    assert injection.summary["queue_peak"] >= 120
    assert injection.summary["connections_peak"] <= 4
    assert np.all(columns["outcome"] == Outcome.OK)


def test_messages_without_an_answer_time_out_from_the_intended_instant() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        load = load_of([0] * 6 + [1000] * 6)
        target = Target(urls={"p": url}, codec="plain", connections=2, max_connections=2, timeout_us=200_000)
        injection = LibcurlInjector().run(load, target)
    assert_conserved(load, injection)
    columns = injection.columns
    assert np.all(columns["outcome"] == Outcome.TIMEOUT)
    assert np.all(columns["done_us"] - columns["intended_us"] >= 200_000)
    assert injection.summary["never_sent"] >= 4
    assert injection.summary["phases"]["total"]["transfers"] == 0


def test_a_system_that_dies_refuses_what_is_left() -> None:
    load = steady(600, 400)
    with start_component(ComponentSpec(component="c", routes={"p": None})) as component:

        def kill(_done: int, _offered: int, _total: int) -> None:
            component.process.stop()

        injection = LibcurlInjector().run(load, Target(urls={"p": component.url}, codec="plain"), progress=kill)
    assert_conserved(load, injection)
    outcome = injection.columns["outcome"]
    assert set(np.unique(outcome)) == {Outcome.OK, Outcome.REFUSED}
    assert outcome[0] == Outcome.OK
    assert outcome[-1] == Outcome.REFUSED


def test_a_system_that_is_not_there_is_an_error_before_anything_is_offered() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(WorldError, match=f"^{url} cannot be reached: connection refused$") as caught:
        LibcurlInjector().run(steady(10, 100), Target(urls={"p": url}, codec="plain"))
    assert caught.value.help()


def test_a_killed_injector_leaves_whole_segments_and_their_phases(tmp_path: Path) -> None:
    load, pids = steady(2000, 400), list[int]()
    with start_component(ComponentSpec(component="c", routes={"p": None})) as component:

        def kill(*_: int) -> None:
            if list((tmp_path / SEGMENTS).glob("*.rows")):
                os.kill(pids[0], signal.SIGKILL)

        injector = LibcurlInjector(on_start=pids.append, folder=tmp_path)
        with pytest.raises(InterruptedLoadError, match="messages have no result: sequences") as caught:
            injector.run(load, Target(urls={"p": component.url}, codec="plain"), progress=kill)
    kept = caught.value.injection.columns["sequence"]
    assert len(kept)
    assert np.array_equal(np.sort(recovered_phases(tmp_path)["sequence"]), kept)


def test_a_burst_opens_connections_within_bounds() -> None:
    load = load_of([0] * 300)
    with start_component(ComponentSpec(component="c", service_us=50_000, routes={"p": None})) as component:
        target = Target(urls={"p": component.url}, codec="plain", connections=4, max_connections=32)
        injection = LibcurlInjector().run(load, target)
    assert_conserved(load, injection)
    summary = injection.summary
    assert summary["ok"] == 300
    assert summary["handshakes_peak"] <= 4
    assert 4 < summary["connections_peak"] <= 32
    assert summary["connections_opened"] <= 32
    assert summary["in_flight_peak"] <= 32


def test_messages_that_find_no_descriptor_here_were_never_offered() -> None:
    with start_component(ComponentSpec(component="c", service_us=100_000, routes={"p": None})) as component:

        def starve(pid: int) -> None:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (40, 40))

        target = Target(urls={"p": component.url}, codec="plain", connections=1, max_connections=200)
        injection = LibcurlInjector(on_start=starve).run(load_of([0] * 300), target)
    columns, summary = injection.columns, injection.summary
    thwarted = columns["ready_us"] == NEVER
    assert summary["connections_peak"] < 40
    assert np.count_nonzero(thwarted) == summary["thwarted"] > 0
    assert summary["offered"] == 300 - summary["thwarted"]
    assert set(columns["outcome"][thwarted]) == {Outcome.REFUSED}
    assert set(columns["outcome"][~thwarted]) == {Outcome.OK}


@pytest.mark.parametrize(
    ("answer", "close", "outcome", "status"),
    [
        (OK + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(I0), I0), False, Outcome.OK, 200),
        (OK + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(I0) + I0, True, Outcome.OK, 200),
        (OK + b"\r\n" + I0, True, Outcome.OK, 200),
        (OK + b"Content-Length: 2\r\n\r\nI0", False, Outcome.ERROR, 200),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", False, Outcome.ERROR, 503),
        (b"SSH-2.0-OpenSSH_9.2\r\n", True, Outcome.ERROR, 0),
        (b"", True, Outcome.REFUSED, 0),
        (OK + b"Content-Length: 50\r\n\r\nhalf", True, Outcome.REFUSED, 0),
    ],
)
def test_answers_of_every_shape_are_told_apart(answer: bytes, close: bool, outcome: Outcome, status: int) -> None:
    load = steady(20, 1000)
    with raw_server(answer, close=close) as url:
        target = Target(urls={"p": url}, codec="duis", connections=4, timeout_us=5_000_000)
        injection = LibcurlInjector().run(load, target)
    assert_conserved(load, injection)
    assert set(injection.columns["outcome"]) == {outcome}
    assert set(injection.columns["status"]) == {status}


@pytest.mark.parametrize("injector", [OwnInjector, LibcurlInjector])
def test_a_load_does_not_follow_a_redirect(injector: type[OwnInjector | LibcurlInjector]) -> None:
    received: list[bool] = []

    class Elsewhere(RawHandler):
        def handle(self) -> None:
            received.append(self.read_request())

    with raw_server(b"", handler=Elsewhere) as elsewhere:
        moved = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % elsewhere.encode()
        with raw_server(moved) as url:
            target = Target(urls={"p": url}, codec="duis", connections=2, timeout_us=5_000_000)
            injection = injector().run(steady(8, 1000), target)
    assert (set(injection.columns["outcome"]), set(injection.columns["status"])) == ({Outcome.ERROR}, {307})
    assert received == []


def test_an_answer_may_come_byte_by_byte_on_a_connection_that_is_kept() -> None:
    answer = OK + b"Content-Length: %d\r\n\r\n" % len(I0) + I0
    with raw_server(answer, handler=InPieces) as url:
        target = Target(urls={"p": url}, codec="duis", connections=2, max_connections=2)
        injection = LibcurlInjector().run(steady(12, 1000), target)
    assert set(injection.columns["outcome"]) == {Outcome.OK}
    assert set(injection.columns["bytes"]) == {len(answer)}
    assert injection.summary["connections_opened"] == 2


def test_a_message_is_sent_once_whatever_becomes_of_its_connection() -> None:
    """libcurl would send it again, unasked, where a connection that was kept ends without a word."""
    received: list[int] = []

    class Fickle(RawHandler):
        def handle(self) -> None:
            for answers in (True, True, False):
                if not self.read_request():
                    return
                received.append(answers)
                if answers:
                    self.request.sendall(self.answer)

    with raw_server(OK + b"Content-Length: %d\r\n\r\n" % len(I0) + I0, handler=Fickle) as url:
        target = Target(urls={"p": url}, codec="duis", connections=1, max_connections=1)
        injection = LibcurlInjector().run(steady(6, 50), target)
    assert_conserved(steady(6, 50), injection)
    outcomes = [Outcome.OK, Outcome.REFUSED, Outcome.OK, Outcome.OK, Outcome.REFUSED, Outcome.OK]
    assert injection.columns["outcome"].tolist() == outcomes
    assert len(received) == 1 + 6  # OPTIONS, and each message


def test_an_acknowledgement_is_not_the_answer() -> None:
    body = b"<R><ResponseCode>I99</ResponseCode></R>"
    with raw_server(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body) as url:
        target = Target(urls={"p": url}, codec="duis", connections=2, max_connections=2, timeout_us=400_000)
        injection = LibcurlInjector().run(load_of([0] * 8), target)
    assert_conserved(load_of([0] * 8), injection)
    assert set(injection.columns["outcome"]) == {Outcome.TIMEOUT}
    assert injection.summary["codes"] == {"I99": 8}


# --- TLS, PKCS#12 -----------------------------------------------------------------------------------------------------


def test_mutual_tls_with_a_key_in_pkcs12(ours: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    path, certificate = pkcs12(ours, "client")
    monkeypatch.setenv("OUR_PASSWORD", PASSWORD)
    names = {"ca": str(ours.ca), "pkcs12": str(path), "password": "OUR_PASSWORD"}
    with tls_server(ours.issue("server"), clients=ours.ca) as url:
        target = Target(urls={"p": url}, codec="plain", connections=6, max_connections=6, tls=names)
        injection = LibcurlInjector().run(steady(100, 1000), target)
    summary = injection.summary
    assert set(injection.columns["outcome"]) == {Outcome.OK}
    assert summary["tls_handshakes"] == summary["connections_opened"] == 6
    assert summary["client_certificate_sha256"] == certificate.fingerprint(SHA256()).hex()
    assert PASSWORD not in json.dumps(dict(summary))


def test_sources_of_metrics_are_shown_the_identity_in_pkcs12_too(
    ours: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = pkcs12(ours, "client")
    monkeypatch.setenv("OUR_PASSWORD", PASSWORD)
    names = {"ca": str(ours.ca), "pkcs12": str(path), "password": "OUR_PASSWORD"}
    with tls_server(ours.issue("server"), clients=ours.ca) as url:
        reach(url, names)
        with pytest.raises(WorldError, match="cannot be reached"):
            reach(url, {"ca": str(ours.ca)})


def test_phases_stand_with_the_acknowledgement_that_ended_the_transfer(tmp_path: Path) -> None:
    load = steady(60, 600)
    spec = ComponentSpec(component="c", codec="duis", routes={"p": None}, acknowledges=("p",))
    with open_port() as port:
        spec = replace(spec, receivers={ANYBODY: port.url})
        with start_component(spec) as component:
            target = Target(urls={"p": component.url}, codec="duis", connections=4, receive=port)
            injection = LibcurlInjector(folder=tmp_path).run(load, target)
    assert set(injection.columns["outcome"]) == {Outcome.OK}
    phases = recovered_phases(tmp_path)
    told = phases["total"] != NEVER
    assert len(told) == 120
    assert np.array_equal(np.sort(phases["sequence"][told]), np.sort(injection.acknowledgements["sequence"]))
    assert injection.summary["phases"]["total"]["transfers"] == 60


def test_mutual_tls_with_pem(ours: Authority) -> None:
    certificate, key = ours.issue("client")
    names = {"ca": str(ours.ca), "certificate": str(certificate), "key": str(key)}
    with tls_server(ours.issue("server"), clients=ours.ca) as url:
        target = Target(urls={"p": url}, codec="plain", connections=3, max_connections=3, tls=names)
        injection = LibcurlInjector().run(steady(50, 1000), target)
    assert set(injection.columns["outcome"]) == {Outcome.OK}
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text())
    assert injection.summary["client_certificate_sha256"] == sha256(der).hexdigest()


@pytest.mark.parametrize("fault", ["password", "missing", "variable", "stranger"])
def test_what_is_wrong_with_pkcs12_is_said_before_the_load(
    ours: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    path, _ = pkcs12(Authority(tmp_path, "theirs") if fault == "stranger" else ours, "client")
    monkeypatch.setenv("OUR_PASSWORD", "wrong" if fault == "password" else PASSWORD)
    names = {"ca": str(ours.ca), "pkcs12": str(path), "password": "OUR_PASSWORD"}
    if fault == "missing":
        path.unlink()
    if fault == "variable":
        monkeypatch.delenv("OUR_PASSWORD")
    told = {
        "password": "cannot be used",
        "missing": "no such file or directory",
        "variable": "the environment variable OUR_PASSWORD is not set",
        "stranger": "cannot be reached: ",
    }[fault]
    with tls_server(ours.issue("server"), clients=ours.ca) as url:
        target = Target(urls={"p": url}, codec="plain", tls=names)
        with pytest.raises(WorldError, match=told) as caught:
            LibcurlInjector().run(steady(10, 1000), target)
    assert PASSWORD not in str(caught.value)


# --- HTTP/2 -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secure", [False, True])
def test_http_2_is_spoken_at_once_or_agreed_on_in_the_tls_handshake(ours: Authority, secure: bool) -> None:
    seen: list[dict[str, Any]] = []
    certificate, key = ours.issue("client")
    names = {"ca": str(ours.ca), "certificate": str(certificate), "key": str(key)} if secure else {}
    server = {"certificate": ours.issue("server"), "clients": ours.ca} if secure else {}
    load = steady(120, 600)
    with h2_server(seen, **server) as url:  # type: ignore[arg-type] # the dictionary above
        target = Target(urls={"p": url}, codec="plain", connections=4, max_connections=4, tls=names)
        injection = LibcurlInjector(http="h2").run(load, target)
    assert_conserved(load, injection)
    assert set(injection.columns["outcome"]) == {Outcome.OK}
    posts = [each for each in seen if each["method"] == "POST"]
    assert len(posts) == 120
    assert {(each["version"], each["path"]) for each in posts} == {("2", "/paths/p")}
    assert injection.summary["http"] == "h2"
    assert injection.summary["connections_opened"] <= 2  # one carries all of it; until it is up, another may be begun


def test_a_system_that_does_not_speak_http_2_is_not_tested_as_if_it_did(ours: Authority) -> None:
    with tls_server(ours.issue("server")) as url:
        target = Target(urls={"p": url}, codec="plain", tls={"ca": str(ours.ca)})
        with pytest.raises(WorldError, match=r"it speaks http/1\.1, where 'http: h2' is declared"):
            LibcurlInjector(http="h2").run(steady(10, 1000), target)


# --- proxies ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> str:
    """In variables, as a declaration names them."""
    monkeypatch.setenv("PROXY_USER", "team")
    monkeypatch.setenv("PROXY_PASSWORD", "hush")
    return "team:hush"


@pytest.mark.parametrize(
    ("handler", "scheme", "secure"),
    [(HttpProxy, "http", False), (HttpProxy, "http", True), (Socks5, "socks5", False), (Socks5, "socks5h", True)],
)
def test_messages_go_through_a_proxy_that_wants_credentials(
    ours: Authority, credentials: str, handler: Any, scheme: str, secure: bool
) -> None:
    def run(url: str, names: dict[str, str]) -> None:
        with proxy(handler, credentials) as between:
            through = {"url": f"{scheme}://{between.address}", "user": "PROXY_USER", "password": "PROXY_PASSWORD"}
            target = Target(urls={"p": url}, codec="plain", connections=3, max_connections=3, tls=names)
            injection = LibcurlInjector(proxy=through).run(steady(60, 1000), target)
            passed = list(between.seen)
        assert set(injection.columns["outcome"]) == {Outcome.OK}
        assert injection.summary["connections_opened"] == 3
        forwarded = handler is HttpProxy and not secure
        assert len([each for each in passed if not each.startswith("OPTIONS")]) == (60 if forwarded else 3)
        assert "hush" not in json.dumps(dict(injection.summary))

    if secure:
        with tls_server(ours.issue("server")) as url:
            run(url, {"ca": str(ours.ca)})
    else:
        with start_component(ComponentSpec(component="c", routes={"p": None})) as component:
            run(component.url, {})


def test_http_2_without_tls_goes_through_a_tunnel() -> None:
    seen: list[dict[str, Any]] = []
    with h2_server(seen) as url, proxy(HttpProxy) as between:
        target = Target(urls={"p": url}, codec="plain")
        injection = LibcurlInjector(http="h2", proxy={"url": f"http://{between.address}"}).run(steady(20, 1000), target)
        assert [each.split(" ")[0] for each in between.seen] == ["CONNECT"]
    assert set(injection.columns["outcome"]) == {Outcome.OK}
    assert {each["version"] for each in seen} == {"2"}


@pytest.mark.parametrize(
    ("credentials_held", "told"),
    [("team:other", "answered with status 407"), ("", "answered with status 502")],
)
def test_what_a_proxy_objects_to_is_said_before_the_load(credentials: str, credentials_held: str, told: str) -> None:
    """Wrong credentials, and a system behind it that is not there."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with proxy(HttpProxy, credentials_held) as between:
        through = {"url": f"http://{between.address}", "user": "PROXY_USER", "password": "PROXY_PASSWORD"}
        with pytest.raises(WorldError, match=told) as caught:
            LibcurlInjector(proxy=through).run(steady(10, 1000), Target(urls={"p": url}, codec="plain"))
    assert "hush" not in str(caught.value)


def test_a_proxy_of_the_environment_that_nobody_declared_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with start_component(ComponentSpec(component="c", routes={"p": None})) as component:
        injection = LibcurlInjector().run(steady(10, 1000), Target(urls={"p": component.url}, codec="plain"))
    assert injection.summary["ok"] == 10


def test_without_pycurl_there_is_a_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., Any] = util.find_spec
    monkeypatch.setattr("tasks.inject.injector.find_spec", lambda name: None if name == "pycurl" else real(name))
    with pytest.raises(WorldError, match="needs the Python package 'pycurl'") as caught:
        LibcurlInjector().run(steady(1, 1), Target(urls={"p": "http://127.0.0.1:1"}, codec="plain"))
    assert "pip install '.[libcurl]'" in caught.value.help()
    assert caught.value.status == 3
