"""The injector speaks TLS and mutual TLS; what is wrong with certificates is said in a sentence, before the load."""

import json
import ssl
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from tls_parties import Authority, terse_server, tls_server

from catalog.errors import WorldError
from tasks.inject.files import Outcome
from tasks.inject.injector import Injection, Load, OwnInjector, Target
from tasks.wire.reach import reach
from tasks.wire.tls import client_context, fingerprint

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    """The authority that both sides trust."""
    return Authority(tmp_path, "ours")


def inject(url: str, tls: dict[str, str], *, count: int = 300) -> Injection:
    load = Load.of(
        offset_us=np.arange(count) * 1000, path=["p"] * count, srv=["s"] * count, kind=["request"] * count,
        device=["d"] * count,
    )  # fmt: skip
    target = Target(urls={"p": url}, codec="plain", connections=12, max_connections=12, tls=tls)
    return OwnInjector().run(load, target)


@pytest.mark.parametrize("newest", VERSIONS)
def test_messages_go_over_mutual_tls_and_only_the_fingerprint_is_told(ours: Authority, newest: ssl.TLSVersion) -> None:
    certificate, key = ours.issue("client")
    names = {"ca": str(ours.ca), "certificate": str(certificate), "key": str(key)}
    with tls_server(ours.issue("server"), clients=ours.ca, newest=newest) as url:
        reach(url, names)
        injection = inject(url, names)
    summary = injection.summary
    assert set(injection.columns["outcome"]) == {Outcome.OK}
    assert summary["tls_handshakes"] == summary["connections_opened"] == 12
    assert summary["handshakes_peak"] <= 4
    assert summary["connections_failed"] == 0
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text())
    assert summary["client_certificate_sha256"] == sha256(der).hexdigest()
    told = json.dumps(dict(summary))
    assert "BEGIN" not in told
    assert str(key) not in told


def test_names_may_be_environment_variables_that_hold_pem_or_a_path(
    ours: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = ours.issue("client")
    monkeypatch.setenv("OUR_CA", str(ours.ca))
    monkeypatch.setenv("OUR_IDENTITY", certificate.read_text() + key.read_text())
    names = {"ca": "OUR_CA", "certificate": "OUR_IDENTITY"}
    with tls_server(ours.issue("server"), clients=ours.ca) as url:
        injection = inject(url, names, count=20)
    assert set(injection.columns["outcome"]) == {Outcome.OK}


def test_without_a_client_certificate_there_is_no_fingerprint(ours: Authority) -> None:
    with tls_server(ours.issue("server")) as url:
        injection = inject(url, {"ca": str(ours.ca)}, count=20)
    assert set(injection.columns["outcome"]) == {Outcome.OK}
    assert injection.summary["client_certificate_sha256"] == ""


@pytest.mark.parametrize("newest", VERSIONS)
@pytest.mark.parametrize("wrong", [False, True])
def test_a_client_certificate_that_is_missing_or_wrong_is_an_error_in_a_sentence(
    ours: Authority, tmp_path: Path, newest: ssl.TLSVersion, wrong: bool
) -> None:
    names = {"ca": str(ours.ca)}
    if wrong:
        certificate, key = Authority(tmp_path, "theirs").issue("stranger")
        names |= {"certificate": str(certificate), "key": str(key)}
    with tls_server(ours.issue("server"), clients=ours.ca, newest=newest) as url:
        with pytest.raises(WorldError) as reached:
            reach(url, names)
        with pytest.raises(WorldError) as injected:
            inject(url, names, count=20)
    for caught in (reached, injected):
        message = str(caught.value)
        assert message.startswith(f"{url} cannot be reached: ")
        assert "\n" not in message
        assert "they want a client certificate, or another one" in message
    assert "'tls' of the environment" in reached.value.help()


@pytest.mark.parametrize("newest", VERSIONS)
@pytest.mark.parametrize(("wrong", "alerts"), [(False, "certificate required|handshake failure"), (True, "unknown ca")])
def test_what_a_server_says_against_a_client_certificate_is_passed_on(
    ours: Authority, tmp_path: Path, newest: ssl.TLSVersion, wrong: bool, alerts: str
) -> None:
    names = {"ca": str(ours.ca)}
    if wrong:
        certificate, key = Authority(tmp_path, "theirs").issue("stranger")
        names |= {"certificate": str(certificate), "key": str(key)}
    with (
        terse_server(ours.issue("server"), ours.ca, newest) as url,
        pytest.raises(WorldError, match=rf"^{url} cannot be reached: it ended the TLS handshake: ({alerts})$"),
    ):
        reach(url, names)


def test_a_server_that_is_not_trusted_is_an_error_in_a_sentence(ours: Authority, tmp_path: Path) -> None:
    theirs = Authority(tmp_path, "theirs")
    with (
        tls_server(theirs.issue("server")) as url,
        pytest.raises(WorldError, match=f"{url} cannot be reached: its certificate is not trusted: "),
    ):
        inject(url, {"ca": str(ours.ca)}, count=20)


def test_names_that_lead_nowhere_are_told_without_what_they_hold(
    ours: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = (str(path) for path in ours.issue("client"))
    (tmp_path / "nonsense.pem").write_text("secret nonsense")
    (tmp_path / "binary.pem").write_bytes(b"\xff\x00")
    nonsense, other = str(tmp_path / "nonsense.pem"), str(ours.issue("other")[1])
    monkeypatch.setenv("PATH_OF_NOTHING", str(tmp_path / "nothing"))
    cases = [
        ({"ca": "NO_SUCH_VARIABLE"}, "the TLS ca cannot be read: the environment variable NO_SUCH_VARIABLE is not set"),
        ({"ca": "PATH_OF_NOTHING"}, "the file that PATH_OF_NOTHING names: no such file or directory"),
        ({"ca": nonsense}, "nonsense.pem names cannot be used"),
        ({"ca": str(tmp_path / "binary.pem")}, "binary.pem is not PEM"),
        ({"certificate": certificate, "key": other}, "other.key names cannot be used"),
        ({"certificate": certificate}, "client.pem names cannot be used"),
        ({"certificate": nonsense, "key": key}, "client.key names cannot be used"),
    ]
    for names, message in cases:
        with pytest.raises(WorldError) as caught:
            client_context(names)
        assert message in str(caught.value)
        assert "secret" not in str(caught.value)
    with pytest.raises(WorldError, match=r"certificate that .*nonsense.pem names cannot be used"):
        fingerprint({"certificate": nonsense})


def test_a_plain_server_where_tls_is_spoken_is_told(ours: Authority) -> None:
    from tasks.emulate.spec import ComponentSpec
    from tasks.emulate.system import start_component

    with start_component(ComponentSpec(component="c", routes={"p": None})) as component:
        url = component.url.replace("http:", "https:")
        with pytest.raises(WorldError, match=f"^{url} cannot be reached: no TLS handshake"):
            reach(url, {"ca": str(ours.ca)})
