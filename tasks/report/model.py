"""The completion report's JSON twin as a model: what stands in it, and nothing else; its JSON Schema is made of this.

`python -m tasks.report.model` writes docs/report.schema.json anew. Whoever reads the twin by another program can rely
on what is here; a key that comes later makes a new schema.
"""

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA = Path(__file__).parents[2] / "docs" / "report.schema.json"

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the bytes of the evidence")]
Value = int | str
"""Integers, or decimals and words as text: never a float."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Figure(_Model):
    """A number with the evidence that it rests on. One drawn as a chart has `columns`, `rows` and `alt`."""

    figure: Annotated[str, Field(description="its id, as `plimsoll lineage` takes it")]
    value: Value
    unit: str
    text: Annotated[str, Field(description="the value as a reader sees it")]
    evidence: Annotated[list[Digest], Field(min_length=1)]
    lower: int | None = None
    upper: int | None = None
    interval: str | None = None
    samples: int | None = None
    method: str | None = None
    standing: str | None = None
    alt: str | None = None
    columns: list[str] | None = None
    rows: list[list[Value | None]] | None = None


Parts = list[str | Figure]
"""A sentence: texts and figures in reading order."""


class Badge(_Model):
    """A verdict or state."""

    badge: str


class Standing(_Model):
    """Whether a number is agreed."""

    standing: str


class Ref(_Model):
    """A link to evidence."""

    ref: Digest


class Link(_Model):
    """A link to an anchor of the report."""

    link: str
    text: str


class Code(_Model):
    """An id."""

    code: str


Cell = str | Figure | Badge | Standing | Ref | Link | Code | Parts


class Column(_Model):
    """A column of a table; `number`: it holds numbers."""

    heading: str
    number: bool
    unit: str | None = None


class Table(_Model):
    """A table of a section."""

    title: str
    note: str
    columns: list[Column]
    rows: list[list[Cell]]


class Section(_Model):
    """A section that is tables. `standard`: what ISO/IEC/IEEE 29119-3 calls it."""

    id: str
    title: str
    standard: str
    text: Parts
    tables: list[Table]


class Programme(_Model):
    """What the report is about."""

    programme: str
    title: str
    operator: str
    summary: str


class Phase(_Model):
    """The capability phase."""

    id: str
    title: str
    components: list[str]


class ApproachDocument(_Model):
    """The approach document, its approval, and whether testing began before it."""

    title: str
    version: str
    date: str
    standing: str
    source: str
    approved: str
    order: str


class Environment(_Model):
    """Where tests were executed."""

    id: str
    title: str
    kind: str
    size: str
    defect: str


class LedgerHead(_Model):
    """The newest record that the report stands on."""

    head: Digest
    records: Figure


class Identity(_Model):
    """Programme, phase, approach document, environment and records."""

    programme: Programme
    phase: Phase
    occasion: str
    approach_document: ApproachDocument
    environment: Environment
    code: str
    programme_digest: Digest
    ledger: LedgerHead


class Scaled(_Model):
    """A duration as declared and as conducted."""

    name: str
    declared: Figure
    conducted: Figure
    a_part: str


class Rate(_Model):
    """What a component's rates were multiplied by."""

    component: str
    factor: Figure


class Stamp(_Model):
    """What makes it a rehearsal."""

    text: str
    durations: list[Scaled]
    rates: list[Rate]


class Verdicts(_Model):
    """How many observations had which verdict."""

    proved: Figure
    not_proved: Figure
    inconclusive: Figure
    all: Figure


class LookAt(_Model):
    """An observation that is not proved."""

    title: str
    observation: str
    test: str
    scope: str
    verdict: str
    reason: str


class Outcome(_Model):
    """What was proved, what was not, what could not be told. `tests`: how many ended how, by the name of the end."""

    headline: str
    verdicts: Verdicts
    tests: dict[str, Figure]
    sentences: list[Parts]
    look_at: list[LookAt]


class Solution(_Model):
    """A service provider's product."""

    name: str
    standing: str


