"""k6's `--out json`: a JSON object a line, of which Points of `http_req_duration` are messages."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tasks.intake.format import BATCH, Account, Capability, Gives, Loop, Samples, Scan, Source, Start, Sure
from tasks.intake.json_lines import objects
from tasks.intake.k6_csv import DROPPED, DURATION, OTHER, half_even_sql, tell_dropped
from tasks.intake.lines import BOM
from tasks.intake.numbers import decimal_of, instant_us, micros, whole
from tasks.intake.outcomes import outcome_of, outcome_sql, status_of, status_sql

if TYPE_CHECKING:
    import duckdb

CAPABILITY = Capability(
    gives=Gives.RAW,
    resolution_us=0,
    latency_from=Start.SENT,
    loop=Loop.UNKNOWN,
    percentiles="any, over all samples; k6's own interpolate linearly",
)
_DECLARES = "a declaration of a metric"


class K6Json:
    """k6 NDJSON."""

    name = "k6-json"

    def recognises(self, head: bytes) -> Sure:
        """By the first object's type and metric."""
        first = head.removeprefix(BOM).lstrip().partition(b"\n")[0]
        try:
            found = json.loads(first)
        except (ValueError, RecursionError):
            cut = first[:400]
            return Sure.LIKELY if b'"metric"' in cut and b'"type":"' in cut and b'"data"' in cut else Sure.NO
        if not isinstance(found, dict) or found.get("type") not in ("Metric", "Point"):
            return Sure.NO
        return Sure.CERTAIN if "metric" in found and isinstance(found.get("data"), dict) else Sure.NO

    def read(self, source: Source, account: Account) -> Iterator[Samples]:
        """Every request, line by line."""
        _begin(account)
        dropped = 0
        batch = Samples()
        for line, found in objects(source.path, account):
            data, metric = found.get("data"), found.get("metric")
            if found.get("type") == "Metric":
                account.beside[_DECLARES] += 1
                continue
            if found.get("type") != "Point" or not isinstance(data, dict):
                account.skip(line, "neither a Metric nor a Point")
                continue
            if metric != DURATION:
                dropped += max(0, whole(_decimal(data.get("value"))) or 0) if metric == DROPPED else 0
                account.beside[OTHER] += 1
                continue
            if not _add(batch, line, data):
                account.skip(line, "expected a time and a value of 0 or more")
                continue
            account.taken += 1
            if len(batch) >= BATCH:
                yield batch
                batch = Samples()
        tell_dropped(account, dropped)
        yield batch

    def bulk(self, source: Source, account: Account, connection: "duckdb.DuckDBPyConnection") -> Scan | None:  # noqa: ARG002  # what every format is given
        """All of it by DuckDB, where every line is an object of the expected shape."""
        _begin(account)
        return _scan(source)

    def mend(self, source: Source, account: Account, refused: Iterator[tuple[int, bytes]]) -> Iterator[Samples]:  # noqa: ARG002  # likewise
        """DuckDB refuses no line of JSON by itself: one that it cannot read makes the file be read line by line."""
        yield Samples()


def _begin(account: Account) -> None:
    account.tool, account.capability = "k6", CAPABILITY
    account.noted["timestamp"] = "end of the request"


def _add(batch: Samples, line: int, data: dict[str, Any]) -> bool:
    done, value = instant_us(str(data.get("time", ""))), _decimal(data.get("value"))
    took = None if value is None else micros(str(value), "ms")
    if done is None or took is None or took < 0:
        return False
    tags = data.get("tags")
    tags = tags if isinstance(tags, dict) else {}
    text = {name: str(tags.get(name) or "") for name in ("name", "url", "status", "expected_response", "error")}
    status = status_of(text["status"])
    expected = text["expected_response"]
    batch.add(
        line=line,
        label=text["name"] or text["url"],
        sent_us=done - took,
        done_us=done,
        status=status,
        outcome=outcome_of(ok=expected == "true" if expected else status in range(200, 400), text=text["error"]),
    )
    return True


def _decimal(value: Any) -> Decimal | None:
    return decimal_of(str(value)) if isinstance(value, int | Decimal) and not isinstance(value, bool) else None


_TAGS = ("name", "url", "status", "expected_response", "error")


def _text_sql(tag: str) -> str:
    """A tag that is a string of JSON, as text."""
    found = f"data.tags.{tag}"
    return f"CASE WHEN contains({found}::VARCHAR, '\\') THEN {found} ->> '$' ELSE trim({found}::VARCHAR, '\"') END"


