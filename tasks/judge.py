"""Judges: runs the three suites of Great Expectations over a judged table, in a warm process of its own.

Importing Great Expectations takes many seconds, so the process is started early and asked late. It reads requests from
standard input, one JSON object a line, and answers likewise; it ends when its input does. It uses no network, and no
files but the DuckDB file that it is given to read.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from catalog.errors import WorldError
from expectations.further import Expectation, check_of
from expectations.verdicts import Named, Need
from tasks.wire.process import ChildProcess
from tasks.wire.watch import take_over

TABLE = "judged"
"""The table that the suites run over: a row per requirement, scope and run, columns as `verdicts.Judged`."""

_READY_WITHIN_S = 180
_ANSWER_WITHIN_S = 120

_DUCKDB = {
    "isolation_level": "AUTOCOMMIT",
    "pool_reset_on_return": None,
    "skip_autocommit_rollback": True,
    "connect_args": {"read_only": True},
}
"""Without these every metric fails on DuckDB: its driver has no rollback outside a transaction."""

_PASSING = frozenset({"id", "batch_id", "exception_info", "suite_parameters", "rendered_content"})
"""What Great Expectations' documents hold of the moment, and of nothing that was judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Which observations each suite names as failing, and the suites and their results as documents without floats."""

    named: Named
    suites: dict[str, Any]
    results: dict[str, Any]


class Judge(ChildProcess):
    """The judge's process. A context manager, or call `stop`."""

    def __init__(self) -> None:
        super().__init__("tasks.judge", {}, name="the judge", nice=10)
        self._ready = False

    def judge(self, database: Path, further: Sequence[Expectation] = ()) -> Judgement:
        """What the suites find in the table `judged` of a DuckDB file, which nobody may be writing to.

        `further`: expectations beyond those that every row must meet.

        Waits for the process to be ready. Raises WorldError when it has ended, does not answer in time, or when a
        check errored: that is never a verdict.
        """
        if not self._ready:
            self.read(_READY_WITHIN_S)
            self._ready = True
        self._ask({"database": str(database), "further": [each.as_json() for each in further]})
        answer = self.read(_ANSWER_WITHIN_S)
        if "error" in answer:
            raise WorldError(f"a check errored, so nothing was judged: {answer['error']}")
        return Judgement(named=_named(answer["named"], further), suites=answer["suites"], results=answer["results"])

    def _ask(self, request: Mapping[str, Any]) -> None:
        stdin = self._process.stdin
        try:
            if stdin is None or stdin.closed:
                raise self.failure("was stopped before it was asked")
            stdin.write(json.dumps(request).encode() + b"\n")
            stdin.flush()
        except BrokenPipeError:
            raise self.failure("ended unexpectedly") from None


def start_judge() -> Judge:
    """The judge's process, started; it loads while the caller goes on."""
    return Judge()


def _named(found: Mapping[str, Mapping[str, list[str]]], further: Sequence[Expectation]) -> Named:
    sufficient = found["sufficient"]
    return Named(
        lacking={need: frozenset(sufficient[need]) for need in Need},
        unproved=frozenset().union(*found["proved"].values()),
        unrefuted=frozenset().union(*found["refuted"].values()),
        unmet={each.words: frozenset(sufficient[check_of(each.name)]) for each in further},
    )


def main() -> None:
    """The process: says when it is ready, then answers each request. Whatever libraries print goes to stderr."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        os.environ["GX_ANALYTICS_ENABLED"] = "false"
        from expectations.suites import suites

        generated = suites()
        take_over()  # reading what it is asked, it meets the end of its input
        _say(answers, {"ready": True})
        for line in sys.stdin:
            request = json.loads(line)
            asked = suites([Expectation(**each) for each in request["further"]]) if request["further"] else generated
            _say(answers, _answer(asked, request["database"]))


def _say(answers: TextIO, document: Mapping[str, Any]) -> None:
    print(json.dumps(document), file=answers, flush=True)


def _answer(generated: Mapping[str, Any], database: str) -> dict[str, Any]:
    try:
        with _whole_table(database) as batch:
            results = {name: batch.validate(suite, result_format="COMPLETE") for name, suite in generated.items()}
        return {
            "named": {name: dict(_failing(result)) for name, result in results.items()},
            "suites": {name: stripped(suite.to_json_dict()) for name, suite in generated.items()},
            "results": {name: stripped(_in_order(result.to_json_dict())) for name, result in results.items()},
        }
    except Exception as error:  # noqa: BLE001  # whatever went wrong is an answer too, never a verdict
        return {"error": f"{type(error).__name__}: {error}"}


@contextmanager
def _whole_table(database: str) -> Iterator[Any]:
    """The judged table as a batch, in a context that leaves nothing on disk, and its file closed again afterwards.

    A file left open is answered from by DuckDB when another of the same name has taken its place.
    """
    import great_expectations
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = great_expectations.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source = context.data_sources.add_sql(  # type: ignore[call-arg]  # its signature lists fewer than it takes
        TABLE, connection_string=f"duckdb:///{database}", kwargs=_DUCKDB
    )
    try:
        yield source.add_table_asset(TABLE, table_name=TABLE).add_batch_definition_whole_table(TABLE).get_batch()
    finally:
        source.get_execution_engine().close()
        source.get_engine().dispose()


def _failing(result: Any) -> Iterator[tuple[str, list[str]]]:
    """Each check of a suite and the observations that fail it. Raises ValueError when the check itself failed."""
    for each in result.results:
        document = each.to_json_dict()
        check = document["expectation_config"]["meta"]["check"]
        if document["exception_info"].get("raised_exception") is not False:
            raise ValueError(f"{result.suite_name}: {check}: {_exception(document['exception_info'])}")
        rows = [row["observation"] for row in document["result"]["details"]["unexpected_rows"]]
        if len(rows) != document["result"]["observed_value"]:
            raise ValueError(f"{result.suite_name}: {check}: {len(rows)} of {document['result']} rows named")
        yield check, rows


def _exception(info: Mapping[str, Any]) -> str:
    told = [info] if "exception_message" in info else [each for each in info.values() if isinstance(each, dict)]
    return "; ".join(dict.fromkeys(str(each.get("exception_message")) for each in told))


def _in_order(result: dict[str, Any]) -> dict[str, Any]:
    """A validation result, its expectations in the order of their checks, under the suite's name alone."""
    ordered = sorted(result["results"], key=lambda each: str(each["expectation_config"]["meta"]["check"]))
    return {"suite": result["suite_name"], "success": result["success"], "results": ordered}


def stripped(document: Any) -> Any:
    """A document of Great Expectations without ids and the like, its floats as decimal strings: fit to be recorded."""
    match document:
        case dict():
            return {name: stripped(value) for name, value in document.items() if name not in _PASSING}
        case list():
            return [stripped(value) for value in document]
        case float():
            return repr(document)
        case _:
            return document


if __name__ == "__main__":
    main()
