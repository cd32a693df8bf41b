"""in-toto: statements about artefacts, each signed in an envelope of its own (DSSE 1.0), as lines of JSON.

Whatever a record put out has a statement of its provenance (slsa.dev/provenance/v1); every judged test run, and the
report, one of its result (in-toto.io/attestation/test-result/v0.1): *proved* is passed, *not proved* failed,
*inconclusive* warned. Ed25519 signs the same bytes the same way every time: the same evidence and key give the same
lines.
"""

import base64
from collections.abc import Iterator
from typing import Any

from catalog.canonical import canonical
from catalog.ledger import Kind, Record, Reference
from catalog.signing import Signer
from tasks.exports.told import Phase, Told

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"


def in_toto(phase: Phase, signer: Signer) -> bytes:
    """The envelopes of a phase, a line each, in the ledger's order; results after what they are of."""
    return b"".join(canonical(envelope(each, signer)) + b"\n" for each in statements(phase))


def envelope(statement: dict[str, Any], signer: Signer) -> dict[str, Any]:
    """A statement, signed. `keyid` is the fingerprint of the key: SHA-256 of its 32 bytes."""
    payload = canonical(statement)
    signature = signer.signature(_pae(payload))
    return {
        "payload": base64.b64encode(payload).decode("ascii"),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": signer.fingerprint, "sig": base64.b64encode(signature).decode("ascii")}],
    }


def _pae(payload: bytes) -> bytes:
    """What is signed (DSSE's pre-authentication encoding)."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def statements(phase: Phase) -> Iterator[dict[str, Any]]:
    """All statements of a phase."""
    for told in phase.told:
        if told.record.outputs:
            yield _statement(told.record.outputs, PROVENANCE, _provenance(phase, told))
        if told.run and told.record.kind is not Kind.STARTED and told.record.outputs:
            rows = [row for row in phase.observations if row["run"] == told.run]
            if rows:
                yield _statement(told.record.outputs, TEST_RESULT, _result(phase, rows, told.record))
    if phase.observations:
        yield _statement(phase.report.outputs, TEST_RESULT, _result(phase, list(phase.observations), phase.report))


def _statement(subjects: tuple[Reference, ...], kind: str, predicate: dict[str, Any]) -> dict[str, Any]:
    return {
        "_type": STATEMENT,
        "subject": [_named(item.role, item.digest) for item in subjects],
        "predicateType": kind,
        "predicate": predicate,
    }


def _named(name: str, digest: str) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": digest}}


def _provenance(phase: Phase, told: Told) -> dict[str, Any]:
    record = told.record
    about = {key: getattr(told.about, key) for key in ("phase", "component", "test", "run")}
    return {
        "buildDefinition": {
            "buildType": f"urn:plimsoll:stage:{record.stage}",
            "externalParameters": {
                "stage": record.stage,
                "kind": str(record.kind),
                **{key: value for key, value in about.items() if value},
            },
            "internalParameters": {"rules": record.rules, **({"key": record.key} if record.key else {})},
            "resolvedDependencies": [_named(source.role, source.digest) for source in told.sources],
        },
        "runDetails": {
            "builder": {
                "id": f"urn:plimsoll:agent:{record.actor.fingerprint or 'unnamed'}",
                "version": {"plimsoll": record.code},
            },
            "metadata": {
                "invocationId": f"urn:plimsoll:ledger:{phase.ledger}:record:{record.sequence}:{record.digest}",
                "finishedOn": record.time,
            },
        },
    }


def _result(phase: Phase, rows: list[dict[str, Any]], record: Record) -> dict[str, Any]:
    """How tests ended, each observation being one; what they were judged by is the configuration."""
    by = {verdict: sorted(row["observation"] for row in rows if row["verdict"] == verdict) for verdict in _VERDICTS}
    ended = "FAILED" if by["not proved"] else "WARNED" if by["inconclusive"] else "PASSED"
    observed = next((each for each in phase.told if each.record.digest == rows[0]["record"]), None)
    judged = [source for source in observed.sources if source.role == "requirements"] if observed else []
    return {
        "result": ended,
        "configuration": [
            *(_named(source.role, source.digest) for source in judged),
            *([_named("key", record.key)] if record.key else []),
        ],
        "passedTests": by["proved"],
        "warnedTests": by["inconclusive"],
        "failedTests": by["not proved"],
    }


_VERDICTS = ("proved", "inconclusive", "not proved")
