"""What a declaration means in libcurl's own words: HTTP version, TLS, proxy."""

import ssl
from collections.abc import Mapping
from typing import Any

import pycurl

from tasks.inject.files import H2
from tasks.wire.client import CONNECT_TIMEOUT_S, is_tls
from tasks.wire.tls import Names, pkcs12_of, secret_of, text_of

Options = list[tuple[int, Any]]
"""Options of an easy handle, and their values."""

_MAX_AGE_S = 86_400  # as long as a test may take, a connection that was opened before it may be used


def plain_options(content_type: str) -> Options:
    """As the own engine writes requests: no header that nobody asked for, and nothing from the environment."""
    return [
        (pycurl.POST, 1),
        (pycurl.HTTPHEADER, [f"Content-Type: {content_type}", "Accept:", "Expect:", "User-Agent:"]),
        (pycurl.NOSIGNAL, 1),
        (pycurl.CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_S * 1000),
        (pycurl.MAXAGE_CONN, _MAX_AGE_S),
        (pycurl.PROXY, ""),
        (pycurl.NOPROXY, ""),
    ]


def http_options(http: str, url: str) -> Options:
    """The version of HTTP; HTTP/2 without TLS is spoken at once, as nobody is asked."""
    if http != H2:
        return [(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)]
    known = pycurl.CURL_HTTP_VERSION_2TLS if is_tls(url) else pycurl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE
    return [(pycurl.HTTP_VERSION, known), (pycurl.PIPEWAIT, 1)]


def proxy_options(proxy: Mapping[str, str], *, tunnel: bool) -> Options:
    """HTTP/2 to the system needs a tunnel through an HTTP proxy, whatever the URL's scheme."""
    if not proxy:
        return []
    options: Options = [(pycurl.PROXY, proxy["url"]), (pycurl.HTTPPROXYTUNNEL, int(tunnel))]
    for role, option in (("user", pycurl.PROXYUSERNAME), ("password", pycurl.PROXYPASSWORD)):
        if role in proxy:
            options.append((option, secret_of(role, proxy)))
    if "ca" in proxy:
        options.append((pycurl.PROXY_CAINFO_BLOB, text_of("ca", proxy)))
    elif proxy["url"].startswith("https:"):
        options += _authorities(pycurl.PROXY_CAINFO, pycurl.PROXY_CAPATH)
    return options


def tls_options(names: Names) -> Options:
    """For connections to the system: who is trusted, and who this is. Raises as `tasks.wire.tls` does."""
    options: Options = [(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2)]
    if names.get("ca"):
        options.append((pycurl.CAINFO_BLOB, text_of("ca", names)))
    else:
        options += _authorities(pycurl.CAINFO, pycurl.CAPATH)
    if names.get("pkcs12"):
        data, password = pkcs12_of(names)
        return [*options, (pycurl.SSLCERTTYPE, "P12"), (pycurl.SSLCERT_BLOB, data), (pycurl.KEYPASSWD, password)]
    if names.get("certificate"):
        certificate = text_of("certificate", names)
        key = text_of("key", names) or certificate
        options += [(pycurl.SSLCERT_BLOB, certificate), (pycurl.SSLKEY_BLOB, key)]
    return options


def _authorities(file: int, folder: int) -> Options:
    """Those that this machine trusts, as Python's own TLS finds them: libcurl has paths of where it was built."""
    paths = ssl.get_default_verify_paths()
    return [(option, path) for option, path in ((file, paths.cafile), (folder, paths.capath)) if path]
