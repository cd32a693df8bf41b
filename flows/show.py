"""What people see in the terminal: tables and short answers on stdout, progress on stderr."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, Group

MARKS = {
    "proved": "[green]✔ proved[/]",
    "not proved": "[red]✘ not proved[/]",
    "inconclusive": "[yellow]? inconclusive[/]",
}
"""Verdicts as shown: a sign and a word beside the colour, so that no meaning rests on the colour alone."""


def print_json(document: Any) -> None:
    """An answer for scripts, on stdout: valid JSON in whatever encoding that has."""
    escaped = "utf" not in (sys.stdout.encoding or "").lower()
    print(json.dumps(document, indent=2, ensure_ascii=escaped))


def console(*, stderr: bool = False) -> "Console":
    """A console on stdout or stderr; without a terminal its width is 120 columns."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else 120)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> "Group":
    """A table under its title; `right` names the columns that hold numbers. Cells may carry rich's markup."""
    from rich import box
    from rich.console import Group
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*row)
    return Group(f"[bold]{escape(title)}[/]", made)


def escape(text: object) -> str:
    """Text from a declaration, so that square brackets in it are shown and not obeyed."""
    from rich.markup import escape as escaped

    return escaped(str(text))
