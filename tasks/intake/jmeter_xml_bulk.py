"""JMeter's XML as DuckDB reads it: each tag a line, each attribute a column, where the file is as JMeter writes it.

Expat says whether the document is well-formed, and that nothing in it can look like a tag and be none (a comment,
CDATA, an instruction, a document type). Then each `<` begins a tag, and tags can be told by text: a line that holds a
whole start tag, its attributes in an order that the file's beginning has shown, is split at its quotation marks. Tags
of samples are counted a second time in the file's bytes. Where the counts differ, or a value is written in any way that
has to be interpreted, the file is left to the reader of elements.
"""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

from tasks.intake.format import Source
from tasks.intake.jmeter_csv import LATEST_MS
from tasks.intake.lines import LONGEST
from tasks.intake.numbers import count_sql, whole_sql
from tasks.intake.outcomes import outcome_sql, status_sql
from tasks.intake.sql import STAGED, literal, text_literal

if TYPE_CHECKING:
    import duckdb

DEEPEST = 256
TRANSACTION = "Number of samples in transaction"
MESSAGE, CONTROLLER, CLOSED, INEXACT = 0, 5, 4, 2
_CHUNK = 1 << 20
_MOST_LAYOUTS = 4
_TAG = re.compile(rb'<(httpSample|sample)((?: [A-Za-z]+="[^"<]*")+)(/?>)')
_NAME = re.compile(rb' ([A-Za-z]+)="')
_NAMED = {"&quot;": '"', "&apos;": "'", "&lt;": "<", "&gt;": ">", "&amp;": "&"}
_USED = ("ts", "t", "lb", "rc", "rm", "s", "tn", "by", "na", "sc")
_UNSAID = {"sc": "'1'"}
_PLAIN = frozenset({"utf-8", "us-ascii"})


@dataclass(frozen=True, slots=True)
class Layout:
    """A start tag as the file has it: the element, and its attributes in order."""

    element: str
    attributes: tuple[str, ...]

    def column(self, name: str) -> str:
        """The column of an attribute's value, an empty text where there is none."""
        return f"c{2 * self.attributes.index(name) + 1}" if name in self.attributes else _UNSAID.get(name, "''")


@dataclass(slots=True)
class _Seen:
    """What the file's bytes say: whether they are a plain document, and how many tags of samples there are."""

    plain: bool = True
    opened: int = 0
    closed: int = 0


def layouts_of(head: bytes) -> list[Layout]:
    """The start tags of samples, each once, that a file begins with."""
    found = (
        Layout(element.decode(), tuple(name.decode() for name in _NAME.findall(attributes)))
        for element, attributes, _ in _TAG.findall(head)
    )
    return list(dict.fromkeys(found))


def read_tags(source: Source, file: Path, connection: "duckdb.DuckDBPyConnection") -> "Tags | None":
    """Writes every sample of a file, and the end of each, to the Parquet `file`, as staged rows in file order.

    None where the file is none that can be read so.
    """
    import duckdb

    layouts = layouts_of(source.head())
    if not 0 < len(layouts) <= _MOST_LAYOUTS:
        return None
    try:
        with ThreadPoolExecutor(1) as beside:
            looking = beside.submit(_looked_at, source.path)
            connection.execute(f"COPY ({_select(source, layouts)}) TO {literal(file)} {STAGED}")
        told = f"SELECT class, ends FROM read_parquet({literal(file)})"  # noqa: S608  # a literal
        found = connection.execute(told).fetchnumpy()
    except duckdb.Error:
        return None
    return _told(found["class"], found["ends"], looking.result())


@dataclass(frozen=True, slots=True)
class Tags:
    """How many samples there are; and of them how many are controllers, and which rows are parts of other samples."""

    samples: int
    controllers: int
    parts: Any


def without(file: Path, places: Any, target: Path, connection: "duckdb.DuckDBPyConnection") -> Path:
    """The rows of a Parquet file but for those at these places, in `target`."""
    import pandas as pd

    connection.register("left_out", pd.DataFrame({"place": places}))
    connection.execute(
        f"COPY (SELECT * EXCLUDE (file_row_number) FROM read_parquet({literal(file)}, file_row_number = true) "  # noqa: S608  # literals
        f"WHERE file_row_number NOT IN (SELECT place FROM left_out)) TO {literal(target)} {STAGED}"
    )
    connection.unregister("left_out")
    return target


