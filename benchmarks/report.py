"""What a completion report costs: `python benchmarks/report.py [TESTS …]` prints seconds and bytes as JSON.

From facts as the stages record them, of the shipped programme with so many tests (60 and 1,000 unless given): its
tests are repeated under other names, with their runs, measurements, observations and series.
"""

import copy
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "tasks"))

from report_facts import phase_facts

from catalog.reading import read_programme
from tasks.report.assemble import assemble_report
from tasks.report.pdf import pdf_of
from tasks.report.render import PAGE, render_pages

SHIPPED = Path(__file__).parents[1] / "catalog" / "smets1"


def many(facts: dict, count: int) -> dict:
    """Facts with so many tests: those there are, and repetitions of them."""
    tests, planned = list(facts["tests"]), list(facts["plan"]["tests"])
    measurements, observations = list(facts["measurements"]), list(facts["observations"]["rows"])
    series, more = dict(facts["series"]), 0
    while len(tests) < count:
        source = facts["tests"][more % len(facts["tests"])]
        more += 1
        old, new = source["test"], f"{source['test']}-{more}"
        text = json.dumps(source).replace(f"{old}/", f"{new}/").replace(f'"{old}"', f'"{new}"')
        tests.append(json.loads(text))
        planned.append({**copy.deepcopy(planned[more % len(facts["tests"])]), "test": new})
        runs = {run["run"] for run in source["runs"]}
        for rows, copied in ((measurements, facts["measurements"]), (observations, facts["observations"]["rows"])):
            own = [row for row in copied if row["run"] in runs]
            rows += json.loads(json.dumps(own).replace(f"{old}/", f"{new}/").replace(f'"{old}"', f'"{new}"'))
        series |= {run.replace(f"{old}/", f"{new}/"): facts["series"][run] for run in runs if run in facts["series"]}
    return {
        **facts,
        "tests": tests[:count],
        "plan": {**facts["plan"], "tests": planned[:count]},
        "measurements": measurements,
        "observations": {**facts["observations"], "rows": observations},
        "series": series,
    }


def timed(what):
    """How long `what` takes, in seconds on the clock and of CPU, and what it returns."""
    begun, spent = time.perf_counter(), time.process_time()
    found = what()
    return [round(time.perf_counter() - begun, 2), round(time.process_time() - spent, 2)], found


def main() -> None:
    """Times assembling, pages and PDF, for each number of tests: seconds on the clock, and of CPU."""
    facts = phase_facts(read_programme(SHIPPED), "ioc")
    told = {}
    for count in [int(each) for each in sys.argv[1:]] or [60, 1_000]:
        larger = many(facts, count)
        assembling, report = timed(lambda larger=larger: assemble_report(larger))
        rendering, pages = timed(lambda report=report: render_pages(report))
        setting, pdf = timed(lambda report=report, pages=pages: pdf_of(pages[PAGE], report))
        sizes = {name: len(page.encode()) for name, page in pages.items()}
        told[f"{count} tests"] = {
            "assembled, s and s of CPU": assembling,
            "rendered": rendering,
            "set as PDF": setting,
            "pages": len(pages),
            "largest page, bytes": max(sizes.values()),
            "all pages, bytes": sum(sizes.values()),
            "PDF, bytes": len(pdf),
        }
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
