"""Changes by name of rules that mutmut cannot change: SQL, constants, properties, and the injector's own process.

    python tests/mutation/changes.py [WORD…]    # all, or those whose name or file has one of the words; minutes

Each is made alone in a copy of the repository, and some of the tests named beside it must fail then. Exit status 1 when
one was not noticed. `test_named_changes.py` holds that each still finds its place.
"""

import os
import shutil
import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PARTS = ("catalog", "expectations", "tasks", "flows", "tests", "pyproject.toml")
HEAVY = (
    "duckdb",
    "fastparquet",
    "hypothesis",
    "numpy",
    "pandas",
    "pandera.pandas",
    "pydantic",
    "ruamel.yaml",
    "scipy.special",
)


@dataclass(frozen=True)
class Change:
    """`old`, which stands once in `file`, becomes `new`; one of `tests` must fail."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def _several(file: str, tests: str, *changes: tuple[str, str, str]) -> tuple[Change, ...]:
    return tuple(Change(name, file, old, new, tuple(tests.split())) for name, old, new in changes)


def _measured(*tests: str) -> str:
    return " ".join(f"tests/tasks/test_measure.py::test_{test}" for test in tests)


CHANGES = (
    # Rule 1: latency counts from the intended time.
    *_several(
        "tasks/measures/subject.py",
        _measured(
            "failures_rank_later_than_any_answer",
            "an_error_that_is_expected_is_an_answer",
            "lateness_is_that_of_being_taken_up",
            "messages_that_were_never_taken_up_were_not_offered",
            "messages_that_were_taken_up_late_are_in_the_stretch_in_which_they_were_due",
            "acknowledgements_and_other_runs_are_not_counted",
            "invalid_requests_are_told_apart_from_the_rest",
            "queued_demand_is_drained_when_its_last_message_is_answered",
        ),
        ("latency from when it was sent", "coalesce(latency_us, -1)", "coalesce(service_us, -1)"),
        (
            "lateness from when it was sent",
            "coalesce(ready_us - intended_us, {LATER}) END AS lateness_us",
            "coalesce(sent_us - intended_us, {LATER}) END AS lateness_us",
        ),
        ("a stretch by when it was taken up", 'due_us="intended_us" if due_known', 'due_us="ready_us" if due_known'),
        (
            "a stretch by when it was sent, where some are not known",
            "coalesce(intended_us, ready_us, sent_us)",
            "coalesce(sent_us, ready_us, intended_us)",
        ),
        (
            "any answer is a good one",
            "CASE WHEN outcome = expect THEN coalesce(latency_us, -1) END",
            "CASE WHEN outcome <> 'timeout' THEN coalesce(latency_us, -1) END",
        ),
        ("only ok is a good one", "outcome = expect AS good", "outcome = 'ok' AS good"),
        (
            "failures rank first",
            "coalesce(answered_us, {LATER}) AS latency_us",
            "coalesce(answered_us, 0) AS latency_us",
        ),
        (
            "what was never taken up was in time",
            "CASE WHEN ready_us IS NOT NULL THEN coalesce(",
            "CASE WHEN true THEN coalesce(",
        ),
        (
            "acknowledgements are offered",
            "list_contains(['request', 'alert'], kind)",
            "list_contains(['request', 'alert', 'acknowledgement'], kind)",
        ),
        (
            "every run of the table",
            "{{joined}}\n    WHERE run = getvariable('run') AND {OFFERED}",
            "{{joined}}\n    WHERE {OFFERED}",
        ),
    ),
    *_several(
        "tasks/measures/scopes.py",
        _measured("failures_rank_later_than_any_answer", "percentiles_are_those_of_every_single_message"),
        (
            "what was not answered has no largest latency",
            "CASE WHEN count(*) > count(answered_us) THEN {LATER} ELSE",
            "CASE WHEN false THEN {LATER} ELSE",
        ),
        ("what was not answered is in the first bin", "* 64)::INTEGER, {_NEVER})", "* 64)::INTEGER, 0)"),
    ),
    *_several(
        "tasks/measures/chains.py",
        _measured("a_chain_counts_from_when_its_first_message_was_due"),
        (
            "a chain from when its second was due",
            "second.done_us - first.intended_us",
            "second.done_us - second.intended_us",
        ),
        (
            "a chain from when its first was taken up",
            "second.done_us - first.intended_us",
            "second.done_us - first.intended_us - 50",
        ),
        ("a chain whose first failed", "first.good AND second.good", "second.good"),
        ("a chain whose second failed", "first.good AND second.good", "first.good"),
    ),
    *_several(
        "tasks/measures/acknowledgements.py",
        _measured("time_to_the_acknowledgement_ranks_what_was_never_heard_of_last"),
        (
            "an acknowledgement from when it was sent",
            "SELECT sequence, path, latency_us FROM",
            "SELECT sequence, path, service_us AS latency_us FROM",
        ),
        ("what was not acknowledged is left out", "FROM offered LEFT JOIN first", "FROM offered JOIN first"),
    ),
    *_several(
        "tasks/measures/ramp.py",
        _measured(
            "headroom_is_the_highest_load_carried",
            "a_step_that_was_offered_late_leaves_no_headroom",
            "a_step_is_not_carried_where_failures_reach_its_95th_percentile",
            "a_step_that_waited_long_to_be_sent_is_not_carried",
        ),
        (
            "a step's lateness from when it was sent",
            "coalesce(ready_us - intended_us, {LATER}) AS lateness_us",
            "coalesce(sent_us - ready_us, {LATER}) AS lateness_us",
        ),
        (
            "a step's failures rank first",
            "coalesce(latency_us, {LATER}) ELSE {LATER} END",
            "coalesce(latency_us, {LATER}) ELSE 0 END",
        ),
        (
            "a step's latency from when it was sent",
            "coalesce(latency_us, {LATER}) ELSE {LATER} END",
            "coalesce(service_us, {LATER}) ELSE {LATER} END",
        ),
    ),
    *_several(
        "tasks/measures/regression.py",
        _measured(
            "runs_are_compared_from_when_their_messages_were_due",
            "a_regression_to_no_answers_at_all_is_unbounded",
        ),
        (
            "a turn's failures rank first",
            "coalesce(latency_us, {LATER}) ELSE {LATER} END",
            "coalesce(latency_us, {LATER}) ELSE 0 END",
        ),
        (
            "a turn's latency from when it was sent",
            "coalesce(latency_us, {LATER}) ELSE {LATER} END",
            "coalesce(service_us, {LATER}) ELSE {LATER} END",
        ),
    ),
    *_several(
        "tasks/measures/catch_up.py",
        _measured("queued_demand_is_drained_when_its_last_message_is_answered"),
        (
            "new messages by when they were done",
            "AND intended_us < getvariable('start_us') + $drained",
            "AND done_us < getvariable('start_us') + $drained",
        ),
        (
            "the backlog without what is due",
            "SELECT intended_us AS at_us, 1 AS change",
            "SELECT done_us AS at_us, 1 AS change",
        ),
    ),
    *_several(
        "tasks/series.py",
        "tests/tasks/test_series.py",
        ("failures rank first in a series", "THEN latency_us ELSE {LATER} END", "THEN latency_us ELSE 0 END"),
        (
            "a series by when it was sent",
            "coalesce(intended_us, ready_us, sent_us) - $start",
            "coalesce(sent_us, ready_us, intended_us) - $start",
        ),
        ("a median of another rank", "quantile_disc(latency_us, 0.5) AS p50", "quantile_disc(latency_us, 0.51) AS p50"),
        (
            "an interpolated 95th percentile",
            "quantile_disc(latency_us, 0.95) AS p95",
            "quantile_cont(latency_us, 0.95)::BIGINT AS p95",
        ),
    ),
    *_several(
        "tasks/compose.py",
        "tests/tasks/test_compose.py",
        ("failures rank first on a path", "THEN latency_us ELSE {LATER} END", "THEN latency_us ELSE 0 END"),
    ),
    *_several(
        "tasks/intake/table.py",
        "tests/tasks/intake/test_intake_fast_paths.py::test_received_messages_stand_and_are_timed_by_when_they_were_due",
        (
            "received latency from when it was sent",
            "done_us - intended_us AS latency_us",
            "done_us - sent_us AS latency_us",
        ),
        (
            "received messages by when they were done",
            "ORDER BY coalesce(intended_us, sent_us), done_us",
            "ORDER BY done_us",
        ),
    ),
    *_several(
        "tasks/execute.py",
        "tests/tasks/test_latency.py",
        (
            "recorded latency from when it was sent",
            '_known(raw["done_us"] - raw["intended_us"], unless',
            '_known(raw["done_us"] - raw["sent_us"], unless',
        ),
        (
            "recorded latency from when it was taken up",
            '_known(raw["done_us"] - raw["intended_us"], unless',
            '_known(raw["done_us"] - raw["ready_us"], unless',
        ),
    ),
    *_several(
        "expectations/tables.py",
        "tests/expectations/test_tables.py tests/tasks/test_contracts.py",
        (
            "the contract lets latency count from sending",
            'frame, "latency_us", "intended_us")',
            'frame, "latency_us", "sent_us")',
        ),
        (
            "the contract in SQL lets latency count from sending",
            "latency_us IS NOT DISTINCT FROM done_us - intended_us",
            "latency_us IS NOT DISTINCT FROM done_us - sent_us",
        ),
        (
            "the contract in SQL lets any latency pass",
            "latency_us IS NOT DISTINCT FROM done_us - intended_us",
            "latency_us IS NOT NULL",
        ),
    ),
    *_several(
        "tasks/inject/engine.py",
        "tests/tasks/test_inject.py::test_a_frozen_system_shows_in_latencies_from_the_intended_instant"
        " tests/tasks/test_inject.py::test_messages_without_an_answer_time_out_from_the_intended_instant"
        " tests/tasks/test_inject.py::test_every_message_is_offered_once_on_its_path_and_answered"
        " tests/tasks/test_execute.py::test_a_message_that_waits_for_another_is_due_when_that_is_answered"
        " tests/tasks/test_execute.py::test_a_load_test_keeps_a_row_for_every_message_that_was_due",
        (
            "due when it is taken up",
            "            self._ready[message] = now\n            self._next",
            "            self._ready[message] = intended[message] = now\n            self._next",
        ),
        (
            "due when it is sent",
            "            self._intended[message],\n            self._ready[message],",
            "            max(self._intended[message], self._sent[message]),\n            self._ready[message],",
        ),
        ("due ever later than planned", "[start + each for each", "[start + 2 * each for each"),
        (
            "a follower is due when its first was",
            "self._intended[follower] = done",
            "self._intended[follower] = self._intended[message]",
        ),
        ("time-outs count from sending", "if self._intended[message] > limit:", "if self._sent[message] > limit:"),
        (
            "taken up before it is due",
            "if intended[message] > now:\n                    return",
            "if intended[message] > now + 5000:\n                    return",
        ),
    ),
    # Rule 2: three verdicts, as Great Expectations has them.
    *_several(
        "expectations/suites.py",
        "tests/tasks/test_judge.py::test_each_lack_is_named_alone"
        " tests/tasks/test_judge.py::test_great_expectations_answers_as_the_plain_rule_does",
        ("nothing is unreachable", "unreachable = ''", "true"),
        ("nothing is withdrawn", "withdrawn = ''", "true"),
        ("nothing needs a measurement", '"value IS NOT NULL"', '"true"'),
        ("any unit", "unit = limit_unit AND (", "("),
        ("any metric and direction", " AND (split_part(metric, '/', 1), limit_unit, direction) IN ({_KNOWN})", ""),
        ("more than the target is needed", "offered >= target", "offered > target"),
        (
            "less than the limit of lateness is needed",
            "lateness_us <= lateness_limit_us",
            "lateness_us < lateness_limit_us",
        ),
        ("a closed loop was late", "closed_loop OR lateness_us", "lateness_us"),
        ("more than the coverage needed", "coverage_ppm >= coverage_needed_ppm", "coverage_ppm > coverage_needed_ppm"),
        ("coverage is always needed", "coverage_needed_ppm = 0 OR ", ""),
        ("more than the samples needed", "samples >= needed_samples", "samples > needed_samples"),
        ("an interval that begins beyond its value", "(lower <= value AND value <= upper)", "(value <= upper)"),
        ("an interval that ends before its value", "(lower <= value AND value <= upper)", "(lower <= value)"),
        ("the limit is outside, at most", "'upper <= \"limit\"'", "'upper < \"limit\"'"),
        ("the limit is outside, at least", "'lower >= \"limit\"'", "'lower > \"limit\"'"),
        ("half an interval proves, at most", "'upper <= \"limit\"'", "'lower <= \"limit\"'"),
        ("half an interval proves, at least", "'lower >= \"limit\"'", "'upper >= \"limit\"'"),
        ("half an interval refutes, at most", "'lower > \"limit\"'", "'upper > \"limit\"'"),
        ("half an interval refutes, at least", "'upper < \"limit\"'", "'lower < \"limit\"'"),
        ("the limit refutes, at most", "'lower > \"limit\"'", "'lower >= \"limit\"'"),
        ("the limit refutes, at least", "'upper < \"limit\"'", "'upper <= \"limit\"'"),
    ),
    *_several(
        "expectations/further.py",
        "tests/tasks/test_judge.py::test_each_lack_is_named_alone",
        ("what is not known meets every condition", "coalesce({condition}, false)", "coalesce({condition}, true)"),
    ),
    # Rule 2: the same, in plain Python.
    *_several(
        "expectations/plain.py",
        "tests/expectations/test_plain.py",
        ("plainly nothing is unreachable", "not row.unreachable", "True"),
        ("plainly nothing is withdrawn", "not row.withdrawn", "True"),
        ("plainly nothing needs a measurement", "lambda row: row.value is not None", "lambda row: True"),
        ("plainly more than the target is needed", "row.offered >= row.target", "row.offered > row.target"),
        (
            "plainly an unknown load was offered",
            "row.offered is not None and row.offered",
            "row.offered is None or row.offered",
        ),
        (
            "plainly less than the limit of lateness",
            "row.lateness_us <= row.lateness_limit_us",
            "row.lateness_us < row.lateness_limit_us",
        ),
        (
            "plainly unknown lateness is none",
            "row.lateness_us is not None and row.lateness_us",
            "row.lateness_us is None or row.lateness_us",
        ),
        ("plainly a closed loop was late", "row.closed_loop or (", "("),
        ("plainly every loop is closed", "row.closed_loop or (", "True or ("),
        (
            "plainly more than the coverage needed",
            "row.coverage_ppm >= row.coverage_needed_ppm",
            "row.coverage_ppm > row.coverage_needed_ppm",
        ),
        (
            "plainly unknown coverage is enough",
            "row.coverage_ppm is not None and row.coverage_ppm",
            "row.coverage_ppm is None or row.coverage_ppm",
        ),
        ("plainly coverage is always needed", "row.coverage_needed_ppm == 0 or (", "("),
        (
            "plainly more than the samples needed",
            "row.samples >= row.needed_samples",
            "row.samples > row.needed_samples",
        ),
        ("a met need is a lack", "if not meets(row)", "if meets(row)"),
        ("of a metric only its kind is known", 'row.metric.split("/")[0]', "row.metric"),
        (
            "any declared direction",
            "(metric.value, str(unit), direction.value) for",
            "(metric.value, str(unit), each) for each in Direction for",
        ),
    ),
    *_several(
        "expectations/verdicts.py",
        "tests/expectations/test_verdicts.py tests/tasks/test_observe.py::test_gaps_in_the_samples_are_missing_metrics",
        ("nine messages beyond a 95th percentile", "Metric.LATENCY_P95: 200", "Metric.LATENCY_P95: 180"),
        ("nine messages beyond a 99th percentile", "Metric.LATENCY_P99: 1_000", "Metric.LATENCY_P99: 900"),
        ("a sample too few of CPU", "Metric.CPU_P95: 72", "Metric.CPU_P95: 71"),
        ("samples may be missing", "COVERAGE_NEEDED_PPM = 900_000", "COVERAGE_NEEDED_PPM = 0"),
        (
            "CPU needs no coverage",
            "    {\n        Metric.CPU_P95,\n        Metric.MEMORY_P95,",
            "    {\n        Metric.MEMORY_P95,",
        ),
        ("an answer ranks later than none", "LATER = 2**53 - 1", "LATER = 60_000_000"),
        (
            "intact before reachable",
            '    REACHABLE = "reachable"\n    INTACT = "intact"\n',
            '    INTACT = "intact"\n    REACHABLE = "reachable"\n',
        ),
    ),
    *_several(
        "expectations/statistics.py",
        "tests/expectations/test_statistics.py tests/expectations/test_counts.py",
        ("29 stretches are enough", "FEWEST_BLOCKS = 30", "FEWEST_BLOCKS = 29"),
        ("31 stretches are needed", "FEWEST_BLOCKS = 30", "FEWEST_BLOCKS = 31"),
        ("a tenth of the resamples", "RESAMPLES = 2_000", "RESAMPLES = 200"),
        ("trying again costs nothing", "0.05 / 2 ** (finished_run - 1)", "0.05 / 2 ** 0"),
    ),
    # Rule 3: reliance.
    *_several(
        "expectations/reliance.py",
        "tests/expectations/test_reliance.py",
        (
            "one input that allows is enough",
            "all(each.allows for each in self.compared)",
            "any(each.allows for each in self.compared)",
        ),
        ("no evidence can be relied on", "self.candidate is not None and all(", "all("),
        ("volumes that rose have fallen", "each.allows and each.old != each.new for", "each.old != each.new for"),
        ("volumes that are equal have fallen", "each.allows and each.old != each.new for", "each.allows for"),
        ("any input that fell", 'each.input.startswith(f"{VOLUMES}.")', "each.input"),
        ("what is proved is unproved", "bool(told) and not self.relies and", "bool(told) and"),
        ("without evidence it is unproved", "bool(told) and not self.relies", "not self.relies"),
        ("whatever else is in the way", "{each.input for each in self.in_the_way} <= told", "True"),
        (
            "the requirement that decided is another change",
            "{VERDICT, *(each.input for each in self.candidate.deciding)}",
            "{VERDICT}",
        ),
        ("inconclusive refutes", ' and self.candidate.verdict == "not proved"', ""),
        (
            "not proved of something else refutes",
            "return self.only_unproved and self.candidate",
            "return self.candidate",
        ),
        (
            "what allows is in the way",
            "each for each in self.compared if not each.allows",
            "each for each in self.compared if each.allows",
        ),
        ("a day is an hour", "DAY_US = 86_400_000_000", "DAY_US = 3_600_000_000"),
    ),
    # The ledger, the canonical form, rounding.
    *_several(
        "catalog/canonical.py",
        "tests/catalog/test_canonical.py",
        ("an integer that a double does not hold", "_LARGEST = 2**53 - 1", "_LARGEST = 2**53"),
        ("names in the order they came", "sort_keys=True", "sort_keys=False"),
        ("blanks between members", 'separators=(",", ":")', 'separators=(", ", ":")'),
        ("escapes where none are needed", "ensure_ascii=False", "ensure_ascii=True"),
    ),
    *_several(
        "catalog/ledger.py",
        "tests/catalog/test_ledger.py",
        ("another first digest", 'GENESIS = "0" * 64', 'GENESIS = "1" * 64'),
        ("another format", "FORMAT = 1\n", "FORMAT = 2\n"),
        ("times to the second", r"\d\d:\d\d:\d\d\.\d{6}Z", r"\d\d:\d\d:\d\d(\.\d{6})?Z"),
        ("other files are read", r"\d{12}\.jsonl", r"\d+\.jsonl"),
        ("a reference of more members", "item.keys() in _REFERENCE", "item.keys() >= _REFERENCE[0]"),
        ("an append without its lock", "fcntl.flock(lock, fcntl.LOCK_EX)", "fcntl.flock(lock, fcntl.LOCK_SH)"),
        ("a time of any type", '"time": (str,)', '"time": (str, int)'),
        (
            "a torn tail is kept where it is",
            "self._cursor.torn\n        if not torn:",
            "self._cursor.torn\n        if True:",
        ),
    ),
    *_several(
        "expectations/rounding.py",
        "tests/expectations/test_rounding.py",
        ("five digits", "DIGITS = 6", "DIGITS = 5"),
        ("more digits than machines agree on", "_SETTLED = 12", "_SETTLED = 17"),
    ),
)


def _copy(to: Path) -> None:
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, to / part, ignore=shutil.ignore_patterns("node_modules", ".hypothesis"))
        else:
            shutil.copy2(ROOT / part, to / part)


def _made(change: Change, root: Path) -> bool:
    """Whether a test notices the change, made in `root` for as long as its tests run."""
    file = root / change.file
    text = file.read_text()
    if text.count(change.old) != 1:
        raise SystemExit(f"{change.name}: {change.old!r} stands {text.count(change.old)} times in {change.file}")
    try:
        _write(file, text.replace(change.old, change.new))
        if not (child := os.fork()):
            os._exit(_run(change.tests, root))
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0
    finally:
        _write(file, text)


def _write(file: Path, text: str) -> None:
    for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
        compiled.unlink()  # as large, and of the same second: it would pass for the other's
    file.write_text(text)


def _run(tests: tuple[str, ...], root: Path) -> int:
    import pytest

    os.chdir(root)
    sys.path[:] = [
        str(root),
        *(each for each in sys.path if Path(each or ".").resolve() not in (ROOT, Path(__file__).parent)),
    ]
    log = (root / "last.txt").open("w")
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    with redirect_stdout(log), redirect_stderr(log):
        code = pytest.main(["-x", "-n", "0", "-p", "no:cacheprovider", "--tb=short", "--rootdir=.", *tests])
    log.flush()
    return 0 if code in (2, 3, 4, 5) else int(code)  # nothing was asked: not noticed


def main() -> int:
    """How many changes were not noticed, at most 1."""
    import importlib

    words = sys.argv[1:]
    chosen = [each for each in CHANGES if not words or any(word in f"{each.file} {each.name}" for word in words)]
    os.environ |= {"HYPOTHESIS_PROFILE": "mutation", "PY_IGNORE_IMPORTMISMATCH": "1"}
    for name in HEAVY:
        importlib.import_module(name)
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        _copy(Path(folder))
        for change in chosen:
            noticed = _made(change, Path(folder))
            missed += not noticed
            print("noticed " if noticed else "SURVIVED", change.file, change.name, sep="  ", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} changes were noticed")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
