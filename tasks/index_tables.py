"""What plimsoll.duckdb holds beside the tables of evidence: the ledger's tables, views over them, and their meaning.

Each is declared here once, with its grain and what each column means; DDL, comments and docs/sql.md follow from it. How
they are filled is in `tasks.index`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from expectations.ddl import names


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table: its grain, and its columns, each with type and meaning."""

    name: str
    grain: str
    columns: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A view: its grain, its columns with their meaning, in the order of its query."""

    name: str
    grain: str
    columns: tuple[tuple[str, str], ...]
    query: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Macro:
    """A table that depends on what it is asked for."""

    name: str
    parameters: str
    meaning: str
    query: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A question, and the query that answers it."""

    question: str
    query: str


_WITHDRAWN = "sequence of the withdrawal that it is, or rests on what is, withdrawn by; null when it is sound"
_SAID = (
    ("value", "VARCHAR", "the value in the base unit, as recorded; empty where it was not measured"),
    ("unit", "VARCHAR", "unit of the value"),
    ("text", "VARCHAR", "the value as the report shows it"),
    ("section", "VARCHAR", "the part of the report that it stands in first"),
    ("component", "VARCHAR", "component under test; empty where it is of none; so are the texts below"),
    ("test", "VARCHAR", "planned test"),
    ("run", "VARCHAR", "test run"),
    ("verdict", "VARCHAR", "proved, not proved or inconclusive, where it is part of an observation or of a test"),
    ("reliance", "VARCHAR", "where its evidence comes from: executed, relied, received"),
    ("scope", "VARCHAR", "SRV group, or 'all'"),
    ("metric", "VARCHAR", "what was measured"),
    ("requirement", "VARCHAR", "requirement that it was held against, or 'target-volume'"),
    ("title", "VARCHAR", "what the report calls it"),
    ("standing", "VARCHAR", "how firmly a declared number stands"),
    ("interval", "VARCHAR", "its 95 % interval, as the report shows it"),
    ("samples", "VARCHAR", "how many messages or samples it rests on"),
    ("method", "VARCHAR", "how value and interval were computed"),
)

SAID = tuple(name for name, _, _ in _SAID)
"""What the index tells of a figure, by the names that `catalog.claims.Claim` has for it."""

