"""k6's `--out csv`: a row for each metric point, without an id of the request; `http_req_duration` rows are messages.

A point is written when its request has ended, so its time is the end; what went before the first byte was sent
(blocked, connecting, TLS) is in none of its times.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from tasks.intake.delimited import record, rows
from tasks.intake.format import (
    BATCH,
    Account,
    Capability,
    Gives,
    Loop,
    Samples,
    Scan,
    Source,
    Start,
    SubmittedError,
    Sure,
)
from tasks.intake.lines import BOM, text_of
from tasks.intake.numbers import count_of, decimal_of, instant_us, micros, whole
from tasks.intake.outcomes import outcome_of, outcome_sql, status_of, status_sql

if TYPE_CHECKING:
    import duckdb

DURATION, DROPPED = "http_req_duration", "dropped_iterations"
OTHER = "a point of another metric"
CAPABILITY = Capability(
    gives=Gives.RAW,
    resolution_us=1_000_000,
    latency_from=Start.SENT,
    loop=Loop.UNKNOWN,
    percentiles="any, over all samples; k6's own interpolate linearly",
)
_UNITS = {10: "s", 13: "ms", 16: "us", 19: "ns"}
_RESOLUTION = {"s": 1_000_000, "ms": 1000, "us": 1, "ns": 0, "": 0}


class K6Csv:
    """k6 CSV, by its header: versions differ in their columns."""

    name = "k6-csv"

    def recognises(self, head: bytes) -> Sure:
        """By the first three columns' names."""
        return Sure.CERTAIN if head.removeprefix(BOM).startswith(b"metric_name,timestamp,metric_value") else Sure.NO

    def read(self, source: Source, account: Account) -> Iterator[Samples]:
        """Every request, line by line."""
        names, _ = _header(source)
        unit = _begin(source, account)
        at = {name: place for place, name in enumerate(names)}
        dropped, batch = 0, Samples()
        for row in rows(source.path, account, ",", source.assumptions.encoding):
            if row.fields == names:
                account.headers += 1
                continue
            if len(row.fields) != len(names):
                account.skip(row.line, f"expected {len(names)} columns")
                continue
            fields = {name: row.fields[place] for name, place in at.items()}
            if fields["metric_name"] != DURATION:
                dropped += _sum(fields) if fields["metric_name"] == DROPPED else 0
                account.beside[OTHER] += 1
                continue
            done = instant_us(fields["timestamp"]) if not unit else _time(fields["timestamp"], unit)
            took = micros(fields["metric_value"], "ms")
            if done is None or took is None or took < 0:
                account.skip(row.line, f"expected a number: {'timestamp' if done is None else 'metric_value'}")
                continue
            status = status_of(fields.get("status", ""))
            words = f"{fields.get('error', '')} {fields.get('error_code', '')}"
            batch.add(
                line=row.line,
                label=fields.get("name", "") or fields.get("url", ""),
                sent_us=done - took,
                done_us=done,
                status=status,
                outcome=outcome_of(ok=_is_ok(fields.get("expected_response", ""), status), text=words),
            )
            account.taken += 1
            if len(batch) >= BATCH:
                yield batch
                batch = Samples()
        tell_dropped(account, dropped)
        yield batch

    def bulk(self, source: Source, account: Account, connection: "duckdb.DuckDBPyConnection") -> Scan | None:  # noqa: ARG002  # what every format is given
        """All of it by DuckDB, where times are whole numbers and values have at most six decimals."""
        names, text = _header(source)
        unit = _begin(source, account)
        if not unit or len(set(names)) != len(names) or '"' in text:
            return None
        return _scan(source, names, unit)

    def mend(self, source: Source, account: Account, refused: Iterator[tuple[int, bytes]]) -> Iterator[Samples]:
        """What DuckDB refused has the wrong columns; one with foreign bytes makes the file be read line by line."""
        names, _ = _header(source)
        for line, data in refused:
            fields, utf8 = record(data, ",")
            if utf8 and fields is not None and len(fields) != len(names):
                account.skip(line, f"expected {len(names)} columns")
        yield Samples()


def tell_dropped(account: Account, dropped: int) -> None:
    """k6 does not send what it cannot send in time, and counts it."""
    if dropped:
        account.find("load-dropped", f"k6 dropped {dropped} iterations: that much of the load was not offered")


def _sum(fields: dict[str, str]) -> int:
    return max(0, whole(decimal_of(fields["metric_value"])) or 0)


