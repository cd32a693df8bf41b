"""A figure's lineage by plimsoll.duckdb, which says where to look: the ledger is not read whole for it.

Whatever is shown is read from the ledger's lines and from the report, whose digests are checked. The index answers only
while every file of the ledger has the size and the time of change that it was indexed with. What a look at few lines
cannot see, damage elsewhere in the chain among it, is for `catalog.verification` to find.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from catalog.ledger import FILE_NAME, Record, decode
from catalog.lineage import Lineage, Step, sources
from catalog.workspace import REPORT_FILES, Workspace

if TYPE_CHECKING:
    import duckdb

INDEX = "plimsoll.duckdb"


def figure_trees(workspace: Workspace, name: str, phase: str | None = None) -> list[list[Step]] | None:
    """What the figures of that id rest on, a tree each, of one phase or of every phase that has one: as `Lineage.up`
    over the whole ledger gives them.

    None where the index cannot say: it is not there, or not of this ledger as it is now; it knows no such figure; or
    the workspace's ledger is on a bucket. Raises EvidenceError for a report that is not what its digest says.
    """
    import duckdb

    file = workspace.home / INDEX
    if workspace.bucket or not file.is_file():
        return None
    try:
        with duckdb.connect(file, read_only=True) as connection:
            index = _Index(connection, workspace)
            return index.trees(name, phase) if index.current() else None
    except (
        duckdb.Error,
        OSError,
        ValueError,
        LookupError,
    ):  # of another version, or altered: the ledger itself can still say
        return None


def ledger_files(root: Path) -> Iterator[tuple[str, int, int]]:
    """The ledger's files in order, each by name, size in bytes and time of the last change in nanoseconds."""
    for path in files_of(root):
        found = path.stat()
        yield path.name, found.st_size, found.st_mtime_ns


def files_of(root: Path) -> list[Path]:
    """The ledger's files, in order."""
    return sorted(path for path in (root.iterdir() if root.is_dir() else ()) if FILE_NAME.fullmatch(path.name))


class _Index:
    def __init__(self, connection: "duckdb.DuckDBPyConnection", workspace: Workspace) -> None:
        self._connection, self._workspace = connection, workspace

    def current(self) -> bool:
        """Whether the ledger's files are those that were indexed."""
        known = self._connection.execute("SELECT file, bytes, modified FROM ledger_files ORDER BY file").fetchall()
        return known == list(ledger_files(self._workspace.ledger.root))

    def trees(self, name: str, phase: str | None) -> list[list[Step]] | None:
        reports = self._connection.execute(_REPORTS, [name, phase, phase]).fetchall()
        return [self._tree(name, of, report) for of, report in reports] or None

    def _tree(self, name: str, phase: str, report: int) -> list[Step]:
        evidence = self._connection.execute(_EVIDENCE, [report, name]).fetchall()
        records = self._supports({source for _, source in evidence if source is not None}, report)
        [claiming] = [record for record in records if record.sequence == report]
        document = self._workspace.store.document(claiming.output(REPORT_FILES[0]) or "")
        tainted = self._tainted(records, [digest for digest, _ in evidence])
        part = Lineage(records, {phase: (claiming, document)}, tainted, name)
        [figure] = part.figures(name, phase)
        return part.up(figure)

    def _supports(self, wanted: set[int], report: int) -> list[Record]:
        """These records and all that they rest on, and the report's, in the ledger's order."""
        places: dict[int, tuple[str, int, int]] = {}
        while wanted:
            rests_on = set[int]()
            for number, file, start, size, below in self._places(wanted):
                places[number] = file, start, size
                rests_on.update(below)
            wanted = rests_on - places.keys()
        for number, file, start, size, _ in self._places({report}):
            places[number] = file, start, size
        return self._read(places)

    def _places(self, numbers: set[int]) -> list[tuple[int, str, int, int, list[int]]]:
        return self._connection.execute(_PLACES, [sorted(numbers)]).fetchall()

    def _read(self, places: dict[int, tuple[str, int, int]]) -> list[Record]:
        """The records at these places. Raises ValueError where a line is not there, or not the one that was indexed."""
        due = dict(self._connection.execute(_DIGESTS, [sorted(places)]).fetchall())
        records = []
        for name, inside in groupby(sorted(places.items()), lambda item: item[1][0]):
            with (self._workspace.ledger.root / name).open("rb") as file:
                for number, (_, start, size) in inside:
                    file.seek(start)
                    records.append(record := decode(file.read(size)))
                    if (record.sequence, record.digest) != (number, due.get(number)):
                        raise ValueError(f"{record} stands where record {number} was indexed")
        return records

    def _tainted(self, records: Sequence[Record], evidence: Sequence[str]) -> dict[str, Record]:
        """What is withdrawn among these records, what they name and this evidence, each with the withdrawal."""
        if not self._connection.execute("SELECT 1 FROM withdrawals LIMIT 1").fetchone():
            return {}
        names = {record.digest for record in records}.union(evidence)
        for record in records:
            names.update(item.digest for item in (*sources(record), *record.outputs))
        found = self._connection.execute(_WITHDRAWN, [sorted(names)]).fetchall()
        places = {number: (file, start, size) for number, file, start, size, _ in self._places({by for _, by in found})}
        withdrawals = {record.sequence: record for record in self._read(places)}
        return {name: withdrawals[by] for name, by in found}


_REPORTS = """
SELECT phase, report FROM figures WHERE newest AND figure = ? AND (? IS NULL OR phase = ?) ORDER BY report
"""

_EVIDENCE = "SELECT digest, source FROM figure_evidence WHERE report = ? AND figure = ?"

_PLACES = "SELECT sequence, file, start, bytes, sources FROM places WHERE sequence IN (SELECT unnest(?::BIGINT[]))"

_DIGESTS = "SELECT sequence, digest FROM records WHERE sequence IN (SELECT unnest(?::BIGINT[]))"

_WITHDRAWN = "SELECT digest, withdrawn_by FROM withdrawals WHERE digest IN (SELECT unnest(?::VARCHAR[]))"