TABLES = (
    Table(
        name="records",
        grain="one record of the ledger",
        columns=(
            ("sequence", "BIGINT", "its place in the ledger, from 1"),
            ("time", "VARCHAR", "when it was recorded: UTC, ISO 8601"),
            ("kind", "VARCHAR", "what it says happened: declared, derived, executed, relied, observed, reported, …"),
            ("stage", "VARCHAR", "the stage that wrote it"),
            ("key", "VARCHAR", "digest of the document that the stage was keyed on; null where it has none"),
            ("rules", "BIGINT", "version of the stage's rules"),
            ("code", "VARCHAR", "version of Plimsoll"),
            ("actor", "VARCHAR", "who did it"),
            ("fingerprint", "VARCHAR", "SHA-256 of the actor's public key; empty where there is none"),
            ("parameters", "JSON", "whatever else the stage recorded"),
            ("previous", "VARCHAR", "digest of the record before it"),
            ("digest", "VARCHAR", "its own digest"),
            ("phase", "VARCHAR", "phase, or a regression's date, that it belongs to; empty where it belongs to none"),
            ("component", "VARCHAR", "component under test; empty where it is of none"),
            ("test", "VARCHAR", "planned test; empty where it is of none"),
            ("run", "VARCHAR", "test run; empty where it is of none"),
            ("withdrawn_by", "BIGINT", _WITHDRAWN),
        ),
    ),
    Table(
        name="artefacts",
        grain="one artefact that a record names, and that is in the store",
        columns=(
            ("digest", "VARCHAR", "SHA-256 of its bytes, by which it is named"),
            ("bytes", "BIGINT", "size"),
            ("withdrawn_by", "BIGINT", _WITHDRAWN),
        ),
    ),
    Table(
        name="edges",
        grain="one input or output of a record, by role",
        columns=(
            ("record", "VARCHAR", "digest of the record"),
            ("direction", "VARCHAR", "input or output; a key's document and what a signature vouches for are inputs"),
            ("role", "VARCHAR", "what it is to the record"),
            ("digest", "VARCHAR", "an artefact, or an earlier record"),
            ("rows", "VARCHAR", "digest of a table's canonical rows; null for what is no table"),
            ("sequence", "BIGINT", "sequence of the record"),
            (
                "source",
                "BIGINT",
                "of an input: sequence of the record that it is, or that put it out last before; null where none did",
            ),
        ),
    ),
    Table(
        name="figures",
        grain="one figure of one report, older reports among them",
        columns=(
            ("report", "BIGINT", "sequence of the report's record"),
            ("phase", "VARCHAR", "phase, or a regression's date, that the report is of"),
            ("newest", "BOOLEAN", "whether the phase has no newer report"),
            ("figure", "VARCHAR", "its id, as `plimsoll lineage` takes it"),
            *_SAID,
        ),
    ),
    Table(
        name="figure_evidence",
        grain="one artefact or record that a figure of a report rests on",
        columns=(
            ("report", "BIGINT", "sequence of the report's record"),
            ("figure", "VARCHAR", "the figure's id"),
            ("digest", "VARCHAR", "what it rests on"),
            ("source", "BIGINT", "sequence of the record that this is, or that put it out last before the report"),
        ),
    ),
    Table(
        name="withdrawals",
        grain="one digest that is withdrawn, or rests on what is",
        columns=(
            ("digest", "VARCHAR", "the record or artefact"),
            ("withdrawn_by", "BIGINT", "sequence of the withdrawal that it is so by"),
        ),
    ),
    Table(
        name="ledger_files",
        grain="one file of the ledger, as it was when the index was made",
        columns=(
            ("file", "VARCHAR", "its name"),
            ("bytes", "BIGINT", "its size"),
            ("modified", "BIGINT", "when it was last written: nanoseconds since 1970, as the file system says"),
        ),
    ),
    Table(
        name="places",
        grain="one record of the ledger: where its line stands, and what it rests on",
        columns=(
            ("sequence", "BIGINT", "sequence of the record"),
            ("file", "VARCHAR", "the ledger's file that its line is in"),
            ("start", "BIGINT", "bytes of the file before its line"),
            ("bytes", "BIGINT", "bytes of its line, without the newline"),
            ("sources", "BIGINT[]", "sequences of the records that it rests on, each once, in order"),
        ),
    ),
    Table(
        name="comparisons",
        grain="one input that was compared before a test was let rest on earlier evidence",
        columns=(
            ("record", "BIGINT", "sequence of the `relied` record"),
            ("place", "BIGINT", "place in the comparison, from 0"),
            ("input", "VARCHAR", "what was compared"),
            ("old", "JSON", "its value when the evidence was made"),
            ("new", "JSON", "its value now"),
            ("allows", "BOOLEAN", "whether it allowed reliance"),
        ),
    ),
)

