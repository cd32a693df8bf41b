"""The manifest that comes with submitted results: what the files do not say. Unstated is not known, and stays so."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from catalog.declarations import Declared
from catalog.errors import DeclarationError
from catalog.shapes import check_shape
from catalog.text_files import read_text
from catalog.yaml_files import parse_yaml
from tasks.intake.format import Assumptions, SubmittedError
from tasks.intake.numbers import SCALE, instant_us, zone_of

UNSTATED = "not stated"

_Text = Annotated[str, Field(min_length=1, max_length=2000)]


class Submitter(Declared):
    """Who submits the results."""

    name: _Text
    organisation: _Text


class StatedComponent(Declared):
    """A component as it was when the results were made."""

    version: str = ""
    artefact: str = ""
    configuration: dict[str, str] = Field(default_factory=dict)
    solution: str = ""


class StatedEnvironment(Declared):
    """Where the results were made."""

    id: str = ""
    kind: str = ""
    size: str = ""


class Tool(Declared):
    """The tool that made them, and how it was started."""

    name: str = ""
    version: str = ""
    options: str = ""


class Window(Declared):
    """When the load that counts was offered: RFC 3339 times with an offset."""

    start: _Text
    end: _Text


class Clock(Declared):
    """The clocks: the zone of times written without one, and what they were held to."""

    timezone: str = ""
    synchronised: str = ""


class Load(Declared):
    """How the load was offered: its constant rate (messages a second, as text), its number of users, its loop."""

    loop: str = ""
    rate: str = ""
    users: int = 0
    warm_up: str = ""


class FileAssumptions(Declared):
    """How the files are to be read where they do not say: see `Assumptions`."""

    timestamp: str = ""
    encoding: str = ""
    value_unit: str = ""
    time_unit: str = ""
    columns: dict[str, str] = Field(default_factory=dict)


class Label(Declared):
    """What a tool's label stands for."""

    srv: _Text
    path: str = ""
    kind: str = "request"
    traffic: str = ""


class Manifest(Declared):
    """What a submitter states of results."""

    test: str = ""
    submitted_by: Submitter
    submitted_at: str = ""
    tool: Tool = Tool()
    components: dict[str, StatedComponent] = Field(default_factory=dict)
    environment: StatedEnvironment = StatedEnvironment()
    window: Window | None = None
    volumes: dict[str, int] = Field(default_factory=dict)
    clock: Clock = Clock()
    load: Load = Load()
    assumptions: FileAssumptions = FileAssumptions()
    labels: dict[str, Label] = Field(default_factory=dict)
    hosts: dict[str, str] = Field(default_factory=dict)
    metrics: dict[str, str] = Field(default_factory=dict)
    notes: str = ""

    def file_assumptions(self) -> Assumptions:
        """What a reader is told."""
        stated = self.assumptions
        return Assumptions(
            timezone=self.clock.timezone,
            timestamp=stated.timestamp,
            encoding=stated.encoding,
            value_unit=stated.value_unit,
            rate=self.load.rate,
            columns=stated.columns,
            time_unit=stated.time_unit,
            started=self.window.start if self.window else "",
        )

    def window_us(self) -> tuple[int, int] | None:
        """Start and end of the stated window, in microseconds since the epoch."""
        if self.window is None:
            return None
        start, end = instant_us(self.window.start), instant_us(self.window.end)
        return (start, end) if start is not None and end is not None else None


def read_manifest(file: Path) -> tuple[Manifest, bytes]:
    """The manifest, and its bytes. Raises DeclarationError with every fault of it, by line and column."""
    text, faults = read_text(file)
    if text is None:
        raise DeclarationError(faults)
    document, faults = parse_yaml(text.file, text.text)
    if document is None or faults:
        raise DeclarationError(faults)
    manifest, faults = check_shape(document, Manifest)
    if manifest is None:
        raise DeclarationError(faults)
    faults = [document.fault(address, "value", message) for address, message in _wrong(manifest)]
    if faults:
        raise DeclarationError(faults)
    return manifest, file.read_bytes()


def _wrong(manifest: Manifest) -> list[tuple[tuple[str | int, ...], str]]:
    """Values that nothing can be made of, each with its place."""
    found: list[tuple[tuple[str | int, ...], str]] = []
    stated = manifest.assumptions
    for name, value, known in (
        ("timestamp", stated.timestamp, ("start", "end")),
        ("value_unit", stated.value_unit, tuple(SCALE)),
        ("time_unit", stated.time_unit, tuple(SCALE)),
    ):
        if value and value not in known:
            found.append((("assumptions", name), f"expected {', '.join(known)}; found '{value[:40]}'"))
    try:
        zone_of(manifest.clock.timezone)
    except KeyError:
        message = f"expected an IANA name, as Europe/London; found '{manifest.clock.timezone[:40]}'"
        found.append((("clock", "timezone"), message))
    if stated.encoding and not _is_encoding(stated.encoding):
        found.append((("assumptions", "encoding"), f"no such encoding: '{stated.encoding[:40]}'"))
    found += _wrong_window(manifest)
    return found


def _wrong_window(manifest: Manifest) -> list[tuple[tuple[str | int, ...], str]]:
    if manifest.window is None:
        return []
    found = manifest.window_us()
    if found is None or found[1] <= found[0]:
        return [(("window",), "expected two RFC 3339 times, as 2020-05-01T09:00:00Z, the end after the start")]
    return []


def _is_encoding(name: str) -> bool:
    import codecs

    try:
        codecs.lookup(name)
    except LookupError:
        return False
    return True


def as_json(manifest: Manifest) -> dict[str, Any]:
    """The manifest as plain data."""
    found: dict[str, Any] = manifest.model_dump(mode="json")
    return found


def refuse_other_test(manifest: Manifest, test: str) -> None:
    """Raises SubmittedError where the manifest is for another test."""
    if manifest.test and manifest.test != test:
        raise SubmittedError(f"the manifest is for {manifest.test!r}, and --test names {test!r}")