def _told(classes: Any, ends: Any, seen: _Seen) -> Tags | None:
    import numpy as np

    closed, is_sample = classes == CLOSED, (classes == MESSAGE) | (classes == CONTROLLER)
    opened = int(is_sample.sum())
    if not seen.plain or (classes == INEXACT).any() or (opened, int(closed.sum())) != (seen.opened, seen.closed):
        return None
    controllers = int((classes == CONTROLLER).sum())
    step = np.where(closed, -1, np.where(ends, 0, 1)).astype(np.int32)
    depth = np.cumsum(step) - step
    if not controllers and not depth[is_sample].any():
        return Tags(opened, 0, np.empty(0, dtype=np.int64))
    return Tags(opened, controllers, _parts(classes, ends))


def _parts(classes: Any, ends: Any) -> Any:
    """Which rows are samples within other samples that are no controllers."""
    import numpy as np

    found, inside = [], 0
    within: list[bool] = []  # of each element that is open: whether it is a message, or a part of one
    for first in range(0, len(classes), _CHUNK):
        parts = []
        block = zip(classes[first : first + _CHUNK].tolist(), ends[first : first + _CHUNK].tolist(), strict=True)
        for place, (kind, at_once) in enumerate(block, first):
            if kind == CLOSED:
                inside -= within.pop()
                continue
            if kind == MESSAGE and inside:
                parts.append(place)
            if not at_once:
                within.append(kind == MESSAGE)
                inside += kind == MESSAGE
        found.append(np.array(parts, dtype=np.int64))
    return np.concatenate(found)


def _select(source: Source, layouts: list[Layout]) -> str:
    """Every start or end tag of a sample as a staged row. Lines that hold none are left out; they are not needed."""
    width = 2 * max(len(each.attributes) for each in layouts) + 2
    columns = ", ".join(f"'c{place}': 'VARCHAR'" for place in range(width))
    read = (
        f"read_csv({literal(source.path)}, delim = '\"', quote = '', escape = '', header = false, auto_detect = false, "
        f"columns = {{{columns}}}, null_padding = true, ignore_errors = true, max_line_size = {LONGEST}, "
        "nullstr = '\x01')"
    )
    begins = [_begins(each, width) for each in layouts]
    which = " ".join(f"WHEN {condition} THEN {number}" for number, condition in enumerate(begins))
    ended = f"({_only('</httpSample>')} OR {_only('</sample>')}) AND c1 IS NULL"
    tags = f"SELECT *, CASE {which} WHEN {ended} THEN -1 END AS tag FROM {read}"  # noqa: S608  # literals are quoted

    def by_layout(value: Callable[[Layout], str], otherwise: str) -> str:
        if len(layouts) == 1:
            return value(layouts[0])  # nothing stands there in an end tag
        told = " ".join(f"WHEN {number} THEN {value(each)}" for number, each in enumerate(layouts))
        return f"CASE tag {told} ELSE {otherwise} END"

    values = ", ".join(f"{by_layout(partial(Layout.column, name=name), 'NULL')} AS v_{name}" for name in _USED)
    last = by_layout(lambda each: f"c{2 * len(each.attributes)}", "NULL")
    rows = f"SELECT tag, {values}, {last} = '/>' AS ends FROM ({tags}) WHERE tag IS NOT NULL"  # noqa: S608  # of our own making
    return f"SELECT {_columns(source)} FROM ({rows})"  # noqa: S608  # of our own making


def _begins(layout: Layout, width: int) -> str:
    """Whether a line is a whole start tag of this layout, and nothing else."""
    first, *others = layout.attributes
    pieces = [_only(f"<{layout.element} {first}=")]
    pieces += [f"c{2 * place} = {text_literal(f' {name}=')}" for place, name in enumerate(others, 1)]
    last = 2 * len(layout.attributes)
    rest = [f"c{last + 1} IS NULL"] if last + 1 < width else []
    return " AND ".join([*pieces, f"c{last} IN ('>', '/>')", *rest])


