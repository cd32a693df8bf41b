"""The page of lineage as one file: it opens from disk, asks for nothing, and the same evidence gives the same bytes.

Style, script and document stand in it. Its content security policy forbids every request, and lets nothing run but the
script that has the digest it states: text from a declaration can be neither markup nor code here.
"""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from catalog.canonical import digest
from catalog.inspection.document import FORMAT, lineage_page
from catalog.ledger import Record
from catalog.store import disk, make_directory, parse, write_durably
from catalog.workspace import Workspace, newest_reports, occasion_of

PAGE = "lineage.html"
_HERE = Path(__file__).parent
_DOCUMENT = re.compile(rb'(?<=<script type="application/json" id="document">)[^<]*(?=</script>)')


def render_page(document: dict[str, Any]) -> bytes:
    """The page with this document (`catalog.inspection.document`)."""
    before, after = _shell()
    text = json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))  # canonical, and fast
    return before + text.encode().replace(b"<", rb"\u003c") + after


@cache
def _shell() -> tuple[bytes, bytes]:
    """The page before and after its document."""
    css, js = ((_HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    text = (_HERE / "page.html").read_text(encoding="utf-8")
    for name, part in {"{style}": csp_hash(css), "{script}": csp_hash(js), "{css}": css, "{js}": js}.items():
        head, _, tail = text.partition(name)
        text = head + part + tail
    before, _, after = text.partition("{document}")
    return before.encode(), after.encode()


def csp_hash(text: str) -> str:
    """The SHA-256 by which a content-security policy allows a style or script, in base64."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def shell_digest() -> str:
    """The digest of the page without a document: a report's record states it, so that the page can be held to it."""
    return digest(b"".join(_shell()))


def page_of(workspace: Workspace, records: Sequence[Record], phase: str, *, bundle: bool) -> bytes:
    """The page beside the report of `phase`, made from these records (a ledger's, or its beginning)."""
    known = newest_reports(workspace, records)
    last = known[phase][0].sequence if bundle and phase in known else records[-1].sequence
    reports = {name: each for name, each in known.items() if each[0].sequence <= last}
    return render_page(lineage_page(records, reports, phase, bundle=bundle))


def publish_page(workspace: Workspace, reported: Record) -> Path:
    """Writes the page beside the report that `reported` records, from the ledger as it is now; returns its file."""
    phase = str(occasion_of(reported))
    file = workspace.reports / phase / PAGE
    data = page_of(workspace, workspace.ledger.records(), phase, bundle=False)
    with disk(file):
        make_directory(file.parent)
        write_durably(file, data)
    if workspace.bucket:
        workspace.bucket.replace(f"reports/{phase}/{PAGE}", data)
    return file


def page_fault(data: bytes, workspace: Workspace, records: Sequence[Record], phase: str, *, bundle: bool) -> str:
    """What is wrong with a page that lies beside the report of `phase`; empty when it is what the evidence makes it.

    Its document is made again from the ledger as it was at the head that it states. What stands around that must be
    this version's, or what a report in this ledger stated.
    """
    found = _DOCUMENT.search(data)
    if found is None:
        return "altered: it holds no document"
    shells = {shell_digest(), *(str(record.parameters.get("page")) for record in records)}
    if digest(data[: found.start()] + data[found.end() :]) not in shells:
        return "altered: what stands around its document is neither this version's nor any that a report stated"
    try:
        document = parse(found[0])
    except ValueError:
        return "altered: its document is none"
    head = document.get("head") if isinstance(document, dict) else None
    sequence = next((record.sequence for record in records if f"{record.sequence}:{record.digest}" == head), 0)
    if not sequence:
        return f"was made at {str(head)[:80]!r}, which is no record of this ledger"
    if document.get("format") != FORMAT:  # what it says cannot be checked, so it is not believed
        return f"is of format {document.get('format')!r}, and this version knows format {FORMAT}: make it again"
    made = page_of(workspace, records[:sequence], phase, bundle=bundle)
    again = _DOCUMENT.search(made)
    return "" if again and again[0] == found[0] else "altered: it is not what the evidence makes it"
