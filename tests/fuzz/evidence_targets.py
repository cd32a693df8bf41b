"""What the fuzzer feeds to whoever reads declarations, evidence, keys, listings of buckets and Prefect's parameters.

Bytes are given as they are, and as a recipe: which parts of something that is in order are replaced by what. So much
comes past the first check that what lies behind it is met too.
"""

import contextlib
import io
import json
import os
import shutil
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import cache, lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

from catalog import anchors, bundle, reading, second_verifier
from catalog.bucket import Bucket, download, pull
from catalog.canonical import canonical, document_digest
from catalog.csv_files import parse_csv
from catalog.errors import DeclarationError, PlimsollError
from catalog.ledger import GENESIS
from catalog.reading import _ROWS, FILES, read_catalogue
from catalog.shapes import check_shape
from catalog.signing import Signer, public_key_of
from catalog.store import disk, parse
from catalog.tree import Head, check_proof, head_of, prove_prefix, prove_record
from catalog.verification import verify
from catalog.workspace import Workspace, newest_reports
from catalog.yaml_files import parse_yaml
from tests.shops import write_shop
from tests.small_evidence import ledger_file, make

ODD: list[Any] = [
    None, True, 0, -1, 1, 2**53, 2**63, 10**30, 0.5, "", " ", "x", "-", "NaN", "1e9", "0" * 64, "f" * 64,
    "..", "../x", "/etc/passwd", "a/b", "\u0000", "\ud800", "\u202e", "é" * 300, "1 h", "1 %", "2026-13-01",
    [], {}, [[]], [{}], {"": ""}, ["x"] * 50, {"a": {"b": {"c": []}}},
]  # fmt: skip
"""What takes the place of what was there."""


class Recipe:
    """Numbers drawn from bytes, 0 once they have all been drawn."""

    def __init__(self, data: bytes) -> None:
        self._data = iter(data)

    def below(self, most: int) -> int:
        """A number below `most`, which is at most 65,536."""
        return (next(self._data, 0) << 8 | next(self._data, 0)) % most if most else 0


