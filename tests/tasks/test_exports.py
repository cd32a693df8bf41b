"""Exports: each standard's own library reads and holds what is written, and it says what the ledger says."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from standards import crate, in_toto_statements, openlineage_events, prov_document

from catalog.canonical import canonical, digest
from catalog.errors import UsageError, WorldError
from catalog.ledger import Actor, Draft, Kind, Record, Reference
from catalog.signing import Signer, key_path
from catalog.workspace import Workspace
from expectations import tables
from tasks.exports.openlineage import events
from tasks.exports.told import tell
from tasks.exports.write import ENDPOINT, Form, send, write
from tasks.parquet import table_bytes

RUN = "ioc/ioc.dsp.load/1"
ABOUT = {"occasion": "ioc", "run": RUN, "test": "ioc.dsp.load", "component": "dsp"}
HOSTILE = "\"'</x> \\u0000 é\u2028 %s {0} ../../"


def observations(verdicts: list[str]) -> bytes:
    columns: dict[str, Any] = {
        "observation": [f"{RUN}/m{n}/all" for n in range(len(verdicts))],
        "run": RUN, "test": "ioc.dsp.load", "requirement": "m",
        "metric": "latency-p95", "scope": "all", "value": [5, 7, None][: len(verdicts)], "lower": None, "upper": None,
        "unit": "us", "samples": 9, "limit": 6, "direction": "at most", "verdict": verdicts, "reason": HOSTILE,
        "reliance": "executed",
    }  # fmt: skip
    frame = pd.DataFrame(columns).astype(tables.columns("observations"))
    return table_bytes("observations", frame)


class Book:
    """A workspace that records are put into by hand."""

    def __init__(self, home: Path, signer: Signer) -> None:
        self.workspace = Workspace.open(home, create=True)
        self.actor = signer.actor(f"tester {HOSTILE}")

    def put(
        self, kind: Kind, stage: str, inputs: dict[str, str], outputs: dict[str, bytes], **parameters: Any
    ) -> Record:
        store = self.workspace.store
        draft = Draft(
            kind=kind,
            stage=stage,
            key=store.put_document({"stage": stage, "of": sorted(inputs)}),
            inputs=tuple(Reference(role=role, digest=name) for role, name in inputs.items()),
            outputs=tuple(Reference(role=role, digest=store.put(data)) for role, data in outputs.items()),
            parameters=parameters,
        )
        return self.workspace.record(draft, actor=self.actor, code="plimsoll 0.1.0")[0]


@pytest.fixture
def signer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Signer:
    monkeypatch.setenv("PLIMSOLL_KEY", str(tmp_path / "key.pem"))
    return Signer.open(key_path(), outside=tmp_path / "home")


@pytest.fixture
def book(tmp_path: Path, signer: Signer) -> Book:
    """A phase: a run that was interrupted, one that finished, judged thrice over, reported and signed."""
    book = Book(tmp_path / "home", signer)
    files = {"file:tests.yaml": b"tests: []\n", "file:a b.csv": b"x\n"}
    declared = book.put(Kind.DECLARED, "declare", {}, {"programme": b"{}", **files}, occasion="ioc")
    programme = {"programme": declared.output("programme") or ""}
    for number, state in ((0, "interrupted"), (1, "finished")):
        about = {**ABOUT, "run": f"{RUN[:-1]}{number}"}
        book.put(Kind.STARTED, "execute", programme, {}, **about)
        results = b"results %d" % number
        done = book.put(Kind.EXECUTED, "execute", programme, {"results": results}, **about, state=state, reason=HOSTILE)
    measured = book.put(
        Kind.DERIVED,
        "measure",
        {"results": done.output("results") or ""},
        {"measurements": b"numbers"},
        occasion="ioc",
        run=RUN,
    )
    rests = {f"run:{RUN}": done.digest, f"measurements:{RUN}": measured.output("measurements") or ""}
    table = observations(["proved", "not proved", "inconclusive"])
    observed = book.put(Kind.OBSERVED, "observe", rests, {"observations": table}, occasion="ioc")
    named = {**programme, "observed": observed.digest, "observations": observed.output("observations") or ""}
    figure = {"figure": f"m/{HOSTILE}", "value": 1, "unit": "count", "text": "1", "evidence": [named["observations"]]}
    identity = {"programme": {"programme": "shop", "title": "A shop", "operator": HOSTILE}, "phase": {"title": "One"}}
    report = canonical({"identity": identity, "outcome": {"proved": figure, "record": {**figure, "figure": "r",
                        "evidence": [observed.digest]}}})  # fmt: skip
    reported = book.put(
        Kind.REPORTED, "report", named, {"report.json": report, "report.html": b"<!doctype html>"}, phase="ioc"
    )
    book.workspace.publish(reported)
    book.workspace.sign(signer, phase="ioc", name="tester", code="plimsoll 0.1.0")
    return book


def exported(book: Book, form: Form, file: Path) -> bytes:
    said = write(book.workspace, "ioc", form, file)
    data = file.read_bytes()
    assert (said["bytes"], said["sha256"]) == (len(data), digest(data))
    return data


def record_of(book: Book, stage: str) -> Record:
    return next(record for record in book.workspace.ledger.records() if record.stage == stage)


@pytest.mark.parametrize("form", list(Form))
def test_the_same_evidence_gives_the_same_bytes(form: Form, book: Book, tmp_path: Path) -> None:
    assert exported(book, form, tmp_path / "a") == exported(book, form, tmp_path / "deep" / "b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "deep", "home", "key.pem"]


def test_openlineage_events_are_the_librarys_and_say_how_each_run_ended(book: Book, tmp_path: Path) -> None:
    found = openlineage_events(exported(book, Form.OPENLINEAGE, tmp_path / "x"))
    assert [(event.job.name, event.eventType.value) for event in found] == [
        ("declare.ioc", "COMPLETE"), ("execute.ioc.dsp.load", "START"), ("execute.ioc.dsp.load", "ABORT"),
        ("execute.ioc.dsp.load", "START"), ("execute.ioc.dsp.load", "COMPLETE"), ("measure.ioc.dsp.load", "COMPLETE"),
        ("observe.ioc", "COMPLETE"), ("report.ioc", "COMPLETE"), ("sign", "COMPLETE"), ("sign", "COMPLETE"),
    ]  # fmt: skip
    runs = [event.run.runId for event in found]
    assert (runs[1], runs[3]) == (runs[2], runs[4])
    assert len(set(runs)) == 8
    parents = {event.run.facets["parent"].run.runId for event in found if "parent" in event.run.facets}
    assert parents == {runs[7]}
    made = {(each.namespace, each.name) for event in found for each in event.outputs}
    used = {(each.namespace, each.name) for event in found for each in event.inputs if not each.name.startswith("key/")}
    assert used <= made


def test_openlineage_assertions_are_the_observations(book: Book, tmp_path: Path) -> None:
    found = openlineage_events(exported(book, Form.OPENLINEAGE, tmp_path / "x"))
    facets = [each.inputFacets["dataQualityAssertions"] for event in found for each in event.inputs if each.inputFacets]
    assert [(each.success, each.severity, each.actual, each.expected) for each in facets[0].assertions] == [
        (True, None, "5 µs", "at most 6 µs"), (False, "error", "7 µs", "at most 6 µs"),
        (False, "warn", None, "at most 6 µs"),
    ]  # fmt: skip
    assert len(facets) == 1
    assert facets[0].assertions[0].description == f"proved: {HOSTILE}"


class _Server(BaseHTTPRequestHandler):
    """Takes events as an OpenLineage server does; refuses all after as many as it `takes`."""

    got: list[tuple[str, str | None, str | None, Any]]
    takes: int

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        taken = len(self.got) < self.takes
        if taken:
            self.got.append((self.path, self.headers["Content-Type"], self.headers["Authorization"], body))
        self.send_response(201 if taken else 503)
        told = b"good" if taken else f"full, {self.headers['Authorization']}".encode()
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[str, type[_Server]]]:
    handler = type("Handler", (_Server,), {"got": [], "takes": 10_000, "protocol_version": "HTTP/1.1"})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}", handler
        finally:
            listening.shutdown()
            thread.join()


def test_events_are_sent_as_the_librarys_own_transport_sends_them(
    book: Book, server: tuple[str, type[_Server]], tmp_path: Path
) -> None:
    from openlineage.client.transport.http import ApiKeyTokenProvider, HttpConfig, HttpTransport

    address, handler = server
    said = send(book.workspace, "ioc", address, {"OPENLINEAGE_API_KEY": "k"})
    assert said["events"] == len(handler.got) == 10
    ours = list(handler.got)
    assert [body for *_, body in ours] == list(events(tell(book.workspace, "ioc")))
    handler.got.clear()
    transport = HttpTransport(HttpConfig(url=address, auth=ApiKeyTokenProvider({"apiKey": "k"})))
    for event in openlineage_events(exported(book, Form.OPENLINEAGE, tmp_path / "x")):
        transport.emit(event)
    transport.close()
    assert [each[:3] for each in handler.got] == [each[:3] for each in ours]
    assert {each[0] for each in ours} == {ENDPOINT}


def test_a_server_that_refuses_or_is_not_there_is_told_of_with_what_it_took(
    book: Book, server: tuple[str, type[_Server]]
) -> None:
    address, handler = server
    handler.takes = 3
    with pytest.raises(WorldError, match="took 3 of 10 events, and then: 503 Service Unavailable: full"):
        send(book.workspace, "ioc", address, {"OPENLINEAGE_API_KEY": "s3cret"})
    with pytest.raises(WorldError, match=r"full, Bearer \[redacted\]$"):  # a server that says what it was sent
        send(book.workspace, "ioc", address, {"OPENLINEAGE_API_KEY": "s3cret"})
    with pytest.raises(WorldError, match="took 0 of 10 events"):
        send(book.workspace, "ioc", "http://127.0.0.1:9", {})
    for wrong in ("localhost:5000", "ftp://x", ""):
        with pytest.raises(UsageError, match="no address of a server"):
            send(book.workspace, "ioc", wrong, {})
    with pytest.raises(UsageError, match="holds credentials") as refused:
        send(book.workspace, "ioc", "http://me:s3cret@host", {})
    assert "s3cret" not in f"{refused.value} {refused.value.help()}"


def test_prov_is_read_by_its_library_and_leads_from_figures_to_agents(book: Book, tmp_path: Path) -> None:
    data = exported(book, Form.PROV, tmp_path / "x")
    prov_document(data)
    told = json.loads(data)
    assert len(told["activity"]) == 10
    derived = {each["prov:usedEntity"] for each in told["wasDerivedFrom"].values()}
    observed = record_of(book, "observe")
    assert derived == {f"artefact:{observed.output('observations')}", f"artefact:{observed.digest}"}
    informed = {(each["prov:informed"], each["prov:informant"]) for each in told["wasInformedBy"].values()}
    assert ("record:7", "record:6") in informed
    assert "wasInvalidatedBy" not in told


def test_prov_invalidates_what_was_withdrawn(book: Book, tmp_path: Path) -> None:
    done = next(each for each in book.workspace.ledger.records() if each.kind is Kind.EXECUTED)
    book.put(Kind.WITHDRAWN, "withdraw", {"withdrawn": done.digest}, {}, reason="a wrong clock")
    data = exported(book, Form.PROV, tmp_path / "x")
    prov_document(data)
    (invalid,) = json.loads(data)["wasInvalidatedBy"].values()
    assert invalid["prov:entity"] == f"artefact:{done.output('results')}"


def test_in_toto_statements_are_signed_and_say_how_tests_ended(book: Book, signer: Signer, tmp_path: Path) -> None:
    found = in_toto_statements(exported(book, Form.IN_TOTO, tmp_path / "x"), signer.public_key)
    results = [each["predicate"] for each in found if "test-result" in each["predicateType"]]
    assert [len(results), results[0]] == [2, {**results[1], "configuration": results[0]["configuration"]}]
    assert results[0]["result"] == "FAILED"
    assert [results[0][name] for name in ("passedTests", "failedTests", "warnedTests")] == [
        [f"{RUN}/m0/all"], [f"{RUN}/m1/all"], [f"{RUN}/m2/all"],
    ]  # fmt: skip
    subjects = {item["digest"]["sha256"] for each in found for item in each["subject"]}
    assert subjects == {item.digest for record in book.workspace.ledger.records() for item in record.outputs}


def test_an_envelope_with_one_byte_changed_is_refused(book: Book, signer: Signer, tmp_path: Path) -> None:
    from securesystemslib.exceptions import VerificationError

    line = exported(book, Form.IN_TOTO, tmp_path / "x").splitlines()[0]
    told = json.loads(line)
    told["payload"] = ("A" if told["payload"][0] != "A" else "B") + told["payload"][1:]
    with pytest.raises(VerificationError):
        in_toto_statements(canonical(told), signer.public_key)


def test_a_crate_is_read_by_its_library_and_its_files_are_the_bundles(book: Book, tmp_path: Path) -> None:
    exported(book, Form.RO_CRATE, tmp_path / "x.zip")
    read = crate(tmp_path / "x.zip", tmp_path / "crate")
    assert read.mainEntity.id == "catalogue/tests.yaml"
    assert set(read.mainEntity.type) == {"File", "SoftwareSourceCode", "ComputationalWorkflow"}
    assert {each.id for each in read.root_dataset["conformsTo"]} >= {"https://w3id.org/ro/wfrun/workflow/0.5"}
    run = read.get("#run")
    assert {each.id for each in run["result"]} == {f"reports/ioc/{name}" for name in
                                                   ("report.json", "report.html", "lineage.html")}  # fmt: skip
    for entity in read.data_entities:
        if sha := entity.get("sha256"):
            assert digest((tmp_path / "crate" / entity.id).read_bytes()) == sha
    aborted = read.get("#record-3")
    assert (aborted["actionStatus"], aborted["error"]) == ("http://schema.org/FailedActionStatus", HOSTILE)


@pytest.mark.parametrize("form", list(Form))
def test_what_is_in_the_way_is_left_alone(form: Form, book: Book, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("my own")
    for file in (tmp_path / "mine", tmp_path, book.workspace.home / "x"):
        with pytest.raises(UsageError):
            write(book.workspace, "ioc", form, file)
    with pytest.raises(UsageError, match="no report of 'icc'"):
        write(book.workspace, "icc", form, tmp_path / "x")
    assert (tmp_path / "mine").read_text() == "my own"


def test_an_actor_without_a_key_has_a_name_all_the_same(tmp_path: Path, signer: Signer) -> None:
    book = Book(tmp_path / "home", signer)
    book.actor = Actor(name="somebody")
    book.put(Kind.REPORTED, "report", {}, {"report.json": b"{}", "report.html": b"x"}, phase="ioc")
    prov_document(exported(book, Form.PROV, tmp_path / "p"))
    assert openlineage_events(exported(book, Form.OPENLINEAGE, tmp_path / "o"))
    assert in_toto_statements(exported(book, Form.IN_TOTO, tmp_path / "i"), signer.public_key)
