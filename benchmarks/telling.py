"""Figures of claims as JSON, as lines of a terminal, and as the page of the documentation."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.claims import CLAIMS, Claim
from benchmarks.peers import PINNED, Peers
from benchmarks.racing import OWN, NoPeerError, Rounds, Taken, ratios

LIBRARIES = ("duckdb", "great-expectations", "prefect", "pandas", "numpy", "fastparquet", "locust", "lxml", "aiohttp")
PROGRAMS = {"openssl": ["version"], "sha256sum": ["--version"], "wrk": ["-v"], "h2load": ["--version"]}


def machine(peers: Peers) -> dict[str, Any]:
    """What was measured on and with: the machine, how busy it was, and versions."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {_processor()}",
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "versions": _versions(peers),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _versions(peers: Peers) -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except ModuleNotFoundError:
            continue
    for name, words in PROGRAMS.items():
        try:
            ended = subprocess.run([peers.program(name), *words], capture_output=True, text=True, check=False)
        except NoPeerError:
            continue
        found[name] = (ended.stdout + ended.stderr).splitlines()[0][:60]
    for name, pinned in PINNED.items():
        try:
            peers.program(name)
        except NoPeerError:
            continue
        found[name] = pinned.partition("==")[2]
    return found


def told_of(claim: Claim, found: Rounds, missing: list[str]) -> dict[str, Any]:
    """What was found of a claim: medians of each side, ratios to each peer with their spread, and whether it is met."""
    sides = {name: _medians(rounds) for name, rounds in found.items()}
    compared = {
        name: {
            what: [round(each, 3) for each in ratio]
            for what in ("clock", "processors", *(["memory"] if claim.goal and claim.goal.what == "memory" else []))
            if (ratio := ratios(found, name, what))
        }
        for name in found
        if name != OWN
    }
    return {
        "says": claim.says,
        "unit": claim.unit,
        "rounds": len(found[OWN]),
        "sides": sides,
        "ratios": compared,
        "missing": sorted(set(missing)),
        "goal": _goal(claim),
        "met": _met(claim, sides, compared),
    }


def _medians(rounds: list[Taken]) -> dict[str, float]:
    found = {}
    for what in ("clock", "processors", "memory"):
        known = [value for each in rounds if (value := getattr(each, what)) is not None]
        if known:
            found[what] = round(median(known), 3)
    return found


def _goal(claim: Claim) -> str | None:
    if (goal := claim.goal) is None:
        return None
    by = _BY[goal.what]
    if goal.peer is None:
        return f"at most {goal.most:g} {claim.unit} {by}".replace("of CPU of CPU", "of CPU")
    more = f" and {goal.more:g} {claim.unit}" if goal.more else ""
    return f"at most {goal.most:.3g} times {goal.peer}{more} {by}"


def _met(claim: Claim, sides: dict[str, dict[str, float]], compared: dict[str, dict[str, list[float]]]) -> bool | None:
    if (goal := claim.goal) is None:
        return None
    if goal.peer is None:
        return sides[OWN][goal.what] <= goal.most
    if (ratio := compared.get(goal.peer, {}).get(goal.what)) is None:
        return None
    return ratio[0] <= goal.most + goal.more / sides[goal.peer][goal.what]


def table(name: str, found: dict[str, Any]) -> str:
    """Lines for a terminal."""
    lines = [f"{name} ({found['unit']}, medians of {found['rounds']})"]
    for side, taken in found["sides"].items():
        ratio = found["ratios"].get(side, {})
        told = "".join(f", ours {_spread(each)} {_BY[what]}" for what, each in ratio.items())
        lines.append(f"  {side}: {_taken(taken)}{told}")
    lines += [f"  not compared: {each}" for each in found["missing"]]
    lines += [f"  asked: {found['goal']}: {_JUDGED[found['met']]}"] if found["goal"] else []
    return "\n".join(lines)


_BY = {"clock": "by the clock", "processors": "of CPU", "memory": "of memory"}


def _taken(taken: dict[str, float]) -> str:
    told = [f"{_number(taken['clock'])}"]
    told += [f"{_number(taken['processors'])} of CPU"] if "processors" in taken else []
    told += [f"{taken['memory']:,} MiB"] if "memory" in taken else []
    return ", ".join(told)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _spread(ratio: list[float]) -> str:
    middle, least, most = ratio
    return f"{middle:.2f} times ({least:.2f} to {most:.2f})"


_JUDGED = {True: "met", False: "not met", None: "cannot be told"}


def page(known: dict[str, Any]) -> str:
    """The page of the documentation, in Markdown: a table of all claims, then each with its peers."""
    lines = [
        "# How fast, beside what else",
        "",
        "Ours and its peers took turns on one machine. A ratio is ours over the peer's in the same round, so below 1",
        "we were faster: its median, and in brackets the least and the most of all rounds. On a shared machine",
        "seconds of CPU are the steadier figures. This page is written, not edited:",
        "",
        "<!-- not run: it takes an hour -->",
        "",
        "    python -m benchmarks --peers FOLDER --install --json benchmarks/last.json --page docs/benchmarks.md",
        "",
        "| claim | ours | asked | |",
        "|---|---|---|---|",
    ]
    for name in CLAIMS:
        if name not in known:
            lines.append(f"| [{name}](#{name}) | not measured | {_goal(CLAIMS[name]) or ''} | |")
            continue
        found = known[name]
        ours = f"{_taken(found['sides'][OWN])} ({found['unit']})"
        lines.append(
            f"| [{name}](#{name}) | {ours} | {found['goal'] or ''} | {_JUDGED[found['met']] if found['goal'] else ''} |"
        )
    for name, claim in CLAIMS.items():
        lines += ["", f"## {name}", "", claim.says, ""]
        if name in known:
            lines += _section(known[name])
    return "\n".join(lines) + "\n"


def _section(found: dict[str, Any]) -> list[str]:
    lines = [
        f"| side | {found['unit']} | of CPU | MiB | ours by the clock | ours of CPU |",
        "|---|---|---|---|---|---|",
    ]
    for side, taken in found["sides"].items():
        ratio = {what: _spread(each) for what, each in found["ratios"].get(side, {}).items()}
        cells = [_number(taken[what]) if what in taken else "" for what in ("clock", "processors", "memory")]
        lines.append(f"| {side} | {' | '.join(cells)} | {ratio.get('clock', '')} | {ratio.get('processors', '')} |")
    on = found["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in on["versions"].items())
    lines += [
        "",
        f"Rounds: {found['rounds']}, on {on['date']}. {on['machine']}, load {on['load']}.",
        f"Python {on['python']}, {versions}.",
    ]
    return lines + [f"Not compared: {each}." for each in found["missing"]]