class TestEnd(_Model):
    """A test and how it ended."""

    test: str
    type: str
    end: str


class Component(_Model):
    """A component of the phase. `measures`: by name, None where not measured."""

    component: str
    title: str
    provider: str
    version: str
    solution: Solution
    verdicts: Verdicts
    measures: dict[str, Figure | None]
    tests: list[TestEnd]


class ExitCriterion(_Model):
    """An exit criterion held against the facts; `rehearsal`: those are a rehearsal's."""

    id: str
    text: str
    kind: str
    source: str
    state: Literal["met", "not met", "cannot be told"]
    rehearsal: bool
    reason: Parts


class Labelled(_Model):
    """A figure under its label."""

    label: str
    value: Figure


class Finding(_Model):
    """What a type of test alone measures."""

    meaning: str
    scope: str
    measured: Figure | None


class Artefact(_Model):
    """An artefact of a run."""

    what: str
    digest: Digest


class Told(_Model):
    """Something that is stated or assumed."""

    what: str
    value: str


class Counted(_Model):
    """How many units of a submitted file became what; `where`: at which lines."""

    what: str
    count: Figure
    where: str


class SubmittedFile(_Model):
    """A file as it was submitted."""

    name: str
    size: Figure
    digest: Digest


class ReadFile(_Model):
    """What was read in a submitted file: the counts of its account add up to the total."""

    name: str
    format: str
    tool: str
    unit: str
    total: Figure
    account: list[Counted]
    assumed: list[Told]


class Odd(_Model):
    """What is odd about submitted results."""

    code: str
    message: str


class Received(_Model):
    """A service provider's submission, as its record and account tell of it."""

    by: str
    organisation: str
    at: str
    tool: str
    tool_stated: str
    gives: str
    loop: str
    caution: str
    latency_from: str
    percentiles: str
    warm_up: str
    resolution: Figure | None
    messages: Figure
    stated: list[Told]
    files: list[SubmittedFile]
    read: list[ReadFile]
    findings: list[Odd]


class Run(_Model):
    """A run of a test; `stands`: the result rests on it."""

    run: str
    record: Digest
    state: str
    verdict: str
    reason: str
    again: str
    stands: bool
    received: Annotated[Received | None, Field(description="absent for a run of our own")]
    figures: list[Labelled]
    findings: list[Finding]
    artefacts: list[Artefact]


class ReliedOn(_Model):
    """The earlier run that a test rests on."""

    run: str
    phase: str
    record: Digest


class Stage(_Model):
    """What one component counted on one message path; `figures`: what the ids of its figures begin with."""

    path: str
    figures: str
    title: str
    component: str
    beyond: str
    received: Figure | None
    answered: Figure | None
    failed: Figure | None
    invalid: Figure | None
    rejected: Figure | None
    forwarded: Figure | None
    returned: Figure | None
    handover: Figure | None
    success: Figure | None
    rate_in: Figure | None
    rate_out: Figure | None
    service_mean: Figure | None
    time_mean: Figure | None


class Test(_Model):
    """A planned test: how it ended, why, and every run of it."""

    test: str
    component: str
    role: str
    type: str
    name: str
    plan: str
    end: Literal["executed", "relied", "received", "waived", "blocked", "failed", "not run"]
    why: str
    title: str
    success_criteria: str
    verdicts: Verdicts
    verdict: Literal["", "proved", "not proved", "inconclusive"]
    relied_on: ReliedOn | None
    runs: list[Run]
    stages: list[Stage]


class Conduct(_Model):
    """How a type of test is conducted."""

    id: str
    type: str
    title: str
    standing: str
    source: str
    duration: Figure
    timeout: Figure
    lateness: Figure
    blocks: Figure
    a_part: str
    needs: list[Labelled]


class Departure(_Model):
    """A run that was conducted otherwise than declared."""

    test: str
    run: str
    declared: Figure
    conducted: Figure
    compression: Figure
    rate: Figure


class OtherRun(_Model):
    """A run that does not stand, or came after another."""

    test: str
    run: str
    state: str
    why: str


