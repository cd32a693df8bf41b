"""Tables: side by side where words fit, a paragraph for each row where they do not, and no word broken."""

import io

from rich.console import Console

from flows.show import table

ROWS = [
    ("[green]✔[/]", "components.storefront.version", "1.0", "2.0"),
    ("[red]✘[/]", "a[b]c".replace("[", r"\["), "", "x"),
]


def shown(width: int) -> list[str]:
    out = Console(file=io.StringIO(), width=width, color_system=None)
    out.print(table("Inputs compared", ("", "input", "old", "new"), ROWS, right=("new",)))
    return [line.rstrip() for line in out.file.getvalue().splitlines()]  # type: ignore[attr-defined]  # it is the StringIO above


def test_a_wide_table_has_its_columns_side_by_side() -> None:
    lines = shown(120)
    assert lines[0] == "Inputs compared"
    assert any(line.split() == ["✔", "components.storefront.version", "1.0", "2.0"] for line in lines)


def test_a_narrow_one_is_told_in_paragraphs() -> None:
    assert shown(40) == [
        "Inputs compared",
        "✔ components.storefront.version",
        "  old: 1.0",
        "  new: 2.0",
        "✘ a[b]c",
        "  new: x",
    ]
