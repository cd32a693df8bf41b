"""Fills the index's tables of the ledger from the ledger's own lines, in DuckDB, so that Python holds no record.

Only the few records whose documents have to be opened (reports, reliances, signatures) are read one by one.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.claims import Claim, claims
from catalog.errors import EvidenceError
from catalog.ledger import GENESIS, Kind, Record, decode
from catalog.lineage import KEY, SIGNED_REPORT, VOUCHED, resting, withdrawals
from catalog.workspace import REPORT_FILES, Workspace, newest_reported, occasion_of
from tasks import index_tables
from tasks.index_lineage import files_of, ledger_files

if TYPE_CHECKING:
    import duckdb

_REFERENCES = [{"role": "VARCHAR", "digest": "VARCHAR", "rows": "VARCHAR"}]
_SHAPE = json.dumps(
    {
        **dict.fromkeys(("format", "sequence", "rules"), "BIGINT"),
        **dict.fromkeys(("time", "kind", "stage", "key", "code", "previous", "digest"), "VARCHAR"),
        "actor": {"name": "VARCHAR", "fingerprint": "VARCHAR"},
        "parameters": "JSON",
        "inputs": _REFERENCES,
        "outputs": _REFERENCES,
    }
)
_LONGEST = 1 << 28  # bytes of a record


def index_ledger(connection: "duckdb.DuckDBPyConnection", workspace: Workspace, scratch: Path) -> None:
    """Makes and fills the ledger's tables. `scratch` is a folder for what is written meanwhile.

    Raises EvidenceError, as reading the ledger does, where a line does not have the digest that it states, or its
    record does not follow another. In which order the lines stand in their files is for `verify` to say.
    """
    for statement in index_tables.ddl():
        connection.execute(statement)
    _insert(connection, "ledger_files", ledger_files(workspace.ledger.root))  # before they are read
    _read_lines(connection, workspace, scratch)
    opened = _Opened(connection, workspace)
    _insert(connection, "withdrawals", opened.withdrawn())
    connection.execute(_RECORDS)
    connection.execute(_OUTPUTS)
    connection.execute(_INPUTS, [KEY, VOUCHED])
    _insert(connection, "inputs", opened.signed_reports())
    connection.execute(_EDGES)
    connection.execute(_PLACES)
    sizes = ((name, workspace.store.path(name).stat().st_size) for name in workspace.store.digests())
    _insert(connection, "objects", sizes)
    connection.execute(_ARTEFACTS)
    _insert(connection, "figures", opened.figures())
    _insert(connection, "evidence_named", opened.figure_evidence())
    connection.execute(_FIGURE_EVIDENCE)
    _insert(connection, "comparisons", opened.comparisons())


def artefacts_in(connection: "duckdb.DuckDBPyConnection", role: str) -> list[str]:
    """The artefacts that records put out in `role`, each record's first, in order."""
    return [name for (name,) in connection.execute(_IN_ROLE, [role]).fetchall()]


def _read_lines(connection: "duckdb.DuckDBPyConnection", workspace: Workspace, scratch: Path) -> None:
    """The temporary table `ledger`: every line that was appended whole, parsed, and held against its digest."""
    import duckdb

    for statement in _TEMPORARY:
        connection.execute(statement)
    files = _whole(workspace.ledger.root, scratch)
    if not files:
        return
    try:
        connection.execute(_LINES, [[str(file) for file in files]])
        unsound = connection.execute(_UNSOUND, [GENESIS]).fetchone()
    except duckdb.Error as error:
        workspace.ledger.records()  # which names the file and the line
        raise EvidenceError(f"the ledger cannot be indexed: {error}") from error
    if unsound:
        workspace.ledger.records()
        raise EvidenceError(f"record {unsound[0]} is not in its place, or not what its digest says")


def _whole(root: Path, scratch: Path) -> list[Path]:
    """The ledger's files, in order; in place of a last one that ends within a line, a copy of its whole lines."""
    files = files_of(root)
    if files:
        with files[-1].open("rb") as last:
            data = last.read()
        if data and not data.endswith(b"\n"):
            files[-1] = scratch / files[-1].name
            files[-1].write_bytes(data[: data.rfind(b"\n") + 1])
    return [file for file in files if file.stat().st_size]


def _insert(connection: "duckdb.DuckDBPyConnection", name: str, rows: Iterator[tuple[Any, ...]]) -> None:
    """All rows in one statement, column by column: one statement a row takes a millisecond each."""
    if columns := [list(column) for column in zip(*rows, strict=True)]:
        values = ", ".join(["unnest(?)"] * len(columns))
        connection.execute(f"INSERT INTO {name} SELECT {values}", columns)  # names are declared here


