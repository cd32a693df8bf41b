"""The completion report as a tagged PDF (PDF/UA-1), set by Typst from the blocks of its page; the same bytes each time.

Texts reach Typst as data, never as markup. Nothing is fetched: fonts are those that are shipped.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tasks.report.blocks import Block, read_blocks
from tasks.report.paper_tables import laid_out
from tasks.report.svg import FONTS, in_itself

_TEMPLATE = Path(__file__).parent / "templates" / "report.typ"
PAPER = 498.0
"""The width of a sheet between its margins, in points, less what a box takes."""

_HALF = 232.0
"""That of a chart which stands beside another."""

_LONG = 600
"""Characters of a cell that may be cut in two where a sheet ends."""

_POINTS = 0.62
"""Points on paper to a pixel of a chart."""

_WIDTH = re.compile(r'width="([0-9.]+)"')


def pdf_of(page: str, report: Mapping[str, Any]) -> bytes:
    """The PDF of a page that was rendered of a report."""
    blocks = list(staying(list(together(read_blocks(page)))))
    identity = report["identity"]
    head = identity["ledger"]["head"][:12]
    document = {
        "title": f"{'REHEARSAL · ' if report['stamp'] else ''}Completion report, {identity['phase']['title']}",
        "author": identity["programme"]["operator"],
        "description": f"{report['report']} of {identity['programme']['title']}",
        "stamp": report["stamp"]["text"] if report["stamp"] else "",
        "footer": f"{identity['programme']['title']} · {identity['phase']['title']} · ledger {head}",
        "blocks": [prepared(block) for block in blocks],
        "anchors": dict.fromkeys(_anchors(blocks), True),
    }
    text = json.dumps(document, ensure_ascii=False)
    return _compiled(_TEMPLATE, report=_printable(text))


def _compiled(source: Path, **inputs: str) -> bytes:
    import typst

    made = typst.compile(
        source,
        font_paths=[FONTS],
        ignore_system_fonts=True,
        format="pdf",
        pdf_standards=["ua-1"],
        timestamp=0,
        sys_inputs=inputs,
    )
    return bytes(made)


_MOST_PROBED = 400


def _printable(text: str) -> str:
    """The text with characters that no font here has shown by their number: a tagged PDF may not lack a glyph."""
    unusual = sorted({each for each in text if not each.isascii()})
    missing: dict[str, str | int | None] = {each: f"⟨U+{ord(each):04X}⟩" for each in unusual[_MOST_PROBED:]}
    missing |= {each: f"⟨U+{ord(each):04X}⟩" for each in unusual[:_MOST_PROBED] if not _has_glyph(each)}
    return text.translate(str.maketrans(missing)) if missing else text


@cache
def _has_glyph(character: str) -> bool:
    import typst

    try:
        _compiled(_TEMPLATE.with_name("probe.typ"), text=character)
    except typst.TypstError:
        return False
    return True


def together(blocks: Sequence[Block]) -> Iterator[Block]:
    """The blocks with charts of one width side by side, each under its caption."""
    waiting: list[list[Block]] = []
    caption: list[Block] = []
    for block in blocks:
        if block["kind"] == "paragraph" and block["look"] == "caption":
            caption = [block]
        elif block["kind"] == "chart" and caption and _width(block) <= 460:
            waiting.append([*caption, block])
            caption = []
        else:
            if waiting:
                yield {"kind": "charts", "items": waiting}
                waiting = []
            yield from caption
            caption = []
            yield block
    if waiting:
        yield {"kind": "charts", "items": waiting}
    yield from caption


def staying(blocks: Sequence[Block], *, within: bool = False) -> Iterator[Block]:
    """The blocks, each sentence between a heading and what it leads to marked: it stays with that on one sheet.

    `within` a box: its first sentence is its heading.
    """
    is_led, level = within, 0
    for block, after in zip(blocks, [*blocks[1:], {"kind": ""}], strict=True):
        is_sentence = block["kind"] == "paragraph"
        is_led = block["kind"] == "heading" or (is_led and is_sentence)
        level = block.get("level", level)
        leads_to = after["kind"] not in ("", "heading") or after.get("level", 0) > level > 0
        inner = {"blocks": list(staying(block["blocks"], within=True))} if "blocks" in block else {}
        yield {**block, **inner, "stays": is_led and is_sentence and leads_to}


def prepared(block: Block) -> Block:
    """A block with what the template cannot tell by itself: layouts of tables, and charts with their own looks."""
    match block["kind"]:
        case "chart":
            return {**block, "svg": in_itself(block["svg"]), "width": min(_POINTS * _width(block), PAPER)}
        case "charts":
            return {**block, "items": [[_narrow(prepared(each)) for each in item] for item in block["items"]]}
        case "box":
            return {**block, "blocks": [prepared(each) for each in block["blocks"]]}
        case "table":
            layout = laid_out(block, PAPER)
            rows = [[{**_unlinked(cell), "whole": _is_short(row)} for cell in row] for row in block["rows"]]
            return {**block, "size": layout.size, "widths": layout.widths, "rows": rows}
        case _:
            return block


def _narrow(block: Block) -> Block:
    """A chart no wider than half a sheet."""
    return {**block, "width": min(block["width"], _HALF)} if block["kind"] == "chart" else block


def _is_short(row: Sequence[Block]) -> bool:
    """Whether a row fits on any sheet, so that it need not be cut in two."""
    return all(sum(len(run["text"]) for run in cell["runs"]) < _LONG for cell in row)


def _unlinked(cell: Block) -> Block:
    """A cell of numbers without its links, of which there are thousands; the page has them."""
    return {**cell, "runs": [{**run, "to": ""} for run in cell["runs"]]} if cell["number"] else cell


def _width(block: Block) -> float:
    found = _WIDTH.search(block["svg"])
    return float(found[1]) if found else 460.0


def _anchors(blocks: Sequence[Block]) -> Iterator[str]:
    for block in blocks:
        if block.get("id"):
            yield block["id"]
        yield from _anchors(block.get("blocks", ()))
        for row in block.get("rows", ()) if block["kind"] == "table" else ():
            yield from (cell["id"] for cell in row if cell["id"])