def parts(document: Any, address: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The address of every part of a document of mappings and lists but the whole."""
    pairs = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, each in pairs:
        yield (*address, key)
        yield from parts(each, (*address, key))


def _items(document: Any) -> Iterable[tuple[Any, Any]]:
    return document.items() if isinstance(document, dict) else enumerate(document if isinstance(document, list) else ())


def spoil(document: Any, recipe: Recipe) -> None:
    """Does one odd thing to a document: replaces, removes, repeats or exchanges a part of it."""
    known = list(parts(document))
    if not known:
        return
    *above, last = known[recipe.below(len(known))]
    place = document
    for key in above:
        place = place[key]
    match recipe.below(4):
        case 0:
            del place[last]
        case 1 if isinstance(place, list):
            place.append(place[last])
        case 1:
            place[f"{last}x"] = place[last]
        case 2:
            *over, other = known[recipe.below(len(known))]
            taken = document
            for key in over:
                taken = taken[key]
            place[last] = json.loads(json.dumps(taken[other]))
        case _:
            place[last] = json.loads(json.dumps(ODD[recipe.below(len(ODD))]))


# --- declarations -----------------------------------------------------------------------------------------------------

_YAML = list(FILES.items())
_CSV = list(_ROWS.items())


def yaml(data: bytes) -> None:
    """One YAML file, of the kind that the first byte says: text, structure and shape."""
    name, shape = _YAML[(data[0] if data else 0) % len(_YAML)]
    document, _ = parse_yaml(name, data[1:].decode(errors="replace"))
    if document is not None:
        check_shape(document, shape)


def csv(data: bytes) -> None:
    """One CSV file of a catalogue, likewise."""
    name, row = _CSV[(data[0] if data else 0) % len(_CSV)]
    document, _ = parse_csv(name, data[1:].decode(errors="replace"), row)
    if document is not None:
        check_shape(document, tuple[row, ...])


@cache
def _template() -> tuple[Path, dict[str, Any]]:
    folder = Path(mkdtemp(prefix="plimsoll-fuzz-")) / "shop"
    write_shop(folder)
    documents = read_catalogue(folder).documents
    return folder, {name: each.data for name, each in documents.items() if name.endswith(".yaml")}


def _spoiled(data: bytes) -> tuple[str, str]:
    """A file of the template, by name, and its text with one to four odd parts: JSON is YAML too."""
    _, documents = _template()
    recipe = Recipe(data)
    name = sorted(documents)[recipe.below(len(documents))]
    document = json.loads(_plain(documents[name]))
    for _ in range(1 + recipe.below(4)):
        spoil(document, recipe)
    return name, json.dumps(document)


def shapes(data: bytes) -> None:
    """A file that is in order but for one to four odd parts, held against its shape."""
    name, spoiled = _spoiled(data)
    written, _ = parse_yaml(name, spoiled)
    if written is not None:
        check_shape(written, FILES[name])


def catalogue(data: bytes) -> None:
    """A whole catalogue in which one to four parts are odd: read, and compared file with file."""
    folder, _ = _template()
    name, spoiled = _spoiled(data)
    before = (folder / name).read_bytes()
    try:
        (folder / name).write_text(spoiled)
        with contextlib.suppress(DeclarationError):
            read_catalogue(folder)
    finally:
        (folder / name).write_bytes(before)


def remember() -> None:
    """From now on, in this process, files of a catalogue that are as they were are not read anew: it takes long."""
    parsed = lru_cache(maxsize=2 * len(FILES))(parse_yaml)
    shaped: dict[int, tuple[Any, Any]] = {}  # by the document, which is kept, so that no other has its identity

    def held(document: Any, shape: Any) -> Any:
        known = shaped.get(id(document)) or (document, check_shape(document, shape))
        if len(shaped) < len(FILES):  # the template's own, which are read first
            shaped[id(document)] = known
        return known[1]

    reading.parse_yaml, reading.check_shape = parsed, held
    read_catalogue(_template()[0])


def _plain(document: Any) -> str:
    return json.dumps(document, default=str)


# --- evidence ---------------------------------------------------------------------------------------------------------


@cache
def _evidence() -> Path:
    root = Path(mkdtemp(prefix="plimsoll-fuzz-"))
    make(root, "ioc")
    bundle.export(Workspace.open(root / "home"), "ioc", root / "ioc.zip")
    shutil.copytree(root / "home", root / "sound")
    return root


def ledger(data: bytes) -> None:
    """A workspace whose ledger is these bytes."""
    _read_with(data)


def records(data: bytes) -> None:
    """A workspace whose records are in order but for one to three odd parts; the chain is made anew over them."""
    recipe = Recipe(data)
    lines = [json.loads(line) for line in ledger_file(_evidence() / "sound").read_bytes().splitlines()]
    for _ in range(1 + recipe.below(3)):
        spoil(lines, recipe)
    try:
        whole = b"".join(_chained(lines))
    except (ValueError, TypeError, AttributeError):  # what is no canonical JSON is in no ledger
        return
    _read_with(whole)


def _chained(lines: list[Any]) -> Iterator[bytes]:
    previous = GENESIS
    for line in lines:
        document = {key: each for key, each in line.items() if key != "digest"} | {"previous": previous}
        previous = document_digest(document)
        yield canonical(document | {"digest": previous}) + b"\n"


def _read_with(data: bytes) -> None:
    """Verifies, reads and proves the small workspace with another ledger, by both verifiers."""
    home = _evidence() / "home"
    ledger_file(home).write_bytes(data)
    verify(home)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        second_verifier.main([str(home)])
    workspace = Workspace.open(home)
    with contextlib.suppress(PlimsollError):
        known = workspace.ledger.records()
        workspace.withdrawals()
        workspace.runs()
        newest_reports(workspace)
        if known:
            prove_record(known, data.split(b"\n")[0])
    with contextlib.suppress(PlimsollError), TemporaryDirectory() as folder:
        bundle.export(workspace, "ioc", Path(folder) / "ioc.zip")


def bundles(data: bytes) -> None:
    """A bundle of these bytes; of a recipe's where they are no ZIP: members renamed, repeated, removed or altered."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        file, inside = folder / "given.zip", folder / "inside"
        file.write_bytes(data if data[:2] == b"PK" else _packed(Recipe(data)))
        inside.mkdir()
        with contextlib.suppress(PlimsollError):
            verify(bundle.unpack(file, inside))
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
            second_verifier.main([str(file)])
        assert sorted(each.name for each in folder.iterdir()) == ["given.zip", "inside"]


def _packed(recipe: Recipe) -> bytes:
    with zipfile.ZipFile(_evidence() / "ioc.zip") as archive:
        members = [(each.filename, archive.read(each)) for each in archive.infolist()]
    for _ in range(1 + recipe.below(3)):
        place = recipe.below(len(members))
        name, held = members[place]
        match recipe.below(5):
            case 0:
                del members[place]
            case 1:
                members.append((name, held))
            case 2:
                members[place] = (str(ODD[recipe.below(len(ODD))]) + "/" * recipe.below(2), held)
            case 3:
                members[place] = (members[recipe.below(len(members))][0], held)
            case _:
                at = recipe.below(len(held))
                members[place] = (name, held[:at] + bytes([recipe.below(256)]) + held[at + 1 :])
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names that stand twice are the point
        for name, held in members:
            with contextlib.suppress(UnicodeEncodeError):
                archive.writestr(name.partition("\0")[0] or "x", held)
    return out.getvalue()


def keys(data: bytes) -> None:
    """Private and public keys, heads, proofs, and what time-stamping authorities answer."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "key.pem"
        file.write_bytes(data)
        with contextlib.suppress(PlimsollError):
            Signer.open(file, outside=Path(folder) / "home")
    text = data.decode(errors="replace")
    head = Head.parse(text) or Head(size=3, root="0" * 64)
    with contextlib.suppress(PlimsollError):
        public_key_of(text)
    with contextlib.suppress(PlimsollError):
        anchors.authorities(data)
    with contextlib.suppress(PlimsollError):
        anchors.anchored(data, ())
    with contextlib.suppress(PlimsollError, ValueError):
        check_proof(parse(data), head)


def proofs(data: bytes) -> None:
    """Proofs that are in order but for an odd part."""
    recipe = Recipe(data)
    proof = json.loads(json.dumps(_proofs()[recipe.below(2)]))
    for _ in range(1 + recipe.below(2)):
        spoil(proof, recipe)
    with contextlib.suppress(PlimsollError):
        check_proof(proof, _head())


@cache
def _head() -> Head:
    return head_of(Workspace.open(_evidence() / "sound").ledger.records())


@cache
def _proofs() -> list[Any]:
    known = Workspace.open(_evidence() / "sound").ledger.records()
    line = ledger_file(_evidence() / "sound").read_bytes().splitlines()[4]
    return [prove_record(known, line), prove_prefix(known, head_of(known[:3]))]


class _Listed(Bucket):
    """A bucket that lists whatever it is told to, and answers with little."""

    def __init__(self, listed: dict[str, int]) -> None:
        self.url, self._listed = "s3://fuzz/x", listed

    def names(self, folder: str = "") -> dict[str, int]:
        return {name: size for name, size in self._listed.items() if name.startswith(folder)}

    def read(self, name: str) -> bytes | None:
        return b"{}" if self._listed.get(name, 0) % 3 else None

    def fetch(self, targets: Any) -> Iterator[str]:
        for name, target in targets.items():
            with disk(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(name.encode(errors="replace"))
            yield name


def listing(data: bytes) -> None:
    """What a bucket lists, a name a line: nothing is written outside of the folder that is copied to."""
    listed = {line: len(line) for line in data.decode(errors="replace").split("\n")[:50] if line}
    for copy in (pull, download):
        with TemporaryDirectory() as name:
            folder = Path(name) / "a" / "home"
            folder.mkdir(parents=True)
            with contextlib.suppress(PlimsollError):
                copy(_Listed(listed), folder, _tell)
            assert [each.name for each in Path(name).iterdir()] == ["a"]
            assert [each.name for each in folder.parent.iterdir()] == ["home"]


def _tell(*_: int) -> None:
    return


# --- parameters -------------------------------------------------------------------------------------------------------

_PARAMETERS = {
    "phase": "pilot", "catalog": "shop", "home": "home", "environment": "", "types": ["load"], "tests": ["*.load"],
    "again": {"pilot.orders.load": "why"}, "occasion": "", "execute": True, "sample_reliance": "0.5:7",
}  # fmt: skip


def parameters(data: bytes) -> None:
    """A flow's parameters as a deployment is given them: refused in words, or fit for what follows."""
    os.environ["PREFECT_LOGGING_LEVEL"] = "CRITICAL"  # it would log every refusal
    from prefect.exceptions import ParameterTypeError

    from flows.capability_phase import capability_phase
    from flows.desk import find_environment, find_phase, is_asked_for, occasion_of
    from tasks.sampling import parse as share

    recipe = Recipe(data)
    given = dict(json.loads(json.dumps(_PARAMETERS)))
    for _ in range(1 + recipe.below(3)):
        spoil(given, recipe)
    try:
        known = capability_phase.validate_parameters({name: given[name] for name in given if name in _PARAMETERS})
    except ParameterTypeError:
        return
    programme = _programme()
    for step in (
        lambda: find_phase(programme, known["phase"]),
        lambda: find_environment(programme, known.get("environment", "")),
        lambda: [is_asked_for("pilot.orders.load", [each]) for each in known.get("tests") or []],
        lambda: occasion_of(programme, known.get("occasion", "")),
        lambda: share(known.get("sample_reliance", "")),
    ):
        with contextlib.suppress(PlimsollError):
            step()


@cache
def _programme() -> Any:
    return read_catalogue(_template()[0]).programme


TARGETS: dict[str, Callable[[bytes], None]] = {
    each.__name__: each
    for each in (yaml, csv, shapes, catalogue, ledger, records, bundles, keys, proofs, listing, parameters)
}


def seeds(target: str) -> list[bytes]:
    """What a target's corpus begins with."""
    folder = _template()[0]
    match target:
        case "yaml":
            files = [(at, folder / name) for at, (name, _) in enumerate(_YAML)]
            return [bytes([at]) + file.read_bytes() for at, file in files if file.exists()]
        case "csv":
            smets1 = Path(__file__).parents[2] / "catalog" / "smets1"
            named = ("forecasts.csv", "srv-register.csv", "migration-plans.csv", "observed-volumes.csv")
            known = {at: smets1 / name for at, name in enumerate(named)}
            return [bytes([at]) + file.read_bytes()[:20_000] for at, file in known.items() if file.exists()] + [
                b"\0" + (folder / "forecasts.csv").read_bytes()
            ]
        case "ledger":
            return [ledger_file(_evidence() / "sound").read_bytes()]
        case "bundles":
            return [(_evidence() / "ioc.zip").read_bytes(), *_RECIPES]
        case "keys":
            pem = (_evidence() / "key.pem").read_bytes()
            signer = Signer.open(_evidence() / "key.pem", outside=_evidence() / "home")
            proofs = [json.dumps(each).encode() for each in _proofs()]
            return [pem, signer.public_key.encode(), str(_head()).encode(), *proofs]
        case "listing":
            home = _evidence() / "home"
            return ["\n".join(str(each.relative_to(home)) for each in home.rglob("*") if each.is_file()).encode()]
        case _:
            return list(_RECIPES)


_RECIPES = [bytes([0, at, 0, 7 * at, 0, at % 4, 1, 13 * at % 256] * 6) for at in range(12)]
