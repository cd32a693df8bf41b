"""What a component sends to users' receive services: responses to requests that it has acknowledged, and alerts.

Bounded, since a receive service may be slow or gone: so many connections, so many bodies in hand, so many tries each,
and a time for each try. What is refused or given up is counted. Where to send is the declaration's to say, never a
request's.
"""

import asyncio
import time
from collections import deque
from dataclasses import dataclass

from tasks.codecs import Codec
from tasks.emulate.spec import ANYBODY, ComponentSpec
from tasks.wire.client import Pool, post, post_head

RECEIVE_PATH = "receive"
"""Bodies are sent to `/paths/receive` below a receive service's base URL."""

_PAUSE_NS = 100_000_000
"""Between one try and the next."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Parcel:
    """A body on its way to a user."""

    request: bytes
    pool: "Pool[_Parcel]"
    tries: int = 0


class Delivery:
    """Delivers bodies to the receive services that a component's spec names, by originator.

    Counts: `delivered`, `refusals` (of single tries) and `given_up`, after the last of them or for want of room.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, spec: ComponentSpec, codec: Codec) -> None:
        self.delivered = self.refusals = self.given_up = 0
        self._loop = loop
        self._spec = spec
        self._pools = {url: Pool(loop, url, self, limit=spec.hop_connections) for url in set(spec.receivers.values())}
        self._heads = {url: post_head(url, RECEIVE_PATH, codec.content_type) for url in self._pools}
        self._urls = {user if user == ANYBODY else codec.party_name(user): url for user, url in spec.receivers.items()}
        self._in_hand: dict[_Parcel, None] = {}
        self._deadlines: deque[tuple[int, _Parcel, int]] = deque()
        self._pausing: deque[tuple[int, _Parcel]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """Bodies in hand."""
        return len(self._in_hand)

    def reaches(self, originator: str) -> bool:
        """Whether that user, as a message names it, has a receive service."""
        return originator in self._urls or ANYBODY in self._urls

    def send(self, originator: str, body: bytes) -> None:
        """Send a body to a user that is reached, if there are not too many in hand already."""
        if len(self._in_hand) >= self._spec.deliveries:
            self.given_up += 1
            return
        url = self._urls.get(originator) or self._urls[ANYBODY]
        parcel = _Parcel(request=post(self._heads[url], body), pool=self._pools[url])
        self._in_hand[parcel] = None
        self._try(parcel)

    def close(self) -> None:
        """Send no more."""
        self._in_hand.clear()
        if self._timer is not None:
            self._timer.cancel()
        for pool in self._pools.values():
            pool.close()

    def request(self, message: _Parcel) -> bytes:
        """See `Exchanges`."""
        return message.request

    def answered(self, message: _Parcel, status: int, body: bytes, size: int) -> None:  # noqa: ARG002 - see Exchanges
        """See `Exchanges`. With any 2xx it is delivered."""
        if not 200 <= status < 300:
            self.refused(message)
        elif message in self._in_hand:
            del self._in_hand[message]
            self.delivered += 1

    def refused(self, message: _Parcel) -> None:
        """See `Exchanges`."""
        if message not in self._in_hand:
            return
        self.refusals += 1
        if message.tries >= self._spec.delivery_tries:
            del self._in_hand[message]
            self.given_up += 1
        else:
            self._pausing.append((time.monotonic_ns() + _PAUSE_NS, message))
            self._arm()

    thwarted = refused

    def _try(self, parcel: _Parcel) -> None:
        parcel.tries += 1
        self._deadlines.append((time.monotonic_ns() + self._spec.delivery_us * 1000, parcel, parcel.tries))
        self._arm()
        parcel.pool.offer(parcel)

    def _arm(self) -> None:
        if self._timer is not None:
            return
        instants = [queue[0][0] for queue in (self._deadlines, self._pausing) if queue]
        if instants:
            delay = max(0, min(instants) - time.monotonic_ns()) / 1_000_000_000
            self._timer = self._loop.call_later(min(delay, _PAUSE_NS / 1_000_000_000), self._ring)

    def _ring(self) -> None:
        """End the tries that have taken too long, and begin those that have paused; both are in order of time."""
        self._timer = None
        now = time.monotonic_ns()
        while self._deadlines and self._is_past(*self._deadlines[0], now):
            self._deadlines.popleft()
        while self._pausing and self._pausing[0][0] <= now:
            self._try(self._pausing.popleft()[1])
        self._arm()

    def _is_past(self, deadline: int, parcel: _Parcel, tries: int, now: int) -> bool:
        """Whether a try is over; it is made so when its time is."""
        if parcel not in self._in_hand or parcel.tries != tries:
            return True
        if deadline > now:
            return False
        parcel.pool.withdraw(parcel)
        self.refused(parcel)
        return True