VIEWS = (
    View(
        name="claims",
        grain="one figure of the newest report of each phase",
        columns=(
            ("phase", "phase, or a regression's date"),
            ("figure", "its id, as `plimsoll lineage` takes it"),
            *((name, meaning) for name, _, meaning in _SAID),
            ("report", "sequence of the report's record"),
            ("evidence", "digests that it rests on, a list"),
            ("withdrawn_by", _WITHDRAWN),
        ),
        query="""
SELECT f.phase, f.figure, $SAID, f.report,
    coalesce(list(e.digest ORDER BY e.digest) FILTER (e.digest IS NOT NULL), []) AS evidence,
    min(coalesce(a.withdrawn_by, r.withdrawn_by)) AS withdrawn_by
FROM figures f
LEFT JOIN figure_evidence e ON (e.report, e.figure) = (f.report, f.figure)
LEFT JOIN artefacts a ON a.digest = e.digest
LEFT JOIN records r ON r.digest = e.digest
WHERE f.newest
GROUP BY ALL
""".replace("$SAID", ", ".join(f"f.{name}" for name in SAID)),
    ),
    View(
        name="evidence",
        grain="one artefact as one record put it out",
        columns=(
            ("digest", "SHA-256 of its bytes, by which it is named"),
            ("role", "what it is: results, measurements, observations, plan, …"),
            ("bytes", "size; null when it is not in the store"),
            ("record", "sequence of the record that put it out"),
            ("kind", "what that record says happened"),
            ("stage", "the stage that wrote it"),
            ("time", "when: UTC, ISO 8601"),
            ("actor", "who did it"),
            ("phase", "phase, or a regression's date"),
            ("component", "component under test; empty where it is of none"),
            ("test", "planned test; empty where it is of none"),
            ("run", "test run; empty where it is of none"),
            ("claims", "how many figures of the newest reports name it"),
            ("withdrawn_by", _WITHDRAWN),
        ),
        query="""
SELECT e.digest, e.role, a.bytes, r.sequence AS record, r.kind, r.stage, r.time, r.actor, r.phase, r.component, r.test,
    r.run, coalesce(c.claims, 0) AS claims, coalesce(a.withdrawn_by, r.withdrawn_by) AS withdrawn_by
FROM edges e
JOIN records r ON r.sequence = e.sequence
LEFT JOIN artefacts a ON a.digest = e.digest
LEFT JOIN (
    SELECT n.digest, n.source, count(*) AS claims
    FROM figure_evidence n JOIN figures f ON (f.report, f.figure) = (n.report, n.figure)
    WHERE f.newest GROUP BY ALL
) c ON (c.digest, c.source) = (e.digest, e.sequence)
WHERE e.direction = 'output'
""",
    ),
    View(
        name="reliance",
        grain="one test of a phase that rests on the run of an earlier one",
        columns=(
            ("record", "sequence of the `relied` record"),
            ("time", "when it was decided: UTC, ISO 8601"),
            ("phase", "phase that relies"),
            ("test", "planned test that relies"),
            ("run", "test run that it rests on"),
            ("executed", "sequence of the record of that run"),
            ("executed_phase", "phase that executed it"),
            ("executed_time", "when it ended"),
            ("compared", "how many inputs were compared"),
            ("differing", "how many of them differ, and allowed it all the same"),
            ("withdrawn_by", _WITHDRAWN),
        ),
        query="""
SELECT r.sequence AS record, r.time, r.phase, r.test, r.run, x.sequence AS executed, x.phase AS executed_phase,
    x.time AS executed_time, count(c.place) AS compared,
    count(c.place) FILTER (c.old IS DISTINCT FROM c.new) AS differing, r.withdrawn_by
FROM records r
LEFT JOIN edges e ON e.sequence = r.sequence AND e.direction = 'input' AND e.role = 'executed'
LEFT JOIN records x ON x.digest = e.digest
LEFT JOIN comparisons c ON c.record = r.sequence
WHERE r.kind = 'relied'
GROUP BY ALL
""",
    ),
    View(
        name="lineage",
        grain="one step: a figure of a newest report, or a record, and one thing that it rests on",
        columns=(
            ("kind", "figure or record"),
            ("phase", "phase, or a regression's date; empty where a record belongs to none"),
            ("figure", "the figure's id; null for a record"),
            ("record", "sequence of the record; of a figure, of its report's"),
            ("role", "what it rests on is to it"),
            ("rests_on", "digest of the artefact or record that it rests on"),
            ("source", "sequence of the record that this is, or that put it out; null where evidence begins"),
        ),
        query="""
SELECT 'figure' AS kind, f.phase, f.figure, f.report AS record, 'evidence' AS role, e.digest AS rests_on, e.source
FROM figures f JOIN figure_evidence e ON (e.report, e.figure) = (f.report, f.figure)
WHERE f.newest
UNION ALL
SELECT 'record', r.phase, NULL, r.sequence, e.role, e.digest, e.source
FROM edges e JOIN records r ON r.sequence = e.sequence
WHERE e.direction = 'input'
""",
    ),
)

