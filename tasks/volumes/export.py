"""The volume model as files: every table as CSV, Markdown and Parquet, every figure as SVG, the whole as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from catalog.canonical import canonical
from catalog.store import disk, make_directory, write_durably
from tasks.volumes.figures import figure_tables
from tasks.volumes.model import Volume
from tasks.volumes.sheets import Sheet, csv_text, markdown


def export(folder: Path, model: Mapping[str, Any], made: Sequence[Sheet], rows: Sequence[Volume]) -> list[Path]:
    """Writes the files into `folder`, which is made where there is none; returns them.

    A file of the same name is replaced, whole or not at all. Raises WorldError where the disk refuses.
    """
    written = []
    with disk(folder):
        make_directory(folder)
        for name, data in files(model, made, rows).items():
            write_durably(folder / name, data)
            written.append(folder / name)
    return written


def files(model: Mapping[str, Any], made: Sequence[Sheet], rows: Sequence[Volume]) -> dict[str, bytes]:
    """Every file by name: the same model gives the same bytes."""
    from tasks.parquet import frame, plain_bytes, table_bytes
    from tasks.report.volume_charts import standalone

    columns = {field.name: [getattr(row, field.name) for row in rows] for field in fields(Volume)}
    found = {"model.json": canonical(dict(model)), "volumes.parquet": table_bytes("volumes", frame("volumes", columns))}
    for sheet in made:
        found[f"{sheet.name}.csv"] = csv_text(sheet).encode()
        found[f"{sheet.name}.parquet"] = plain_bytes(
            {column.key: [row.get(column.key) for row in sheet.rows] for column in sheet.columns}
        )
    title = (
        f"# Volume model of {model['phase']}\n\nThe busiest day: {model['day']['weekday']} {model['day']['date']}.\n"
    )
    found["model.md"] = "\n".join([title, *map(markdown, made)]).encode()
    found |= {f"figure-{figure.name}.svg": standalone(figure).encode() for figure in figure_tables(model)}
    return found
