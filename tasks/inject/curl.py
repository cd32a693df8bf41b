"""The engine over libcurl: HTTP/2, proxies and PKCS#12, and until when each phase of a transfer lasted.

It is the own engine with another carrier, so that what is due, late, counted and recorded is the same. Only the
injector's process imports this: pycurl is an extra.
"""

import asyncio
from array import array
from collections.abc import Mapping, Sequence
from mmap import mmap
from time import monotonic_ns
from typing import Any
from urllib.parse import quote

import pycurl

from tasks.inject.curl_options import http_options, plain_options, proxy_options, tls_options
from tasks.inject.curl_pool import CurlPool
from tasks.inject.engine import Carrier, Engine
from tasks.inject.files import H2, NEVER, PHASES, PHASES_ROW, PHASES_SUFFIX, InjectionSpec
from tasks.inject.segments import Beside
from tasks.inject.summary import nearest_rank
from tasks.wire.client import is_tls
from tasks.wire.reach import reach
from tasks.wire.tls import fingerprint


class CurlEngine(Engine):
    """Offers the messages of one load over libcurl; see `Engine`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, spec: InjectionSpec, work: Mapping[str, "array[int]"]) -> None:
        super().__init__(loop, spec, work)
        self._phases: dict[int, tuple[int, ...]] = {}
        self._phases_log = mmap(-1, 2 * spec.count * PHASES_ROW.size) if spec.count else None
        self._never = (NEVER,) * len(PHASES)

    @property
    def beside(self) -> Sequence[Beside]:
        """The phases of each transfer."""
        if self._phases_log is None:
            return ()
        return (Beside(PHASES_SUFFIX, self._phases_log, PHASES_ROW.size),)

    def told(self) -> dict[str, Any]:
        """What was spoken, by which library, and quantiles of the phases over transfers that were answered."""
        spoken = sorted({pool.spoken for pool in self.pools.values() if isinstance(pool, CurlPool)} - {""})
        return {"library": pycurl.version, "http": " ".join(spoken), "phases": self._phase_quantiles()}

    def body(self, message: int) -> tuple[bytes, bytes]:
        """URL and body of a message, asked for when its transfer begins.

        The counter is as in `Engine.request`; but a transfer that begins with a new connection is written when this is
        open, and others may overtake it.
        """
        _, url, write = self._route_of[message]
        counter = self._counter
        self._counter = counter + 1
        if self._correlator is not None:
            self._correlator.written(message)
        return url, write(self._device_of[message], counter)

    def sent(self, message: int) -> None:
        """Its connection is there, and it is being written."""
        self._in_flight += 1
        if self._in_flight > self.in_flight_peak:
            self.in_flight_peak = self._in_flight
        self._sent[message] = monotonic_ns() // 1000 + self._shift

    def timed(self, message: int, phases: tuple[int, ...], size: int) -> None:
        """What its transfer took, and how many bytes were sent for it; told before it is answered."""
        self._phases[message] = phases
        self.bytes_sent += size

    def _write(self, message: int, done: int, status: int, outcome: int, size: int) -> None:
        """A transfer ends with the first row of its message: that of the acknowledgement, where there is one."""
        phases = self._phases.pop(message, self._never)
        if self._phases_log is not None:
            PHASES_ROW.pack_into(self._phases_log, self.rows * PHASES_ROW.size, *phases)
        super()._write(message, done, status, outcome, size)

    def _phase_quantiles(self) -> dict[str, dict[str, int]]:
        if self._phases_log is None:
            return {}
        held = array("q", self._phases_log[: self.rows * PHASES_ROW.size])
        found = {}
        for place, name in enumerate(PHASES):
            ordered = sorted(value for value in held[place :: len(PHASES)] if value != NEVER)
            quantiles = {f"p{permille // 10}_us": nearest_rank(ordered, permille) for permille in (500, 950, 990)}
            found[name] = {"transfers": len(ordered), **quantiles, "max_us": nearest_rank(ordered, 1000)}
        return found

    def _head(self, url: str, path: str) -> bytes:
        return f"{url.rstrip('/')}/paths/{quote(path, safe='')}".encode()

    def _pool(self, url: str) -> Carrier:
        spec = self._spec
        options = [*plain_options(self._codec.content_type), *http_options(spec.http, url)]
        options += proxy_options(spec.proxy, tunnel=spec.http == H2)
        if is_tls(url):
            if not spec.proxy and not spec.tls.get("pkcs12"):
                reach(url, spec.tls)  # which knows more words for what is wrong with certificates
            options += tls_options(spec.tls)
            self.fingerprint = fingerprint(spec.tls)
        pool = CurlPool(self._loop, url, self, limit=spec.max_connections, options=options, multiplexed=spec.http == H2)
        pool.patience_ms = min(pool.patience_ms, max(1, spec.timeout_us // 1000))
        pool.proxied = bool(spec.proxy)
        pool.forwarded = spec.proxy.get("url", "").startswith("http") and not is_tls(url) and spec.http != H2
        return pool
