"""What people see in the terminal: tables and short answers on stdout, progress on stderr."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.padding import Padding
    from rich.table import Table

MARKS = {
    "proved": "[green]✔ proved[/]",
    "not proved": "[red]✘ not proved[/]",
    "inconclusive": "[yellow]? inconclusive[/]",
}
"""Verdicts as shown: a sign and a word beside the colour, so that no meaning rests on the colour alone."""


_WIDEST = 10_000  # columns, in which any table's own width can be measured


def print_json(document: Any) -> None:
    """An answer for scripts, on stdout: valid JSON in whatever encoding that has."""
    escaped = "utf" not in (sys.stdout.encoding or "").lower()
    print(json.dumps(document, indent=2, ensure_ascii=escaped))


def console(*, stderr: bool = False) -> "Console":
    """A console on stdout or stderr; without a terminal its width is 120 columns."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else 120)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> "Shown":
    """A table under its title; `right` names the columns that hold numbers. Cells may carry rich's markup."""
    return Shown(title, columns, [tuple(row) for row in rows], right)


class Shown:
    """A table, or where its words do not fit side by side a paragraph for each of its rows: no word is ever broken."""

    def __init__(self, title: str, columns: Sequence[str], rows: list[tuple[str, ...]], right: Sequence[str]) -> None:
        self._title, self._columns, self._rows, self._right = title, columns, rows, right

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """What rich asks for: the title, and what suits the width."""
        made = self._table()
        yield f"[bold]{escape(self._title)}[/]"
        if made.__rich_measure__(console, options.update(width=_WIDEST)).minimum <= options.max_width:
            yield made
        else:
            yield from self._paragraphs()

    def _table(self) -> "Table":
        from rich import box
        from rich.table import Table

        made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for column in self._columns:
            made.add_column(column, justify="right" if column in self._right else "left", overflow="fold")
        for row in self._rows:
            made.add_row(*row)
        return made

    def _paragraphs(self) -> "Iterator[Padding]":
        from rich.padding import Padding

        for row in self._rows:
            told = [(name, cell) for name, cell in zip(self._columns, row, strict=True) if cell]
            heading = 1 + (not self._columns[0])  # a mark without a column's name stands before what it marks
            yield Padding(" ".join(cell for _, cell in told[:heading]), 0)
            for name, cell in told[heading:]:
                yield Padding(f"{name}: {cell}", (0, 0, 0, 2))


def escape(text: object) -> str:
    """Text from a declaration, so that square brackets in it are shown and not obeyed."""
    from rich.markup import escape as escaped

    return escaped(str(text))
