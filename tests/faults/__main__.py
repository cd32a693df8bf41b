"""The long form of the fault campaign: `python -m tests.faults [FAULT…] [--seed N] [--rounds N] [--seconds N]`.

Every trial has a laboratory of its own and a seed that follows from the campaign's, the fault's name and the trial's
number, so that one can be had again: `python -m tests.faults clock --seed 1 --trial 3`. Trials are written, one JSON
line each, to `.faults/trials.jsonl` as they end; the table is made of all of that file, and printed. `--page FILE`
writes it between the marks of docs/faults.md too, and all of it, trial by trial, beside the page as JSON.
"""

import argparse
import json
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from tests.faults.faults import FAULTS, ROOT, Fault
from tests.faults.lab import UnavailableError, laboratory, own_surroundings
from tests.faults.warm import Warm

KEPT = ROOT / ".faults"
MARKS = ("<!-- the table begins -->\n", "<!-- the table ends -->\n")
_COUNTED = re.compile(r"(\d+) (?:killed|ended)")


def main() -> int:
    """Runs trials, and prints the table of all so far; 1 where anything did not hold."""
    known = {each.name: each for each in FAULTS}
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"{', '.join([*known, *WHOLE])} (default: all)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, help="trials of each fault, in place of the table's own numbers")
    parser.add_argument("--trial", type=int, help="only the trial of that number, from 1")
    parser.add_argument("--seconds", type=int, default=0, help="begin no trial after so many")
    parser.add_argument("--page", type=Path, help="a page with the table's marks")
    parser.add_argument("--table", action="store_true", help="run nothing")
    options = parser.parse_args()
    if unknown := set(options.faults) - {*known, *WHOLE}:
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    KEPT.mkdir(exist_ok=True)
    (KEPT / "trials.jsonl").touch()
    bad = 0
    if not options.table:
        chosen = [known[name] for name in options.faults if name in known] if options.faults else list(FAULTS)
        bad = sum(bool(each["problems"]) for each in campaign(chosen, options))
        for name, whole in WHOLE.items():
            if not options.faults or name in options.faults:
                bad += bool(written(whole(options.seed))["problems"])
    trials = [json.loads(line) for line in (KEPT / "trials.jsonl").read_text().splitlines()]
    page = table(trials)
    print(page)
    if options.page:
        told = {"machine": machine(), "faults": summary(trials)}
        options.page.with_suffix(".json").write_text(json.dumps(told, indent=1) + "\n")
        before, rest = options.page.read_text().split(MARKS[0])
        after = rest.split(MARKS[1])[1]
        options.page.write_text(f"{before}{MARKS[0]}{page}{MARKS[1]}{after}")
    return int(bad > 0)