def _only(text: str) -> str:
    """Whether a line's first piece is this text, with nothing but spaces before it."""
    wanted = text_literal(text)
    return f"(c0 = {wanted} OR (ends_with(c0, {wanted}) AND ltrim(c0) = {wanted}))"


def _columns(source: Source) -> str:
    """The columns of staged rows, from the attributes that a sample has; nothing for an end tag."""
    at, elapsed = "try_cast(v_ts AS BIGINT)", "try_cast(v_t AS BIGINT)"
    sent = f"({at} - {elapsed})" if source.assumptions.timestamp == "end" else at
    code, label = _unescaped("v_rc"), _unescaped("v_lb")
    ok = f"CASE WHEN v_s <> '' THEN v_s = 'true' ELSE {status_sql(code)} BETWEEN 200 AND 399 END"
    exact = [f"{whole_sql('v_ts', 13)} AND {at} < {LATEST_MS} AND {whole_sql('v_t', 13)} AND v_sc IN ('0', '1')"]
    exact += [f"NOT contains(v_{name}, '&#') AND NOT contains(v_{name}, chr(9))" for name in _USED]
    return f"""
        CASE WHEN tag = -1 THEN {CLOSED} WHEN NOT coalesce({" AND ".join(exact)}, false) THEN {INEXACT}
             WHEN starts_with(v_rm, {text_literal(TRANSACTION)}) THEN {CONTROLLER} ELSE {MESSAGE} END AS class,
        coalesce(ends, false) AS ends, {label} AS label, NULL::BIGINT AS intended_us, {sent} * 1000 AS sent_us,
        ({sent} + {elapsed}) * 1000 AS done_us, {status_sql(code)} AS status, {outcome_sql(ok, code)} AS outcome,
        {count_sql("v_by")} AS bytes, {count_sql("v_na")} AS threads, hash({_unescaped("v_tn")}) AS origin"""


def _unescaped(text: str) -> str:
    """A value without the five entities that XML has of itself."""
    found = text
    for entity, character in _NAMED.items():
        found = f"replace({found}, {text_literal(entity)}, {text_literal(character)})"
    return f"CASE WHEN contains({text}, '&') THEN {found} ELSE {text} END"


# --- what the bytes say -----------------------------------------------------------------------------------------------


class _Strange(Exception):  # noqa: N818  # no error: such a file is read otherwise
    """Something that needs a reader of elements."""


def _looked_at(path: Path) -> _Seen:
    """Whether a file is a plain document, and its tags of samples counted."""
    seen, depth = _Seen(), 0
    parser = _parser()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK) + file.readline(LONGEST):  # whole lines: no name stands on two
                parser.Parse(chunk, False)  # noqa: FBT003  # the name is positional only
                seen.opened += chunk.count(b"<httpSample") + chunk.count(b"<sample")
                seen.closed += chunk.count(b"</httpSample>") + chunk.count(b"</sample>")
                depth = _depth(chunk, depth)
        parser.Parse(b"", True)  # noqa: FBT003  # the name is positional only
    except (expat.ExpatError, _Strange):
        seen.plain = False
    return seen


def _parser() -> Any:
    def strange(*_: object) -> None:
        raise _Strange

    def declared(_version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.lower() not in _PLAIN:
            raise _Strange

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = parser.CommentHandler = strange
    parser.StartCdataSectionHandler = parser.ProcessingInstructionHandler = strange
    parser.XmlDeclHandler = declared
    return parser


def _depth(chunk: bytes, depth: int) -> int:
    """How deep elements are nested after these bytes. Raises _Strange where one is nested too deeply on the way."""
    import numpy as np

    data = np.frombuffer(chunk + b"\n", dtype=np.uint8)
    begins = np.flatnonzero(data == ord("<"))
    if not len(begins):
        return depth
    following = data[begins + 1]
    steps = np.where(following == ord("/"), -1, np.where(following == ord("?"), 0, 1))
    at_once = np.flatnonzero((data[:-1] == ord("/")) & (data[1:] == ord(">")))
    depths = depth + np.cumsum(steps) - np.searchsorted(at_once, begins)
    if int(depths.max()) > DEEPEST:
        raise _Strange
    return int(depths[-1]) - int(np.searchsorted(begins[-1:], at_once).sum())
