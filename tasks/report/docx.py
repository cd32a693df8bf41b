"""The completion report as a Word document, for boards that annotate: made of the same blocks as the PDF.

The same report gives the same bytes. Needs the extra `docx`. Texts are set as runs, never as fields or
markup; charts are pictures with their description.
"""

import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from catalog.errors import UsageError
from tasks.report.blocks import Block, Run, read_blocks
from tasks.report.paper_tables import SMALL, laid_out
from tasks.report.pdf import PAPER, prepared, staying, together
from tasks.report.svg import FONT, FONTS

_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can tell
_COLOURS = {
    "good": "1A6336", "bad": "9C1F18", "open": "6F4500", "standing": "6F4500", "small": "4A5866", "none": "4A5866",
    "code": "4A5866", "ref": "4A5866", "agreed": "4A5866", "number": "0B5C8F",
}  # fmt: skip
_SIGNS = {"good": "✓ ", "bad": "✗ ", "open": "? "}
_INK, _MUTED, _LINE, _STAMP, _BOX = "1B2733", "4A5866", "D5DCE2", "FFD479", "FFFAF0"
_BOLD = frozenset({"strong", "end", "good", "bad", "open", "tile"})
_TEXT, _SMALL, _TILE = 9.5, 8.0, 20.0
_HEADINGS = (20.0, 14.0, 11.0, 10.0)
_TYPE = (8.0, 7.5, 7.0, 6.5, 5.5)
"""Sizes in points: of a text, of what is said beside it, of the counts at the top, of headings, of tables."""

_NAMES_WIDTH = 96.0
"""Points from the margin to what a name stands for, in a list of names and what they stand for."""

_WHITE = '<rect width="100%" height="100%" fill="#fff"/>'
"""The ground of a picture: what is clear comes out grey in some programs."""

_GROUND = (("rFonts", {"ascii": "Calibri", "hAnsi": "Calibri", "cs": "Calibri"}), ("lang", {"val": "en-GB"}))


def docx_of(page: str, report: Mapping[str, Any]) -> bytes:
    """The document of a page that was rendered of a report."""
    try:
        import docx
    except ImportError:
        remedy = "Install it: pip install 'plimsoll[docx]', or take --format pdf."
        raise UsageError("a Word document needs python-docx, which is not installed", remedy=remedy) from None
    made = docx.Document()
    _set_up(made, report)
    _Writer(made).write(staying(list(together(read_blocks(page)))))
    raw = io.BytesIO()
    made.save(raw)
    return _timeless(raw.getvalue())


def _set_up(made: Any, report: Mapping[str, Any]) -> None:
    from docx.shared import Mm

    identity, properties = report["identity"], made.core_properties
    title = f"{'REHEARSAL · ' if report['stamp'] else ''}Completion report, {identity['phase']['title']}"
    properties.title, properties.author = title[:255], identity["programme"]["operator"][:255]
    properties.language, properties.comments = "en-GB", ""
    properties.created = properties.modified = datetime(*_TIME)  # noqa: DTZ001 - Word's times have no zone
    _set_styles(made.styles)
    section = made.sections[0]
    section.page_width, section.page_height = Mm(210), Mm(297)
    section.left_margin = section.right_margin = Mm(16)
    section.top_margin = section.bottom_margin = Mm(20)
    section.header_distance = section.footer_distance = Mm(8)
    if report["stamp"]:
        _stamp(section.header.paragraphs[0], report["stamp"]["text"])
    head = identity["ledger"]["head"][:12]
    said = f"{identity['programme']['title']} · {identity['phase']['title']} · ledger {head}"
    _foot(section.footer.paragraphs[0], said)