def _is_ok(expected: str, status: int) -> bool:
    return expected == "true" if expected else status in range(200, 400)


def _time(text: str, unit: str) -> int | None:
    return micros(text, unit) if count_of(text) is not None or len(text) == 19 else None


def _header(source: Source) -> tuple[list[str], str]:
    first = source.head().removeprefix(BOM).partition(b"\n")[0].rstrip(b"\r")
    text, _ = text_of(first)
    names = text.split(",")
    if names[:3] != ["metric_name", "timestamp", "metric_value"]:
        raise SubmittedError(f"{source.name}:1:1: expected k6's columns metric_name, timestamp, metric_value")
    return names, text


def _begin(source: Source, account: Account) -> str:
    """The unit of times by their digits, empty for RFC 3339 (K6_CSV_TIME_FORMAT)."""
    lines = source.head().removeprefix(BOM).split(b"\n")
    first = lines[1].split(b",") if len(lines) > 1 else []
    digits = first[1] if len(first) > 1 else b""
    unit = _UNITS.get(len(digits), "") if digits.isdigit() else ""
    account.tool = "k6"
    account.capability = replace(CAPABILITY, resolution_us=_RESOLUTION[unit])
    account.noted["time"] = f"unix {unit}, by the number of digits" if unit else "RFC 3339"
    account.noted["timestamp"] = "end of the request"
    return unit


def _scan(source: Source, names: list[str], unit: str) -> Scan:
    columns = ", ".join(f"'c{place}': 'VARCHAR'" for place in range(len(names)))
    at = {name: f"c{place}" for place, name in enumerate(names)}
    path = str(source.path).replace("'", "''")
    time, value = at["timestamp"], at["metric_value"]
    wanted = f"{at['metric_name']} = '{DURATION}'"
    done = {
        "s": f"{time}::BIGINT * 1000000",
        "ms": f"{time}::BIGINT * 1000",
        "us": f"{time}::BIGINT",
        "ns": half_even_sql(f"{time}::BIGINT"),
    }[unit]
    took = half_even_sql(f"({value}::DECIMAL(18, 6) * 1000000)::BIGINT")
    status = status_sql(at["status"]) if "status" in at else "0"
    expected = at.get("expected_response", "''")
    ok = f"CASE WHEN {expected} <> '' THEN {expected} = 'true' ELSE {status} BETWEEN 200 AND 399 END"
    words = " || ' ' || ".join([at.get("error", "''"), at.get("error_code", "''")])
    label = f"coalesce(nullif({at.get('name', chr(39) * 2)}, ''), {at.get('url', chr(39) * 2)})"
    fields = {
        "label": (label, "VARCHAR"),
        "intended_us": ("NULL::BIGINT", "BIGINT"),
        "sent_us": (f"{done} - {took}", "BIGINT"),
        "done_us": (done, "BIGINT"),
        "status": (status, "BIGINT"),
        "outcome": (outcome_sql(ok, words), "VARCHAR"),
    }
    exact = (
        f"regexp_full_match({time}, '[0-9]{{{next(key for key, each in _UNITS.items() if each == unit)}}}') AND "
        f"regexp_full_match({value}, '[0-9]{{1,11}}([.][0-9]{{1,6}})?')"
    )
    select = ", ".join(f"CASE WHEN {wanted} AND {exact} THEN {sql} END AS {name}" for name, (sql, _) in fields.items())
    return Scan(
        source=(
            f"read_csv('{path}', header = true, delim = ',', quote = '\"', escape = '\"', auto_detect = false, "
            f"columns = {{{columns}}}, store_rejects = true, rejects_limit = 20000, nullstr = '\\N')"
        ),
        select=f"{select}, 0::BIGINT AS bytes, 0::BIGINT AS threads, hash('') AS origin",
        exact=f"{wanted} AND {exact}",
        headers=f"{at['metric_name']} = 'metric_name'",
        header_lines=1,
        beside={OTHER: f"{at['metric_name']} NOT IN ('{DURATION}', '{DROPPED}', 'metric_name')"},
    )


def half_even_sql(nanos: str) -> str:
    """Nanoseconds (a whole number from 0, as SQL) as microseconds, rounded half-even, as SQL."""
    return (
        f"(({nanos}) // 1000 + CASE WHEN ({nanos}) % 1000 > 500 OR (({nanos}) % 1000 = 500 AND "
        f"({nanos}) // 1000 % 2 = 1) THEN 1 ELSE 0 END)"
    )
