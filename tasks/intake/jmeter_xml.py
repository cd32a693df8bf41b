"""JMeter's results as XML (JTL), streamed through expat: nested samples, no document type, no entities.

A sample within a sample is a part of it; one within a transaction controller is a message, and the controller is none.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from xml.parsers import expat

from tasks.intake.format import BATCH, Account, Samples, Source, SubmittedError, Sure
from tasks.intake.jmeter_csv import CAPABILITY, LATEST_MS, SEVERAL
from tasks.intake.jmeter_xml_bulk import DEEPEST, TRANSACTION, read_tags, without
from tasks.intake.lines import BOM
from tasks.intake.numbers import count_of
from tasks.intake.outcomes import outcome_of, status_of

if TYPE_CHECKING:
    import duckdb

_CHUNK = 1 << 18
_LONGEST = 8 << 20
"""So many bytes may a single tag or text take up; expat holds it in memory."""

_MOST_CODES = 10_000
_CONTROLLER = "a transaction controller: its samples are counted"
_PART = "a sub-result: part of a sample that is counted"
_SAMPLES = frozenset({"httpSample", "sample"})


class JMeterXml:
    """JTL as XML."""

    name = "jmeter-xml"

    def recognises(self, head: bytes) -> Sure:
        """By its root element."""
        text = head.removeprefix(BOM).lstrip()
        if not text.startswith(b"<"):
            return Sure.NO
        return Sure.CERTAIN if b"<testResults" in text else Sure.NO

    def read(self, source: Source, account: Account) -> Iterator[Samples]:
        """Every sample that is no part of another."""
        _begin(source, account)
        reader = _Reader(source, account)
        with source.path.open("rb") as file:
            fed = 0
            while not reader.damaged:
                chunk = file.read(_CHUNK)
                fed += len(chunk)
                reader.feed(chunk, fed)
                if len(reader.batch) >= BATCH:
                    yield reader.take()
                if not chunk:
                    break
        yield reader.take()

    def stage(
        self, source: Source, account: Account, folder: Path, connection: "duckdb.DuckDBPyConnection"
    ) -> Path | None:
        """The same by DuckDB, where the file is as JMeter writes it."""
        file = folder / "tags.parquet"
        tags = read_tags(source, file, connection)
        if tags is None:
            return None
        _begin(source, account)
        account.total, account.taken = tags.samples, tags.samples - tags.controllers - len(tags.parts)
        for reason, count in ((_CONTROLLER, tags.controllers), (_PART, len(tags.parts))):
            if count:
                account.beside[reason] = count
        return without(file, tags.parts, folder / "messages.parquet", connection) if len(tags.parts) else file


def _begin(source: Source, account: Account) -> None:
    account.unit, account.tool, account.capability = "elements", "jmeter", replace(CAPABILITY)
    account.noted["timestamp"] = source.assumptions.timestamp or "start (not stated: JMeter's shipped setting)"


class _Reader:
    def __init__(self, source: Source, account: Account) -> None:
        self._source = source
        self._account = account
        self._ends = source.assumptions.timestamp == "end"
        self._depth = 0
        self._codes: dict[tuple[str, str], tuple[int, str]] = {}
        self._within: list[bool] = []  # of each sample that is open: whether it is a message
        self.batch = Samples()
        self.damaged = False
        parser = expat.ParserCreate()
        parser.buffer_text = False
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        self._parser = parser

    def take(self) -> Samples:
        """The samples so far."""
        found, self.batch = self.batch, Samples()
        return found

    def feed(self, chunk: bytes, fed: int) -> None:
        """The next bytes, none at the end; `fed`: how many there were in all."""
        try:
            self._parser.Parse(chunk, not chunk)
        except expat.ExpatError as error:
            self.damaged = True
            what = "truncated" if expat.errors.messages[error.code] in _UNFINISHED else "damaged"
            self._account.find(
                what,
                f"{self._source.name}:{error.lineno}:{error.offset + 1}: {expat.errors.messages[error.code]}; "
                f"what stands before it was read, what comes after it was not",
            )
            return
        except (ValueError, LookupError) as error:  # what it declares to be written in
            self._fail(f"an encoding that cannot be read ({error})", remedy="Submit it as UTF-8.")
        if fed - max(0, self._parser.CurrentByteIndex) > _LONGEST:
            self._fail(f"a single tag or text of more than {_LONGEST} bytes")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            self._fail(f"elements nested more than {DEEPEST} deep")
        if name not in _SAMPLES:
            return
        account = self._account
        account.total += 1
        if "rm" in attributes and attributes["rm"].startswith(TRANSACTION):
            self._within.append(False)
            account.beside[_CONTROLLER] += 1
        elif self._within and any(self._within):
            self._within.append(True)
            account.beside[_PART] += 1
        else:
            self._within.append(True)
            self._add(attributes)

    def _end(self, name: str) -> None:
        self._depth -= 1
        if name in _SAMPLES:
            self._within.pop()

    def _add(self, attributes: dict[str, str]) -> None:
        """A message; of every element here, so that calls are few and nothing is told twice."""
        get = attributes.get
        at, elapsed = count_of(get("ts", "")), count_of(get("t", ""))
        if at is None or elapsed is None or at >= LATEST_MS:
            self._account.skip(self._parser.CurrentLineNumber, "expected a whole number in ts and t")
            return
        if get("sc", "1") not in ("0", "1"):
            self._account.skip(self._parser.CurrentLineNumber, SEVERAL)
            return
        sent = (at - elapsed if self._ends else at) * 1000
        code, said = get("rc", ""), get("s", "")
        known = self._codes.get((code, said))
        if known is None:
            status = status_of(code)
            ok = said == "true" if said else status in range(200, 400)
            known = status, outcome_of(ok=ok, text=code)
            if len(self._codes) < _MOST_CODES:
                self._codes[code, said] = known
        batch = self.batch
        batch.line.append(self._account.total)
        batch.label.append(get("lb", ""))
        batch.intended_us.append(-1)
        batch.sent_us.append(sent)
        batch.done_us.append(sent + elapsed * 1000)
        batch.status.append(known[0])
        batch.outcome.append(known[1])
        batch.bytes.append(count_of(get("by", "")) or 0)
        batch.threads.append(count_of(get("na", "")) or 0)
        batch.origin.append(get("tn", ""))
        self._account.taken += 1

    def _refuse(self, *_: object) -> None:
        self._fail("a document type, in which entities could be declared")

    def _fail(self, what: str, remedy: str = "JMeter writes none: submit the file as JMeter wrote it.") -> None:
        line, column = self._parser.CurrentLineNumber, self._parser.CurrentColumnNumber + 1
        raise SubmittedError(f"{self._source.name}:{line}:{column}: expected results, found {what}",
                             remedy=remedy)  # fmt: skip


_UNFINISHED = {expat.errors.XML_ERROR_NO_ELEMENTS, expat.errors.XML_ERROR_UNCLOSED_TOKEN,
               expat.errors.XML_ERROR_PARTIAL_CHAR, expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION}  # fmt: skip
