"""The coverage-guided fuzzer: `uv run --group fuzz tests/fuzz/fuzz.py [TARGET…] [--seconds N]`.

Each input has at most ten seconds and 1 GB. What breaks a target is kept under `crashers/TARGET/`, and the suite
replays it ever after. The corpus grows in `.fuzz/`, which is not committed. `--unguided` feeds what is mutated from
that corpus without instrumentation: coverage costs three quarters of the time.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SECONDS, MEGABYTES, LONGEST = 10, 1024, 65536
"""For one input, and how long it may be in bytes."""

COUNTS = ROOT / ".fuzz" / "counts.jsonl"
MARKS = ("<!-- inputs begin -->\n", "<!-- inputs end -->\n")

_MEMORY = {"TMPDIR": "/dev/shm"} if Path("/dev/shm").is_dir() else {}  # noqa: S108  # inputs are files, by the thousand


def main() -> int:
    """Runs the targets one after the other, each in a process of its own; 1 where anything was found."""
    sys.path[:0] = [str(ROOT), str(HERE)]
    if sys.argv[1:2] == ["--within"]:
        return _fuzz(sys.argv[2], sys.argv[3:])
    from targets import TARGETS

    COUNTS.parent.mkdir(exist_ok=True)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--unguided", action="store_true", help="more inputs, seconds of processor time, no coverage")
    parser.add_argument("--seed", default="", help="of unguided inputs; by default another each time")
    parser.add_argument("--page", type=Path, help="a page with marks between which the table of all counts is written")
    parser.add_argument("--table", action="store_true", help="feed nothing")
    options = parser.parse_args()
    if not options.unguided and find_spec("atheris") is None:
        parser.error("atheris is not installed: run this with `uv run --group fuzz`")
    if unknown := sorted(set(options.targets) - set(TARGETS)):
        parser.error(f"no such target: {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    wanted = [] if options.table else options.targets or list(TARGETS)
    if options.unguided:
        found = _unguided(wanted, options.seconds, options.seed or str(datetime.now(UTC)))
    else:
        found = [_run(target, options.seconds) for target in wanted]
    print(table())
    if options.page:
        before, rest = options.page.read_text().split(MARKS[0])
        options.page.write_text(before + MARKS[0] + table() + MARKS[1] + rest.split(MARKS[1])[1])
    return int(any(found))


def table() -> str:
    """How many inputs each target was fed in all the runs that `.fuzz/counts.jsonl` tells of, as Markdown."""
    from targets import TARGETS, purpose

    runs = [json.loads(line) for line in COUNTS.read_text().splitlines()] if COUNTS.exists() else []
    rows = [(name, [each for each in runs if each["target"] == name]) for name in TARGETS]
    sums = [(name, *(sum(each[what] for each in mine) for what in ("inputs", "broke"))) for name, mine in rows]
    lines = [f"| `{name}` | {purpose(name)} | {inputs:,} | {broke} |" for name, inputs, broke in sums]
    days = sorted({each["day"] for each in runs})
    total = sum(inputs for _, inputs, _ in sums)
    told = f"{' to '.join(days[:: max(1, len(days) - 1)])}: {total:,} inputs."
    head = [told, "", "| target | | inputs | broke it |", "|---|---|---:|---:|"]
    return "\n".join([*head, *lines]) + "\n"


def _run(target: str, seconds: int) -> bool:
    """One target for so long; whether it broke."""
    from targets import seeds

    corpus, broken = ROOT / ".fuzz" / target, HERE / "crashers" / target
    corpus.mkdir(parents=True, exist_ok=True)
    for each in seeds(target):
        (corpus / hashlib.sha256(each).hexdigest()[:16]).write_bytes(each)
    before = set(broken.glob("*"))
    broken.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, __file__, "--within", target, str(corpus), f"-max_total_time={seconds}",
         f"-timeout={SECONDS}", f"-rss_limit_mb={MEGABYTES}", f"-max_len={LONGEST}", f"-artifact_prefix={broken}/",
         "-print_final_stats=1"],
        capture_output=True, text=True, errors="replace", cwd=ROOT,
        env={**os.environ, **_MEMORY, "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}"}, check=False,
    )  # fmt: skip
    told = done.stdout + done.stderr
    units = re.search(r"number_of_executed_units:\s*(\d+)", told)
    covered = re.findall(r"cov: (\d+)", told)
    new = sorted(set(broken.glob("*")) - before)
    with suppress(OSError):  # what broke it is in there
        broken.rmdir()
    _count(target, int(units[1]) if units else 0, len(new))
    print(f"{target}: {units[1] if units else 'an unknown number of'} inputs, {covered[-1] if covered else 0} places "
          f"covered, {len(new)} broke it", flush=True)  # fmt: skip
    if new or done.returncode:
        begins = max(told.rfind("=== Uncaught Python exception"), 0)
        print("\n".join(told[begins:].splitlines()[:30] if begins else told.splitlines()[-30:]), *new, sep="\n",
              flush=True)  # fmt: skip
    return bool(new or done.returncode)


def _unguided(names: Sequence[str], seconds: int, seed: str) -> list[bool]:
    """The targets one after the other; which of them broke."""
    os.environ |= _MEMORY
    import unguided
    from evidence_targets import remember
    from targets import TARGETS, seeds

    remember()
    found = []
    for name in names:
        kept = [each for each in (ROOT / ".fuzz" / name).glob("*") if each.stat().st_size <= LONGEST]
        corpus = [*seeds(name), *(each.read_bytes() for each in kept)]
        bounds = unguided.Bounds(seconds=SECONDS, megabytes=MEGABYTES, longest=LONGEST)
        broken = HERE / "crashers" / name
        inputs, bad = unguided.run(TARGETS[name], corpus, f"{seed}/{name}", seconds, bounds, broken)
        _count(name, inputs, bad)
        print(f"{name}: {inputs} inputs, {bad} broke it (unguided, seed {seed!r})", flush=True)
        found.append(bool(bad))
    return found


def _count(target: str, inputs: int, broke: int) -> None:
    with COUNTS.open("a") as file:
        day = datetime.now(UTC).date().isoformat()
        file.write(json.dumps({"target": target, "inputs": inputs, "broke": broke, "day": day}) + "\n")


def _fuzz(target: str, passed: list[str]) -> int:
    import atheris

    with atheris.instrument_imports(include=["tasks.intake", "catalog"]):
        from evidence_targets import remember
        from targets import TARGETS
    remember()
    TARGETS[target](b"")  # loads what it needs, so that no input's time is spent on it
    atheris.Setup([sys.argv[0], *passed], TARGETS[target])
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
