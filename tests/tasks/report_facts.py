"""Builds the facts of a phase as the stages would record them: realistic, whole, and the same every time."""

from decimal import Decimal
from typing import Any

from catalog.canonical import digest
from catalog.declarations import METRICS, Direction, Metric, Profile, Programme, Requirement, TestPlan, TestType
from expectations.metrics import STAGE, StageMetric
from tasks.volumes.model import model_phase
from tasks.volumes.tables import a3, levels_tested, tabulate

END_TO_END = {
    "path": "purchase",
    "components": [
        {"component": "storefront", "run": "launch/launch.storefront.load/1", "messages": 900},
        {"component": "orders", "run": "launch/launch.orders.load/1", "messages": 900},
        {"component": "payments", "run": "", "messages": 0},
    ],
    "percentiles": [
        {"permille": permille, "lower_us": 40_000 + permille, "upper_us": 140_000 + permille, "independent_us": 90_000}
        for permille in (500, 950, 990)
    ],
    "round_trip": {
        "permille": 990, "lower_us": 41_000, "upper_us": 141_000, "independent_us": 90_000, "limit_us": 2_000_000,
        "verdict": "proved",
    },
}  # fmt: skip
"""One way along a message path, as `tasks.compose` records it."""

START_US = 1_800_000_000_000_000
HEADROOM_PPM = 2_000_000


def named(what: str) -> str:
    """A digest as an artefact of that content would have."""
    return digest(what.encode())


def phase_facts(programme: Programme, phase: str, *, relied: dict[str, str] | None = None) -> dict[str, Any]:
    """Facts of a phase in the default environment in which everything is proved.

    `relied`: tests that rest on the evidence of an earlier phase, by id.
    """
    builder = _Builder(programme, phase, relied or {})
    return builder.facts()


