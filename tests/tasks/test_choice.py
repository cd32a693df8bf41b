"""An environment's injector is what its declaration says, is asked for in time, and its entry is tried as it can."""

import socket

import pytest

from catalog.declarations import Environment, InjectorKind, Proxy, TestType, Tls
from catalog.errors import WorldError
from tasks.inject.choice import is_gated, open_injector, reach_entry, require_injector, scripted_injector
from tasks.inject.injector import LibcurlInjector, OwnInjector


def environment(**declared):
    return Environment(id="site", title="Site", **declared)


def test_the_injector_is_the_declared_one(template):
    own, libcurl = environment(), environment(injector=InjectorKind.LIBCURL, proxy=Proxy(url="http://proxy:1"))
    assert type(open_injector(own, TestType.LOAD, on_start=print)) is OwnInjector
    found = open_injector(libcurl, TestType.LOAD, on_start=print)
    assert isinstance(found, LibcurlInjector)
    assert (found._http, found._proxy) == ("http/1.1", {"url": "http://proxy:1"})
    with pytest.raises(ValueError, match="declares no script"):
        scripted_injector(template.programme, own, 1, on_start=print)


def test_an_installed_injector_is_not_known_to_wait_for_the_word_to_start():
    assert is_gated(environment(), TestType.LOAD)
    assert is_gated(environment(injector=InjectorKind.LIBCURL), TestType.LOAD)
    assert not is_gated(environment().model_copy(update={"injector": "installed"}), TestType.LOAD)


@pytest.mark.parametrize(("kind", "package"), [("libcurl", "pycurl"), ("locust", "locust")])
def test_a_missing_package_is_told_with_the_line_that_installs_it(monkeypatch, kind, package):
    require_injector(environment(injector=InjectorKind(kind)), TestType.LOAD)
    monkeypatch.setattr("tasks.inject.injector.find_spec", lambda _: None)
    require_injector(environment(), TestType.LOAD)
    with pytest.raises(WorldError, match=f"the injector '{kind}' needs the Python package '{package}'") as caught:
        require_injector(environment(injector=InjectorKind(kind)), TestType.LOAD)
    assert f"pip install '.[{kind}]'" in caught.value.help()


@pytest.mark.parametrize("declared", [{"proxy": True}, {"tls": True}, {}])
def test_what_can_be_tried_of_an_entry_is_tried(declared):
    """The proxy and not what is behind it; the address alone where only libcurl can identify this side."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        here = f"127.0.0.1:{listening.getsockname()[1]}"
        nowhere = "http://127.0.0.1:9"
        if "proxy" in declared:
            reach_entry(environment(proxy=Proxy(url=f"socks5://{here}")), nowhere)
        elif "tls" in declared:
            reach_entry(environment(tls=Tls(pkcs12="/nowhere.p12")), f"https://{here}")
        else:
            reach_entry(environment(), f"http://{here}")
    behind = environment(proxy=Proxy(url=f"socks5://{here}")) if "proxy" in declared else environment()
    with pytest.raises(WorldError, match=f"{here} cannot be reached: connection refused"):
        reach_entry(behind, f"http://{here}")
