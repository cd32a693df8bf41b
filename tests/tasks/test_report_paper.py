"""The report on paper: a tagged PDF and a Word document that say what the page says; hostile texts stay texts."""

import io
import json
import re
import zipfile
from typing import Any

import docx
import pytest
from jsonschema import Draft202012Validator
from pypdf import PdfReader
from report_samples import HOSTILE, WORDS, hostile_report, usual_report, words_of

from catalog.declarations import Programme
from catalog.reading import Catalogue
from tasks.report.blocks import read_blocks
from tasks.report.docx import docx_of
from tasks.report.model import SCHEMA, Report, schema_text
from tasks.report.pdf import PAPER, pdf_of, prepared, staying, together
from tasks.report.plain_text import LONGEST, harmless_text
from tasks.report.render import render_report
from tasks.volumes.sheets import Column, Sheet, csv_text

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


@pytest.fixture(scope="module")
def programme(template: Catalogue) -> Programme:
    return template.programme


@pytest.fixture(scope="module")
def report(programme: Programme) -> dict[str, Any]:
    return usual_report(programme)


@pytest.fixture(scope="module")
def page(report: dict[str, Any]) -> str:
    return render_report(report)


@pytest.fixture(scope="module")
def pdf(report: dict[str, Any], page: str) -> bytes:
    return pdf_of(page, report)


@pytest.fixture(scope="module")
def document(report: dict[str, Any], page: str) -> bytes:
    return docx_of(page, report)


@pytest.fixture(scope="module")
def hostile(programme: Programme) -> dict[str, Any]:
    return hostile_report(programme)


@pytest.fixture(scope="module")
def hostile_page(hostile: dict[str, Any]) -> str:
    return render_report(hostile)


def plain(text: str) -> str:
    """Words only: a line break or a ligature of a document is not the reader's."""
    return re.sub(r"\s+", "", text)


def told(page: str) -> list[str]:
    """Every heading, paragraph and cell of a page, as words."""
    found: list[str] = []

    def walk(blocks: list[dict[str, Any]]) -> None:
        for block in blocks:
            walk(block.get("blocks", []))
            cells = [*block.get("head", ()), *(cell for row in block.get("rows", ()) for cell in row)]
            if block["kind"] == "table":
                found.extend("".join(run["text"] for run in cell["runs"]) for cell in cells)
            elif "runs" in block:
                found.append("".join(run["text"] for run in block["runs"]))

    walk(read_blocks(page))
    return [plain(each) for each in found if plain(each)]


# --- the twin ---------------------------------------------------------------------------------------------------------


def test_the_published_schema_is_the_models() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == schema_text(), "python -m tasks.report.model writes it anew"


def test_the_twin_is_held_to_its_schema(report: dict[str, Any], hostile: dict[str, Any]) -> None:
    validator = Draft202012Validator(json.loads(schema_text()))
    for each in (report, hostile):
        Report.model_validate(each)
    assert list(validator.iter_errors(report)) == []
    assert list(validator.iter_errors({**report, "unheard-of": 1}))
    assert list(validator.iter_errors({**report, "outcome": {**report["outcome"], "headline": 1.5}}))


def test_words_and_numbers_are_those_that_were_agreed(page: str) -> None:
    """Rule versions are raised by hand: whoever changes what a report says, changes this file with it."""
    assert words_of(page).splitlines() == WORDS.read_text(encoding="utf-8").splitlines()


# --- PDF --------------------------------------------------------------------------------------------------------------


def test_the_pdf_is_tagged_titled_and_in_a_language(pdf: bytes) -> None:
    read = PdfReader(io.BytesIO(pdf))
    root = read.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"] is True or root["/MarkInfo"]["/Marked"] == True  # noqa: E712 - pypdf's own boolean
    assert root["/Lang"] == "en-GB"
    assert root["/StructTreeRoot"]
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]
    assert read.metadata is not None
    assert str(read.metadata.title).startswith("REHEARSAL · Completion report")
    assert b"pdfuaid" in read.trailer["/Root"]["/Metadata"].get_data()


def test_every_picture_of_the_pdf_says_what_it_shows(pdf: bytes, report: dict[str, Any]) -> None:
    alts = set()

    def walk(element: Any) -> None:
        element = element.get_object()
        if isinstance(element, list):
            for each in element:
                walk(each)
        elif isinstance(element, dict):
            if "/Alt" in element:
                alts.add(str(element["/Alt"]))
            if "/K" in element:
                walk(element["/K"])

    walk(PdfReader(io.BytesIO(pdf)).trailer["/Root"]["/StructTreeRoot"]["/K"])
    panels = [*report["by_component"], *report["behaviour"]]
    assert {panel["series"]["alt"] for panel in panels} | {report["heat_map"]["alt"]} <= alts


def test_every_sheet_of_a_rehearsal_says_so(pdf: bytes, report: dict[str, Any]) -> None:
    pages = [plain(page.extract_text()) for page in PdfReader(io.BytesIO(pdf)).pages]
    assert len(pages) > 5
    assert all("REHEARSAL" in page and plain(report["stamp"]["text"]) in page for page in pages)
    assert f"page{len(pages)}of{len(pages)}" in pages[-1]