class _Builder:
    def __init__(self, programme: Programme, phase: str, relied: dict[str, str]) -> None:
        self.programme, self.phase, self.relied = programme, phase, relied
        self.environment = programme.environment(programme.programme.default_environment)
        self.profiles = {profile.id: profile for profile in programme.tests.profiles}
        self.measurements: list[dict[str, Any]] = []
        self.observations: list[dict[str, Any]] = []
        self.series: dict[str, Any] = {}

    def facts(self) -> dict[str, Any]:
        plans = [plan for plan in self.programme.tests.plans if self.phase in plan.phases]
        tests = [self._test(plan, self.profiles[name]) for plan in plans for name in plan.tests]
        phases = dict.fromkeys([self.phase, *(plan.volumes_of for plan in plans)])
        models = {phase: model_phase(self.programme, phase) for phase in phases}
        modelled = {phase: model.rows for phase, model in models.items()}
        levels = levels_tested(self.programme, self.phase, modelled)
        return {
            "programme": self.programme.model_dump(mode="json", by_alias=True),
            "programme_digest": named("programme"),
            "phase": self.phase,
            "occasion": self.phase,
            "environment": self.environment.model_dump(mode="json", by_alias=True),
            "code": "plimsoll 0.1.0",
            "volumes": {
                "digests": {phase: named(f"volumes {phase}") for phase in phases},
                "rows": {phase: a3(self.programme, rows) for phase, rows in modelled.items()},
                "model_digest": named("volume model"),
                "model": tabulate(self.programme, models[self.phase], levels),
            },
            "plan": {"digest": named("plan"), "tests": [self._planned(test) for test in tests]},
            "tests": tests,
            "measurements": self.measurements,
            "observations": {
                "digest": named("observations"),
                "record": named("observed"),
                "suites": named("suites"),
                "results": named("validation"),
                "rows": self.observations,
            },
            "end_to_end": {"digest": named("end to end"), "paths": [END_TO_END]},
            "series": self.series,
            "samples": [],
            "ledger": {"head": named("head"), "records": 71},
        }

    def _planned(self, test: dict[str, Any]) -> dict[str, Any]:
        names = ("test", "component", "role", "type", "name", "plan")
        reasons = [{"input": "earlier evidence", "old": None, "new": "none"}]
        decision = "rely" if test["end"] == "relied" else "execute"
        return {name: test[name] for name in names} | {"decision": decision, "why": test["why"], "reasons": reasons}

    def _test(self, plan: TestPlan, profile: Profile) -> dict[str, Any]:
        test = f"{self.phase}.{plan.component}.{profile.id}"
        earlier = self.relied.get(test)
        run = f"{earlier}/{test.replace(self.phase, earlier, 1)}/1" if earlier else f"{self.phase}/{test}/1"
        role = self.programme.component(plan.component).role
        self._observe(test, run, role, plan.component, profile, "relied" if earlier else "executed")
        self.series[run] = self._series(run, profile)
        for component, answered in ((plan.component, 1_190), ("stand-ins-plain", 1_195)):
            self._stage(run, component, answered, is_rising=profile.type is TestType.STRESS)
        version = self.programme.component(plan.component).version
        compared = [
            {
                "input": f"components.{plan.component}.version",
                "old": version,
                "new": version,
                "same": True,
                "allows": True,
            },
            {
                "input": "environment",
                "old": self.environment.id,
                "new": self.environment.id,
                "same": True,
                "allows": True,
            },
        ]
        return {
            "test": test,
            "component": plan.component,
            "role": role,
            "type": str(profile.type),
            "name": profile.id,
            "plan": plan.id,
            "end": "relied" if earlier else "executed",
            "why": "nothing that it depends on has changed" if earlier else "there is no earlier evidence",
            "compared": compared if earlier else [],
            "impact": {},
            "decided_then": None,
            "relied_on": {"run": run, "phase": earlier, "record": named(f"record {run}")} if earlier else None,
            "runs": [] if earlier else [self._run(run, test, plan.component, role, profile)],
        }

    def _run(self, run: str, test: str, component: str, role: str, profile: Profile) -> dict[str, Any]:
        window = self.environment.durations[profile.type]
        roles = ("run", "arrivals", "results", "infrastructure", "measurements")
        return {
            "run": run,
            "record": named(f"record {run}"),
            "state": "finished",
            "judged": True,
            "verdict": "proved",
            "reason": "",
            "again": None,
            "digests": {name: named(f"{name} {run}") for name in roles},
            "document": {
                "run": run,
                "test": test,
                "phase": self.phase,
                "component": component,
                "role": role,
                "type": str(profile.type),
                "name": profile.id,
                "seed": 7,
                "blocks": profile.blocks,
                "window_us": window,
                "start_us": START_US,
                "timeout_us": profile.timeout,
                "lateness_limit_us": profile.lateness,
                "compression": str(profile.duration // window),
                "rate": str(self.environment.rates.get(component, self.environment.rates["default"])),
                "target": {"messages": 1_200},
                "steps": [],
                "injector": {"kind": "own, open loop"},
                "environment": self.environment.id,
            },
        }

    # --- what was measured --------------------------------------------------------------------------------------------

    def _observe(self, test: str, run: str, role: str, component: str, profile: Profile, reliance: str) -> None:
        self._measure(run, component, "lateness-p99", "all", 900, "us")
        offered = self._measure(run, component, "offered", "all", 1_200, "count")
        self._hold(test, "target-volume", offered, 1_200, Direction.AT_LEAST, reliance)
        for requirement in self.programme.requirements:
            if role in requirement.scope.roles and profile.type in requirement.scope.types:
                for scope in requirement.scope.groups or ("all",):
                    self._require(test, run, component, requirement, scope, reliance)

    def _require(
        self, test: str, run: str, component: str, requirement: Requirement, scope: str, reliance: str
    ) -> None:
        unit, direction, _ = METRICS[requirement.metric]
        limit = requirement.limit.value
        value = limit * 6 // 10 if direction is Direction.AT_MOST else max(limit, min(limit * 12 // 10, 1_000_000))
        if requirement.metric is Metric.HEADROOM:
            value = HEADROOM_PPM
        metric = f"{requirement.metric}/{requirement.within}" if requirement.within else str(requirement.metric)
        measured = self._measure(run, component, metric, scope, value, str(unit), spread=value // 50)
        self._hold(test, requirement.id, measured, limit, direction, reliance)

    def _measure(
        self, run: str, component: str, metric: str, scope: str, value: int, unit: str, *, spread: int = 0
    ) -> dict[str, Any]:
        found = next(
            (m for m in self.measurements if (m["run"], m["metric"], m["scope"]) == (run, metric, scope)), None
        )
        if found:
            return found
        row = {
            "run": run,
            "component": component,
            "scope": scope,
            "metric": metric,
            "value": value,
            "lower": value - spread,
            "upper": value + spread,
            "unit": unit,
            "samples": 1_200,
            "method": "nearest rank, block bootstrap" if spread else "counted",
            "digest": named(f"measurements {run}"),
        }
        self.measurements.append(row)
        return row

    def _stage(self, run: str, component: str, answered: int, *, is_rising: bool) -> None:
        """What a component counted on the first message path: every message came, and a few failed."""
        path = self.programme.system.message_paths[0].id
        values = dict.fromkeys(StageMetric, answered)
        values |= {StageMetric.RECEIVED: 1_200, StageMetric.HANDOVER: 0, StageMetric.FAILED: 1_200 - answered}
        values |= dict.fromkeys((StageMetric.INVALID, StageMetric.REJECTED), 0)
        values |= {StageMetric.RATE_IN: 200_125, StageMetric.RATE_OUT: 199_000, StageMetric.SUCCESS: 991_667}
        for metric, value in values.items():
            if not (is_rising and metric.startswith("stage-rate")):
                unit = str(STAGE[metric][0])
                row = {"run": run, "component": component, "scope": f"stage:{path}", "metric": str(metric)}
                row |= {**dict.fromkeys(("value", "lower", "upper"), value), "unit": unit, "samples": 1_200}
                self.measurements.append({**row, "method": "counted", "digest": named(f"measurements {run}")})

    def _hold(
        self, test: str, requirement: str, measured: dict[str, Any], limit: int, direction: Direction, reliance: str
    ) -> None:
        copied = {name: measured[name] for name in ("run", "scope", "value", "lower", "upper", "unit", "samples")}
        self.observations.append(
            {
                **copied,
                "observation": f"{measured['run']}/{requirement}/{measured['scope']}",
                "test": test,
                "requirement": requirement,
                "metric": measured["metric"].partition("/")[0],
                "limit": limit,
                "direction": str(direction),
                "verdict": "proved",
                "reason": "the whole interval is inside the limit",
                "reliance": reliance,
            }
        )

    def _series(self, run: str, profile: Profile) -> dict[str, Any]:
        window = self.environment.durations[profile.type]
        times = [window * index // 48 for index in range(48)]
        latency = [
            {
                "at_us": at,
                "p50": 41_000 + index * 37 % 900,
                "p95": 52_000 + index * 7919 % 31_000,
                "count": 25,
                "failed": 0,
            }
            for index, at in enumerate(times)
        ]
        resources = [
            {"at_us": at, "cpu_permille": 240 + index * 53 % 90, "memory_bytes": 38 * 1024**2 + index * 20_480}
            for index, at in enumerate(times)
        ]
        steps = [
            {
                "part": "ramp",
                "multiple_ppm": int(step * 1_000_000),
                "count": int(300 * step),
                "failed": 0,
                "p50": int(42_000 * step),
                "p95": int(56_000 * step) if step <= 2 else int(340_000 * step / 2),
            }
            for step in (Decimal(1), Decimal(2), Decimal(4), Decimal(3))
        ]
        return {
            "latency": latency,
            "resources": resources,
            "steps": steps if profile.type is TestType.STRESS else [],
            "flow": [{"at_us": at, "standing": 1, "answered": 25} for at in times],
            "curve": [
                {"rank_ppm": rank, "latency_us": 40_000 + rank // 25}
                for rank in (0, 250_000, 500_000, 750_000, 900_000, 950_000, 990_000, 995_000, 999_000)
            ],
            "kinds": [
                {"kind": kind, "expect": "ok", "count": count, "as_expected": count - 10, "srvs": 4}
                for kind, count in (("alert", 200), ("request", 1_000), ("response", 990))
            ],
            "digest": [named(f"results {run}"), named(f"infrastructure {run}")],
        }


def spoil(facts: dict[str, Any], observation: str, verdict: str, reason: str) -> None:
    """Gives one observation another verdict."""
    row = next(row for row in facts["observations"]["rows"] if row["observation"] == observation)
    row["verdict"], row["reason"] = verdict, reason