class _Opened:
    """The records whose documents say more than their lines: what the index says of those."""

    def __init__(self, connection: "duckdb.DuckDBPyConnection", workspace: Workspace) -> None:
        self._workspace, self._store = workspace, workspace.store
        self._records = [decode(line.encode()) for (line,) in connection.execute(_OPENED).fetchall()]
        reports = [record for record in self._records if record.kind is Kind.REPORTED]
        self._newest = {name: record.digest for name, record in newest_reported(reports).items()}
        self._claims = [(record, claim) for record in reports for claim in self._claimed(record)]

    def _claimed(self, record: Record) -> Sequence[Claim]:
        name = record.output(REPORT_FILES[0])
        return claims(self._store.document(name)) if name and self._store.has(name) else []

    def withdrawn(self) -> Iterator[tuple[str, int]]:
        """What is withdrawn, or rests on what is: only then every record is needed."""
        if any(record.kind is Kind.WITHDRAWN for record in self._records):
            for name, by in withdrawals(self._workspace.ledger.records()).items():
                yield name, by.sequence

    def signed_reports(self) -> Iterator[tuple[Any, ...]]:
        """The report that each signature was made for, as an input of it, after all others."""
        for record, rests_on in resting(self._records):
            for item in rests_on:
                if item.role == SIGNED_REPORT:
                    yield record.sequence, record.digest, _LAST, item.role, item.digest, None

    def figures(self) -> Iterator[tuple[Any, ...]]:
        for record, claim in self._claims:
            phase = str(occasion_of(record))
            said = (getattr(claim, name) for name in index_tables.SAID)
            yield record.sequence, phase, self._newest[phase] == record.digest, claim.figure, *said

    def figure_evidence(self) -> Iterator[tuple[Any, ...]]:
        names = ((record, claim, name) for record, claim in self._claims for name in claim.evidence)
        for place, (record, claim, name) in enumerate(names):
            yield place, record.sequence, claim.figure, name

    def comparisons(self) -> Iterator[tuple[Any, ...]]:
        for record in self._records:
            name = record.output("comparison") if record.kind is Kind.RELIED else None
            compared = self._store.document(name) if name and self._store.has(name) else []
            for place, each in enumerate(compared if isinstance(compared, list) else []):
                sides = (json.dumps(each.get("old")), json.dumps(each.get("new")))
                yield record.sequence, place, str(each.get("input")), *sides, bool(each.get("allows"))


_LAST = 1 << 40  # the place behind every other input

_NAMED = "(sequence BIGINT, record VARCHAR, place BIGINT, role VARCHAR, digest VARCHAR, rows VARCHAR)"
_EMPTY = "'' AS line, '' AS file, 0::BIGINT AS bytes, false AS sound"
_PARSED = f"SELECT {_EMPTY}, r.* FROM (SELECT json_transform('{{}}', '{_SHAPE}') AS r)"  # noqa: S608  # made of constants only
_TEMPORARY = (
    "CREATE TEMP TABLE objects (digest VARCHAR, bytes BIGINT)",
    "CREATE TEMP TABLE evidence_named (place BIGINT, report BIGINT, figure VARCHAR, digest VARCHAR)",
    f"CREATE TEMP TABLE outputs {_NAMED}",
    f"CREATE TEMP TABLE inputs {_NAMED}",
    f"CREATE TEMP TABLE ledger AS {_PARSED} LIMIT 0",
)

_LINES = f"""
INSERT INTO ledger
SELECT line, file, strlen(line),
    r.format = 1 AND sha256(replace(line, ',"digest":"' || r.digest || '"', '')) = r.digest, r.*
FROM (SELECT json::VARCHAR AS line, parse_filename(filename) AS file, json_transform(json, '{_SHAPE}') AS r
      FROM read_ndjson_objects(?, maximum_object_size = {_LONGEST}, filename = true))
"""  # noqa: S608 - made of constants only

_UNSOUND = """
SELECT coalesce(sequence, 0) FROM (
    SELECT sequence, sound, row_number() OVER placed AS due, previous, lag(digest, 1, ?) OVER placed AS before
    FROM ledger WINDOW placed AS (ORDER BY sequence)
) WHERE NOT coalesce(sound AND sequence = due AND previous = before, false) LIMIT 1
"""

_OPENED = "SELECT line FROM ledger WHERE kind IN ('reported', 'relied', 'signed', 'withdrawn') ORDER BY sequence"


def _told(name: str) -> str:
    """A text among a record's parameters; null where it has none of that name, or it is no text."""
    return f"CASE json_type(parameters, '$.{name}') WHEN 'VARCHAR' THEN parameters ->> '$.{name}' END"