def _set_styles(styles: Any) -> None:
    from docx.shared import Pt, RGBColor

    defaults = styles.element.find(f"{{{_W}}}docDefaults/{{{_W}}}rPrDefault/{{{_W}}}rPr")
    for name, values in _GROUND:
        defaults.replace(defaults.find(f"{{{_W}}}{name}"), _element(name, **values))
    styles["Footer"].paragraph_format.tab_stops.clear_all()
    normal = styles["Normal"]
    normal.font.name, normal.font.size = "Calibri", Pt(_TEXT)
    normal.paragraph_format.space_after, normal.paragraph_format.line_spacing = Pt(4), 1.05
    for level, size in enumerate(_HEADINGS, 1):
        style = styles[f"Heading {level}"]
        style.font.name, style.font.size, style.font.italic = "Calibri", Pt(size), False
        style.font.color.rgb = RGBColor.from_string(_INK)
        fonts = style.element.rPr.find(f"{{{_W}}}rFonts")
        for theme in [each for each in fonts.attrib if each.endswith("Theme")]:
            del fonts.attrib[theme]  # the theme's font would go before the one that is named
        style.paragraph_format.space_before, style.paragraph_format.space_after = Pt(0.9 * size), Pt(4)


def _stamp(paragraph: Any, text: str) -> None:
    _shade(paragraph, _STAMP)
    for part, is_bold in (("REHEARSAL  ", True), (text, False)):
        paragraph._p.append(_run({"text": part, "looks": ["strong"] if is_bold else []}, size=_SMALL))  # noqa: SLF001 - has no API


def _foot(paragraph: Any, said: str) -> None:
    """What a document says at the foot of each page, with the page's number: the only fields that a document has."""
    from docx.enum.text import WD_TAB_ALIGNMENT
    from docx.shared import Pt

    paragraph.paragraph_format.tab_stops.add_tab_stop(Pt(PAPER), WD_TAB_ALIGNMENT.RIGHT)
    for part in (f"{said}\tpage ", "PAGE", " of ", "NUMPAGES"):
        run = _run({"text": "1" if part.isupper() else part, "looks": ["small"]}, size=_SMALL)
        if part.isupper():
            field = _element("fldSimple", instr=part)
            field.append(run)
            run = field
        paragraph._p.append(run)  # noqa: SLF001 - has no API