def test_no_heading_stands_alone_at_the_foot_of_a_sheet(report: dict[str, Any], page: str) -> None:
    """Wherever a sheet happens to end: headings stand at forty different heights, each before a table or charts."""
    figure = re.search(r"<figure>.*?</figure>", page, re.DOTALL)
    assert figure
    table = "<table><thead><tr><th>a<tbody>" + "<tr><td>b<br>b<br>b<br>b<br>b<br>b</td></tr>" * 2 + "</table>"
    groups = (
        f"{'<p>filler</p>' * (number % 7)}<h3>Heading {number}</h3><p class='small'>Sentence {number}.</p>"
        f"{table if number % 2 else 2 * figure[0]}"
        for number in range(40)
    )
    sheets = PdfReader(io.BytesIO(pdf_of(f"<main><h1>A</h1><h2>B</h2>{''.join(groups)}</main>", report))).pages
    last = []
    for sheet in sheets:
        lines = [plain(line) for line in sheet.extract_text().splitlines() if plain(line)]
        last.append([line for line in lines if "·ledger" not in line and not line.startswith("page")][-1])
    assert len(last) > 8
    assert [line for line in last if line.startswith(("Heading", "Sentence"))] == []


def test_what_leads_to_a_table_stays_with_it() -> None:
    said = "<p>Only told.</p>"
    items = f"<ul><li>a</li></ul>{said}<ul><li>b</li></ul>"
    page = f"<main><h2>One</h2>{said}<h3>Two</h3>{said}<h3>Three</h3>{said}{items}</main>"
    marked = [block["stays"] for block in staying(read_blocks(page)) if block["kind"] == "paragraph"]
    assert marked == [True, False, True, False]
    boxed = "<main><div class='run'><p>Run 1</p><table><thead><tr><th>a<tbody><tr><td>1</table></div></main>"
    assert [block["stays"] for block in next(staying(read_blocks(boxed)))["blocks"]] == [True, False]


def test_two_charts_fit_beside_each_other(page: str) -> None:
    pairs = [prepared(block) for block in together(read_blocks(page)) if block["kind"] == "charts"]
    widths = [block["width"] for pair in pairs for item in pair["items"] for block in item if block["kind"] == "chart"]
    assert len(widths) > 6
    assert all(0 < 2 * width + 17 <= PAPER for width in widths)  # 6 mm between the two


def test_a_real_environment_is_not_stamped(report: dict[str, Any]) -> None:
    real = {**report, "stamp": None, "behaviour": [], "by_component": []}
    text = "".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf_of(render_report(real), real))).pages)
    assert "REHEARSAL" not in text


def test_the_pdf_says_what_the_page_says(pdf: bytes, page: str) -> None:
    text = plain("".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages))
    signs = str.maketrans("", "", "✓✗?")
    missing = [each for each in told(page) if len(each) <= 60 and each.translate(signs) not in text.translate(signs)]
    assert len(missing) <= len(told(page)) // 50, missing[:5]  # what a new sheet or a narrow column cuts in two


def test_the_same_page_gives_the_same_pdf(pdf: bytes, report: dict[str, Any], page: str) -> None:
    assert pdf_of(page, json.loads(json.dumps(report))) == pdf


def test_paper_knows_every_element_of_the_page() -> None:
    with pytest.raises(ValueError, match="element video"):
        read_blocks("<main><video></video></main>")
    with pytest.raises(ValueError, match="no main part"):
        read_blocks("<p>nothing</p>")


# --- DOCX -------------------------------------------------------------------------------------------------------------


def test_the_document_says_what_the_page_says_and_always_the_same(
    document: bytes, report: dict[str, Any], page: str
) -> None:
    assert docx_of(page, report) == document
    read = docx.Document(io.BytesIO(document))
    text = plain("".join([*(paragraph.text for paragraph in read.paragraphs), *_cells(read)]))
    signs = str.maketrans("", "", "✓✗?")
    assert [each for each in told(page) if each.translate(signs) not in text.translate(signs)] == []
    assert "REHEARSAL" in read.sections[0].header.paragraphs[0].text
    described = re.findall(r'descr="([^"]+)"', zipfile.ZipFile(io.BytesIO(document)).read("word/document.xml").decode())
    drawn = 1 + len(report["behaviour"]) + len(report["by_component"])
    assert len(described) == drawn + len(report["volumes"]["phases"]) + len(report["volumes"]["model"]["figures"])
    times = {member.date_time for member in zipfile.ZipFile(io.BytesIO(document)).infolist()}
    assert times == {(1980, 1, 1, 0, 0, 0)}