_RECORDS = f"""
INSERT INTO records
WITH told AS MATERIALIZED (
    SELECT * EXCLUDE (line, file, bytes, sound, inputs, outputs),
        {_told("occasion")} AS occasion, {_told("phase")} AS phase,
        {_told("component")} AS component, {_told("test")} AS test, {_told("run")} AS run
    FROM ledger
),
tests AS (
    SELECT run, arg_max(test, sequence) AS test FROM told
    WHERE test IS NOT NULL AND run IS NOT NULL AND kind <> 'relied' GROUP BY run
),
components AS (
    SELECT test, arg_max(component, sequence) AS component FROM told
    WHERE test IS NOT NULL AND component IS NOT NULL GROUP BY test
),
placed AS (
    SELECT told.* REPLACE (coalesce(nullif(told.test, ''), tests.test, '') AS test)
    FROM told LEFT JOIN tests ON tests.run = told.run
)
SELECT sequence, time, kind, stage, key, rules, code, actor.name, actor.fingerprint, parameters, previous,
    placed.digest, coalesce(nullif(occasion, ''), phase, ''),
    coalesce(nullif(placed.component, ''), components.component, ''), placed.test, coalesce(run, ''), withdrawn_by
FROM placed
LEFT JOIN components ON components.test = placed.test
LEFT JOIN withdrawals ON withdrawals.digest = placed.digest
ORDER BY sequence
"""  # noqa: S608 - made of constants only

_OUTPUTS = """
INSERT INTO outputs
SELECT sequence, digest, place, each.role, each.digest, each.rows
FROM (SELECT sequence, digest, unnest(outputs) AS each, generate_subscripts(outputs, 1) AS place FROM ledger)
"""

_INPUTS = """
INSERT INTO inputs
SELECT sequence, digest, place, each.role, each.digest, each.rows
FROM (SELECT sequence, digest, unnest(inputs) AS each, generate_subscripts(inputs, 1) AS place FROM ledger)
UNION ALL
SELECT sequence, digest, len(inputs) + 1, ?, key, NULL FROM ledger WHERE key <> ''
UNION ALL
SELECT sequence, digest, len(inputs) + 2, ?, parameters ->> '$.statement.head', NULL FROM ledger
WHERE regexp_full_match(parameters ->> '$.statement.head', '[0-9a-f]{64}')
"""

_EDGES = """
INSERT INTO edges
SELECT record, direction, role, digest, rows, sequence, source FROM (
    SELECT i.record, 'input' AS direction, i.role, i.digest, i.rows, i.sequence, i.place,
        coalesce(r.sequence, o.sequence) AS source
    FROM inputs i
    LEFT JOIN records r ON r.digest = i.digest
    ASOF LEFT JOIN outputs o ON o.digest = i.digest AND i.sequence > o.sequence
    UNION ALL
    SELECT record, 'output', role, digest, rows, sequence, place, NULL FROM outputs
) ORDER BY sequence, direction, place
"""

_PLACES = """
INSERT INTO places
WITH rests AS (
    SELECT sequence, list(DISTINCT source ORDER BY source) AS sources FROM edges
    WHERE direction = 'input' AND source IS NOT NULL GROUP BY sequence
)
SELECT sequence, file, (sum(bytes + 1) OVER (PARTITION BY file ORDER BY sequence) - bytes - 1)::BIGINT, bytes,
    coalesce(sources, [])
FROM (SELECT sequence, file, bytes FROM ledger) LEFT JOIN rests USING (sequence)
ORDER BY sequence
"""

_ARTEFACTS = """
INSERT INTO artefacts
SELECT o.digest, o.bytes, w.withdrawn_by FROM objects o LEFT JOIN withdrawals w USING (digest)
WHERE o.digest IN (SELECT digest FROM edges) AND o.digest NOT IN (SELECT digest FROM records) ORDER BY o.digest
"""

_FIGURE_EVIDENCE = """
INSERT INTO figure_evidence
SELECT e.report, e.figure, e.digest, coalesce(r.sequence, o.sequence)
FROM evidence_named e
LEFT JOIN records r ON r.digest = e.digest
ASOF LEFT JOIN outputs o ON o.digest = e.digest AND e.report > o.sequence
ORDER BY e.place
"""

_IN_ROLE = """
SELECT digest FROM (
    SELECT digest, sequence FROM outputs WHERE role = ?
    QUALIFY row_number() OVER (PARTITION BY sequence ORDER BY place) = 1
) GROUP BY digest ORDER BY min(sequence)
"""
