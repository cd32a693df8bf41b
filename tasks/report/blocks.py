"""Reads a page of the report back as blocks: headings, paragraphs, lists, tables and charts, in reading order.

The page is the one statement of what a report says and in which words; documents on paper (`pdf`, `docx`) are made of
these blocks, so they cannot say anything else. Our own pages only: a tag that is not known here is a ValueError.

A block is plain JSON: `{"kind": "heading", "level", "id", "runs"}`, `{"kind": "paragraph", "look", "runs"}`,
`{"kind": "list", "items": [runs]}`, `{"kind": "pairs", "rows": [[runs, runs]]}`, `{"kind": "table", "label",
"head": [cell], "rows": [[cell]]}` with cells `{"runs", "number", "header", "id"}`, `{"kind": "chart", "svg", "alt"}`
and `{"kind": "box", "look", "id", "blocks"}`. A run is `{"text", "looks": […], "to": anchor or ""}`; a
line break is a run of "\\n".
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

Block = dict[str, Any]
Run = dict[str, Any]

_VOID = frozenset({"meta", "link", "br", "path", "rect", "line", "use", "circle"})
_OPTIONAL = {"td": {"td", "th"}, "th": {"td", "th"}, "tr": {"td", "th", "tr"}, "tbody": {"td", "th", "tr", "thead"},
             "dt": {"dt", "dd"}, "dd": {"dt", "dd"}}  # fmt: skip
"""Tags that may be left open, closed by the next of these."""

_INLINE = frozenset({"a", "b", "span", "strong", "em", "code", "small", "br"})
_LOOKS = {"strong": "strong", "em": "em", "code": "code", "small": "small"}
_CLASSES = (
    "good",
    "bad",
    "open",
    "plain",
    "good-sign",
    "standing",
    "small",
    "none",
    "code",
    "agreed",
    "end",
    "ref",
    "number",
)
_LEFT_OUT = frozenset({"nav", "head", "aside"})
_SPACE = re.compile(r"[ \t\n]+")


@dataclass(slots=True)
class _Node:
    tag: str
    attributes: dict[str, str]
    children: "list[_Node | str]" = field(default_factory=list)

    @property
    def classes(self) -> list[str]:
        return self.attributes.get("class", "").split()

    def all(self, *tags: str) -> "Iterator[_Node]":
        """Every element of these tags below, in order."""
        for child in self.children:
            if isinstance(child, _Node):
                if child.tag in tags:
                    yield child
                else:
                    yield from child.all(*tags)


class _Reader(HTMLParser):
    """The page as a tree; the source of each SVG is kept whole."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.top = _Node("page", {})
        self._open = [self.top]
        self._drawn: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._drawn or tag == "svg":
            self._drawn.append(self.get_starttag_text() or "")
        if self._drawn and tag != "svg":
            return
        closing = _OPTIONAL.get(tag, set())
        while self._open[-1].tag in closing:
            self._open.pop()
        node = _Node(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(node)
        if tag not in _VOID:
            self._open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._drawn:
            self._drawn.append(self.get_starttag_text() or "")
        else:
            self._open[-1].children.append(_Node(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if self._drawn:
            self._drawn.append(f"</{tag}>")
            if tag == "svg":
                self._open.pop().children.append("".join(self._drawn))
                self._drawn = []
            return
        while self._open[-1].tag != tag and self._open[-1].tag in _OPTIONAL:
            self._open.pop()
        if self._open.pop().tag != tag:
            raise ValueError(f"the page closes {tag}, which is not open")

    def handle_data(self, data: str) -> None:
        if self._drawn:
            self._drawn.append(data.replace("&", "&amp;").replace("<", "&lt;"))
        else:
            self._open[-1].children.append(data)


def read_blocks(page: str) -> list[Block]:
    """The blocks of a page's main part, without the numbers behind its charts. ValueError for no page of ours."""
    top = _Reader(page).top
    main = next(top.all("main"), None)
    if main is None:
        raise ValueError("the page has no main part")
    return list(_blocks(main.children))


def _blocks(children: "Iterable[_Node | str]") -> Iterator[Block]:
    loose: list[_Node | str] = []
    for child in children:
        if isinstance(child, str) or child.tag in _INLINE:
            loose.append(child)
            continue
        yield from _paragraph(loose)
        loose = []
        yield from _block(child)
    yield from _paragraph(loose)


def _paragraph(loose: "list[_Node | str]", look: str = "") -> Iterator[Block]:
    if found := runs(loose):
        yield {"kind": "paragraph", "look": look, "runs": found}


def _block(node: _Node) -> Iterator[Block]:  # noqa: C901 - one case for each element
    match node.tag:
        case "section" | "header" | "figure":
            yield from _blocks(node.children)
        case "div" if "chart" in node.classes:
            svg = next(node.all("svg"))
            yield {"kind": "chart", "alt": node.attributes["aria-label"], "svg": str(svg.children[-1])}
        case "div" if {"box", "run"} & set(node.classes):
            look = "box" if "box" in node.classes else "run"
            yield {"kind": "box", "look": look, "id": "", "blocks": list(_blocks(node.children))}
        case "div":
            yield from _blocks(node.children)
        case "h1" | "h2" | "h3" | "h4":
            level, name = int(node.tag[1]), node.attributes.get("id", "")
            yield {"kind": "heading", "level": level, "id": name, "runs": runs(node.children)}
        case "p" | "figcaption":
            look = "caption" if node.tag == "figcaption" else next(iter(node.classes), "")
            yield from _paragraph(node.children, look)
        case "ul" | "ol":
            look = "tiles" if "tiles" in node.classes else ""
            yield {"kind": "list", "look": look, "items": [runs(item.children) for item in node.all("li")]}
        case "dl":
            yield {"kind": "pairs", "look": next(iter(node.classes), ""), "rows": list(_pairs(node))}
        case "table":
            yield _table(node)
        case "details" if "data" in node.classes:
            return
        case "details":
            yield {"kind": "box", "look": "details", "id": node.attributes.get("id", ""),
                   "blocks": list(_blocks(node.children))}  # fmt: skip
        case "summary":
            yield from _paragraph(node.children, "summary")
        case tag if tag in _LEFT_OUT:
            return
        case other:
            raise ValueError(f"paper does not know the element {other}")


def _pairs(node: _Node) -> Iterator[list[list[Run]]]:
    name: list[Run] = []
    for each in node.all("dt", "dd"):
        if each.tag == "dt":
            name = runs(each.children)
        else:
            yield [name, runs(each.children)]


def _table(node: _Node) -> Block:
    head, body = next(node.all("thead")), next(node.all("tbody"))
    columns = [_cell(cell) for row in head.all("tr") for cell in row.all("th")]
    rows = [
        [_cell(cell, row.attributes.get("id", "")) for cell in row.all("td", "th")]
        for row in body.all("tr")
    ]  # fmt: skip
    for row in rows:
        for place, cell in enumerate(row):
            if place and "stages" in node.classes:
                cell["runs"] = _beneath(cell["runs"])
            cell["id"] = cell["id"] if not place else ""
            cell["number"] = cell["number"] or columns[place]["number"]
    return {"kind": "table", "look": next(iter(node.classes), ""), "head": columns, "rows": rows}


def _beneath(found: list[Run]) -> list[Run]:
    """A cell's runs, what stands below its first line said small, as the style sheet of pages has it."""
    first = next((place for place, run in enumerate(found) if run["text"] == "\n"), len(found))
    return found[:first] + [{**run, "looks": [*run["looks"], "small"]} for run in found[first:]]


def _cell(node: _Node, name: str = "") -> Block:
    return {"runs": runs(node.children), "number": "num" in node.classes, "header": node.tag == "th", "id": name}


def runs(children: "Iterable[_Node | str]") -> list[Run]:
    """The text of inline elements as runs, spaces folded as a browser does, empty when there is only space."""
    found: list[Run] = []
    for text, looks, to in _texts(children, (), ""):
        folded = text if text == "\n" else _SPACE.sub(" ", text)
        if folded != "\n" and (not found or found[-1]["text"].endswith((" ", "\n"))):
            folded = folded.lstrip(" ")
        if not folded:
            continue
        if (
            found
            and (found[-1]["looks"], found[-1]["to"]) == (list(looks), to)
            and "\n" not in (folded, found[-1]["text"])
        ):
            found[-1]["text"] += folded
        else:
            found.append({"text": folded, "looks": list(looks), "to": to})
    while found and not found[-1]["text"].strip():
        found.pop()
    if found:
        found[-1]["text"] = found[-1]["text"].rstrip()
    return found


def _texts(
    children: "Iterable[_Node | str]", looks: tuple[str, ...], to: str
) -> Iterator[tuple[str, tuple[str, ...], str]]:
    for child in children:
        if isinstance(child, str):
            yield child, looks, to
        elif child.tag == "br":
            yield "\n", (), ""
        elif child.tag in _INLINE or child.tag in ("p", "div"):
            own = tuple(name for name in child.classes if name in _CLASSES)
            more = (_LOOKS[child.tag],) if child.tag in _LOOKS else ()
            link = child.attributes.get("href", "") if child.tag == "a" else ""
            if "risk" in child.classes:
                yield "\n", (), ""
            if "tile-number" in child.classes:
                more = ("tile",)
            yield from _texts(child.children, (*looks, *more, *own), link.rpartition("#")[2] if link else to)
        else:
            raise ValueError(f"paper does not know the element {child.tag} within a line")