def test_tables_of_the_document_fit_and_repeat_their_heads(document: bytes) -> None:
    read = docx.Document(io.BytesIO(document))
    section = read.sections[0]
    room = (section.page_width - section.left_margin - section.right_margin) / 635  # in twentieths of a point
    tables = [table._tbl for table in read.tables if table._tbl.find(".//{*}tblHeader") is not None]
    assert len(tables) > 20
    for table in tables:
        widths = [int(column.get(f"{{{W}}}w")) for column in table.find("{*}tblGrid")]
        rows = table.findall("{*}tr")
        assert len({len(row.findall("{*}tc")) for row in rows} | {len(widths)}) == 1
        assert sum(widths) <= room + 2 * len(widths)
        assert [row.find(".//{*}tblHeader") is not None for row in rows] == [True] + [False] * (len(rows) - 1)
        assert all(row.find(".//{*}cantSplit") is not None for row in rows)
    assert any(
        max(each) > 3 * min(each) for each in ([int(c.get(f"{{{W}}}w")) for c in t.find("{*}tblGrid")] for t in tables)
    )


def test_every_page_of_the_document_is_stamped_and_numbered(document: bytes, report: dict[str, Any]) -> None:
    made = zipfile.ZipFile(io.BytesIO(document))
    heads = {name: made.read(name).decode() for name in made.namelist() if re.match(r"word/header\d+\.xml", name)}
    feet = {name: made.read(name).decode() for name in made.namelist() if re.match(r"word/footer\d+\.xml", name)}
    body = made.read("word/document.xml").decode()
    assert len(heads) == len(feet) == 1
    assert (
        body.count("<w:sectPr") == body.count("headerReference") == 1
    )  # one section, whose head is that of every page
    assert "titlePg" not in body
    assert report["stamp"]["text"] in next(iter(heads.values()))
    assert all(f'w:instr="{field}"' in next(iter(feet.values())) for field in ("PAGE", "NUMPAGES"))


def test_properties_of_the_document_stand_in_the_order_that_its_schema_has(report: dict[str, Any], page: str) -> None:
    """ECMA-376 part 1, 17.3.1.26 and 17.3.2.28: a reader may refuse what stands in another order."""
    orders = {"pPr": ("pStyle", "keepNext", "keepLines", "shd", "tabs", "spacing", "ind", "jc"),
              "rPr": ("rFonts", "b", "i", "color", "sz", "lang")}  # fmt: skip
    read = docx.Document(io.BytesIO(docx_of(page, report)))
    parts = (read.element, read.sections[0].header._element, read.sections[0].footer._element, read.styles.element)
    for name, order in orders.items():
        for form in (each for part in parts for each in part.iter(f"{{{W}}}{name}")):
            places = [order.index(tag) for each in form if (tag := each.tag.rpartition("}")[2]) in order]
            assert places == sorted(places)


def _cells(read: Any) -> list[str]:
    """The text of every cell, read from the rows' own elements: python-docx looks each cell up anew."""
    return [
        "".join(text.text or "" for text in cell.iter("{*}t"))
        for table in read.tables
        for cell in table._tbl.iter("{*}tc")
    ]


# --- hostile texts ----------------------------------------------------------------------------------------------------


def test_hostile_texts_are_texts_on_the_page(hostile_page: str) -> None:
    assert "<script" not in hostile_page
    assert "<img" not in hostile_page
    assert not set(hostile_page) & {"\x00", "\x07", "\x1b", "\u202e", "\u202c"}
    assert "⟨U+202E⟩001 evil⟨U+202C⟩" in hostile_page
    assert "{{ 7*7 }}" in hostile_page
    assert "100,000 characters, SHA-256" in hostile_page
    assert len(hostile_page) < 2_000_000


def test_hostile_texts_are_texts_in_the_pdf(hostile_page: str, hostile: dict[str, Any]) -> None:
    read = PdfReader(io.BytesIO(pdf_of(hostile_page, hostile)))
    text = plain("".join(page.extract_text() for page in read.pages))
    assert plain('#eval("1+1")') in text
    assert plain("⟨U+202E⟩001") in text
    assert plain("⟨U+6F22⟩") in text  # no font here has it: its number tells what it was
    assert "/JavaScript" not in read.trailer["/Root"]
    uris = [
        note for page in read.pages for note in page.get("/Annots", ()) if "/URI" in str(note.get_object().get("/A"))
    ]
    assert uris == []


def test_hostile_texts_are_texts_in_the_document(hostile_page: str, hostile: dict[str, Any]) -> None:
    made = zipfile.ZipFile(io.BytesIO(docx_of(hostile_page, hostile)))
    body = made.read("word/document.xml").decode()
    assert "<w:instrText" not in body
    assert "<w:fldSimple" not in body
    assert "=HYPERLINK(" in body
    assert "example.invalid" not in made.read("word/_rels/document.xml.rels").decode()


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_shown_is_printable_and_of_bounded_length(text: str) -> None:
    shown = harmless_text(text)
    assert shown.isprintable()
    assert len(shown) < LONGEST + 200
    assert harmless_text(shown) == shown


@pytest.mark.parametrize("text", ["=1+1", "+1+2", "-1+2", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_formula_is_no_formula_in_csv(text: str) -> None:
    columns = (Column(key="what", heading="what"), Column(key="count", heading="count", unit="count"))
    sheet = Sheet(name="s", title="s", note="", key=("what",), columns=columns, rows=[{"what": text, "count": -5}])
    row = csv_text(sheet).split("\r\n", 1)[1]
    assert row.lstrip('"').startswith("'")
    assert row.rstrip("\r\n").endswith(",-5")
