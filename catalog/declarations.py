"""What a programme declares: frozen models, one for each file of a catalogue folder, and the programme they make.

Shapes only. Where a declaration stands in its file is known to `catalog.reading`; whether declarations agree with
each other is checked in `catalog.agreement`.
"""

from decimal import Decimal
from enum import Enum, StrEnum
from functools import cached_property
from typing import Annotated, Any, Self, assert_never
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)

from catalog.quantities import Duration, Quantity, Unit, Written


class Declared(BaseModel):
    """Anything declared: frozen, and it refuses keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    @field_serializer("*", when_used="json", check_fields=False)
    def _exact(self, value: Any) -> Any:
        return format(value, "f") if isinstance(value, Decimal) else value


Identifier = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=64)]
Text = Annotated[str, Field(min_length=1)]
Exact = Annotated[Decimal, Field(ge=0, allow_inf_nan=False, max_digits=24)]
TimeOfDay = Annotated[str, Field(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]
"""Hours and minutes from midnight UTC, as "08:30"; "24:00" is the midnight that ends a day."""
Date = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
DayOfYear = Annotated[str, Field(pattern=r"^(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$")]

MINUTES_A_DAY = 1440


def minute_of(time: str) -> int:
    """Minutes from midnight of a time of day."""
    hours, minutes = time.split(":")
    return int(hours) * 60 + int(minutes)


class Standing(StrEnum):
    """How firmly a declared value stands. Reports mark whatever is not `agreed`."""

    AGREED = "agreed"
    PROPOSED = "proposed"
    UNVERIFIED = "unverified"


class Sourced(Declared):
    """A declared value that says where it comes from and who answers for it."""

    standing: Standing
    source: Text
    owner: Text


# --- programme.yaml ---------------------------------------------------------------------------------------------------


class ApproachDocument(Declared):
    """The document that sets out the testing approach, and whether it was approved."""

    title: Text
    version: Text
    date: Text
    approved: Text | None = Field(default=None, description="date of approval; absent when none is known")
    standing: Standing
    source: Text


class RelianceScope(StrEnum):
    """Which components must be unchanged before earlier evidence may be relied on."""

    PROGRAMME = "programme"
    PATH = "path"


class RelianceVolumes(StrEnum):
    """How target volumes must compare with those that the earlier evidence proved."""

    EQUAL = "equal"
    NOT_EXCEEDING = "not-exceeding"


class TestType(StrEnum):
    """The kinds of test that a plan may hold."""

    __test__ = False  # not a test class, whatever its name makes pytest think

    LOAD = "load"
    CATCH_UP = "catch-up"
    STRESS = "stress"
    SOAK = "soak"
    REGRESSION = "regression"
    SCALING = "scaling"
    NEGATIVE_PATH = "negative-path"


class Never(Declared):
    """What may never rest on earlier evidence."""

    roles: tuple[Identifier, ...] = ()
    types: tuple[TestType, ...] = ()


class RelianceApproval(Declared):
    """Whose reliance a person approves first. Without roles and types it is that of every test."""

    by: Text = Field(description="who approves, such as the Test Assurance Board")
    roles: tuple[Identifier, ...] = ()
    types: tuple[TestType, ...] = ()


class Reliance(Declared):
    """The rule by which a later phase may rely on the evidence of an earlier one."""

    scope: RelianceScope
    volumes: RelianceVolumes
    never: Never = Never()
    valid_for: Duration | None = Field(
        default=None, description="whole days, such as 180 d, after which evidence is too old; absent: no age is"
    )
    approval: RelianceApproval | None = Field(default=None, description="absent: nobody has to approve")
    reading: Text = Field(description="which reading of the approach document this rule puts in force, and why")
    source: Text

    @model_serializer(mode="wrap", when_used="json")
    def _recorded(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What a record holds: a rule without a validity period or an approval does not say so."""
        return _declared(self, whole(self), ("valid_for", "approval"))


class Phase(Declared):
    """A capability phase. `components` are those that the phase holds to requirements."""

    id: Identifier
    title: Text
    components: tuple[Identifier, ...] = Field(min_length=1)


class CriterionKind(StrEnum):
    """What an exit criterion is held against."""

    OBSERVATIONS_PROVED = "observations-proved"
    TESTS_ENDED = "tests-ended"
    EXCLUSIONS_STATED = "exclusions-stated"
    NUMBERS_AGREED = "numbers-agreed"
    ISSUES_WITHIN_THRESHOLDS = "issues-within-thresholds"
    PLANS_SIGNED_OFF = "plans-signed-off"
    PLANS_DISCHARGED = "plans-discharged"
    REQUIREMENTS_SUITABLE = "requirements-suitable"
    TESTS_WITNESSED = "tests-witnessed"
    ASSURANCES_GIVEN = "assurances-given"
    AUDIT_REPORTED = "audit-reported"
    APPROACH_APPROVED = "approach-approved"
    BOARD_DECIDED = "board-decided"
    PEOPLE = "people"


class ExitCriterion(Declared):
    """One criterion that the board considers.

    From `plans-signed-off` on, a criterion is told by signed records, never by a computation; `people`: by the board's
    own decision on this criterion.
    """

    id: Identifier
    text: Text
    kind: CriterionKind
    phases: tuple[Identifier, ...] = Field(default=(), description="absent: every phase")
    source: Text


class BaselineOf(StrEnum):
    """Which recorded days a regression is held against."""

    RECORDED = "recorded"
    LAST_ACCEPTED = "last-accepted"
    LAST_RELEASE = "last-release"


class RecordedBaseline(Declared):
    """A baseline whose runs were recorded on other days, by the scheduled regression itself.

    `recorded`: the days from `since` (the first there is) until `until`; `last-accepted`: all until the newest decision
    that a phase is complete; `last-release`: those on which the release before today's was tested, component by
    component. `margin`: how much worse than it is still accepted, as a share of its figures.
    """

    of: BaselineOf
    title: Text
    since: Date | None = None
    until: Date | None = None
    margin: Written
    standing: Standing
    source: Text

    @field_validator("margin")
    @classmethod
    def _is_share(cls, margin: Quantity) -> Quantity:
        if not margin.is_share or margin.value == 1_000_000:
            raise ValueError("expected a share above nothing and below the whole, such as '10 %'")
        return margin

    @model_validator(mode="after")
    def _has_days(self) -> Self:
        if (self.of is BaselineOf.RECORDED) != (self.until is not None) or (self.since and not self.until):
            raise ValueError("`until` (and `since`) is for a baseline of 'recorded', which needs it")
        return self


class NamedRegression(Declared):
    """A regression beside the scheduled one: the tests of a phase, of some types and roles, executed again."""

    id: Identifier
    title: Text
    phase: Identifier
    types: tuple[TestType, ...] = Field(min_length=1)
    roles: tuple[Identifier, ...] = Field(default=(), description="only components of these roles; absent: all")
    standing: Standing
    source: Text