class WithoutResult(_Model):
    """A planned test without a result."""

    test: str
    end: str
    why: str


class Deviations(_Model):
    """Where testing departed from what is declared."""

    conduct: list[Departure]
    runs: list[OtherRun]
    without_result: list[WithoutResult]


class Observation(_Model):
    """A measurement held against its limit."""

    observation: str
    run: str
    test: str
    requirement: str
    scope: str
    direction: str
    verdict: Literal["proved", "not proved", "inconclusive"]
    reason: str
    reliance: str
    metric: str
    title: str
    scope_title: str
    standing: str
    meaning: str
    measured: Figure
    limit: Figure


class Leg(_Model):
    """A component on a way, and the run that it was measured in."""

    component: str
    run: str


class Percentile(_Model):
    """A percentile along a way, with bounds that assume nothing."""

    name: str
    lower: Figure
    upper: Figure
    independent: Figure


class RoundTrip(Percentile):
    """A way's target round trip, and whether it is held."""

    limit: Figure
    share: Figure
    standing: str
    source: str
    verdict: str
    left: Figure | None


class Way(_Model):
    """A way along a message path, from end to end."""

    path: str
    title: str
    components: list[Leg]
    untested: list[str]
    percentiles: list[Percentile]
    round_trip: RoundTrip | None


class Panel(_Model):
    """A chart of a test's or component's behaviour. `limits`: by name of what they limit."""

    test: str
    component: str
    type: str
    panel: Literal["course", "steps", "turns", "outcomes", "trend", "achieved", "curve"]
    limits: dict[str, Figure | None]
    series: Figure
    window: Figure | None = None
    headroom: Figure | None = None
    crossing: Figure | None = None


class Earlier(_Model):
    """Observations of the same tests in an earlier phase and in this one. `sides`: the two phases, as drawn."""

    phase: str
    chart: Figure | None
    sides: list[str]
    section: Section


class Window(_Model):
    """The peak window."""

    title: str
    hours: Figure


class Volumes(_Model):
    """Messages a day, in the peak window and a second of it."""

    day: Figure
    window: Figure
    per_second: Figure
    offered_per_second: Figure


class PathVolumes(Volumes):
    """Those of one message path, and what they rest on."""

    path: str
    basis: list[str]
    assumptions: list[str]


class ComponentVolumes(_Model):
    """Those of one component."""

    component: str
    title: str
    tested: bool
    total: Volumes
    paths: list[PathVolumes]


class Group(_Model):
    """Messages of an SRV group by component."""

    group: str
    title: str
    business_process: str
    srvs: list[str]
    window: dict[str, Figure]


class PhaseVolumes(_Model):
    """The volumes of a phase whose own they are, or whose tests aim at them."""

    phase: str
    title: str
    own: bool
    targets_of: list[str]
    components: list[ComponentVolumes]
    groups: list[Group]
    kinds: Figure


class ModelFigure(_Model):
    """A figure of the volume model."""

    name: str
    title: str
    chart: Figure


class Sheet(_Model):
    """A table of the volume model."""

    name: str
    title: str
    note: str
    columns: list[Column]
    rows: list[list[str | Figure]]


class VolumeModel(_Model):
    """The phase's own volume model."""

    day: Parts
    reprocessing: Parts
    figures: list[ModelFigure]
    sheets: list[Sheet]


class AllVolumes(_Model):
    """Volumes by phase, and the model."""

    window: Window
    phases: list[PhaseVolumes]
    model: VolumeModel


class Sensitivity(_Model):
    """How far an assumption alone moves the peak of the component that it moves most."""

    component: str
    at_low: Figure
    at_high: Figure


class Assumption(_Model):
    """An assumption with its standing."""

    id: str
    title: str
    standing: str
    source: str
    owner: str
    date: str
    note: str
    value: Figure
    in_use: bool
    sensitivity: Sensitivity | None


class Row(_Model):
    """A row of the forecasts (with `meters`) or of the migration plans (with `installations`)."""

    phase: str
    cohort: str
    begins: str
    ends: str
    version: str
    standing: str
    source: str
    meters: Figure | None = None
    installations: Figure | None = None


