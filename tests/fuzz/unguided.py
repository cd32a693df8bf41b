"""Inputs that are mutated from what coverage has found so far, without looking at it: four times as many a second.

Every target in a process of its own, forked, for so many seconds of processor time. What raises, takes longer than an
input may, or takes more memory than it may, is kept as the guided fuzzer keeps it, and ends that target's run.
"""

import hashlib
import json
import os
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

KINDS = 6
ODD = (
    b"", b"0", b"-1", b"9" * 20, b"1e999", b"NaN", b"\0", b"\xff", b"\xed\xa0\x80", b'"', b"'", b",", b"\n", b"\r",
    b"<", b"..", b"{",
)  # fmt: skip
"""What is put in the place of a stretch."""


def mutated(chance: random.Random, corpus: Sequence[bytes], longest: int) -> bytes:
    """One to five odd things done to one of the corpus."""
    data = bytearray(chance.choice(corpus))
    for _ in range(chance.randint(1, 5)):
        at, end = sorted(chance.randint(0, len(data)) for _ in range(2))
        end = min(end, at + chance.choice((1, 4, 16, 64, 1024)))
        match chance.randrange(KINDS):
            case 0 if data:
                data[at % len(data)] ^= 1 << chance.randrange(8)
            case 1:
                del data[at:end]
            case 2:
                data[at:at] = data[at:end] * chance.choice((1, 1, 2, 30))
            case 3:
                data[at:end] = chance.choice(ODD)
            case 4:
                other = chance.choice(corpus)
                begin = chance.randint(0, len(other))
                data[at:end] = other[begin : begin + chance.choice((4, 16, 64, 1024, longest))]
            case _:
                data[at:end] = chance.randbytes(end - at)
        del data[longest:]
    return bytes(data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What an input may take of processor time (seconds) and memory (megabytes), and how long it may be (bytes)."""

    seconds: int
    megabytes: int
    longest: int


class TooSlowError(Exception):
    """An input takes longer than it may."""


def feed(
    target: Callable[[bytes], None], corpus: Sequence[bytes], chance: random.Random, cpu_s: float, bounds: Bounds
) -> tuple[int, bytes]:
    """How many inputs a target was fed, and the one that broke it, or nothing."""

    def stop(*_: object) -> None:
        raise TooSlowError

    signal.signal(signal.SIGPROF, stop)
    target(b"")  # loads what it needs
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + bounds.megabytes * 1024
    ends, inputs, data = time.process_time() + cpu_s, 0, b""
    try:
        while time.process_time() < ends:
            data = mutated(chance, corpus, bounds.longest)
            inputs += 1
            signal.setitimer(signal.ITIMER_PROF, bounds.seconds)
            target(data)
            signal.setitimer(signal.ITIMER_PROF, 0)
            if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > most:
                raise MemoryError(f"more than {bounds.megabytes} MB")
    except Exception:  # noqa: BLE001  # whatever it is, it is a finding
        signal.setitimer(signal.ITIMER_PROF, 0)
        traceback.print_exc()
        return inputs, data or b" "
    return inputs, b""


def run(
    target: Callable[[bytes], None], corpus: Sequence[bytes], seed: str, cpu_s: float, bounds: Bounds, broken: Path
) -> tuple[int, int]:
    """One target in a process of its own: how many inputs, and how many broke it (none or one, kept in `broken`)."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            inputs, bad = feed(target, corpus, random.Random(seed), cpu_s, bounds)  # noqa: S311 - inputs, not secrets
            if bad:
                broken.mkdir(parents=True, exist_ok=True)
                (broken / f"unguided-{hashlib.sha1(bad, usedforsecurity=False).hexdigest()}").write_bytes(bad)
            os.write(writing, json.dumps([inputs, int(bool(bad))]).encode())
        except BaseException:  # noqa: BLE001  # is told by the status
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        said = told.read()
    _, status = os.waitpid(pid, 0)
    if not said:
        print(f"{broken.name} ended with status {os.waitstatus_to_exitcode(status)}", file=sys.stderr)
        return 0, 1
    inputs, bad = json.loads(said)
    return inputs, bad
