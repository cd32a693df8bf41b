"""Checks a bundle, or a workspace, of Plimsoll's evidence without Plimsoll: needs Python 3.11 and `cryptography` alone.

    python3 verify.py BUNDLE.zip|FOLDER [--head SIZE:ROOT] [--key KEY]...

It checks names, digests, the ledger's chain, heads (RFC 6962), signatures, keys replaced, revoked or compromised, the
reports, and that figures lead to measurements, those to results, runs to volumes and a plan. `--head`: of an earlier
bundle; `--key`: a public key, or its SHA-256. 4 tells of faults. README.md, lineage, anchors are not checked.
"""

import argparse
import hashlib
import json
import re
import zipfile
from collections import defaultdict
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

DIGEST, PART = re.compile("[0-9a-f]{64}"), r"\w[^/\\:\x00-\x1f\x7f]*"
LEDGER, OBJECT = re.compile(r"ledger/([0-9]{12})\.jsonl"), re.compile(r"objects/([0-9a-f]{2})/([0-9a-f]{62})")
REPORT = re.compile(rf"reports/({PART})/(report\.json|report(?:-[a-z]+(?:-[0-9]+)?)?\.html)")
CATALOGUE = re.compile(rf"catalogue(/{PART})+")
SAID = rf"plimsoll\.json|bundle\.json|README\.md|lineage\.json|reports/{PART}/lineage\.html|verify\.py"
BELONGS = re.compile("|".join([SAID, *(each.pattern for each in (LEDGER, OBJECT, REPORT, CATALOGUE))]))
OWN = re.compile(r"(?!objects/|ledger/).+|ledger/(lock|torn/.+)|objects/incoming/.+", re.DOTALL)
PURPOSES = {"sign": "plimsoll ledger head", "countersign": "plimsoll countersignature"}
PURPOSES |= {"rotate": "plimsoll key succession", "revoke": "plimsoll key revocation"}
RUNS, GROUND = ("executed", "received"), ("executed", "received", "relied", "derived", "declared")
FIGURES, OBSERVED = {"measurement": "measure", "observation": "observe"}, {"measurements": "measure", "run": "run"}
MALFORMED = (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, InvalidSignature)


def canonical(value: Any) -> bytes:
    """RFC 8785, of what has no floats. Raises ValueError for what has."""
    if isinstance(value, dict):
        members = sorted(value.items(), key=lambda item: item[0].encode("utf-16-be"))
        return b"{" + b",".join(canonical(name) + b":" + canonical(item) for name, item in members) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(canonical, value)) + b"]"
    _require(not isinstance(value, float), "a float")
    return json.dumps(value, ensure_ascii=False).encode()


def heads(digests: list[str]) -> list[str]:
    """The heads `SIZE:ROOT` of the trees over none, one, two … of the records with these digests."""
    whole, found = list[bytes](), ["0:" + _sha256(b"").hex()]
    for size, name in enumerate(digests, 1):
        whole.append(_sha256(b"\x00" + bytes.fromhex(name)))
        for _ in range((size & -size).bit_length() - 1):
            whole[-2:] = [_sha256(b"\x01" + whole[-2] + whole[-1])]
        found.append(f"{size}:" + reduce(lambda right, left: _sha256(b"\x01" + left + right), reversed(whole)).hex())
    return found


def _require(holds: object, what: str) -> None:
    if not holds:
        raise ValueError(what)


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _print(key: str) -> str:
    return _sha256(bytes.fromhex(key)).hex()


