"""Every claim of speed beside what a user would pick instead: `python -m benchmarks [NAME …]`.

Runs each claim (`--list` says which there are) in rounds, ours and its peers in turns, prints ratios with their spread,
and writes JSON where `--json FILE` says; `--page FILE` writes the page of the documentation from it. Peers that are not
Python libraries of ours go into environments of their own, below `--peers FOLDER`, which `--install` makes; what is not
there is said. The whole takes about an hour; `--short` takes little of everything, to see that it works.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from benchmarks.claims import CLAIMS, Setting
from benchmarks.peers import PINNED, Peers
from benchmarks.racing import NoPeerError
from benchmarks.telling import machine, page, table, told_of


def main() -> None:
    """Runs what is asked for, and tells."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="claims; all of them unless named")
    parser.add_argument("--list", action="store_true", help="say which claims there are, and run nothing")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--short", action="store_true", help="little of everything: figures that say nothing")
    parser.add_argument("--peers", type=Path, metavar="FOLDER", help=f"environments of {', '.join(PINNED)}")
    parser.add_argument("--install", action="store_true", help="make the environments that are missing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write, or bring up to date, the figures")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the page of the figures in --json")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in CLAIMS]:
        parser.error(f"no claim is named {', '.join(unknown)}; there are {', '.join(CLAIMS)}")
    if options.rounds < 1:
        parser.error("--rounds: a claim is measured once or more")
    if options.list:
        print("\n".join(f"{name:<20} {claim.says}" for name, claim in CLAIMS.items()))
        return
    peers = Peers(options.peers.absolute() if options.peers else None)
    if options.install:
        peers.install()
    known = json.loads(options.json.read_text()) if options.json and options.json.is_file() else {}
    names = options.names or ([] if options.page and known else list(CLAIMS))
    for name in names:
        print(f"{name}: {CLAIMS[name].says}", file=sys.stderr, flush=True)
        missing: list[str] = []
        with tempfile.TemporaryDirectory() as folder:
            setting = Setting(
                folder=Path(folder), rounds=options.rounds, peers=peers, missing=missing, short=options.short
            )
            try:
                found = CLAIMS[name].measure(setting)
            except NoPeerError as error:  # without it there is nothing to tell
                print(f"{name}: not measured: {error}", flush=True)
                continue
        known[name] = told_of(CLAIMS[name], found, missing) | {"machine": machine(peers)}
        print(table(name, known[name]), flush=True)
        if options.json:
            ordered = {each: known[each] for each in CLAIMS if each in known}
            options.json.write_text(json.dumps(ordered, indent=2, ensure_ascii=False) + "\n")
    if options.page:
        options.page.write_text(page(known))


if __name__ == "__main__":
    main()
