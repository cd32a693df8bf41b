"""OpenLineage: an event for each record, so that catalogues of data lineage (Marquez and others) show a phase.

A stage is a job, a record a run of it, an artefact a dataset whose version is its digest. What was observed stands at
the measurements that it was observed of, as assertions (`dataQualityAssertions`). Run ids are made from the records'
digests (RFC 9562, version 5), so events sent twice are the same events. The standard:
openlineage.io/spec/2-0-2/OpenLineage.json.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from catalog.canonical import canonical
from catalog.ledger import Kind, Record
from catalog.shown import shown
from expectations import tables
from tasks.exports.told import Phase, Source, Told

PRODUCER = "urn:plimsoll"
_SPEC = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACETS = "https://openlineage.io/spec/facets"
_ENDS = {"finished": "COMPLETE", "interrupted": "ABORT", "unreachable": "FAIL"}
_SEVERITY = {"proved": None, "not proved": "error", "inconclusive": "warn"}

Facet = dict[str, Any]


def openlineage(phase: Phase) -> bytes:
    """The events of a phase as lines of JSON, oldest first."""
    return b"".join(canonical(event) + b"\n" for event in events(phase))


def events(phase: Phase) -> Iterator[dict[str, Any]]:
    """The events of a phase: START where a test run was started, and what ended every record's run."""
    starts = {each.run: each.record for each in phase.told if each.record.kind is Kind.STARTED}
    named = {source.digest for each in phase.told for source in each.sources if source.is_record}
    for each in phase.told:
        yield {
            "eventTime": each.record.time,
            "eventType": _type(each.record),
            "inputs": list(_inputs(phase, each)),
            "job": {"facets": _job_facets(each.record), "name": _job(each), "namespace": _namespace(phase)},
            "outputs": list(_outputs(phase, each.record, named)),
            "producer": PRODUCER,
            "run": {"facets": _run_facets(phase, each), "runId": _run_id(starts.get(each.run, each.record))},
            "schemaURL": _SPEC,
        }


def _type(record: Record) -> str:
    if record.kind is Kind.STARTED:
        return "START"
    return _ENDS.get(str(record.parameters.get("state", "finished")), "COMPLETE")


def _namespace(phase: Phase) -> str:
    return f"plimsoll:{phase.programme}:{phase.ledger}"


def _job(told: Told) -> str:
    return ".".join(part for part in (told.record.stage, told.about.test or told.about.phase) if part)


def _run_id(record: Record) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:plimsoll:record:{record.digest}"))


def _facet(schema: str, **members: Any) -> Facet:
    return {"_producer": PRODUCER, "_schemaURL": schema, **members}


def _job_facets(record: Record) -> dict[str, Facet]:
    kind = _facet(
        f"{_FACETS}/2-0-4/JobTypeJobFacet.json#/$defs/JobTypeJobFacet",
        processingType="BATCH",
        integration="PLIMSOLL",
        jobType=record.stage.upper(),
    )
    return {"jobType": kind}


def _run_facets(phase: Phase, told: Told) -> dict[str, Facet]:
    record = told.record
    found = {
        "processing_engine": _facet(
            f"{_FACETS}/1-1-1/ProcessingEngineRunFacet.json#/$defs/ProcessingEngineRunFacet",
            version=record.code,
            name="plimsoll",
        ),
        "plimsoll_record": _facet(
            "urn:plimsoll:openlineage:record-run-facet:1",
            sequence=record.sequence,
            digest=record.digest,
            previous=record.previous,
            kind=str(record.kind),
            key=record.key or "",
            rules=record.rules,
            actor=record.actor.name,
            fingerprint=record.actor.fingerprint,
            phase=told.about.phase,
            run=told.about.run,
            withdrawn=told.withdrawn.sequence if told.withdrawn else 0,
        ),
    }
    if record is not phase.report:
        found["parent"] = _facet(
            f"{_FACETS}/1-2-0/ParentRunFacet.json#/$defs/ParentRunFacet",
            run={"runId": _run_id(phase.report)},
            job={"namespace": _namespace(phase), "name": f"report.{phase.name}"},
        )
    reason = record.parameters.get("reason")
    if _type(record) in ("ABORT", "FAIL"):
        found["errorMessage"] = _facet(
            f"{_FACETS}/1-0-1/ErrorMessageRunFacet.json#/$defs/ErrorMessageRunFacet",
            message=str(reason or record.parameters.get("state")),
            programmingLanguage="Python",
        )
    return found