class Requirement(_Model):
    """A requirement in force."""

    id: str
    title: str
    metric: str
    standing: str
    source: str
    owner: str
    meaning: str
    direction: str
    limit: Figure
    within: Figure | None
    roles: list[str]
    types: list[str]
    groups: list[str]


class Included(_Model):
    """What is tested, and by what."""

    id: str
    title: str
    kind: str
    tested_by: str
    source: str


class Exclusion(_Model):
    """What is not tested, why not, and the risk that remains."""

    id: str
    title: str
    kind: str
    rationale: str
    assured_elsewhere: str
    residual_risk: str
    monitoring: str
    owner: str
    standing: str
    source: str


class Scope(_Model):
    """What is tested and what is not."""

    included: list[Included]
    exclusions: list[Exclusion]


class Named(_Model):
    """What is not compared, and why."""

    what: str
    why: str


class Rule(_Model):
    """The rule of reliance in force."""

    text: str
    reading: str
    source: str
    not_compared: list[Named]


class Changed(_Model):
    """An input then and now."""

    input: str
    old: str
    new: str


class Root(_Model):
    """A root cause: what changed in the declarations, and the inputs that it propagates to."""

    declared: str
    differences: list[Changed]
    more: str
    propagates: str
    old_digest: str
    new_digest: str


class Affected(_Model):
    """What rests on an answer, a kind of thing each."""

    what: str
    names: str


class Compared(Changed):
    """An input then and now, and whether the rule allows the difference."""

    old_digest: str
    new_digest: str
    same: bool
    allows: bool


class Then(_Model):
    """What had been decided before the run that stands."""

    decision: str
    why: str


class Decision(_Model):
    """What was compared before a test was executed or relied on, as an impact analysis report."""

    test: str
    end: str
    decision: str
    then: Then | None
    relied_on: ReliedOn | None
    against: dict[str, str] | None
    evidence: list[Digest]
    roots: list[Root]
    by_themselves: str
    apart: str
    untraced: str
    affected: list[Affected]
    conclusion: str
    compared: list[Compared]


class Drawn(_Model):
    """A test that was drawn, and what came of it."""

    test: str
    relied_on: str
    run: str | None
    verdict: str
    outcome: str


class Draw(_Model):
    """One draw of tests that were executed all the same."""

    record: Digest
    share: str
    seed: str
    tests: list[Drawn]


class Sampling(_Model):
    """How often reliance would have been wrong; empty where no sample was asked for."""

    figures: dict[str, Figure] = {}
    draws: list[Draw] = []


class Reliance(_Model):
    """Reuse of earlier evidence."""

    rule: Rule
    sampling: Sampling
    decisions: list[Decision]


class Evidence(_Model):
    """An artefact that some figure rests on, and what it is."""

    digest: Digest
    what: list[str]


class Report(_Model):
    """A completion report. Sections by name, in no order; `recorded`: what people recorded, by section."""

    report: str
    identity: Identity
    stamp: Stamp | None
    outcome: Outcome
    heat_map: Figure
    components: list[Component]
    exit_criteria: list[ExitCriterion]
    plans: Section
    tests: list[Test]
    conduct: list[Conduct]
    deviations: Deviations
    observations: list[Observation]
    traceability: Section
    end_to_end: list[Way]
    by_component: list[Panel]
    behaviour: list[Panel]
    earlier: list[Earlier]
    infrastructure: Section
    environment: Section
    volumes: AllVolumes
    volumes_tested: Section
    assumptions: list[Assumption]
    forecasts: list[Row]
    migration_plans: list[Row]
    requirements: list[Requirement]
    scope: Scope
    reliance: Reliance
    recorded: dict[str, Section]
    glossary: Section
    evidence: list[Evidence]


def schema_text() -> str:
    """The JSON Schema (draft 2020-12) of the twin, as the text of its file."""
    schema = Report.model_json_schema()
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Plimsoll completion report"}
    return json.dumps({**schema, **head}, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema_text(), encoding="utf-8")
