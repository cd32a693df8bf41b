"""A small workspace with everything that evidence leads through, recorded as stages record it; no test runs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from catalog.canonical import canonical, document_digest
from catalog.ledger import GENESIS, Actor, Draft, Kind, Record, Reference
from catalog.signing import Signer
from catalog.workspace import Workspace


def make(root: Path, *phases: str) -> Workspace:
    """A workspace at `root/home` with these phases, each reported and signed with the key `root/key.pem`."""
    workspace = Workspace.open(root / "home", create=True)
    signer = Signer.open(root / "key.pem", outside=workspace.home)
    for phase in phases:
        report(workspace, phase, signer)
    return workspace


def put(
    workspace: Workspace, kind: Kind, stage: str, inputs: dict[str, str], outputs: dict[str, bytes], **parameters: Any
) -> Record:
    """Records a stage: inputs by digest, outputs by their bytes, each by its role."""
    draft = Draft(
        kind=kind,
        stage=stage,
        key=workspace.store.put_document({"stage": stage, "rules": 1, "inputs": inputs}),
        inputs=tuple(Reference(role=role, digest=name) for role, name in inputs.items()),
        outputs=tuple(Reference(role=role, digest=workspace.store.put(data)) for role, data in outputs.items()),
        parameters=parameters,
    )
    return workspace.record(draft, actor=Actor(name="tester"), code="1")[0]


def output(record: Record, role: str) -> dict[str, str]:
    """An output of a record as another one's input, in the same role."""
    return {role: record.output(role) or ""}


def report(workspace: Workspace, phase: str, signer: Signer) -> Record:
    """A phase from its declaration to its signed and published report."""
    at = {"occasion": phase}
    files = {"file:system.yaml": b"components: []\n", "file:data/forecasts.csv": b"meters\n1\n"}
    declared = put(workspace, Kind.DECLARED, "declare", {}, {"programme": b"{}", "requirements": b"[]", **files}, **at)
    programme = output(declared, "programme")
    volumes = put(workspace, Kind.DERIVED, "volumes", programme, {"volumes": f"volumes of {phase}".encode()}, **at)
    plan = put(workspace, Kind.DERIVED, "plan", programme | output(volumes, "volumes"), {"plan": phase.encode()}, **at)
    run = at | {"run": f"{phase}/{phase}.dsp.load/1", "test": f"{phase}.dsp.load", "why": "first"}
    put(workspace, Kind.STARTED, "execute", output(volumes, "volumes"), {}, **run)
    results = {"run": f"run of {phase}".encode(), "results": f"results of {phase}".encode()}
    executed = put(workspace, Kind.EXECUTED, "execute", output(volumes, "volumes"), results, **run, state="finished")
    taken = output(executed, "run") | output(executed, "results")
    measured = put(workspace, Kind.DERIVED, "measure", taken, {"measurements": f"41 of {phase}".encode()}, **at)
    about = {f"run:{run['run']}": executed.digest, f"measurements:{run['run']}": measured.output("measurements") or ""}
    requirements = output(declared, "requirements")
    proved = {"observations": f"proved {phase}".encode()}
    observed = put(workspace, Kind.OBSERVED, "observe", requirements | about, proved, **at)
    reported = put(
        workspace,
        Kind.REPORTED,
        "report",
        programme | output(plan, "plan") | {"observed": observed.digest} | output(observed, "observations"),
        {"report.json": page(measured, observed), "report.html": f"<p>41 in {phase}</p>".encode()},
        **at,
        phase=phase,
    )
    workspace.publish(reported)
    workspace.sign(signer, phase=phase, name="tester", code="1")
    return reported


def page(measured: Record, observed: Record) -> bytes:
    """A report of two figures."""
    evidence = [measured.output("measurements"), observed.output("observations")]
    figures = [
        {"figure": "measurement/p99", "value": 41, "unit": "us", "evidence": evidence[:1]},
        {"figure": "observation/p99", "value": 41, "unit": "us", "evidence": evidence},
    ]
    return json.dumps({"figures": figures}).encode()


def ledger_file(home: Path) -> Path:
    """The file of a small workspace's ledger."""
    return home / "ledger" / "000000000001.jsonl"


def rechain(home: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Rewrites the ledger as somebody does who changes records and computes every digest behind them again.

    `change` is given the records without their digests, in order, to change or to add to.
    """
    was = [json.loads(line) for line in ledger_file(home).read_bytes().splitlines()]
    names = [document.pop("digest") for document in was]
    place = {id(document): name for document, name in zip(was, names, strict=True)}
    change(was)
    previous, lines, renamed = GENESIS, [], dict[str, str]()
    for number, document in enumerate(was, 1):
        document |= {"previous": previous, "sequence": number}
        for item in document["inputs"]:
            item["digest"] = renamed.get(item["digest"], item["digest"])
        previous = document_digest(document)
        renamed[place.get(id(document), previous)] = previous
        lines.append(canonical({**document, "digest": previous}) + b"\n")
    ledger_file(home).write_bytes(b"".join(lines))
