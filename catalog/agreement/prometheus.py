"""Sources of infrastructure metrics: those of Prometheus are one of two kinds each, and none tells anything twice."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl, urlsplit

from catalog.declarations import Describes, Environment, MetricSource, PrometheusSource, Sampled, Series
from catalog.places import Address

Fault = tuple[Address, str, str, str]
"""Where it stands below the environment, its code, message and hint."""


def source_faults(environment: Environment) -> Iterator[Fault]:
    """Everything that is wrong with the sources of an environment's components."""
    for component, sources in environment.prometheus.items():
        for position, source in enumerate(sources):
            for address, code, message, hint in _faults(source):
                yield ("prometheus", component, position, *address), code, message, hint
    for component, others in environment.metrics.items():
        for position, other in enumerate(others):
            for name, code, message, hint in option_faults(other.options):
                yield ("metrics", component, position, "options", name), code, message, hint
    for component in sorted(environment.prometheus.keys() | environment.metrics.keys()):
        for address, metric, code, message in _together(environment, component):
            yield (*address, "metrics", metric), code, message, ""


_SECRET = re.compile(
    r"(?:.*[-_.])?(?:token|secret|passw(?:or)?d|pwd|credentials?|auth|authorization|sig|signature|(?:api|access)?[-_]?key)",
    re.IGNORECASE,
)
"""Names of parameters that hold a secret, such as `access_token`, `X-Api-Key`, `X-Amz-Signature` or `sig`."""


def url_faults(url: str) -> Iterator[tuple[str, str, str]]:
    """Why no connection can be opened to a URL, or that it holds a secret: code, message and hint."""
    try:
        parts = urlsplit(url)
        host, port, secret = parts.hostname, parts.port, "@" in parts.netloc
        named = [name for name, value in parse_qsl(parts.query) if value and _SECRET.fullmatch(name)]
    except ValueError:
        host, port, secret, named = None, 0, False, []
    if secret:
        message = "the URL holds credentials, and declarations are recorded for everybody who reads the evidence"
        yield "entry-credentials", message, "take out what stands before the @, and change the password"
    elif named:
        message = f"the URL's '{named[0]}' looks like a secret, and declarations are recorded for everybody who reads"
        yield "entry-credentials", message, "take it out, and change it; a client certificate goes under 'tls'"
    elif not host or port == 0:
        message = f"expected a URL with a host and, if any, a port from 1 to 65535; found '{url[:60]}'"
        yield "entry-impossible", message, "such as http://host:8080/ or http://[::1]:8080/"


def option_faults(options: Mapping[str, str | int | bool]) -> Iterator[tuple[str, str, str, str]]:
    """Options of an extension that hold a secret, or look like it: name, code, message and hint."""
    for name, value in options.items():
        if _SECRET.fullmatch(name) and value:
            message = (
                f"'{name}' looks like a secret, and declarations are recorded for everybody who reads the evidence"
            )
            yield (
                name,
                "entry-credentials",
                message,
                "name an environment variable that holds it, and change the secret",
            )
        elif isinstance(value, str) and "://" in value:
            yield from ((name, *fault) for fault in url_faults(value) if fault[0] == "entry-credentials")


def _faults(source: PrometheusSource) -> Iterator[Fault]:
    if (source.url is None) == (source.server is None):
        message = "expected either 'url', which is scraped while a test runs, or 'server', which is asked after it"
        yield (), "prometheus-kind", message, "declare two sources where there are both"
        return
    field, url = ("url", source.url) if source.url is not None else ("server", source.server)
    for code, message, hint in url_faults(url or ""):
        yield (field,), code, message, hint
    for metric, series in source.metrics.items():
        for code, message, hint in _series(series, is_scraped=source.url is not None):
            yield ("metrics", metric.value), code, message, hint


def _series(series: Series, *, is_scraped: bool) -> Iterator[tuple[str, str, str]]:
    asked = {"series": series.series, "labels": series.labels, "without": series.without, "query": series.query}
    wanted, others = ("series", ("query",)) if is_scraped else ("query", ("series", "labels", "without"))
    if not asked[wanted] or any(asked[other] for other in others):
        kind = "a URL that is scraped exposes a 'series'" if is_scraped else "a server is asked a 'query'"
        yield "prometheus-series", f"{kind}, and takes nothing else to find it", f"give '{wanted}' alone"
    if not series.factor:
        yield "prometheus-factor", "a factor of nothing makes nothing of every figure", "leave it out, or give another"
    for label, pattern in (series.labels | series.without).items():
        try:
            re.compile(pattern)
        except re.error as error:
            yield "prometheus-pattern", f"label '{label}': '{pattern[:60]}' is no regular expression: {error}", ""


def _together(environment: Environment, component: str) -> Iterator[tuple[Address, str | int, str, str]]:
    """What parts of a component tell is summed, instant by instant: each once, and all as far apart."""
    known: dict[Sampled, list[PrometheusSource | MetricSource]] = defaultdict(list)
    scraped = enumerate(environment.prometheus.get(component, ()))
    others = enumerate(environment.metrics.get(component, ()))
    declared: list[tuple[Address, PrometheusSource | MetricSource]] = [
        *((("prometheus", component, position), source) for position, source in scraped),
        *((("metrics", component, position), source) for position, source in others),
    ]
    for address, source in declared:
        for place, metric in enumerate(source.metrics):
            key = metric.value if isinstance(source, PrometheusSource) else place
            alike = [each for each in known[metric] if each.describes is source.describes]
            if any((each.part, each.host_name) == (source.part, source.host_name) for each in alike):
                message = (
                    f"'{metric}' of part '{source.part}' on host '{source.host_name}' comes from another source too"
                )
                yield address, key, "prometheus-twice", message
            elif source.describes is Describes.COMPONENT and any(each.every != source.every for each in alike):
                message = f"'{metric}' of another part is sampled {alike[0].every} µs apart, and this {source.every}"
                yield address, key, "prometheus-uneven", message
            known[metric].append(source)
