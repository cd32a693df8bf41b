"""An alarm on the absolute monotonic clock, read by the event loop.

Loop timers count whole milliseconds (uvloop) or wake 0.3 to 0.5 ms late (asyncio). A Linux timerfd wakes the loop some
20 µs late without spinning. `os.timerfd_create` exists from Python 3.13 on; before, the C library is called.
"""

import asyncio
import contextlib
import ctypes
import os
import sys
import time
from collections.abc import Callable
from typing import Protocol

_CLOCK_MONOTONIC = 1  # linux/time.h
_TFD_NONBLOCK, _TFD_CLOEXEC = os.O_NONBLOCK, getattr(os, "O_CLOEXEC", 0)  # sys/timerfd.h defines them as these
_TFD_TIMER_ABSTIME = 1
_NANOSECONDS = 1_000_000_000


class Alarm(Protocol):
    """Calls back once, at or soon after the instant it was last set to."""

    def set(self, at_ns: int) -> None:
        """Ring at `at_ns` of `time.monotonic_ns()`, at once when that is past; replaces an earlier setting."""

    def close(self) -> None:
        """Never ring again."""


def alarm(loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> Alarm:
    """The most precise alarm that this system has."""
    return TimerfdAlarm(loop, ring) if sys.platform == "linux" else LoopAlarm(loop, ring)


class _Itimerspec(ctypes.Structure):
    """`struct itimerspec` of time.h: interval (unused, so it rings once) and value, each seconds and nanoseconds."""

    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class TimerfdAlarm:
    """Linux: a timer that is a file descriptor."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._settime = libc.timerfd_settime
        self._fd: int = libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self._at_ns = 0
        self._is_set = False
        self._spec = _Itimerspec()
        self._pointer = ctypes.byref(self._spec)
        self._loop = loop
        self._ring = ring
        loop.add_reader(self._fd, self._expired)

    def set(self, at_ns: int) -> None:
        """See `Alarm`. A value of zero would disarm, and never comes: the machine was not just switched on."""
        self._at_ns = at_ns
        self._is_set = True
        self._spec.value_s, self._spec.value_ns = divmod(at_ns, _NANOSECONDS)
        self._settime(self._fd, _TFD_TIMER_ABSTIME, self._pointer, None)

    def close(self) -> None:
        """See `Alarm`."""
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
        self._fd = -1  # a ring that closed its own alarm must not read what has this number next

    def _expired(self) -> None:
        """Ring. A timer that is set anew counts no expiry any more, so that it need not be read: a system call less."""
        if time.monotonic_ns() < self._at_ns:  # set anew after it expired and before the loop came round
            return
        self._is_set = False
        self._ring()
        if not self._is_set:
            with contextlib.suppress(OSError):  # rung and closed meanwhile
                os.read(self._fd, 8)


class LoopAlarm:
    """Anywhere: the loop's own timer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._handle: asyncio.TimerHandle | None = None

    def set(self, at_ns: int) -> None:
        """See `Alarm`."""
        self.close()
        delay_ns = max(0, at_ns - time.monotonic_ns())
        self._handle = self._loop.call_later(delay_ns / _NANOSECONDS, self._ring)

    def close(self) -> None:
        """See `Alarm`."""
        if self._handle is not None:
            self._handle.cancel()
