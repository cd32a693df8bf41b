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
from tasks.report.svg import FONTS, in_itself

_TEMPLATE = Path(__file__).parent / "templates" / "report.typ"
_WIDTH = re.compile(r'width="([0-9.]+)"')


def pdf_of(page: str, report: Mapping[str, Any]) -> bytes:
    """The PDF of a page that was rendered of a report."""
    blocks = list(together(read_blocks(page)))
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


def prepared(block: Block) -> Block:
    """A block with what the template cannot tell by itself: widths of columns, and charts with their own looks."""
    match block["kind"]:
        case "chart":
            return {**block, "svg": in_itself(block["svg"]), "width": _width(block)}
        case "charts":
            return {**block, "items": [[prepared(each) for each in item] for item in block["items"]]}
        case "box":
            return {**block, "blocks": [prepared(each) for each in block["blocks"]]}
        case "table":
            return {
                **block,
                "widths": _widths(block),
                "rows": [[_unlinked(cell) for cell in row] for row in block["rows"]],
            }
        case _:
            return block


def _unlinked(cell: Block) -> Block:
    """A cell of numbers without its links, of which there are thousands; the page has them."""
    return {**cell, "runs": [{**run, "to": ""} for run in cell["runs"]]} if cell["number"] else cell


def _widths(block: Block) -> list[int]:
    """Shares of the width for columns of text, by what they hold; nought for numbers: as wide as they are."""
    found = []
    for place, head in enumerate(block["head"]):
        lengths = [_length(row[place]) for row in block["rows"]] or [0]
        longest = max(*lengths, 0)
        average = sum(lengths) / len(lengths)
        fits = round(min(longest, 40) * 3 / 4)  # of a column that is mostly empty: else its words break
        found.append(0 if head["number"] or longest <= 16 else max(fits, min(60, round(average + longest / 8))))
    return found if any(found) else [1] * len(found)


def _length(cell: Block) -> int:
    return max(map(len, "".join(run["text"] for run in cell["runs"]).split("\n")))


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