class Regression(Declared):
    """The scheduled regression run: which types of test it executes again, and for which phase.

    `baseline`: what its figures are held against, beside their history; `others`: further regressions, which are run
    by their ids: such as the final one before go-live.
    """

    phase: Identifier
    types: tuple[TestType, ...] = Field(min_length=1)
    baseline: RecordedBaseline | None = None
    others: tuple[NamedRegression, ...] = ()

    @model_serializer(mode="wrap", when_used="json")
    def _recorded(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What a record holds: where no baseline and no others are declared, it does not say so."""
        return _declared(self, whole(self), ("baseline", "others"))


class ProgrammeFile(Declared):
    """programme.yaml: what the programme is, its phases, its rule of reliance and its exit criteria."""

    programme: Identifier
    title: Text
    operator: Text
    summary: Text
    default_environment: Identifier
    approach_document: ApproachDocument
    reliance: Reliance
    regression: Regression
    phases: tuple[Phase, ...] = Field(min_length=1)
    exit_criteria: tuple[ExitCriterion, ...] = Field(min_length=1)


# --- system.yaml ------------------------------------------------------------------------------------------------------


class ServiceProvider(Declared):
    """An organisation that owns components and submits test plans."""

    id: Identifier
    title: Text
    standing: Standing
    source: Text


class Solution(Declared):
    """The service provider's product that fills a component's role."""

    name: Text
    standing: Standing
    source: Text


class ComponentScope(StrEnum):
    """Whether a component is in the scope of capacity testing, excluded from it, or outside the system."""

    TESTED = "tested"
    EXCLUDED = "excluded"
    OUTSIDE = "outside"


class Component(Declared):
    """A part of the system. Its version, artefact, configuration and solution decide whether evidence still holds."""

    id: Identifier
    role: Identifier
    title: Text
    provider: Identifier
    scope: ComponentScope
    version: Text
    artefact: Text = Field(default="unstated", description="what was deployed, such as an image digest")
    configuration: dict[str, str | int | bool] = {}
    solution: Solution
    sub_components: tuple[Identifier, ...] = ()


PLAIN = "plain"
"""The protocol where no interface declares one."""


class Interface(Declared):
    """A link between two components, carrying messages `from` one `to` the other under a protocol, a message codec."""

    model_config = ConfigDict(populate_by_name=True)

    id: Identifier
    title: Text
    from_: Identifier = Field(alias="from")
    to: Identifier
    protocol: Identifier = Field(description="plain, duis, or a message codec that is installed")


class MessageKind(StrEnum):
    """The kinds of message that the volume model counts."""

    REQUEST = "request"
    ACKNOWLEDGEMENT = "acknowledgement"
    RESPONSE = "response"
    ALERT = "alert"


class RoundTrip(Declared):
    """How soon what a path carries is to be answered, end to end, and the share of its messages that it holds for."""

    within: Duration
    share: Written
    standing: Standing
    source: Text


class MessagePath(Declared):
    """The ordered steps that a kind of message passes: component ids, or `role:ROLE` for the one serving a cohort."""

    id: Identifier
    title: Text
    offers: MessageKind = Field(description="request or alert: what is offered at the path's start")
    steps: tuple[Annotated[str, Field(pattern=r"^(role:)?[a-z0-9][a-z0-9-]*$")], ...] = Field(min_length=2)
    acknowledged_by: tuple[Identifier, ...] = ()
    responses_wrapped_in: tuple[Annotated[str, Field(pattern=r"^[A-Za-z_][\w.-]{0,63}$")], ...] = Field(
        default=(), description="elements that a response's body, and an alert to a user, stand in, outermost first"
    )
    scheduled_by: Identifier | None = Field(
        default=None, description="the step that keeps schedules: scheduled messages start there"
    )
    round_trip: RoundTrip | None = None
    standing: Standing
    source: Text


class SystemFile(Declared):
    """system.yaml: service providers, components, interfaces and message paths."""

    service_providers: tuple[ServiceProvider, ...] = Field(min_length=1)
    components: tuple[Component, ...] = Field(min_length=1)
    interfaces: tuple[Interface, ...] = ()
    message_paths: tuple[MessagePath, ...] = Field(min_length=1)


# --- scope.yaml -------------------------------------------------------------------------------------------------------


class SubjectKind(StrEnum):
    """What sort of thing an entry of the scope is about."""

    SYSTEM = "system"
    INTERFACE = "interface"
    PROCESS = "process"
    TESTING = "testing"


class Included(Declared):
    """Something that the approach document names and that is tested here, and by what."""

    id: Identifier
    title: Text
    kind: SubjectKind
    tested_by: Text
    source: Text


class Exclusion(Declared):
    """Something that is not tested, why not, where else it is assured, and the risk that remains."""

    id: Identifier
    title: Text
    kind: SubjectKind
    phases: tuple[Identifier, ...] = Field(default=(), description="absent: every phase")
    rationale: Text
    assured_elsewhere: Text
    residual_risk: Text
    monitoring: Text
    owner: Text
    components: tuple[Identifier, ...] = Field(default=(), description="excluded components that this is about")
    standing: Standing
    source: Text


class ScopeFile(Declared):
    """scope.yaml: what is in scope, and what is excluded with rationale and residual risk."""

    included: tuple[Included, ...] = Field(min_length=1)
    exclusions: tuple[Exclusion, ...] = ()


# --- assumptions.yaml -------------------------------------------------------------------------------------------------


class Assumption(Sourced):
    """A number that the volume model rests on. `unit` is written out, such as 'messages per meter per day'.

    `low` and `high`: the range that it may turn out to lie in, both or neither; sensitivities are computed from them,
    with `value` as the likeliest (a triangular distribution).
    """

    id: Identifier
    title: Text
    value: Exact
    low: Exact | None = None
    high: Exact | None = None
    unit: Text
    date: Text
    note: str = ""


class AssumptionsFile(Declared):
    """assumptions.yaml: the assumption register."""

    assumptions: tuple[Assumption, ...] = Field(min_length=1)


# --- volumes.yaml -----------------------------------------------------------------------------------------------------


class CohortOfMeters(Declared):
    """Meters that are forecast together. `served_by` fills the steps written `role:ROLE` in its message paths."""

    id: Identifier
    title: Text
    generation: Identifier
    served_by: tuple[Identifier, ...] = ()


class WeightedSrv(Declared):
    """A service reference variant and its weight within its group."""

    srv: Text
    weight: Annotated[int, Field(ge=1, le=1_000_000_000)]


class Mode(StrEnum):
    """How a service is asked for. What is not one of the first two is asked for on demand."""

    SCHEDULED = "scheduled"
    FUTURE_DATED = "future-dated"
    ON_DEMAND = "on-demand"


class SrvGroup(Declared):
    """Messages of one business process. `share`: the assumption that gives its share of a traffic (absent: all).

    `modes`: the assumptions that give the shares which are scheduled or future dated, of those of its messages that
    the register allows to be; the rest is on demand. Absent: not split.
    """

    id: Identifier
    title: Text
    business_process: Text
    share: Identifier | None = None
    modes: dict[Mode, Identifier] = {}
    srvs: tuple[WeightedSrv, ...] = Field(min_length=1)


class OwnMessage(Declared):
    """A message that is not in the register of service reference variants, such as a migration step or an alert."""

    id: Text
    title: Text
    standing: Standing
    source: Text


class Suppression(Declared):
    """Whether alerts are suppressed, and the assumption that gives the share which is left when they are."""

    in_force: bool
    leaves: Identifier


class AlertRate(Declared):
    """Alerts a day, per device: ordinary devices raise `per_device` each, nuisance devices `per_nuisance_device`.

    All are assumptions; `nuisance_share` is the share of devices that are a nuisance.
    """

    per_device: Identifier
    nuisance_share: Identifier | None = None
    per_nuisance_device: Identifier | None = None
    suppression: Suppression | None = None


class Brought(Declared):
    """A message that each message of a traffic brings along on a path of its own: an alert, or a request before it."""

    message: Text
    path: Identifier
    per_request: Identifier
    first: bool = Field(
        default=False, description="a request that goes first: the traffic's own message is due when its answer came"
    )


class Traffic(Declared):
    """One stream of messages, per day and meter.

    Daily volume of a cohort and group = meters x product of the assumptions in `factors` (x devices x `alerts`, where
    it is alerts) x the group's share x the calendar's effects on the day; it is split over the group's SRVs by weight,
    and over the day by `in_window`, the assumption that gives the share which falls into the peak window, and by the
    shape of `profile` within the window and outside it (absent: even).
    """

    id: Identifier
    title: Text
    traffic: Text = Field(description="the label on every message, such as BAU or migration")
    path: Identifier
    generation: Identifier
    factors: tuple[Identifier, ...]
    alerts: AlertRate | None = None
    brings: tuple[Brought, ...] = ()
    groups: tuple[Identifier, ...] = Field(min_length=1)
    in_window: Identifier
    profile: Identifier | None = None


class MigrationStep(Declared):
    """A step of a migration: `per_attempt` messages of an attempt that reaches it; a share `fails` and goes no further.

    Its message belongs to the group that lists it (by which weight does not matter).
    """

    message: Text
    path: Identifier
    per_attempt: Identifier
    fails: Identifier | None = None


class Migration(Declared):
    """How installations are migrated, day by day: planned per cohort, at most `cap` of all together, step by step.

    An attempt that fails is made again up to `retries` times; then the installation is left to people. What is planned
    above the cap is put off to later days where `throttle` says so, and a fault where it does not.
    """

    traffic: Text
    generation: Identifier
    cap: Identifier
    throttle: bool
    retries: Identifier
    steps: tuple[MigrationStep, ...] = Field(min_length=1)
    in_window: Identifier
    profile: Identifier | None = None


class RatePoint(Declared):
    """From this time of the day on, until the next point, messages come at this rate, relative to the other points."""

    begins: TimeOfDay
    rate: Exact


class DayProfile(Declared):
    """How the messages of a day are spread over it: a relative rate that changes at its points."""

    id: Identifier
    title: Text
    points: tuple[RatePoint, ...] = Field(min_length=1)
    standing: Standing
    source: Text


class Weekday(StrEnum):
    """The days of the week, in the order of ISO 8601."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


class CalendarEffect(Declared):
    """Days on which some traffic is a multiple of an ordinary day's: by weekday, or by date in every year.

    `traffic` and `groups`: those that it applies to; absent: all. `factor`: an assumption.
    """

    id: Identifier
    title: Text
    weekdays: tuple[Weekday, ...] = ()
    dates: tuple[DayOfYear, ...] = ()
    factor: Identifier
    traffic: tuple[Identifier, ...] = ()
    groups: tuple[Identifier, ...] = ()


class Period(Declared):
    """A stretch of the day, from one time of day to another."""

    id: Identifier
    title: Text
    begins: TimeOfDay
    ends: TimeOfDay


class Window(Declared):
    """The stretch of the day that tests are held to; whole periods."""

    begins: TimeOfDay
    ends: TimeOfDay


class CatchUp(Declared):
    """Demand that an outage of `outage` leaves behind: the share `kept` of what came meanwhile, to be cleared in time.

    `kept`: an assumption.
    """

    id: Identifier
    title: Text
    outage: Duration
    cleared_within: Duration
    kept: Identifier


class Sensitivity(Declared):
    """How often the assumptions' ranges are drawn from together, and from which seed."""

    draws: Annotated[int, Field(ge=100, le=1_000_000)] = 10_000
    seed: Annotated[int, Field(ge=0, le=2**31)] = 1


METERS = "meters"
"""What forecasts count where a programme has no word of its own for it; and the name that it is recorded under."""


class VolumesFile(Declared):
    """volumes.yaml: how forecasts and assumptions become messages. File names are relative to the catalogue."""

    srv_register: Text
    forecasts: Text
    migration_plans: Text | None = None
    observed_volumes: Text | None = None
    counted: Annotated[str, Field(pattern=r"^[a-z][a-z-]*$", max_length=32)] = Field(
        default=METERS, description="what forecasts count, such as customers: their column and unit are called so"
    )
    peak_window: Window
    periods: tuple[Period, ...] = Field(min_length=1)
    profiles: tuple[DayProfile, ...] = ()
    calendar: tuple[CalendarEffect, ...] = ()
    cohorts: tuple[CohortOfMeters, ...] = Field(min_length=1)
    devices_per_meter: Identifier | None = None
    own_messages: tuple[OwnMessage, ...] = ()
    groups: tuple[SrvGroup, ...] = Field(min_length=1)
    traffic: tuple[Traffic, ...] = Field(min_length=1)
    migration: Migration | None = None
    catch_up: tuple[CatchUp, ...] = ()
    sensitivity: Sensitivity = Sensitivity()

    @model_serializer(mode="wrap", when_used="json")
    def _recorded(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What a record holds: that meters are counted is not said."""
        return _declared(self, whole(self), ("counted",))


class MeterUnit(StrEnum):
    """The unit that a forecast counts meters in."""

    METERS = "meters"
    THOUSANDS = "thousand meters"


class Forecast(Declared):
    """One row of the forecasts CSV: how many meters a cohort has in a phase, from one day to another, both included.

    A programme that counts something else says so under `counted` in volumes.yaml; column and unit are called so then.

    Grain: one phase, cohort and first day. `prepayment_meters`: how many of them are in prepayment mode; empty where
    that is not known. `version`: which issue of the forecast the row is from; a phase rests on one.
    """

    phase: Identifier
    cohort: Identifier
    begins: Date
    ends: Date
    meters: Annotated[int, Field(ge=0, le=200_000_000)]
    prepayment_meters: Annotated[int, Field(ge=0, le=200_000_000)] | None = None
    unit: MeterUnit
    version: Text
    standing: Standing
    source: Text

    @property
    def counted(self) -> int:
        """Meters, whatever the unit."""
        return self.meters * self._each

    @property
    def counted_prepayment(self) -> int | None:
        """Meters in prepayment mode, whatever the unit; None where that is not known."""
        return None if self.prepayment_meters is None else self.prepayment_meters * self._each

    @property
    def _each(self) -> int:
        return 1000 if self.unit is MeterUnit.THOUSANDS else 1


class MigrationPlan(Declared):
    """One row of the migration plans CSV: installations a cohort plans to migrate each day, both days included.

    Grain: one phase, cohort and first day. A day without a row has none.
    """

    phase: Identifier
    cohort: Identifier
    begins: Date
    ends: Date
    installations_per_day: Annotated[int, Field(ge=0, le=10_000_000)]
    version: Text
    standing: Standing
    source: Text


class ObservedMeasure(StrEnum):
    """What an observed volume counts: meters at the end of the days given, the others per day, averaged over them."""

    METERS = "meters"
    MIGRATIONS = "migrations"
    REQUESTS = "requests"
    ALERTS = "alerts"


class ObservedVolume(Declared):
    """One row of the observed volumes CSV, which forecasts are held against. `generation`: empty for all together."""

    begins: Date
    ends: Date
    measure: ObservedMeasure
    generation: str
    value: Annotated[int, Field(ge=0, le=10**12)]
    standing: Standing
    source: Text


class ServiceReferenceVariant(Declared):
    """One row of the register CSV, which may hold more columns than these.

    `future_dated_pattern`: who keeps a future dated message (`No` when it cannot be); `dcc_scheduled`: whether the
    operator's schedules may send it.
    """

    model_config = ConfigDict(extra="ignore")

    srv: Text
    name: Text
    critical: bool
    future_dated_pattern: Text = "No"
    dcc_scheduled: bool = False

    def allows(self, mode: Mode) -> bool:
        """Whether a message of this kind can be asked for in that mode."""
        match mode:
            case Mode.SCHEDULED:
                return self.dcc_scheduled
            case Mode.FUTURE_DATED:
                return self.future_dated_pattern != "No"
            case Mode.ON_DEMAND:
                return True
            case _:
                assert_never(mode)


# --- requirements.yaml ------------------------------------------------------------------------------------------------


class Metric(StrEnum):
    """What a requirement limits. Each has one unit and one direction: see `METRICS`."""

    OFFERED = "offered"
    ANSWERED_SHARE = "answered-share"
    SERVICE_LEVEL = "service-level"
    LATENCY_P50 = "latency-p50"
    LATENCY_P95 = "latency-p95"
    LATENCY_P99 = "latency-p99"
    LATENCY_MAX = "latency-max"
    ACKNOWLEDGED_P95 = "acknowledged-p95"
    CHAIN_LATENCY_P95 = "chain-latency-p95"
    CPU_P95 = "cpu-p95"
    MEMORY_P95 = "memory-p95"
    MEMORY_MAX = "memory-max"
    MEMORY_GROWTH = "memory-growth"
    CONNECTIONS_P95 = "connections-p95"
    CONNECTIONS_MAX = "connections-max"
    HANDLES_P95 = "handles-p95"
    HANDLES_MAX = "handles-max"
    DISK_READ_P95 = "disk-read-p95"
    DISK_WRITTEN_P95 = "disk-written-p95"
    NETWORK_RECEIVED_P95 = "network-received-p95"
    NETWORK_SENT_P95 = "network-sent-p95"
    HEADROOM = "headroom"
    CAPACITY = "capacity"
    RECOVERED_SHARE = "recovered-share"
    LATENCY_GROWTH = "latency-growth"
    HANDLES_GROWTH = "handles-growth"
    FAILURE_GROWTH = "failure-growth"
    DRAIN_TIME = "drain-time"
    BACKLOG_MAX = "backlog-max"
    SCALING_GAIN = "scaling-gain"
    REDUCED_SHARE = "reduced-share"
    REFUSED_SHARE = "refused-share"
    LATENCY_P50_RATIO = "latency-p50-ratio"
    LATENCY_P95_RATIO = "latency-p95-ratio"
    LATENCY_P99_RATIO = "latency-p99-ratio"
    ANSWERED_SHARE_RATIO = "answered-share-ratio"


class Direction(StrEnum):
    """On which side of its limit a measurement is good."""

    AT_MOST = "at most"
    AT_LEAST = "at least"


METRICS: dict[Metric, tuple[Unit, Direction, str]] = {
    Metric.OFFERED: (Unit.COUNT, Direction.AT_LEAST, "messages offered in time, against the target volume"),
    Metric.ANSWERED_SHARE: (Unit.PARTS_PER_MILLION, Direction.AT_LEAST, "share answered as expected, of all offered"),
    Metric.SERVICE_LEVEL: (Unit.PARTS_PER_MILLION, Direction.AT_LEAST, "share answered within the target time"),
    Metric.LATENCY_P50: (Unit.MICROSECONDS, Direction.AT_MOST, "median latency from intended time"),
    Metric.LATENCY_P95: (Unit.MICROSECONDS, Direction.AT_MOST, "95th percentile of latency from intended time"),
    Metric.LATENCY_P99: (Unit.MICROSECONDS, Direction.AT_MOST, "99th percentile of latency from intended time"),
    Metric.LATENCY_MAX: (Unit.MICROSECONDS, Direction.AT_MOST, "largest latency from intended time"),
    Metric.ACKNOWLEDGED_P95: (Unit.MICROSECONDS, Direction.AT_MOST, "95th percentile of time to the acknowledgement"),
    Metric.CHAIN_LATENCY_P95: (Unit.MICROSECONDS, Direction.AT_MOST, "95th percentile of latency of whole chains"),
    Metric.CPU_P95: (Unit.PARTS_PER_MILLION, Direction.AT_MOST, "95th percentile of CPU use, of one core"),
    Metric.MEMORY_P95: (Unit.BYTES, Direction.AT_MOST, "95th percentile of resident memory"),
    Metric.MEMORY_MAX: (Unit.BYTES, Direction.AT_MOST, "largest resident memory"),
    Metric.MEMORY_GROWTH: (Unit.BYTES, Direction.AT_MOST, "resident memory gained per message (trend)"),
    Metric.CONNECTIONS_P95: (Unit.COUNT, Direction.AT_MOST, "95th percentile of open network connections"),
    Metric.CONNECTIONS_MAX: (Unit.COUNT, Direction.AT_MOST, "most network connections open at once"),
    Metric.HANDLES_P95: (Unit.COUNT, Direction.AT_MOST, "95th percentile of open file descriptors"),
    Metric.HANDLES_MAX: (Unit.COUNT, Direction.AT_MOST, "most file descriptors open at once"),
    Metric.DISK_READ_P95: (Unit.BYTES, Direction.AT_MOST, "95th percentile of what is read from disks in a second"),
    Metric.DISK_WRITTEN_P95: (Unit.BYTES, Direction.AT_MOST, "95th percentile of what is written to disks in a second"),
    Metric.NETWORK_RECEIVED_P95: (Unit.BYTES, Direction.AT_MOST, "95th percentile of what is received in a second"),
    Metric.NETWORK_SENT_P95: (Unit.BYTES, Direction.AT_MOST, "95th percentile of what is sent in a second"),
    Metric.HEADROOM: (Unit.PARTS_PER_MILLION, Direction.AT_LEAST, "highest load carried, as a multiple of target"),
    Metric.CAPACITY: (Unit.PARTS_PER_MILLION, Direction.AT_LEAST, "what the servers can do at most, over the target"),
    Metric.RECOVERED_SHARE: (Unit.PARTS_PER_MILLION, Direction.AT_LEAST, "share answered in time after the overload"),
    Metric.LATENCY_GROWTH: (Unit.MICROSECONDS, Direction.AT_MOST, "median latency gained per million messages (trend)"),
    Metric.HANDLES_GROWTH: (Unit.COUNT, Direction.AT_MOST, "open handles gained per million messages (trend)"),
    Metric.FAILURE_GROWTH: (Unit.PARTS_PER_MILLION, Direction.AT_MOST, "failed share gained per million messages"),
    Metric.DRAIN_TIME: (Unit.MICROSECONDS, Direction.AT_MOST, "time until queued demand is answered, uncompressed"),
    Metric.BACKLOG_MAX: (Unit.COUNT, Direction.AT_MOST, "most messages due and not yet ended, at once"),
    Metric.SCALING_GAIN: (Unit.PARTS_PER_MILLION, Direction.AT_LEAST, "throughput with capacity added, over before"),
    Metric.REDUCED_SHARE: (Unit.PARTS_PER_MILLION, Direction.AT_LEAST, "share answered after capacity was removed"),
    Metric.REFUSED_SHARE: (Unit.PARTS_PER_MILLION, Direction.AT_LEAST, "invalid messages refused as is right"),
    Metric.LATENCY_P50_RATIO: (Unit.PARTS_PER_MILLION, Direction.AT_MOST, "median latency over the baseline's"),
    Metric.LATENCY_P95_RATIO: (Unit.PARTS_PER_MILLION, Direction.AT_MOST, "95th percentile over the baseline's"),
    Metric.LATENCY_P99_RATIO: (Unit.PARTS_PER_MILLION, Direction.AT_MOST, "99th percentile over the baseline's"),
    Metric.ANSWERED_SHARE_RATIO: (Unit.PARTS_PER_MILLION, Direction.AT_LEAST, "answered share over the baseline's"),
}
"""Unit, direction and meaning of each metric."""

MEASURED_BY: dict[Metric, TestType] = {
    Metric.HEADROOM: TestType.STRESS,
    Metric.CAPACITY: TestType.STRESS,
    Metric.RECOVERED_SHARE: TestType.STRESS,
    Metric.MEMORY_GROWTH: TestType.SOAK,
    Metric.LATENCY_GROWTH: TestType.SOAK,
    Metric.HANDLES_GROWTH: TestType.SOAK,
    Metric.FAILURE_GROWTH: TestType.SOAK,
    Metric.DRAIN_TIME: TestType.CATCH_UP,
    Metric.BACKLOG_MAX: TestType.CATCH_UP,
    Metric.SCALING_GAIN: TestType.SCALING,
    Metric.REDUCED_SHARE: TestType.SCALING,
    Metric.REFUSED_SHARE: TestType.NEGATIVE_PATH,
    Metric.LATENCY_P50_RATIO: TestType.REGRESSION,
    Metric.LATENCY_P95_RATIO: TestType.REGRESSION,
    Metric.LATENCY_P99_RATIO: TestType.REGRESSION,
    Metric.ANSWERED_SHARE_RATIO: TestType.REGRESSION,
}
"""The metrics that one type of test alone measures."""

MIXED = (TestType.STRESS, TestType.REGRESSION)
"""Types whose runs mix several loads: of all their messages together only what was offered, and how late, is told."""


class RequirementScope(Declared):
    """To what a requirement applies: every listed role and test type; each listed group apart, or all together."""

    roles: tuple[Identifier, ...] = Field(min_length=1)
    types: tuple[TestType, ...] = Field(min_length=1)
    groups: tuple[Identifier, ...] = Field(default=(), description="absent: all groups together")


class Requirement(Sourced):
    """A non-functional requirement: metric, limit, unit and scope."""

    id: Identifier
    title: Text
    metric: Metric
    limit: Written
    within: Duration | None = Field(default=None, description="service-level only: the target time")
    scope: RequirementScope


class RequirementsFile(Declared):
    """requirements.yaml: the NFRs in force.

    `expectations`: what every row must meet besides, or is inconclusive, by the names of expectations that are
    installed.
    """

    requirements: tuple[Requirement, ...] = Field(min_length=1)
    expectations: tuple[Identifier, ...] = ()


# --- tests.yaml -------------------------------------------------------------------------------------------------------


class ArrivalProcess(StrEnum):
    """How the messages of a test follow each other."""

    POISSON = "poisson"
    EVEN = "even"
    BURSTY = "bursty"


class ArrivalsShape(Declared):
    """When a test's messages are due. Bursty only: `dispersion` and `burst`.

    `dispersion`: the index of dispersion, variance to mean of how many messages fall into stretches long against a
    burst (1: Poisson traffic). `burst`: the time over which the messages of one burst are spread, at most.
    """

    process: ArrivalProcess = ArrivalProcess.POISSON
    dispersion: Annotated[Exact, Field(ge=1, le=1_000_000)] | None = None
    burst: Duration | None = None


class StressRamp(Declared):
    """A search for the highest load carried: from `first` up by `growth` until a step is not carried, then by halves.

    Multiples of the target volume, at most `most`. It ends when the interval is at most `width` of its lower end wide
    and `agreeing` steps at either end said the same. A step is carried when its 95th percentile of latency is within
    `latency` and its answered share at least `answered`. Afterwards `first` is offered again: does it recover.
    """

    first: Exact = Decimal(1)
    growth: Exact
    most: Exact
    width: Written
    agreeing: Annotated[int, Field(ge=1, le=5)] = 2
    latency: Duration
    answered: Written


class CapacityChange(Declared):
    """From `at` on, the component has this multiple of its declared capacity."""

    at: Duration
    capacity: Exact


class CapacityPlan(Declared):
    """A test of scaling: `load`, a multiple of the target volume, while capacity is added and then removed.

    Multiples of the declared capacity: `begins_with`, and from two instants on. A real system is scaled by its own
    means at these instants; an emulated component has its workers changed.
    """

    load: Exact
    begins_with: Exact
    added: CapacityChange
    removed: CapacityChange


class BaselineRuns(Declared):
    """A regression test: `runs` of today's system, with all its traffic, in turns with as many of the baseline.

    `traffic`: the labels of the traffic that is compared; the baseline is offered that alone, message by message the
    same.
    """

    runs: Annotated[int, Field(ge=5, le=100)] = 5
    traffic: tuple[Text, ...] = Field(min_length=1)


class Flaw(StrEnum):
    """What makes a message one that is right to be answered with an error: see `tasks.codecs`."""

    UNKNOWN_SRV = "unknown-srv"
    UNAUTHORISED_DEVICE = "unauthorised-device"
    UNREACHABLE_DEVICE = "unreachable-device"


class Profile(Declared):
    """How a type of test is conducted. Durations are those of the real test; an environment may compress them.

    `duration`: of the load, for stress of each step, for regression of each run. `blocks`: into how many equal
    stretches of time a run is cut for intervals (at least 30). `lateness`: the 99th percentile of (taken up - intended)
    above which the load counts as not offered. What one type alone needs: stress `ramp`; catch-up `outage`, an entry of
    `catch_up` in volumes.yaml whose queued demand is released at once at the start; scaling `scaling`; regression
    `comparison`; negative path `invalid`, how many invalid requests of each kind come on top of the target volume, as
    a share of its requests.
    """

    id: Identifier
    type: TestType
    title: Text
    duration: Duration
    blocks: Annotated[int, Field(ge=30, le=1000)] = 30
    timeout: Duration
    lateness: Duration
    arrivals: ArrivalsShape = ArrivalsShape()
    ramp: StressRamp | None = None
    outage: Identifier | None = None
    scaling: CapacityPlan | None = None
    comparison: BaselineRuns | None = None
    invalid: dict[Flaw, Written] | None = None
    standing: Standing
    source: Text


CONDUCT: dict[TestType, str] = {
    TestType.STRESS: "ramp",
    TestType.CATCH_UP: "outage",
    TestType.SCALING: "scaling",
    TestType.REGRESSION: "comparison",
    TestType.NEGATIVE_PATH: "invalid",
}
"""The field of a profile that one type of test alone needs."""


class TestPlan(Declared):
    """A service provider's planned tests of one component. `volumes_of`: the phase whose volumes are the target."""

    __test__ = False  # not a test class, whatever its name makes pytest think

    id: Identifier
    title: Text
    provider: Identifier
    version: Text
    component: Identifier
    phases: tuple[Identifier, ...] = Field(min_length=1)
    volumes_of: Identifier
    tests: tuple[Identifier, ...] = Field(min_length=1, description="profiles; each becomes phase.component.profile")
    success_criteria: Text


class TestsFile(Declared):
    """tests.yaml: how each type of test is conducted, and the service providers' test plans."""

    __test__ = False  # not a test class, whatever its name makes pytest think

    profiles: tuple[Profile, ...] = Field(min_length=1)
    plans: tuple[TestPlan, ...] = Field(min_length=1)


# --- environments.yaml ------------------------------------------------------------------------------------------------


class EnvironmentKind(StrEnum):
    """A rehearsal is stamped as one on every page, and is never relied on outside rehearsals."""

    REHEARSAL = "rehearsal"
    REAL = "real"


class ServiceDistribution(StrEnum):
    """How the service time of an emulated component is spread."""

    CONSTANT = "constant"
    EXPONENTIAL = "exponential"
    LOGNORMAL = "lognormal"
    UNIFORM = "uniform"


class Overload(StrEnum):
    """What an emulated component does with a message that finds `queue_limit` others waiting.

    `queue`: it waits as the others do. `reject`: it is answered 503 at once. `collapse`: it waits, and takes
    1 + waiting/`queue_limit` times its service.
    """

    QUEUE = "queue"
    REJECT = "reject"
    COLLAPSE = "collapse"


class Pause(Declared):
    """Every `every`, all work stands still for `length`, as for a collection of garbage, and goes on where it was."""

    every: Duration
    length: Duration


class SlowStart(Declared):
    """Service times are multiplied by a factor that falls evenly from `factor` to 1 within `length` of the start."""

    length: Duration
    factor: Annotated[Exact, Field(ge=1, le=1000)]


class OutageAnswer(Enum):
    """What a message gets during an outage: a connection that ends, HTTP status 503, or nothing until it is over.

    After silence the connection ends, unless the client has given up before.
    """

    REFUSED = "refused"
    UNAVAILABLE = 503
    SILENCE = "silence"


class OutageQueue(StrEnum):
    """What becomes of messages in hand when an outage begins: served after it, or answered as those that come in it."""

    KEPT = "kept"
    LOST = "lost"


class Outage(Declared):
    """From `begins` for `length` nothing is served; after it all workers go on, and the queue is as declared."""

    begins: Duration
    length: Duration
    answers: OutageAnswer = OutageAnswer.REFUSED
    queue: OutageQueue = OutageQueue.KEPT


class Scaling(Declared):
    """From `at` on there are `workers`; those that go finish the message they have, idle ones go first."""

    at: Duration
    workers: Annotated[int, Field(ge=1, le=10_000)]


class Answers(StrEnum):
    """When an emulated component answers: at once, or, on paths that it acknowledges, with an acknowledgement first.

    The response then goes to the receive service of whoever asked, where there is one; else it is answered at once.
    """

    AT_ONCE = "at once"
    ACKNOWLEDGE = "acknowledge"


class Emulated(Declared):
    """An emulated component: `workers` serve side by side, each message for `service`; capacity = workers/service.

    `service` is the mean; `spread` the standard deviation of a lognormal one, or how far a uniform one goes to either
    side. `max_connections`: further ones are closed as soon as they are made. `pause`, `slow_start`, `outages` and
    `scaling` count from the first message that the component receives. `refuses`: flaws of messages that it answers
    with the error that is right for them, after its service time; any other it serves as if nothing were wrong.
    `answers`: on the paths that it acknowledges (`acknowledged_by`), it may do so when it has served a request, and
    respond later. `alert_permille`: of the messages served, how many make it raise an alert of its own.
    """

    workers: Annotated[int, Field(ge=1, le=10_000)]
    service: Duration
    distribution: ServiceDistribution = ServiceDistribution.CONSTANT
    spread: Duration | None = None
    error_permille: Annotated[int, Field(ge=0, le=1000)] = 0
    leak_bytes: Annotated[int, Field(ge=0, le=16 * 1024**2)] = 0
    max_connections: Annotated[int, Field(ge=1, le=50_000)] | None = None
    overload: Overload = Overload.QUEUE
    queue_limit: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    pause: Pause | None = None
    slow_start: SlowStart | None = None
    outages: tuple[Outage, ...] = ()
    scaling: tuple[Scaling, ...] = ()
    refuses: tuple[Flaw, ...] = tuple(Flaw)
    answers: Answers = Answers.AT_ONCE
    alert_permille: Annotated[int, Field(ge=0, le=1000)] = 0

    @model_serializer(mode="wrap", when_used="json")
    def _recorded(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What a record holds: behaviour that is as if nothing were declared is left out, so keys stand without it."""
        return _declared(self, whole(self), _BEHAVIOUR)


def _declared(model: Declared, document: dict[str, Any], optional: tuple[str, ...]) -> dict[str, Any]:
    """The document of a declaration without those optional fields that are as if nothing were declared."""
    plain = {name for name in optional if getattr(model, name) == type(model).model_fields[name].default}
    return {name: value for name, value in document.items() if name not in plain}


_BEHAVIOUR = (
    "spread",
    "max_connections",
    "overload",
    "queue_limit",
    "pause",
    "slow_start",
    "outages",
    "scaling",
    "refuses",
    "answers",
    "alert_permille",
)


Whereabouts = Annotated[str, Field(pattern=r"^[^-\s][^\r\n]*$", max_length=1024)]
"""The name of an environment variable (capitals, digits, underscores) or a file. Never what it holds."""


Variable = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$", max_length=255)]
"""The name of an environment variable. Never what it holds."""


class Pem(Declared):
    """Where certificates are found at run time: environment variables or files, as PEM.

    `ca` verifies the other side; `certificate` and `key` are this side's.
    """

    ca: Whereabouts | None = None
    certificate: Whereabouts | None = None
    key: Whereabouts | None = None


class Tls(Pem):
    """Where the certificates for https entries are found at run time: environment variables or files, as PEM.

    `ca` verifies the system (without it, the machine's own authorities do); `certificate` and `key` are this side's, or
    `pkcs12` with its `password`, which the libcurl injector reads.
    """

    pkcs12: Whereabouts | None = None
    password: Whereabouts | None = None

    @model_serializer(mode="wrap", when_used="json")
    def _recorded(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What a record holds: without what came later and is not declared."""
        return _declared(self, whole(self), ("pkcs12", "password"))


class InjectorKind(StrEnum):
    """What offers a test's load: the house's own engine, libcurl in its place, or a team's own Locust script.

    These are shipped; an environment may name one that is installed.
    """

    OWN = "own"
    LIBCURL = "libcurl"
    LOCUST = "locust"


class HttpVersion(StrEnum):
    """What is spoken to a real system, by TLS's names for it (ALPN)."""

    HTTP_1_1 = "http/1.1"
    H2 = "h2"


class Proxy(Declared):
    """A proxy on the way to a real system: http, https, socks4, socks4a, socks5 or socks5h.

    No credentials are declared: `user` and `password` name environment variables. `ca` verifies an https proxy, as in
    `tls`.
    """

    url: Annotated[str, Field(pattern=r"^(https?|socks(4a?|5h?))://[^\s/]+/?$")]
    user: Variable | None = None
    password: Variable | None = None
    ca: Whereabouts | None = None


class LocustScript(Declared):
    """A team's own script, which Locust runs closed loop: it proves shares and counts, and no latency.

    `script` and `files` (all else that it reads) are files of the catalogue. `users` are started at `spawn_rate` a
    second. `requests`: the `path|srv|kind` that a request counts as, by its name in Locust, or by method and name.
    `types`: the types of test that it conducts, all planned ones unless declared; the own injector conducts the rest.
    """

    script: Text
    files: tuple[Text, ...] = ()
    users: Annotated[int, Field(ge=1, le=50_000)]
    spawn_rate: Annotated[Exact, Field(gt=0, le=10_000)]
    requests: dict[Text, Annotated[str, Field(pattern=r"^[^|]+\|.+\|(request|alert)$")]] = Field(min_length=1)
    types: tuple[TestType, ...] = ()


Options = dict[Identifier, str | int | bool]
"""What is declared for an extension in its own words. Never a secret: declarations are recorded."""

Entry = Annotated[str, Field(pattern=r"^https?://[^\s/]+(/[^\s]*)?$")]
"""The URL of something real: a system's first interface, or a source of metrics."""


class Sampled(StrEnum):
    """What is sampled of a component or a host beside every test; its unit is the last part of the name."""

    CPU = "cpu_permille"
    MEMORY = "memory_bytes"
    CONNECTIONS = "connections_count"
    HANDLES = "handles_count"
    THREADS = "threads_count"
    DISK_READ = "disk_read_bytes_per_second"
    DISK_WRITTEN = "disk_written_bytes_per_second"
    DISK_FREE = "disk_free_bytes"
    NETWORK_RECEIVED = "network_received_bytes_per_second"
    NETWORK_SENT = "network_sent_bytes_per_second"


class Series(Declared):
    """What a metric of ours is made of: a `series` as it is exposed, or a `query` in PromQL.

    Of a series, those samples count whose labels match all of `labels` and none of `without` (regular expressions, of
    the whole value); they are summed. `counter`: it only grows, so that its growth in a second is the figure. `factor`
    makes our unit of theirs: 1000 of seconds of CPU in a second is permille.
    """

    series: Annotated[str, Field(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$", max_length=256)] | None = None
    labels: dict[str, str] = {}
    without: dict[str, str] = {}
    query: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    counter: bool = False
    factor: Exact = Decimal(1)


class Describes(StrEnum):
    """Whether samples are of the component, and held against its requirements, or of the host that it runs on."""

    COMPONENT = "component"
    HOST = "host"


class PrometheusSource(Declared):
    """Where infrastructure metrics come from: `url` is scraped while a test runs, a `server` asked after it.

    `every`: how far apart samples are. `host`: the name that they stand under, the URL's own where it is empty; `part`:
    the part of the component that they are of. `token`: the environment variable that holds a bearer token.
    """

    url: Entry | None = None
    server: Entry | None = None
    describes: Describes = Describes.COMPONENT
    part: Identifier = "prometheus"
    host: Annotated[str, Field(pattern=r"^[^\s]*$", max_length=253)] = ""
    every: Duration = 1_000_000
    token: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$", max_length=256)] | None = None
    metrics: Annotated[dict[Sampled, Series], Field(min_length=1)]

    @property
    def source(self) -> str:
        """The name of the metric source that reads it."""
        return "prometheus"

    @property
    def host_name(self) -> str:
        """The host that its samples stand under; empty where its URL has none."""
        if self.host:
            return self.host
        try:
            return urlsplit(self.url or self.server or "").hostname or ""
        except ValueError:
            return ""


class MetricSource(Declared):
    """Where infrastructure metrics come from otherwise than from Prometheus: a metric source, by its name.

    `options` are the source's own, and hold no secrets: they are recorded. `metrics`: those that it tells, every one
    of them at every instant. `every`, `host` and `part`: as for Prometheus.
    """

    source: Identifier
    options: Options = {}
    describes: Describes = Describes.COMPONENT
    part: Identifier = "source"
    host: Annotated[str, Field(pattern=r"^[^\s]*$", max_length=253)] = ""
    every: Duration = 1_000_000
    metrics: Annotated[tuple[Sampled, ...], Field(min_length=1)]

    @property
    def host_name(self) -> str:
        """The host that its samples stand under; empty: the one that Plimsoll runs on."""
        return self.host


class Receive(Pem):
    """The injector's receive service, to which a real system sends what it does not answer at once.

    `listen`: `host:port` on the injector's machine. With `certificate` and `key` it speaks TLS, and with `ca` wants
    clients that this has signed.
    """

    listen: Annotated[str, Field(pattern=r"^(\[[0-9a-fA-F:.]+\]|[^\s:/@\[\]]+):[0-9]{1,5}$")]

    @property
    def names(self) -> dict[str, str]:
        """Where certificates and key are, by role."""
        return self.model_dump(exclude={"listen"}, exclude_none=True)


_OPTIONAL = (
    "baselines",
    "scaled_by",
    "baseline_entries",
    "receive",
    "prometheus",
    "metrics",
    "injector",
    "injector_options",
    "http",
    "proxy",
    "locust",
)


class Environment(Declared):
    """Where tests are executed. A variant `extends` another and gives only what differs, with the defect it declares.

    `durations`: per test type, the compressed duration (stress: of a step; regression: of a run). `rates`: per
    component, the factor on the target rate ('default' for the rest). `entries`: per component, the URL of a real
    system's first interface. `scaled_by`: per component that has one, a URL that is told before a test of scaling when
    capacity is to change.
    `baselines`, `baseline_entries`: likewise, the baseline that regression tests compare with.
    `tls`: where the certificates for those are found; `receive`: where they send what comes later (emulated ones have
    a port of this machine's). `prometheus`: per component, where infrastructure metrics come from that cannot be seen
    on this machine, `metrics` from any other source of them. `estate`: how many devices messages belong to; each is
    asked again only after a test's timeout. `injector`: what offers the load; `http` and `proxy` are for libcurl,
    `locust` says what Locust runs, `injector_options` are for an injector that is installed.
    """

    id: Identifier
    title: Text
    kind: EnvironmentKind = EnvironmentKind.REHEARSAL
    extends: Identifier | None = None
    defect: str = ""
    size: str = ""
    seed: Annotated[int, Field(ge=0, le=2**31)] = 1
    estate: Annotated[int, Field(ge=1, le=2**32)] = 10_000_000
    connections: Annotated[int, Field(ge=1, le=10_000)] = 32
    max_connections: Annotated[int, Field(ge=1, le=50_000)] = 256
    durations: dict[TestType, Duration] = {}
    rates: dict[Identifier, Exact] = {}
    components: dict[Identifier, Emulated] = {}
    baselines: dict[Identifier, Emulated] = {}
    entries: dict[Identifier, Entry] = {}
    scaled_by: dict[Identifier, Entry] = {}
    baseline_entries: dict[Identifier, Entry] = {}
    tls: Tls | None = None
    receive: Receive | None = None
    prometheus: dict[Identifier, tuple[PrometheusSource, ...]] = {}
    metrics: dict[Identifier, tuple[MetricSource, ...]] = {}
    injector: Identifier = Field(default="own", description="own, libcurl, locust, or an injector that is installed")
    injector_options: Options = {}
    http: HttpVersion = HttpVersion.HTTP_1_1
    proxy: Proxy | None = None
    locust: LocustScript | None = None

    @model_serializer(mode="wrap", when_used="json")
    def _recorded(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What a record holds: what is as if nothing were declared is left out, so keys stand without it."""
        return _declared(self, whole(self), _OPTIONAL)

    def injector_for(self, kind: TestType) -> str:
        """What offers the load of tests of that type."""
        others = self.locust is not None and self.locust.types and kind not in self.locust.types
        return InjectorKind.OWN.value if self.injector == InjectorKind.LOCUST and others else self.injector

    def sources_of(self, component: str) -> "tuple[PrometheusSource | MetricSource, ...]":
        """Where infrastructure metrics of a component come from, in the order in which they are told of."""
        return (*self.prometheus.get(component, ()), *self.metrics.get(component, ()))

    @property
    def tls_names(self) -> dict[str, str]:
        """What `tls` names, by role."""
        return self.tls.model_dump(exclude_none=True) if self.tls else {}


class EnvironmentsFile(Declared):
    """environments.yaml: rehearsal and real environments."""

    environments: tuple[Environment, ...] = Field(min_length=1)


# --- governance.yaml --------------------------------------------------------------------------------------------------


class Matter(StrEnum):
    """What people decide on, as the first word of what `plimsoll sign` is given."""

    PLAN = "plan"
    DISCHARGE = "discharge"
    WITNESS = "witness"
    REQUIREMENTS = "requirements"
    APPROACH = "approach"
    ASSURANCE = "assurance"
    EXCLUSION = "exclusion"
    AUDIT = "audit"
    CLAUSE = "clause"
    CRITERION = "criterion"
    PHASE = "phase"
    RELIANCE = "reliance"
    RECORD = "record"
    ISSUE = "issue"


DECISIONS: dict[Matter, dict[str, bool]] = {
    Matter.PLAN: {"submitted": True, "reviewed": True, "signed-off": True, "rejected": False},
    Matter.DISCHARGE: {"discharged": True, "not-discharged": False},
    Matter.WITNESS: {"witnessed": True, "witnessed-with-findings": False},
    Matter.REQUIREMENTS: {"suitable": True, "not-suitable": False},
    Matter.APPROACH: {"approved": True, "not-approved": False},
    Matter.ASSURANCE: {"given": True, "refused": False},
    Matter.EXCLUSION: {"risk-accepted": True, "risk-not-accepted": False},
    Matter.AUDIT: {
        "appointed": True,
        "scope-agreed": True,
        "conducted-in-line": True,
        "conducted-in-line-but-for-findings": False,
        "not-conducted-in-line": False,
    },
    Matter.CLAUSE: {"conforms": True, "does-not-conform": False, "cannot-be-told": False},
    Matter.CRITERION: {"met": True, "not-met": False, "cannot-be-told": False},
    Matter.PHASE: {"complete": True, "not-complete": False},
    Matter.RELIANCE: {"approved": True, "refused": False},
    Matter.RECORD: {"approved": True, "refused": False},
    Matter.ISSUE: {"raised": True, "changed": True, "closed": True, "reopened": True},
}
"""The decisions on each matter, and whether each may do without a reason."""

AUDIT_REPORTED = frozenset({"conducted-in-line", "conducted-in-line-but-for-findings", "not-conducted-in-line"})
"""The decisions on an audit by which its report is delivered."""


class Act(Declared):
    """What a role may decide: a matter, and which decisions on it (absent: all)."""

    matter: Matter
    decisions: tuple[Text, ...] = ()


class Holder(Declared):
    """A person who holds a role. `key`: the fingerprint of the key that this person signs with, 64 hexadecimal digits.

    Without a key, whoever gives the name signs as that person.
    """

    name: Text
    key: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None


class Role(Declared):
    """A role in which people decide. `holders`: who may act in it (absent: anybody).

    `provider`: a service provider's role decides on that provider's plans and requirements only.
    """

    id: Identifier
    title: Text
    decides: tuple[Act, ...] = Field(min_length=1)
    provider: Identifier | None = None
    holders: tuple[Holder, ...] = ()
    standing: Standing
    source: Text


class SeverityThreshold(Declared):
    """How many testing issues of a severity may be open when a phase ends. Severity 1 is the gravest, 5 the least."""

    severity: Annotated[int, Field(ge=1, le=5)]
    most_open: Annotated[int, Field(ge=0, le=1_000_000)]
    phases: tuple[Identifier, ...] = Field(default=(), description="absent: every phase")
    standing: Standing
    source: Text


class Assurance(Declared):
    """A statement that somebody outside the tests is obliged to give: by whom, of what, and since which obligation."""

    id: Identifier
    title: Text
    given_by: Text
    obligation: Text
    phases: tuple[Identifier, ...] = Field(default=(), description="absent: every phase")
    components: tuple[Identifier, ...] = Field(default=(), description="components that it is about")
    owner: Text
    standing: Standing
    source: Text


class AuditDue(StrEnum):
    """When a phase's audit report is due: in its completion report, or as soon as practicable after it."""

    IN_REPORT = "in-report"
    TO_FOLLOW = "to-follow"


class Audit(Declared):
    """The independent audit of one phase's conduct of testing: what it covers, what not, and when its report is due."""

    phase: Identifier
    covers: Text
    leaves_out: Text
    report: AuditDue
    standing: Standing
    source: Text


class Shown(StrEnum):
    """What of a phase's evidence bears on a clause of the approach document."""

    RELIANCE = "reliance"
    SCOPE = "scope"
    TESTS = "tests"
    ASSURANCE = "assurance"
    AUDIT = "audit"
    INFRASTRUCTURE = "infrastructure"
    VOLUMES = "volumes"
    ASSUMPTIONS = "assumptions"


class Bearing(Declared):
    """Evidence that bears on a clause. `name`: an entry of the scope, a test type, or an assurance."""

    shown: Shown
    name: Identifier | None = None


class Clause(Declared):
    """A clause of the approach document, in the programme's own words, which the auditor holds the conduct against."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.()-]*$", max_length=64)]
    title: Text
    obligation: Text
    evidence: tuple[Bearing, ...] = Field(min_length=1)
    standing: Standing
    source: Text


class Submission(Declared):
    """What the results of all phases are submitted as, and to whom."""

    title: Text
    to: tuple[Text, ...] = Field(min_length=1)
    source: Text


class GovernanceFile(Declared):
    """governance.yaml: who decides on what, what must be assured and audited, and how many issues may stay open.

    A programme without this file has nobody who may sign: tests are executed in rehearsals only.
    """

    roles: tuple[Role, ...] = ()
    thresholds: tuple[SeverityThreshold, ...] = ()
    assurances: tuple[Assurance, ...] = ()
    audits: tuple[Audit, ...] = ()
    clauses: tuple[Clause, ...] = ()
    submission: Submission | None = None

    def role(self, role_id: str) -> Role | None:
        """The role of that id; None when there is none."""
        return next((role for role in self.roles if role.id == role_id), None)


# --- all together -----------------------------------------------------------------------------------------------------

FILES: dict[str, type[Declared]] = {
    "programme.yaml": ProgrammeFile,
    "system.yaml": SystemFile,
    "scope.yaml": ScopeFile,
    "assumptions.yaml": AssumptionsFile,
    "volumes.yaml": VolumesFile,
    "requirements.yaml": RequirementsFile,
    "tests.yaml": TestsFile,
    "environments.yaml": EnvironmentsFile,
    "governance.yaml": GovernanceFile,
}
"""The files of a catalogue folder, in reading order, and what each must hold."""

OPTIONAL_FILES = frozenset({"governance.yaml"})
"""Those that a catalogue may do without; it is then as if they were there and empty."""


class Programme(Declared):
    """Everything declared in one catalogue, its environments with what they extend filled in."""

    programme: ProgrammeFile
    system: SystemFile
    scope: ScopeFile
    assumptions: tuple[Assumption, ...]
    volumes: VolumesFile
    forecasts: tuple[Forecast, ...]
    migration_plans: tuple[MigrationPlan, ...] = ()
    observed_volumes: tuple[ObservedVolume, ...] = ()
    srv_register: tuple[ServiceReferenceVariant, ...]
    requirements: tuple[Requirement, ...]
    expectations: tuple[Identifier, ...] = ()
    tests: TestsFile
    environments: tuple[Environment, ...]
    scripts: dict[str, Annotated[str, StringConstraints(strip_whitespace=False)]] = {}
    """The text of every file that environments name as a script or for one, by its name in the catalogue."""
    governance: GovernanceFile = GovernanceFile()

    @model_serializer(mode="wrap", when_used="json")
    def _recorded(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What a record holds: a programme without scripts, governance or further expectations does not say so."""
        return _declared(self, whole(self), ("scripts", "governance", "expectations"))

    def phase(self, phase_id: str) -> Phase:
        """The phase of that id. Raises KeyError when there is none."""
        return {phase.id: phase for phase in self.programme.phases}[phase_id]

    def component(self, component_id: str) -> Component:
        """The component of that id. Raises KeyError when there is none."""
        return self._component_of[component_id]

    @cached_property
    def _component_of(self) -> dict[str, Component]:
        return {component.id: component for component in self.system.components}

    def environment(self, environment_id: str) -> Environment:
        """The environment of that id. Raises KeyError when there is none."""
        return {environment.id: environment for environment in self.environments}[environment_id]

    def assumption(self, assumption_id: str) -> Assumption:
        """The assumption of that id. Raises KeyError when there is none."""
        return self._assumption_of[assumption_id]

    @cached_property
    def _assumption_of(self) -> dict[str, Assumption]:
        return {assumption.id: assumption for assumption in self.assumptions}

    @cached_property
    def registered(self) -> dict[str, ServiceReferenceVariant]:
        """The register's rows by SRV."""
        return {row.srv: row for row in self.srv_register}