def campaign(faults: Iterable[Fault], options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Every trial, one after the other: the first of each fault, the second of each, and so on."""
    began = time.monotonic()
    faults = list(faults)
    with tempfile.TemporaryDirectory(prefix="plimsoll-faults-") as name:
        folder = Path(name)
        surroundings = own_surroundings(folder)
        most = max((options.rounds or fault.rounds for fault in faults), default=0)
        with Warm(folder / "warm", surroundings) as warm:
            for number in [options.trial] if options.trial else range(1, most + 1):
                for fault in faults:
                    if not options.trial and number > (options.rounds or fault.rounds):
                        continue
                    if options.seconds and time.monotonic() - began > options.seconds:
                        return
                    place = folder / "laboratory"
                    yield written(trial(fault, place, surroundings, options.seed, number, warm))


def trial(
    fault: Fault, folder: Path, surroundings: dict[str, str], seed: int, number: int, warm: Warm
) -> dict[str, Any]:
    """One trial, as it is kept."""
    said = {"fault": fault.name, "seed": seed, "trial": number, "at": datetime.now(UTC).isoformat(timespec="seconds")}
    if why := fault.unavailable():
        return said | {"told": "", "unavailable": why, "problems": [], "seconds": 0}
    began = time.monotonic()
    with laboratory(folder, surroundings, f"{seed}/{fault.name}/{number}", warm) as lab:
        told, unavailable = "", ""
        try:
            told = fault.happen(lab)
        except UnavailableError as error:
            unavailable = str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding, and the campaign goes on
            lab.fail(f"{type(error).__name__}: {error}")
    seconds = round(time.monotonic() - began)
    return said | {"told": told, "unavailable": unavailable, "problems": lab.problems, "seconds": seconds}


def offline(seed: int) -> dict[str, Any]:
    """A part of the suite with nothing but loopback: whatever needs a network fails."""
    words = ["unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    rooms = [
        "tests/catalog",
        "tests/expectations",
        "tests/tasks",
        "tests/flows/test_cli.py",
        "tests/flows/test_trust.py",
    ]
    began = time.monotonic()
    done = subprocess.run(
        [*words, sys.executable, "-m", "pytest", "-q", "-n", "1", *rooms],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    last = (done.stdout.strip() or done.stderr.strip()).splitlines()[-1]
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return {
        "fault": "offline", "seed": seed, "trial": 1, "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "told": last.strip("= "), "unavailable": "", "seconds": round(time.monotonic() - began),
        "problems": failed if done.returncode else [],
    }  # fmt: skip


def calls(seed: int) -> dict[str, Any]:
    """A process ended, its write torn, or its disk full or read-only, at every system call by which it writes."""
    began = time.monotonic()
    told: list[str] = []
    problems: list[str] = []
    for scenario in ("evidence", "torn", "bundle", "index"):
        words = [sys.executable, "-m", "tests.catalog.crashes", scenario]
        done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=False)
        if done.returncode:
            problems.append(f"{scenario}: {done.stderr[-500:]}")
            continue
        answer = json.loads(done.stdout)
        told.append(f"{scenario}: {answer['trials']} ended")
        problems += [f"{call}: {problem}" for call, problem in answer["problems"].items()]
    return {
        "fault": "calls", "seed": seed, "trial": 1, "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "told": ", ".join(told), "unavailable": "", "seconds": round(time.monotonic() - began), "problems": problems,
    }  # fmt: skip


WHOLE: dict[str, Callable[[int], dict[str, Any]]] = {"calls": calls, "offline": offline}
"""What is done once, and not in a laboratory."""


def written(said: dict[str, Any]) -> dict[str, Any]:
    """Keeps a trial, and tells it."""
    said["version"] = metadata.version("plimsoll")
    with (KEPT / "trials.jsonl").open("a") as file:
        file.write(json.dumps(said) + "\n")
    print(
        f"{said['fault']} {said['trial']} ({said['seconds']} s): {said['unavailable'] or said['told']}", file=sys.stderr
    )
    for problem in said["problems"]:
        print(f"  did not hold: {problem}", file=sys.stderr)
    return said


def summary(trials: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each fault; of a trial that was had more than once, the newest counts."""
    newest = {(each["fault"], each["seed"], each["trial"]): each for each in trials}
    names = {each.name: each.what for each in FAULTS} | {
        "calls": "a process ended, or refused by its disk, at each system call that writes evidence",
        "offline": "the network cut, loopback alone (part of the suite)",
    }
    rows = []
    for name, what in names.items():
        mine = [each for each in newest.values() if each["fault"] == name]
        done = [each for each in mine if not each["unavailable"]]
        counted = sum(int(count) for each in done for count in _COUNTED.findall(each["told"]))
        rows.append(
            {
                "fault": name,
                "what": what,
                "trials": len(done),
                "faults": counted or len(done),
                "held": sum(not each["problems"] for each in done),
                "seeds": sorted({each["seed"] for each in done}),
                "unavailable": sorted({each["unavailable"] for each in mine if each["unavailable"]}),
                "told": [each["told"] for each in done],
            }
        )
    return rows


def machine() -> str:
    """Where and with what this was run."""
    prefect = metadata.version("prefect")
    return (
        f"{datetime.now(UTC).date()}, plimsoll {metadata.version('plimsoll')}, Python {platform.python_version()}, "
        f"Prefect {prefect}, {platform.system()} {platform.release()}"
    )


def table(trials: list[dict[str, Any]]) -> str:
    """The table as Markdown."""
    rows = summary(trials)
    lines = [
        f"{machine()}; seeds {', '.join(map(str, sorted({seed for row in rows for seed in row['seeds']})))}.",
        "",
        "| fault | | trials | faults | all held in |",
        "|---|---|---:|---:|---:|",
        *(
            f"| `{row['fault']}` | {row['what']} | {row['trials']} | {row['faults']} | "
            f"{'; '.join(row['unavailable']) if row['unavailable'] and not row['trials'] else row['held']} |"
            for row in rows
        ),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