MACROS = (
    Macro(
        name="supports",
        parameters="figure_id, phase_id",
        meaning="every record that a figure of a phase's newest report rests on, through every step, oldest first",
        query="""
WITH RECURSIVE walk(record) AS (
    SELECT source FROM lineage
    WHERE kind = 'figure' AND figure = figure_id AND phase = phase_id AND source IS NOT NULL
    UNION
    SELECT l.source FROM walk w JOIN lineage l ON l.record = w.record
    WHERE l.kind = 'record' AND l.source IS NOT NULL
)
SELECT r.* FROM walk w JOIN records r ON r.sequence = w.record ORDER BY r.sequence
""",
    ),
    Macro(
        name="rests_on",
        parameters="record_sequence",
        meaning="every record that rests on this one, through every step, oldest first",
        query="""
WITH RECURSIVE walk(record) AS (
    SELECT record_sequence::BIGINT
    UNION
    SELECT l.record FROM walk w JOIN lineage l ON l.source = w.record WHERE l.kind = 'record'
)
SELECT r.* FROM walk w JOIN records r ON r.sequence = w.record
WHERE r.sequence <> record_sequence ORDER BY r.sequence
""",
    ),
)

EXAMPLES = (
    Example(
        question="What was claimed of each component, by phase and verdict?",
        query="""SELECT phase, component, verdict, count(*) AS observations
FROM claims
WHERE section = 'observations' AND metric <> '' AND figure NOT LIKE '%/limit'
GROUP BY ALL ORDER BY ALL""",
    ),
    Example(
        question="Which test runs does a figure rest on, through every step?",
        query="""SELECT sequence, time, run, actor
FROM supports('outcome/proved', (SELECT max(phase) FROM claims))
WHERE kind = 'executed'""",
    ),
    Example(
        question="Which figures would fall if the first test run were withdrawn?",
        query="""WITH run AS (SELECT min(sequence) AS sequence FROM records WHERE kind = 'executed')
SELECT DISTINCT l.phase, l.figure
FROM lineage l, run
WHERE l.kind = 'figure'
  AND (l.source = run.sequence OR l.source IN (SELECT sequence FROM rests_on((SELECT sequence FROM run))))
ORDER BY ALL LIMIT 20""",
    ),
    Example(
        question="Which evidence is named by the most figures?",
        query="""SELECT digest, role, run, claims, bytes FROM evidence ORDER BY claims DESC, digest LIMIT 10""",
    ),
    Example(
        question="Which tests rest on earlier evidence, how much was compared for it, and what differed?",
        query="""SELECT r.phase, r.test, r.run, r.executed_phase, r.compared,
    list(c.input ORDER BY c.place) FILTER (c.old IS DISTINCT FROM c.new) AS differing
FROM reliance r LEFT JOIN comparisons c ON c.record = r.record
GROUP BY ALL ORDER BY r.phase, r.test""",
    ),
    Example(
        question="Does anything that is claimed rest on what was withdrawn?",
        query="""SELECT c.phase, c.figure, c.text, r.time, r.actor, r.parameters ->> 'reason' AS reason
FROM claims c JOIN records r ON r.sequence = c.withdrawn_by
ORDER BY ALL""",
    ),
    Example(
        question="Do the results themselves say what was measured? The 95th percentile of load tests, counted again.",
        query="""SELECT m.run, m.value AS measured_us,
    quantile_disc(CASE r.outcome WHEN 'ok' THEN r.latency_us ELSE 9007199254740991 END, 0.95) AS counted_us
FROM measurements m JOIN results r USING (run)
WHERE m.metric = 'latency-p95' AND m.scope = 'all' AND r.kind <> 'acknowledgement' AND m.run LIKE '%.load/%'
GROUP BY ALL ORDER BY ALL""",
    ),
    Example(
        question="What does a column mean? The file says so itself.",
        query="""SELECT table_name, column_name, comment
FROM duckdb_columns() WHERE NOT internal ORDER BY table_name, column_index""",
    ),
)
"""The suite executes each."""