class _Writer:
    """Writes blocks into a document, in order."""

    def __init__(self, made: Any) -> None:
        self._made = made

    def write(self, blocks: Iterable[Block], *, boxed: bool = False) -> None:
        for block in blocks:
            match block["kind"]:
                case "heading":
                    _say(self._made.add_heading("", min(block["level"], 4)), block["runs"])
                case "paragraph":
                    self._paragraph(block, boxed=boxed)
                case "list":
                    self._list(block, boxed=boxed)
                case "pairs":
                    self._pairs(block)
                case "table":
                    self._table(block)
                case "chart":
                    _draw(self._made.add_paragraph(), prepared(block))
                case "charts":
                    self._charts(prepared(block)["items"])
                case "box":
                    self.write(block["blocks"], boxed=block["look"] == "box")

    def _paragraph(self, block: Block, *, boxed: bool = False) -> None:
        paragraph, look = self._made.add_paragraph(), block["look"]
        leads = look in ("caption", "summary")
        size = {"headline": 14.0, "lead": 12.0, "small": _SMALL, "programme": _SMALL}.get(look, 0.0)
        _say(paragraph, block["runs"], size=size, bold=look in ("caption", "headline"))
        paragraph.paragraph_format.keep_with_next = True if leads or block["stays"] else None
        if look == "summary":
            from docx.shared import Pt

            paragraph.paragraph_format.space_before = Pt(9)
        if boxed:
            _shade(paragraph)

    def _list(self, block: Block, *, boxed: bool) -> None:
        if block["look"] == "tiles":
            paragraph = self._made.add_paragraph()
            for item in block["items"]:
                _say(paragraph, [*item, {"text": "        ", "looks": []}])
            return
        for item in block["items"]:
            paragraph = self._made.add_paragraph(style="List Bullet")
            paragraph.paragraph_format.space_after = 0
            _say(paragraph, item)
            if boxed:
                _shade(paragraph)

    def _pairs(self, block: Block) -> None:
        """Names and what they stand for: figures of a run in one paragraph, others one below the other."""
        from docx.shared import Pt

        if block["look"] == "figures":
            paragraph = self._made.add_paragraph()
            for name, value in block["rows"]:
                _say(paragraph, [*name, {"text": "\u00a0", "looks": []}], size=_SMALL)
                _say(paragraph, [*value, {"text": "    ", "looks": []}], bold=True)
            return
        for name, value in block["rows"]:
            paragraph = self._made.add_paragraph()
            form = paragraph.paragraph_format
            form.left_indent, form.first_line_indent, form.space_after = Pt(_NAMES_WIDTH), Pt(-_NAMES_WIDTH), Pt(2)
            form.tab_stops.add_tab_stop(Pt(_NAMES_WIDTH))
            _say(paragraph, [{**run, "looks": [*run["looks"], "small"]} for run in name])
            _say(paragraph, [{"text": "\t", "looks": []}, *value])

    def _table(self, block: Block) -> None:
        """A table whose head is repeated on each page that it comes to, and whose rows are cut on none."""
        layout = laid_out(block, PAPER, _TYPE)
        made = _grid(layout.widths)
        for number, row in enumerate([block["head"], *block["rows"]]):
            made.append(_row(row, layout.widths, layout.size, is_head=not number))
        body = self._made.element.body
        body.insert(len(body) - 1, made)  # the last are the section's properties
        self._after()

    def _charts(self, items: Sequence[Sequence[Block]]) -> None:
        """Charts two beside each other, each under its caption."""
        table = self._made.add_table(rows=0, cols=2)
        for first in range(0, len(items), 2):
            row = table.add_row()
            row._tr.get_or_add_trPr().append(_element("cantSplit"))  # noqa: SLF001 - has no API
            for cell, blocks in zip(row.cells, items[first : first + 2], strict=False):
                caption, chart = cell.paragraphs[0], cell.add_paragraph()
                for block in blocks[:-1]:
                    _say(caption, block["runs"], bold=True)
                _draw(chart, blocks[-1])
        self._after()

    def _after(self) -> None:
        """A narrow line, without which Word would join two tables."""
        from docx.shared import Pt

        form = self._made.add_paragraph().paragraph_format
        form.space_after, form.line_spacing = Pt(0), Pt(6)


# --- what python-docx has no words for, or says slowly ----------------------------------------------------------------

_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def _element(name: str, **values: object) -> Any:
    from docx.oxml import OxmlElement

    made = OxmlElement(f"w:{name}")
    for key, value in values.items():
        made.set(f"{{{_W}}}{key}", str(value))
    return made


def _grid(widths: Sequence[float]) -> Any:
    table, properties, grid = _element("tbl"), _element("tblPr"), _element("tblGrid")
    borders, margins = _element("tblBorders"), _element("tblCellMar")
    for side in ("bottom", "insideH"):
        borders.append(_element(side, val="single", sz=4, space=0, color=_LINE))
    for side in ("left", "right"):
        margins.append(_element(side, w=_twips(2.5), type="dxa"))
    properties.extend(
        [_element("tblW", w=_twips(sum(widths)), type="dxa"), borders, _element("tblLayout", type="fixed"), margins]
    )
    grid.extend([_element("gridCol", w=_twips(width)) for width in widths])
    table.extend([properties, grid])
    return table


def _row(cells: Sequence[Block], widths: Sequence[float], size: float, *, is_head: bool) -> Any:
    row, properties = _element("tr"), _element("trPr")
    properties.append(_element("cantSplit"))
    if is_head:
        properties.append(_element("tblHeader"))
    row.append(properties)
    for cell, width in zip(cells, widths, strict=True):
        row.append(_cell(cell, width, size, is_head=is_head))
    return row


