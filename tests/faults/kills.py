"""SIGKILL for any process of a run, at moments that are drawn anew each time."""

import subprocess
import time
from collections import Counter

import psutil

from tests.faults.lab import ALL, Lab

ROLES = {
    "flows.prefect_api": "Prefect's API",
    "tasks.judge": "judge",
    "tasks.inject": "injector",
    "tasks.emulate": "emulator",
}
COORDINATOR = "coordinator"
_SERVER_SHARE = 0.04
"""How often the Prefect server is hit rather than a process of the run; what is left of the run then fails slowly."""
ANCHORS = {
    "starting": 8.0,  # 2 where all is loaded
    "declarations": 0.6,
    "plan ": 0.4,
    "1 of": 2.0,
    "2 of": 4.0,
    "3 of": 2.0,
    "4 of": 2.0,
    "5 of": 4.0,
    "6 of": 3.0,
    "measured": 1.0,
    "observed": 1.0,
    "composed": 3.0,
    "reported": 1.0,
}
"""What a run says as it begins each stage, in order, and about how many seconds the stage takes."""
_LATER = {"2 of", "3 of", "4 of", "5 of", "6 of"}
"""What a run of one test never says."""
AGAIN = ("--again", "pilot.orders.load", "--reason", "a fault")
"""So that there is work left for a run, whatever those before it have finished."""


def role(process: psutil.Process, first: int) -> str:
    """What a process of a run is; empty for one that cannot be told or has ended."""
    if process.pid == first:
        return COORDINATOR
    try:
        words = [process.name(), *process.cmdline()]  # one that was forked has its module's name, and other words
    except psutil.Error:
        return ""
    return next((name for module, name in ROLES.items() if any(word.startswith(module) for word in words)), "other")


def killed_run(
    lab: Lab,
    words: tuple[str, ...] = ALL,
    *,
    blows: int = 3,
    only: str = "",
) -> Counter[str]:
    """One run in which up to `blows` processes are killed, each at a moment of its own; who was, by role and stage."""
    server = lab.warm.server if lab.warm else None
    watched = lab.start(*words)
    everybody: dict[int, psutil.Process] = {}
    hit: Counter[str] = Counter()
    anchors = [each for each in ANCHORS if "--tests" not in words or each not in _LATER]
    places = sorted(lab.chance.choices(range(len(anchors)), k=blows))
    for number, place in enumerate(places, 1):
        anchor = anchors[place]
        wait = lab.chance.uniform(0, min(ANCHORS[anchor], 2.0 if server and not place else 8.0))
        draw = lab.chance.random()
        if not watched.says(anchor):
            continue
        time.sleep(wait)  # the moment is what is tried
        tree = watched.tree()
        everybody |= {each.pid: each for each in tree}
        named = sorted({role(each, watched.process.pid): each for each in tree}.items())
        named = [(name, each) for name, each in named if name and (not only or name == only)]
        if server is not None:
            named = [(name, each) for name, each in named if name != "Prefect's API"]  # it says where the server is
            if not only and lab.chance.random() < _SERVER_SHARE and server.is_running():
                named = [("Prefect server", server)]
        if not named:
            continue
        children = [each for each in named if each[0] != COORDINATOR]
        if number < blows and children:  # the run ends with its first process, and is to be hit before
            named = children
        name, victim = named[int(draw * len(named))]
        try:
            victim.kill()
        except psutil.NoSuchProcess:
            continue
        hit[f"{name} / {anchor.strip()}"] += 1
        if name == COORDINATOR:
            break
    try:
        ended = watched.ended()
    except subprocess.TimeoutExpired:
        lab.fail(f"a run had not ended 300 s after {dict(hit)}")
        watched.process.kill()
        ended = watched.ended()
    lab.hold(ended)
    everybody |= {each.pid: each for each in watched.tree()}
    lab.gone(list(everybody.values()))
    lab.audit()
    return hit