def _scan(source: Source) -> Scan:
    path = str(source.path).replace("'", "''")
    shape = (
        "{'type': 'VARCHAR', 'metric': 'VARCHAR', 'data': 'STRUCT(\"time\" VARCHAR, \"value\" JSON, "
        'tags STRUCT("name" JSON, url JSON, status JSON, expected_response JSON, error JSON))\'}'
    )
    exact = (
        'regexp_full_match(data."time", \'[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9]'
        "([.][0-9]{1,9})?(Z|[-+][0-9]{2}:[0-9]{2})') AND "
        "regexp_full_match(data.\"value\", '[0-9]{1,9}([.][0-9]{1,20})?') AND "
        + " AND ".join(f"coalesce(starts_with(data.tags.{name}, '\"'), true)" for name in _TAGS)
    )
    good = f"coalesce(CASE WHEN metric = '{DURATION}' AND type = 'Point' THEN {exact} ELSE false END, false)"
    time, value = 'data."time"', '(data."value"::VARCHAR)'
    away = (  # arithmetic, as DuckDB's own times with a zone cost thirty times as much
        f"CASE WHEN right({time}, 1) = 'Z' THEN 0 ELSE CASE WHEN {time}[-6] = '-' THEN -1 ELSE 1 END * "
        f"({time}[-5:-4]::BIGINT * 3600 + {time}[-2:]::BIGINT * 60) END"
    )
    seconds = f"(epoch_us(left({time}, 19)::TIMESTAMP) // 1000000 - {away})"
    fraction = f"rpad(regexp_extract({time}, '[.]([0-9]+)', 1), 9, '0')::BIGINT"
    times = (
        f"CASE WHEN good THEN {seconds} * 1000000 + {half_even_sql(fraction)} END AS done, "
        f"CASE WHEN good THEN {_micros_sql(value)} END AS took"
    )
    status = status_sql(_text_sql("status"))
    expected = f"coalesce({_text_sql('expected_response')}, '')"
    ok = f"CASE WHEN {expected} <> '' THEN {expected} = 'true' ELSE {status} BETWEEN 200 AND 399 END"
    fields = {
        "label": f"coalesce(nullif({_text_sql('name')}, ''), {_text_sql('url')}, '')",
        "status": status,
        "outcome": outcome_sql(ok, _text_sql("error")),
    }
    select = ", ".join(f"CASE WHEN good THEN {sql} END AS {name}" for name, sql in fields.items())
    read = (  # an error where one of these names stands twice in an object: Python takes the last, DuckDB the first
        f"read_json('{path}', format = 'newline_delimited', columns = {shape}, maximum_object_size = 1048576)"
    )
    marked = f"SELECT type, metric, data, {good} AS good FROM {read}"  # noqa: S608  # of our own making
    timed = f"(SELECT *, {times} FROM ({marked}))"  # noqa: S608  # of our own making
    return Scan(
        source=timed,
        select=f"{select}, NULL::BIGINT AS intended_us, done - took AS sent_us, done AS done_us, 0::BIGINT AS bytes, "
        "0::BIGINT AS threads, hash('') AS origin",
        exact="good",
        beside={
            _DECLARES: "type = 'Metric' AND metric IS NOT NULL",
            OTHER: f"type = 'Point' AND metric NOT IN ('{DURATION}', '{DROPPED}') AND data IS NOT NULL AND "
            # what is no number, as NaN, is no JSON either, and DuckDB takes it
            f"CASE WHEN {value} BETWEEN '0' AND ':' THEN true ELSE coalesce(regexp_matches({value}, '^-?[0-9]'), true) "
            "END",
        },
        quoted=False,
    )


def _micros_sql(ms: str) -> str:
    """Milliseconds, digits with or without a fraction, as whole microseconds, rounded half-even, as SQL.

    Digits compare as text as they do as fractions once trailing zeros are gone: no decimal type has so many.
    """
    fraction = f"split_part({ms}, '.', 2)"
    down = f"split_part({ms}, '.', 1)::BIGINT * 1000 + rpad(left({fraction}, 3), 3, '0')::BIGINT"
    rest = f"rtrim(substr({fraction}, 4), '0')"
    return f"{down} + CASE WHEN {rest} > '5' OR ({rest} = '5' AND ({down}) % 2 = 1) THEN 1 ELSE 0 END"