def _cell(cell: Block, width: float, size: float, *, is_head: bool) -> Any:
    made, properties = _element("tc"), _element("tcPr")
    properties.append(_element("tcW", w=_twips(width), type="dxa"))
    if is_head:
        borders = _element("tcBorders")
        borders.append(_element("bottom", val="single", sz=8, space=0, color=_INK))
        properties.append(borders)
    paragraph, form = _element("p"), _element("pPr")
    if is_head:
        form.append(_element("keepNext"))
    form.append(_element("spacing", before=20, after=20, line=240, lineRule="auto"))
    if cell["number"]:
        form.append(_element("jc", val="right"))
    paragraph.append(form)
    for run in cell["runs"]:
        paragraph.append(_run(run, size=size, bold=cell["header"], muted=is_head))
    made.extend([properties, paragraph])
    return made


def _twips(points: float) -> int:
    return round(20 * points)


def _say(paragraph: Any, runs: Iterable[Run], *, size: float = 0.0, bold: bool = False) -> None:
    for run in runs:
        paragraph._p.append(_run(run, size=size, bold=bold))  # noqa: SLF001 - a run with its looks at once


def _run(run: Run, *, size: float = 0.0, bold: bool = False, muted: bool = False) -> Any:
    """A run, never a field nor markup, with the looks that it has on the page. `size` in points, nought as it comes."""
    made = _element("r")
    if run["text"] == "\n":
        made.append(_element("br"))
        return made
    form, looks = _element("rPr"), set(run["looks"])
    is_small = bool(looks & SMALL)
    if (bold and not is_small) or looks & _BOLD:
        form.append(_element("b"))
    if looks & {"em", "none"}:
        form.append(_element("i"))
    coloured = next((_COLOURS[look] for look in reversed(run["looks"]) if look in _COLOURS), _MUTED if muted else "")
    if coloured:
        form.append(_element("color", val=coloured))
    sized = _TILE if "tile" in looks else 0.9 * size if is_small and size < _SMALL else size
    if sized:
        form.append(_element("sz", val=round(2 * sized)))
    made.append(form)
    _write(made, "".join(_SIGNS.get(look, "") for look in run["looks"]) + run["text"])
    return made


def _write(made: Any, text: str) -> None:
    for place, part in enumerate(text.split("\t")):
        if place:
            made.append(_element("tab"))
        told = _element("t")
        told.text = part
        told.set("{http://www.w3.org/XML/1998/namespace}space", "preserve")
        made.append(told)


def _shade(paragraph: Any, colour: str = _BOX) -> None:
    """Gives a paragraph a ground; what comes after that in a paragraph's properties stays after it."""
    form = paragraph._p.get_or_add_pPr()  # noqa: SLF001 - has no API
    form.insert_element_before(_element("shd", val="clear", fill=colour), "w:tabs", "w:spacing", "w:ind", "w:jc")


def _draw(paragraph: Any, block: Block) -> None:
    import vl_convert
    from docx.shared import Pt

    vl_convert.register_font_directory(str(FONTS))
    head, drawn = block["svg"].replace("<svg ", f'<svg font-family="{FONT}" ', 1).split(">", 1)
    image = vl_convert.svg_to_png(f"{head}>{_WHITE}{drawn}", scale=2)
    picture = paragraph.add_run().add_picture(io.BytesIO(image), width=Pt(block["width"]))
    picture._inline.docPr.set("descr", block["alt"])  # noqa: SLF001 - python-docx has no API for the description


def _timeless(data: bytes) -> bytes:
    """The package with its members in order and without the time of writing."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as read, zipfile.ZipFile(out, "w") as written:
        for name in sorted(read.namelist(), key=lambda name: (name != "[Content_Types].xml", name)):
            member = zipfile.ZipInfo(name, date_time=_TIME)
            member.compress_type, member.create_system = zipfile.ZIP_DEFLATED, 3
            written.writestr(member, read.read(name))
    return out.getvalue()
