"""The completion report as a Word document, for boards that annotate: made of the same blocks as the PDF.

The same report gives the same bytes. Needs the extra `docx`. Texts are set as runs, never as fields or
markup; charts are pictures with their description.
"""

import io
import zipfile
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from catalog.errors import UsageError
from tasks.report.blocks import Block, Run, read_blocks
from tasks.report.pdf import prepared
from tasks.report.svg import FONT, FONTS

_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can tell
_COLOURS = {
    "good": "1A6336", "bad": "9C1F18", "open": "6F4500", "standing": "6F4500", "small": "4A5866", "none": "4A5866",
    "code": "4A5866", "ref": "4A5866", "agreed": "4A5866", "number": "0B5C8F",
}  # fmt: skip
_SIGNS = {"good": "✓ ", "bad": "✗ ", "open": "? "}


def docx_of(page: str, report: Mapping[str, Any]) -> bytes:
    """The document of a page that was rendered of a report."""
    try:
        import docx
    except ImportError:
        remedy = "Install it: pip install 'plimsoll[docx]', or take --format pdf."
        raise UsageError("a Word document needs python-docx, which is not installed", remedy=remedy) from None
    made = docx.Document()
    _set_up(made, report)
    _Writer(made).write(read_blocks(page))
    raw = io.BytesIO()
    made.save(raw)
    return _timeless(raw.getvalue())


def _set_up(made: Any, report: Mapping[str, Any]) -> None:
    from docx.shared import Mm, Pt, RGBColor

    identity, properties = report["identity"], made.core_properties
    properties.title = f"{'REHEARSAL · ' if report['stamp'] else ''}Completion report, {identity['phase']['title']}"[
        :255
    ]
    properties.author = identity["programme"]["operator"][:255]
    properties.language, properties.comments = "en-GB", ""
    properties.created = properties.modified = datetime(*_TIME)  # noqa: DTZ001 - Word's times have no zone
    normal = made.styles["Normal"]
    normal.font.name, normal.font.size = "Calibri", Pt(9.5)
    section = made.sections[0]
    section.page_width, section.page_height = Mm(210), Mm(297)
    section.left_margin = section.right_margin = Mm(16)
    if report["stamp"]:
        run = section.header.paragraphs[0].add_run(f"REHEARSAL  {report['stamp']['text']}")
        run.bold, run.font.size, run.font.color.rgb = True, Pt(8), RGBColor.from_string("8A5A00")
    head = identity["ledger"]["head"][:12]
    section.footer.paragraphs[
        0
    ].text = f"{identity['programme']['title']} · {identity['phase']['title']} · ledger {head}"


class _Writer:
    """Writes blocks into a document, in order."""

    def __init__(self, made: Any) -> None:
        self._made = made

    def write(self, blocks: Iterable[Block]) -> None:
        for block in blocks:
            match block["kind"]:
                case "heading":
                    self._runs(self._made.add_heading("", min(block["level"], 4)), block["runs"])
                case "paragraph":
                    self._paragraph(block)
                case "list":
                    for item in block["items"]:
                        self._runs(self._made.add_paragraph(style="List Bullet"), item)
                case "pairs":
                    for name, value in block["rows"]:
                        paragraph = self._made.add_paragraph()
                        self._runs(paragraph, name)
                        paragraph.add_run(": ")
                        self._runs(paragraph, value)
                case "table":
                    self._table(block)
                case "chart":
                    self._chart(prepared(block))
                case "box":
                    self.write(block["blocks"])

    def _paragraph(self, block: Block) -> None:
        paragraph = self._made.add_paragraph()
        self._runs(paragraph, block["runs"])
        for run in paragraph.runs:
            run.bold = run.bold or block["look"] in ("caption", "summary", "headline")

    def _table(self, block: Block) -> None:
        from docx.enum.text import WD_ALIGN_PARAGRAPH
        from docx.oxml.ns import qn
        from docx.shared import Pt

        table = self._made.add_table(rows=0, cols=len(block["head"]), style="Light Grid Accent 1")
        for number, row in enumerate([block["head"], *block["rows"]]):
            placed = table.add_row()
            if not number:
                placed._tr.get_or_add_trPr().append(placed._tr.makeelement(qn("w:tblHeader"), {}))  # noqa: SLF001 - has no API
            for place, cell in zip(placed.cells, row, strict=True):
                paragraph = place.paragraphs[0]
                self._runs(paragraph, cell["runs"])
                if cell["number"]:
                    paragraph.alignment = WD_ALIGN_PARAGRAPH.RIGHT
                for run in paragraph.runs:
                    run.font.size = Pt(7.5)

    def _chart(self, block: Block) -> None:
        import vl_convert
        from docx.shared import Mm

        vl_convert.register_font_directory(str(FONTS))
        image = vl_convert.svg_to_png(block["svg"].replace("<svg ", f'<svg font-family="{FONT}" ', 1), scale=2)
        picture = self._made.add_picture(io.BytesIO(image), width=Mm(min(178, block["width"] * 0.26)))
        picture._inline.docPr.set("descr", block["alt"])  # noqa: SLF001 - python-docx has no API for the description

    def _runs(self, paragraph: Any, runs: Iterable[Run]) -> None:
        from docx.shared import RGBColor

        for run in runs:
            if run["text"] == "\n":
                paragraph.add_run().add_break()
                continue
            sign = "".join(_SIGNS.get(look, "") for look in run["looks"])
            added = paragraph.add_run(sign + run["text"])
            added.bold = bool({"strong", "end", "good", "bad", "open", "tile"} & set(run["looks"])) or None
            added.italic = bool({"em", "none"} & set(run["looks"])) or None
            if colour := next((_COLOURS[look] for look in reversed(run["looks"]) if look in _COLOURS), None):
                added.font.color.rgb = RGBColor.from_string(colour)


def _timeless(data: bytes) -> bytes:
    """The package with its members in order and without the time of writing."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as read, zipfile.ZipFile(out, "w") as written:
        for name in sorted(read.namelist(), key=lambda name: (name != "[Content_Types].xml", name)):
            member = zipfile.ZipInfo(name, date_time=_TIME)
            member.compress_type, member.create_system = zipfile.ZIP_DEFLATED, 3
            written.writestr(member, read.read(name))
    return out.getvalue()