def ddl() -> Iterator[str]:
    """Statements that create the ledger's tables empty, each with its comments."""
    for table in TABLES:
        defined = ", ".join(f'"{name}" {kind}' for name, kind, _ in table.columns)
        yield f"CREATE TABLE {table.name} ({defined})"
        yield f"COMMENT ON TABLE {table.name} IS {_quoted(f'Grain: {table.grain}.')}"
        for name, _, meaning in table.columns:
            yield f'COMMENT ON COLUMN {table.name}."{name}" IS {_quoted(meaning)}'


def views() -> Iterator[str]:
    """Statements that create the views and the macros over all tables, each with its comments."""
    for view in VIEWS:
        yield f"CREATE VIEW {view.name} AS {view.query}"
        yield f"COMMENT ON VIEW {view.name} IS {_quoted(f'Grain: {view.grain}.')}"
        for name, meaning in view.columns:
            yield f'COMMENT ON COLUMN {view.name}."{name}" IS {_quoted(meaning)}'
    for macro in MACROS:
        yield f"CREATE MACRO {macro.name}({macro.parameters}) AS TABLE {macro.query}"
        yield f"COMMENT ON MACRO TABLE {macro.name} IS {_quoted(macro.meaning)}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


_HEAD = """# Asking plimsoll.duckdb

Generated by `python -m tasks.index_tables` from what `tasks/index_tables.py` declares; a test holds it current, and
executes every query below.

`plimsoll.duckdb` in a workspace is an index over its ledger and its evidence: every phase makes it anew, it may be
deleted at any time, and nothing is only there. Open it with any DuckDB client, read-only:

<!-- not run: DuckDB's own client is needed; the queries below are executed by its library -->

    duckdb -readonly .plimsoll/plimsoll.duckdb

It is no evidence itself: what it says can be checked with `plimsoll verify`, `lineage` and `reperform`. It holds the
seven tables of evidence (docs/tables.md; each row says in `artefact` which artefact it stands in), the ledger as
tables, and four views that answer most questions: what is claimed, on what evidence, by whose earlier run, by which
steps. Every table, view and column carries its meaning as a comment in the file.
"""


def documentation() -> str:
    """All of it as one page of Markdown: docs/sql.md."""
    parts = [_HEAD, "## Questions\n"]
    parts += [f"{example.question}\n\n```sql\n{example.query}\n```\n" for example in EXAMPLES]
    parts.append("## Views\n")
    for view in VIEWS:
        rows = [f"| {name} | {meaning} |" for name, meaning in view.columns]
        parts.append(
            f"### {view.name}\n\nGrain: {view.grain}.\n\n| column | meaning |\n|---|---|\n" + "\n".join(rows) + "\n"
        )
    parts.append("## Macros\n")
    parts += [f"`FROM {macro.name}({macro.parameters})`: {macro.meaning}.\n" for macro in MACROS]
    parts.append("## Tables of the ledger\n")
    for table in TABLES:
        rows = [f"| {name} | {kind.lower()} | {meaning} |" for name, kind, meaning in table.columns]
        head = f"### {table.name}\n\nGrain: {table.grain}.\n\n| column | type | meaning |\n|---|---|---|\n"
        parts.append(head + "\n".join(rows) + "\n")
    parts.append(f"## Tables of evidence\n\n{', '.join(names())}: see docs/tables.md.\n")
    return "\n".join(parts)


if __name__ == "__main__":
    print(documentation(), end="")
