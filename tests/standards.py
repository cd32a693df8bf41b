"""What each standard's own library says of an export: it is read by it, held to it, and says the same again."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

STATE = {"prov:entity": "entity", "prov:activity": "activity", "prov:agent": "agent", "prov:generatedEntity": "entity",
         "prov:usedEntity": "entity", "prov:informed": "activity", "prov:informant": "activity"}  # fmt: skip


def openlineage_events(lines: bytes) -> list[Any]:
    """The events as openlineage-python's own, each of which serialises to the same JSON again."""
    from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
    from openlineage.client.serde import Serde

    def dataset(kind: Any, told: dict[str, Any], own: str) -> Any:
        facets = {name: {key: facet(key, each) for key, each in told[name].items()} for name in ("facets", own)}
        return kind(namespace=told["namespace"], name=told["name"], **facets)

    found = []
    for line in lines.splitlines():
        told = json.loads(line)
        event = RunEvent(
            eventTime=told["eventTime"],
            eventType=RunState[told["eventType"]],
            run=Run(runId=told["run"]["runId"], facets=_facets(told["run"])),
            job=Job(namespace=told["job"]["namespace"], name=told["job"]["name"], facets=_facets(told["job"])),
            inputs=[dataset(InputDataset, each, "inputFacets") for each in told["inputs"]],
            outputs=[dataset(OutputDataset, each, "outputFacets") for each in told["outputs"]],
            producer=told["producer"],
        )
        assert _bare(json.loads(Serde.to_json(event))) == _bare(told)
        found.append(event)
    return found


def _facets(part: dict[str, Any]) -> dict[str, Any]:
    return {name: facet(name, told) for name, told in part["facets"].items()}


def facet(name: str, told: dict[str, Any]) -> Any:
    """A facet as the library's class for it; one of our own as the library's way to have more."""
    from openlineage.client import facet_v2 as v2

    own = {key: value for key, value in told.items() if not key.startswith("_")}
    made: dict[str, Callable[..., Any]] = {
        "jobType": v2.job_type_job.JobTypeJobFacet,
        "processing_engine": v2.processing_engine_run.ProcessingEngineRunFacet,
        "errorMessage": v2.error_message_run.ErrorMessageRunFacet,
        "version": v2.dataset_version_dataset.DatasetVersionDatasetFacet,
        "outputStatistics": v2.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet,
        "parent": lambda run, job, **more: v2.parent_run.ParentRunFacet(
            run=v2.parent_run.Run(**run), job=v2.parent_run.Job(**job), **more
        ),
        "schema": lambda fields, **more: v2.schema_dataset.SchemaDatasetFacet(
            fields=[v2.schema_dataset.SchemaDatasetFacetFields(**each) for each in fields], **more
        ),
        "dataQualityAssertions": lambda assertions, **more: (
            v2.data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(
                assertions=[v2.data_quality_assertions_dataset.Assertion(**each) for each in assertions], **more
            )
        ),
    }
    if name not in made:
        assert name.startswith("plimsoll_"), f"neither the standard's nor marked as ours: {name}"
        found: Any = v2.RunFacet(producer=told["_producer"]).with_additional_properties(**own)
        object.__setattr__(found, "_schemaURL", told["_schemaURL"])
        return found
    return made[name](producer=told["_producer"], **own)


def _bare(document: Any) -> Any:
    """A document without what is empty: the library leaves that out."""
    if isinstance(document, dict):
        bare = {key: _bare(value) for key, value in document.items()}
        return {key: value for key, value in bare.items() if value not in ({}, [], None)}
    return [_bare(each) for each in document] if isinstance(document, list) else document


def prov_document(data: bytes) -> Any:
    """The document as `prov` reads it: every statement is one of its own, and refers to what is in it."""
    from prov.model import ProvDocument

    told = json.loads(data)
    document = ProvDocument.deserialize(content=data, format="json")
    again = json.loads(document.serialize(format="json"))
    assert {kind: len(each) for kind, each in again.items()} == {kind: len(each) for kind, each in told.items()}
    for kind, statements in told.items():
        if kind in ("prefix", "entity", "activity", "agent"):
            continue
        for statement in statements.values():
            for attribute, value in statement.items():
                assert attribute not in STATE or value in told[STATE[attribute]], (kind, statement)
    return document


def in_toto_statements(lines: bytes, public_key: str) -> list[dict[str, Any]]:
    """The statements in envelopes that securesystemslib verifies, each as in_toto_attestation has it."""
    from google.protobuf import json_format
    from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
    from in_toto_attestation.predicates.test_result.v0 import test_result_pb2
    from in_toto_attestation.v1 import statement_pb2
    from in_toto_attestation.v1.statement import Statement
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import SSlibKey

    predicates = {
        "https://slsa.dev/provenance/v1": provenance_pb2.Provenance,
        "https://in-toto.io/attestation/test-result/v0.1": test_result_pb2.TestResult,
    }
    found = []
    for line in lines.splitlines():
        envelope = Envelope.from_dict(json.loads(line))
        keyid = next(iter(envelope.signatures))
        envelope.verify([SSlibKey(keyid, "ed25519", "ed25519", {"public": public_key})], 1)
        told = json.loads(envelope.payload)
        Statement.copy_from_pb(json_format.ParseDict(told, statement_pb2.Statement())).validate()
        json_format.ParseDict(told["predicate"], predicates[told["predicateType"]]())  # refuses what it does not know
        found.append(told)
    return found


def crate(file: Path, folder: Path) -> Any:
    """The crate as `rocrate` reads it: every file is described and there, every reference leads to an entity."""
    from rocrate.rocrate import ROCrate

    with zipfile.ZipFile(file) as archive:
        archive.extractall(folder)
        names = set(archive.namelist()) - {"ro-crate-metadata.json"}
    read = ROCrate(folder)
    graph = json.loads((folder / "ro-crate-metadata.json").read_text())["@graph"]
    known = {entity["@id"] for entity in graph}
    assert len(known) == len(graph)
    assert names <= known
    assert {entity.id for entity in read.data_entities} == names
    outside = ("https://w3id.org/ro/crate/1.1", "https://yaml.org/")
    missing = {each for each in _references(graph) if each not in known and not each.startswith(outside)}
    assert missing == set()
    return read


def _references(part: Any) -> list[str]:
    if isinstance(part, dict) and set(part) == {"@id"}:
        return [part["@id"]]
    parts = part.values() if isinstance(part, dict) else part if isinstance(part, list) else []
    return [each for inner in parts for each in _references(inner)]