def _inputs(phase: Phase, told: Told) -> Iterator[dict[str, Any]]:
    judged = _assertions(phase, told) if told.record.kind is Kind.OBSERVED else {}
    for source in told.sources:
        facets = {"dataQualityAssertions": judged[source.role]} if source.role in judged else {}
        yield {**_dataset(phase, source), "inputFacets": facets}


def _dataset(phase: Phase, source: Source) -> dict[str, Any]:
    if source.is_record:
        return _named(phase, f"record/{source.digest}", source.digest, {})
    return _artefact(phase, source.digest)


def _artefact(phase: Phase, digest: str) -> dict[str, Any]:
    role = phase.role(digest)
    return _named(phase, f"{role}/{digest}", digest, _schema(role))


def _named(phase: Phase, name: str, digest: str, facets: dict[str, Facet]) -> dict[str, Any]:
    version = _facet(
        f"{_FACETS}/1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet", datasetVersion=digest
    )
    return {"facets": {"version": version, **facets}, "name": name, "namespace": _namespace(phase)}


def _schema(role: str) -> dict[str, Facet]:
    """The columns of a table of evidence."""
    if role not in tables.NAMES:
        return {}
    fields = [
        {"name": name, "type": "STRING" if kind == "str" else "BIGINT"} for name, kind in tables.columns(role).items()
    ]
    return {
        "schema": _facet(f"{_FACETS}/1-2-0/SchemaDatasetFacet.json#/$defs/SchemaDatasetFacet", fields=fields),
    }


def _outputs(phase: Phase, record: Record, named: set[str]) -> Iterator[dict[str, Any]]:
    """What a record put out, and the record itself where another rests on it."""
    for item in record.outputs:
        size = {"size": phase.store.path(item.digest).stat().st_size} if phase.store.has(item.digest) else {}
        statistics = _facet(
            f"{_FACETS}/1-0-2/OutputStatisticsOutputDatasetFacet.json#/$defs/OutputStatisticsOutputDatasetFacet", **size
        )
        yield {**_artefact(phase, item.digest), "outputFacets": {"outputStatistics": statistics} if size else {}}
    if record.digest in named:
        yield {**_named(phase, f"record/{record.digest}", record.digest, {}), "outputFacets": {}}


def _assertions(phase: Phase, told: Told) -> dict[str, Facet]:
    """The observations that a record made, by the role of the input that they stand at."""
    roles = {source.role for source in told.sources}
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in phase.observations:
        if row["record"] == told.record.digest:
            role = f"measurements:{row['run']}"
            found[role if role in roles else "requirements"].append(_assertion(row))
    schema = f"{_FACETS}/1-1-0/DataQualityAssertionsDatasetFacet.json#/$defs/DataQualityAssertionsDatasetFacet"
    return {role: _facet(schema, assertions=assertions) for role, assertions in found.items()}


def _assertion(row: dict[str, Any]) -> dict[str, Any]:
    actual = "" if row["value"] is None else shown(row["value"], row["unit"])
    told = {
        "assertion": f"{row['metric']} {row['direction']}",
        "success": row["verdict"] == "proved",
        "severity": _SEVERITY[row["verdict"]],
        "name": row["observation"],
        "description": f"{row['verdict']}: {row['reason']}",
        "expected": f"{row['direction']} {shown(row['limit'], row['unit'])}",
        "actual": actual,
    }
    return {name: value for name, value in told.items() if value not in (None, "")}