class Verifier:
    """What was read and found: `files` open each file by its name; `digests` are of their bytes."""

    def __init__(self, path: Path, given: set[str]) -> None:
        self.path, self.given, self.announced, self.vouched = path, given, set[str](), dict[str, int]()
        self.faults, self.notes, self.records = list[str](), list[str](), list[Any]()
        self.files, self.ended, self.before = dict[str, Callable[[], Any]](), dict[str, str](), dict[str, str]()

    def run(self, head: str | None) -> None:
        """Checks everything; a container that is not safe to read is not read."""
        (self._list_folder if self.path.is_dir() else self._list_members)()
        if self.faults:
            return
        self.digests = {name: hashlib.file_digest(file(), "sha256").hexdigest() for name, file in self.files.items()}
        self.bundle: Any = json.loads(self.files["bundle.json"]().read()) if "bundle.json" in self.files else {}
        self._read_ledger()
        self.heads = heads([r.digest for r in self.records])
        self.place = {name: r.sequence for r in self.records for name in (r.digest, f"{r.sequence}:{r.digest}")}
        self.place |= {name: size for size, name in enumerate(self.heads) if size}
        said = [r.parameters.get("statement", {}) for r in self.records]
        self.lost = {each["revoked"]: each["since"] for each in said if "since" in each}
        for r in (r for r in self.records if r.kind in ("key", "signed") or "signature" in r.parameters):
            self._attempt(r.label, self._check_signature, r) if r.stage != "anchor" else None
        for step in (self._check_files, self._check_objects, self._check_trust, self._check_evidence):
            self._attempt(str(self.path), step)
        self._tell(head and head not in self.place, f"ledger: it was cut short or replaced: {head} is none of it")
        self.notes += [] if head else ["freshness not proven: give a head that you saved before with --head"]

    def _tell(self, wrong: object, what: str) -> None:
        self.faults += [what] * bool(wrong)

    def _attempt(self, where: str, step: Callable[..., None], *arguments: Any) -> None:
        try:
            step(*arguments)
        except MALFORMED as error:
            self.faults.append(f"{where}: {str(error) or 'its signature is not the one of its key over its statement'}")

    def _list_folder(self) -> None:
        for path in sorted(self.path.rglob("*")):
            name = path.relative_to(self.path).as_posix()
            if path.is_file() and not path.is_symlink():
                self.files[name] = lambda path=path: path.open("rb")  # type: ignore[misc]  # mypy knows no lambda with a default
            elif path.is_symlink() or not path.is_dir():
                self.faults.append(f"{name}: does not belong here: no plain file")

    def _list_members(self) -> None:
        archive, seen = zipfile.ZipFile(self.path), set[str]()
        for member in archive.infolist():
            name, kind = member.filename, member.external_attr >> 28
            packed = member.compress_type or member.file_size != member.compress_size or member.flag_bits & 1
            strange = not BELONGS.fullmatch(name) or member.orig_filename != name
            self._tell(strange, f"{name}: does not belong here: no file of a bundle has that name")
            self._tell(name.casefold() in seen, f"{name}: does not belong here: it stands there twice")
            self._tell(kind not in (0, 8), f"{name}: does not belong here: no plain file")
            self._tell(packed, f"{name}: does not belong here: it is compressed or encrypted")
            seen.add(name.casefold())
            self.files[name] = lambda member=member: archive.open(member)  # type: ignore[misc]  # likewise
        claimed = sum(member.file_size for member in archive.infolist())
        self._tell(claimed > self.path.stat().st_size, f"{self.path}: claims {claimed} bytes, more than it has")

    def _read_ledger(self) -> None:
        self.due, self.previous = 1, "0" * 64
        for name in sorted(filter(LEDGER.fullmatch, self.files)):
            *lines, torn = self.files[name]().read().split(b"\n")
            self._tell(lines and int(name[7:19]) != self.due, f"{name}: record {self.due} is due, and not its name's")
            for number, line in enumerate(lines, 1):
                self._attempt(f"{name}:{number}", self._read_record, line)
            self.notes += [f"{name}: an interrupted append of {len(torn)} bytes, never promised"] * bool(torn)
        self._tell(not self.records, "ledger: holds no record")

    def _read_record(self, line: bytes) -> None:
        document = json.loads(line)
        _require(canonical(document) == line, "not canonical JSON (RFC 8785)")
        r = SimpleNamespace(**document)
        del document["digest"]
        _require(_sha256(canonical(document)).hex() == r.digest, "altered: not of the digest that it states")
        r.ins, r.outs = ([(str(item["role"]), item["digest"]) for item in items] for items in (r.inputs, r.outputs))
        r.label, r.run, r.made = f"record {r.sequence} ({r.kind} {r.stage})", r.parameters.get("run"), dict(r.outs)
        r.at = r.parameters.get("occasion", r.parameters.get("phase") if r.kind == "reported" else None)
        r.maker = "run" if r.kind in RUNS else r.stage if r.kind in (*GROUND, "observed") else ""
        named = [name for _, name in r.ins + r.outs] + [r.key] * (r.key is not None)
        _require(r.format == 1 and all(map(DIGEST.fullmatch, named)) and r.actor["name"], "of another format, or shape")
        self._tell((r.sequence, r.previous) != (self.due, self.previous), f"ledger: {r.label} is out of place")
        self.due, self.previous = r.sequence + 1, r.digest
        self.records.append(r)

    def _check_objects(self) -> None:
        objects = {name[8:].replace("/", "") for name in filter(OBJECT.fullmatch, self.files)}
        needed, earlier = self._reached() if self.bundle else None, set[str]()
        for r in self.records:
            for name in {r.key, *r.made.values(), *(name for _, name in r.ins if name not in earlier)} - {None}:
                missing = name not in objects and (needed is None or name in needed)
                self._tell(missing, f"objects/{name[:2]}/{name[2:]}: missing: {r.label} names it")
            earlier.add(r.digest)

    def _reached(self) -> set[str]:
        """The objects of the bundle's phase: its records', what those rest on, earlier runs and reports, later word."""
        plans = [r.sequence for r in self.records if r.at == self.bundle["phase"] and r.stage == "plan"]
        newest = {r.at: r for r in self.records if r.kind == "reported"}
        own, always = newest[self.bundle["phase"]].sequence, ("withdrawn", "key", "signed", "approved")
        objects, rests = {r.made.get("report.json") for r in newest.values() if r.sequence < own}, set[str]()
        for r in reversed(self.records):
            mine = r.at == self.bundle["phase"] or r.kind in always or {r.digest, *r.made.values()} & rests
            if mine or (r.kind in RUNS and r.sequence < max(plans, default=0)):
                objects |= {r.key, *r.made.values()}
                rests |= {name for _, name in r.ins}
        return objects | rests

    def _check_signature(self, r: Any) -> None:
        says, new = r.parameters, r.parameters.get("public_key")
        signed = says if "statement" in says else says.get("succeeds")
        if signed is None:
            _require(r.kind == "key" and DIGEST.fullmatch(new), "announces no sound key")
            _require(says["fingerprint"] == _print(new) and new not in self.ended, "announces a key that signs no more")
            self.announced.add(new)
            return
        key, statement, signature = signed["public_key"], signed["statement"], bytes.fromhex(signed["signature"])
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(signature, canonical(statement))
        if r.stage != "countersign":
            _require(key in self.announced, "its key was not announced by a record before it")
            _require(key not in self.ended, f"its key was {self.ended.get(key)}")
            _require(r.actor["fingerprint"] == _print(key), "its actor has another key than the one that signed")
        counts = r.sequence < self.lost.get(key, r.sequence + 1)
        self.notes += [] if counts else [f"{r.label} counts for nothing: its key was compromised by then"]
        if r.kind not in ("key", "signed"):
            return  # a person's word on something else than the ledger
        head, purpose = statement["head"], statement["purpose"]
        _require(purpose == PURPOSES.get(r.stage), f"its statement is for another purpose: {purpose!r}")
        if r.stage == "sign":
            _require(self.place.get(head) == statement["sequence"], "it vouches for what is not the record it names")
            head = f"{statement['sequence']}:{statement['root']}" if "root" in statement else head
        size = self.place.get(head, r.sequence)
        _require(size < r.sequence, f"the head {head} that it states is not one of this ledger")
        if r.stage == "rotate":
            _require(new == statement["successor"] != key and new not in self.ended, "names another successor")
            self.ended[key], self.before[new] = f"replaced by {r.label}", key * counts
            self.announced.add(new)
        elif r.stage == "revoke":
            old, since = statement["revoked"], statement.get("since", 1)
            at = since if type(since) is int else 0
            _require(old in self.announced and 0 < at <= r.sequence, "revokes nothing there is")
            _require(self._trusts(key) or not self._trusts(old), "revokes a key that you gave, by another key")
            self.ended[old] = f"revoked by {r.label}: {statement['reason']}"
        else:
            self.vouched[key] = max(self.vouched.get(key, 0), size * counts)

    def _trusts(self, key: str) -> bool:
        return bool({key, _print(key)} & self.given) or (key in self.before and self._trusts(self.before[key]))

    def _check_trust(self) -> None:
        mine = set(filter(self._trusts, self.vouched))
        signers = ", ".join(sorted(_print(key)[:16] for key in self.vouched)) or "none"
        for key in self.given.difference(*({key, _print(key)} for key in mine | self.ended.keys())):
            self.faults.append(f"signatures: the key {key[:16]} that you gave has signed nothing in this ledger")
        last = max((self.vouched[key] for key in (mine if self.given else self.vouched)), default=0)
        self.notes.append(f"keys that sign here: {signers}; vouched for are records 1 to {last} of {len(self.records)}")
        loose = [r for r in self.records if self.given and r.kind == "reported" and r.sequence > last]
        self.faults += [f"{r.label}: no key that you gave vouches for it; signers are {signers}" for r in loose]

    def _check_evidence(self) -> None:
        """Each run leads to its plan and volumes, measurements to results, and figures to those."""
        makers, grounded, said = defaultdict[str, set[str]](set), set[str](), set[tuple[str, Any]]()
        for r in self.records:
            by, ran = [makers[name] for _, name in r.ins], r.kind == "executed"
            seen = [(OBSERVED.get(role.partition(":")[0]), name) for role, name in r.ins if r.maker == "observe"]
            self._tell(ran and ("started", r.run) not in said, f"{r.label}: was not started by a record before it")
            self._tell(ran and ("plan", r.at) not in said, f"{r.label}: was not planned: no plan stands before it")
            self._tell(ran and not any("volumes" in each for each in by), f"{r.label}: rests on no volumes")
            self._tell(r.kind not in RUNS and "results" in r.made, f"{r.label}: puts out results, and is no test run")
            self._tell(r.maker == "measure" and not (by and all("run" in x for x in by)), f"{r.label}: measures no run")
            self._tell(any(x and x not in makers[name] for x, name in seen), f"{r.label}: observes what is unmeasured")
            made = {r.digest, *r.made.values()}
            grounded |= made if r.kind in GROUND or any(name in grounded for _, name in r.ins) else set()
            for name in made:
                makers[name].add(r.maker)
            said |= {(r.kind, r.run), (r.maker, r.at)}
        for r in (each for each in self.records if each.kind == "reported"):
            name = r.made["report.json"]
            if self.digests.get(file := f"objects/{name[:2]}/{name[2:]}") == name:  # else it is told
                parts = list[dict[str, Any]]()  # every object in the report; what is nested in one is a part by itself
                json.loads(self.files[file]().read(), object_hook=parts.append)
                for figure in (part for part in parts if "figure" in part):
                    evidence, maker = figure["evidence"], FIGURES.get(str(figure["figure"]).partition("/")[0])
                    led = bool(evidence) and all(each in grounded for each in evidence)
                    led = led and (maker is None or any(maker in makers[each] for each in evidence))
                    self._tell(not led, f"{r.label}: figure {figure['figure']!r} rests on no sound evidence")

    def _check_files(self) -> None:
        """Every file's bytes are what its name or a record says, and no other file is there."""
        listed = {name for r in self.records for role, name in r.outs if role.startswith("file:")}
        for name, got in self.digests.items():
            sound: Any = BELONGS.fullmatch(name) or (not self.bundle and OWN.fullmatch(name))
            if OBJECT.fullmatch(name):
                sound = got == name[8:].replace("/", "")
            elif report := REPORT.fullmatch(name):
                due = [r.made.get(report[2]) for r in self.records if (r.kind, r.at) == ("reported", report[1])]
                sound = got in (due[-1:] if self.bundle else due)
            elif CATALOGUE.fullmatch(name):
                sound = got in listed
            self._tell(not sound, f"{name}: altered, or does not belong here: its SHA-256 is {got}")
        form = _sha256(b'{"format":1}\n').hex()
        self._tell(self.digests.get("plimsoll.json") != form, "plimsoll.json: missing, altered, or of a newer version")
        lost = {f"reports/{self.bundle['phase']}/report.{x}" for x in ("html", "json") if self.bundle} - {*self.files}
        wrong = "bundle.json" in self.files and self.bundle.get("head") != self.heads[-1]
        self._tell(lost or wrong, f"bundle.json: is of another ledger, or of a phase without its report: {lost}")


def main(arguments: list[str] | None = None) -> int:
    """Checks what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--head")
    parser.add_argument("--key", action="append", default=[])
    options = parser.parse_args(arguments)
    check = Verifier(options.path, {key.lower() for key in options.key})
    try:
        check.run(options.head)
    except (*MALFORMED, OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        check.faults.append(f"{options.path}: cannot be read: {error}")
    for line in [f"x {fault}" for fault in check.faults] + [f"- {note}" for note in check.notes]:
        print("".join(char if char.isprintable() else ascii(char)[1:-1] for char in line))
    print(f"{len(check.faults)} faults in {len(check.records)} records and {len(check.files)} files")
    return 4 if check.faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
