"""Every way in which declarations can contradict each other: one edit of the template for each, code and place."""

import ast
import re
from pathlib import Path

import pytest
from catalogue_edits import Edit, edited, faults_of

import catalog.agreement


def path(steps: str, offers: str = "request", more: str = "") -> Edit:
    """One more message path, which no traffic takes."""
    below = f"offers: {offers}\n    steps: {steps}\n{more}    standing: agreed\n    source: Test\n"
    return ("system.yaml", "  - id: purchase\n", f"  - id: refund\n    title: Refund\n    {below}  - id: purchase\n")


def plan(component: str, provider: str, phases: str = "[launch]", tests: str = "[load]") -> Edit:
    """One more test plan."""
    below = f"component: {component}\n    phases: {phases}\n    volumes_of: launch\n    tests: {tests}\n"
    head = f'  - id: more\n    title: More\n    provider: {provider}\n    version: "1"\n    {below}'
    return ("tests.yaml", "plans:\n", f"plans:\n{head}    success_criteria: Test\n")


def entry(url: str) -> Edit:
    """A rehearsal that names the entry of a real system."""
    return ("environments.yaml", "    seed: ", f"    entries: {{orders: ▶'{url}'}}\n    seed: ")


def conducted(profile: str, mark: str = "") -> Edit:
    """One more profile, which no plan has."""
    below = (
        "title: X\n    duration: 4 h\n    timeout: 10 s\n    lateness: 100 ms\n    standing: agreed\n    source: x\n"
    )
    return ("tests.yaml", "profiles:\n", f"profiles:\n  - {mark}{profile}\n    {below}")


def scaling(plan: str) -> Edit:
    """One more profile of scaling."""
    return conducted(f"id: more\n    type: scaling\n    scaling: {{load: 1.5, {plan}}}")


def sources(listed: str, component: str = "orders") -> Edit:
    """A rehearsal whose order service tells metrics in other ways too."""
    return ("environments.yaml", "    seed: ", f"    prometheus: {{{component}: [{listed}]}}\n    seed: ")


def offered_by(declared: str, *files: Edit) -> list[Edit]:
    """A rehearsal that declares something for injectors."""
    return [("environments.yaml", "    seed: ", f"    {declared}\n    seed: "), *files]


def regression(phase: str, roles: str = "[]") -> Edit:
    """A regression beside the scheduled one."""
    named = f"{{id: final, title: X, phase: {phase}, types: [load], roles: {roles}, standing: proposed, source: Test}}"
    return ("programme.yaml", "types: [load]", f"types: [load]\n  others:\n    - {named}")


def scripted(
    label: str = "purchase|place-order|request", *, mark: str = "", more: str = "", at: str = ""
) -> list[Edit]:
    """A rehearsal that runs a script for load tests, or for what `more` says."""
    locust = f"{{script: shop.py, users: 2, spawn_rate: 1, requests: {{/buy: {mark}'{label}'}}{more}}}"
    return offered_by(f"injector: locust\n    locust: {at}{locust}", ("shop.py", "", "import locust\n"))


def assumed(name: str, value: str, unit: str = "times") -> Edit:
    """One more assumption."""
    more = f"- {{id: {name}, title: X, value: {value}, unit: {unit}, {SOURCED}}}\n  - id: evening-share"
    return ("assumptions.yaml", "- id: evening-share", more)


def profiled(points: str) -> list[Edit]:
    """One more daily profile, which orders follow."""
    below = f"points:\n{points}    standing: agreed\n    source: Test\n"
    return [
        ("volumes.yaml", "profiles:\n", f"profiles:\n  - id: late\n    title: Late\n    {below}"),
        ("volumes.yaml", f"{ORDERS}\n    profile: shoppers", f"{ORDERS}\n    profile: late"),
    ]


def moves(*rows: str) -> Edit:
    """The migration plans, in place of those of MIGRATING."""
    return ("moves.csv", "", "\n".join([MOVES, *rows, ""]))


def emulated(behaviour: str) -> Edit:
    """More behaviour of an emulated component that a variant inherits without stating it."""
    stands = "      storefront: {workers: 6, service: 32 ms"
    return ("environments.yaml", f"{stands}}}", f"{stands}, {behaviour}}}")


def threshold(severity: int, more: str = "") -> str:
    """A threshold of testing issues, as the first of the list."""
    return f"thresholds:\n  - {{{more}severity: {severity}, most_open: 0, standing: proposed, source: x}}"


def audit(phase: str) -> str:
    """The audit of a phase."""
    return f"{{phase: {phase}, covers: x, leaves_out: x, report: to-follow, standing: proposed, source: x}}"


def clause(bearing: str) -> Edit:
    """One clause of the approach document, and the evidence that bears on it."""
    one = f"{{id: '1', title: x, obligation: x, evidence: [{bearing}], standing: proposed, source: x}}"
    return ("governance.yaml", "# clauses: ", f"clauses: [{one}]\n#")


RAMP = "    ramp: {growth: 2, most: 3, width: 50 %, agreeing: 1, latency: 150 ms, answered: 99 %}\n"
NEVER = "    types: [regression]\n"
PHASE = "title: Pilot with invited customers\n    components: [storefront, orders"
ORDER_HOUSE = "orders: {workers: 6, service: 32 ms"
SOURCED = "standing: agreed, source: x, owner: x, date: x"
ROLE_STEP = ("system.yaml", 'storefront, "role:orders"', 'storefront, ▶"role:orders"')
LAST_STEP = ("system.yaml", '"role:orders", payments', '"role:orders", ▶payments')
LAST_PERIOD = 'begins: "22:00", ends: "24:00"'
ORDERS = "groups: [ordering]\n    in_window: evening-share"
CATCH_UP = "outage: 1 h, cleared_within: 2 h, kept: orders-kept"
PILOT = "pilot,customers,2026-03-01,2026-05-31,50000,customers,1"
LAUNCH = "launch,customers,2026-06-01,2026-08-31,120000,customers,1"
LATER = "launch,customers,2026-09-01,2026-12-31,200000,customers,1"
FORECASTS = "phase,cohort,begins,ends,customers,unit,version,standing,source\n"
MOVES = "phase,cohort,begins,ends,installations_per_day,version,standing,source"
SEEN = "begins,ends,measure,generation,value,standing,source"

MIGRATION = """migration:
  traffic: moves
  generation: web
  cap: cap
  throttle: false
  retries: retries
  in_window: evening-share
  steps:
    - {message: change-basket, path: browse, per_attempt: requests-per-customer-per-day, fails: orders-kept}
"""
GUESTS_ROWS = """pilot,guests,2026-03-01,2026-05-31,1,customers,1,agreed,x
launch,guests,2026-06-01,2026-12-31,1,customers,1,agreed,x
"""
EVENINGS_ONLY = """      - {begins: "00:00", rate: 0}
      - {begins: "18:00", rate: 1}
      - {begins: "22:00", rate: 0}
"""

WHOLE_DAY: list[Edit] = [
    ("volumes.yaml", '  - {id: day, title: Night and day, begins: "00:00", ends: "18:00"}\n', ""),
    ("volumes.yaml", '  - {id: late, title: Late evening, begins: "22:00", ends: "24:00"}\n', ""),
    ("volumes.yaml", 'begins: "18:00", ends: "22:00"', 'begins: "00:00", ends: "24:00"'),
]
"""A peak window that leaves no other time."""

MODED: list[Edit] = [
    ("messages.csv", "critical\n", "critical,future_dated_pattern,dcc_scheduled\n"),
    ("messages.csv", ",no\n", ",no,DSP,yes\n"),
    ("messages.csv", "an order,yes\n", "an order,yes,No,no\n"),
    ("system.yaml", "[shopper, storefront]\n", "[shopper, storefront]\n    scheduled_by: storefront\n"),
    ("volumes.yaml", "share: browsing-share\n", "share: browsing-share\n    modes: {scheduled: orders-kept}\n"),
]
"""Pages that are looked at by a schedule, which the storefront keeps."""

ALERTED: list[Edit] = [
    assumed("devices", "2", "devices per customer"),
    (
        "system.yaml",
        "offers: request\n    steps: [shopper, storefront]",
        "offers: alert\n    steps: [shopper, storefront]",
    ),
    ("volumes.yaml", "\ncohorts:", "\ndevices_per_meter: devices\ncohorts:"),
    (
        "volumes.yaml",
        "    groups: [browsing, basket]",
        "    alerts: {per_device: requests-per-customer-per-day}\n    groups: [browsing, basket]",
    ),
]
"""Browsing, counted as if it were alerts of devices."""

MIGRATING: list[Edit] = [
    assumed("cap", "500", "moves per day"),
    assumed("retries", "4", "attempts"),
    ("volumes.yaml", "\ncohorts:", "\nmigration_plans: moves.csv\ncohorts:"),
    (
        "volumes.yaml",
        "\ntraffic:\n",
        f"\n{MIGRATION}traffic:\n",
    ),
    ("moves.csv", "", f"{MOVES}\npilot,customers,2026-03-01,2026-03-31,500,1,agreed,x\n"),
]
"""Customers who are moved from another shop, at most 500 a day."""

OBSERVED: list[Edit] = [
    ("volumes.yaml", "\ncohorts:", "\nobserved_volumes: seen.csv\ncohorts:"),
    ("seen.csv", "", f"{SEEN}\n2026-03-01,2026-03-31,requests,web,600000,agreed,x\n"),
]
"""Requests that were counted in the pilot."""

GUESTS: list[Edit] = [
    (
        "volumes.yaml",
        "\n# Messages of one",
        "\n  - {id: guests, title: Guests, generation: app, served_by: [orders]}\n# Messages of one",
    ),
    (
        "forecasts.csv",
        LAUNCH,
        f"{GUESTS_ROWS}{LAUNCH}",
    ),
]
"""Customers of another generation, who cause no traffic."""

OWN: Edit = (
    "volumes.yaml",
    "\ngroups:",
    "\nown_messages:\n  - {id: hello, title: Hello, standing: agreed, source: x}\ngroups:",
)
"""A message of its own, in no group."""


def brings(message: str, path: str = "browse", per_request: str = "orders-kept") -> Edit:
    """What each order brings along."""
    below = f"brings: [{{message: {message}, path: {path}, per_request: {per_request}}}]\n    groups: [ordering]"
    return ("volumes.yaml", "groups: [ordering]", below)


REAL = (
    "  # A real environment names",
    "  - id: site\n    title: Site\n    kind: real\n    entries: {storefront: 'https://a.example'}\n  # A real names",
)

CASES: list[tuple[str, list[Edit]]] = [
    # names
    ("duplicate-id", [("system.yaml", "id: paying", "id: ▶ordering")]),
    ("duplicate-id", [("volumes.yaml", "id: late", "id: ▶day")]),
    ("duplicate-id", [("messages.csv", "an order,no\n", "an order,no\n▶search,Search again,no\n")]),
    ("duplicate-entry", [("programme.yaml", PHASE, f"{PHASE}, ▶orders")]),
    (
        "duplicate-entry",
        [("volumes.yaml", "per-day]\n    groups: [ordering", "per-day]\n    groups: [ordering, ▶ordering")],
    ),
    ("unknown-environment", [("programme.yaml", "environment: rehearsal", "environment: ▶rehersal")]),
    ("unknown-environment", [("environments.yaml", "extends: rehearsal", "extends: ▶rehersal")]),
    ("unknown-role", [("programme.yaml", "roles: []", "roles: [▶order]")]),
    ("unknown-role", [("programme.yaml", NEVER, f"{NEVER}  approval: {{by: Board, roles: [▶order]}}\n")]),
    ("validity-impossible", [("programme.yaml", NEVER, f"{NEVER}  valid_for: ▶36 h\n")]),
    ("unknown-role", [path('[shopper, ▶"role:order"]')]),
    ("unknown-role", [("requirements.yaml", "[storefront], types", "[storefront, ▶order], types")]),
    ("unknown-phase", [("programme.yaml", "  phase: launch", "  phase: ▶lunch")]),
    ("unknown-phase", [("programme.yaml", "phases: [launch]", "phases: [▶lunch]")]),
    ("unknown-phase", [regression("▶lunch")]),
    ("unknown-tested-role", [regression("launch", "[orders, ▶customers]")]),
    ("unknown-phase", [("scope.yaml", "# phases: [launch] ", "phases: [▶pilto] # ")]),
    (
        "unknown-phase",
        [("forecasts.csv", LAUNCH, f"▶lunch,customers,2026-01-01,2026-01-31,1,customers,1,agreed,x\n{LAUNCH}")],
    ),
    ("unknown-phase", [plan("orders", "order-house", phases="[▶lunch]")]),
    ("unknown-component", [("programme.yaml", PHASE, f"{PHASE}, ▶order")]),
    ("unknown-component", [("system.yaml", "from: orders", "from: ▶order")]),
    ("unknown-component", [("system.yaml", "to: payments", "to: ▶payment")]),
    ("unknown-component", [path("[shopper, ▶storefrnt]")]),
    ("unknown-component", [path("[shopper, storefront]", more="    acknowledged_by: [▶order]\n")]),
    ("unknown-component", [("volumes.yaml", "served_by: [orders]", "served_by: [▶order]")]),
    ("unknown-component", [plan("▶order", "order-house")]),
    ("unknown-component", [("environments.yaml", "default: 1, orders", "default: 1, ▶order")]),
    ("unknown-component", [("environments.yaml", "orders: {workers: 1,", "▶order: {workers: 1,")]),
    ("unknown-service-provider", [("system.yaml", "provider: payment-firm", "provider: ▶payment-frim")]),
    ("unknown-service-provider", [("tests.yaml", "provider: order-house", "provider: ▶order-huose")]),
    ("phase-not-tested", [("programme.yaml", PHASE, f"{PHASE}, ▶payments")]),
    # message paths
    ("path-cycle", [path("[shopper, storefront, ▶shopper]")]),
    ("path-cycle", [path('[shopper, "role:orders", ▶"role:orders"]')]),
    ("path-cycle", [path('[shopper, "role:orders", ▶orders]')]),
    ("path-unlinked", [path("[shopper, ▶orders]")]),
    ("path-unlinked", [path("[storefront, ▶shopper]")]),
    ("path-unlinked", [("system.yaml", "storefront, to: orders", "storefront, to: payments"), ROLE_STEP]),
    ("path-unlinked", [("system.yaml", "orders, to: payments", "storefront, to: payments"), LAST_STEP]),
    ("path-offers", [path("[shopper, storefront]", offers="▶response")]),
    ("acknowledger-off-path", [path("[shopper, storefront]", more="    acknowledged_by: [▶payments]\n")]),
    ("path-offers", [path("[shopper, storefront]", offers="▶response")]),
    ("scheduler-off-path", [path("[shopper, storefront]", more="    scheduled_by: ▶orders\n")]),
    (
        "path-through-excluded",
        [("scope.yaml", "    components: [payments]\n", ""), ("system.yaml", ", payments]", ", ▶payments]")],
    ),
    ("unknown-component", [("scope.yaml", "components: [payments]", "components: [payments, ▶payment]")]),
    ("acknowledger-off-path", [path("[shopper, storefront]", more="    acknowledged_by: [▶payments]\n")]),
    ("role-unserved", [("volumes.yaml", "served_by: [orders]", "served_by: ▶[payments]")]),
    (
        "role-unserved",
        [("volumes.yaml", "    served_by: [orders] # f", "    # f"), ("volumes.yaml", "- id: cu", "- ▶id: cu")],
    ),
    (
        "role-unserved",
        [
            ("system.yaml", "role: payments", "role: orders"),
            ("volumes.yaml", "served_by: [orders]", "served_by: ▶[orders, payments]"),
            ("system.yaml", '"role:orders", payments]', '"role:orders"]'),
        ],
    ),
    # volumes
    ("share-above-one", [("assumptions.yaml", "value: 0.80", "value: ▶1.5")]),
    (
        "share-above-one",
        [
            (
                "volumes.yaml",
                "groups: [ordering]\n    in_window: evening-share",
                "groups: [ordering]\n    in_window: percent",
            ),
            ("assumptions.yaml", "unit: requests", "unit: other\n    note: requests"),
            (
                "assumptions.yaml",
                "- id: evening",
                f"- {{id: percent, title: P, value: ▶50, unit: '%', {SOURCED}}}\n  - id: evening",
            ),
        ],
    ),
    ("shares-above-one", [("assumptions.yaml", "0.16", "0.36"), ("volumes.yaml", "[browsing, b", "▶[browsing, b")]),
    (
        "window-rest",
        [
            *WHOLE_DAY,
            assumed("all", "1", "share"),
            ("volumes.yaml", "[ordering]\n    in_window: evening-share", "[ordering]\n    in_window: all"),
            ("volumes.yaml", "in_window: evening-share", "in_window: ▶evening-share"),
        ],
    ),
    ("unknown-assumption", [("volumes.yaml", "share: ordering-share", "share: ▶order-share")]),
    ("unknown-assumption", [("volumes.yaml", "day]\n    groups: [o", "day, ▶weekend]\n    groups: [o")]),
    ("unknown-assumption", [("volumes.yaml", "[ordering]\n    in_window: e", "[ordering]\n    in_window: ▶late-e")]),
    ("unknown-message-path", [("volumes.yaml", "path: purchase", "path: ▶purchas")]),
    (
        "unknown-generation",
        [("volumes.yaml", "path: purchase\n    generation: web", "path: purchase\n    generation: ▶wep")],
    ),
    ("unknown-group", [("volumes.yaml", "groups: [ordering]", "groups: [ordering, ▶orderin]")]),
    ("unknown-group", [("requirements.yaml", "groups: [browsing]", "groups: [browsing, ▶browsin]")]),
    ("unknown-message", [("volumes.yaml", "srv: search", "srv: ▶serach")]),
    (
        "message-in-register",
        [
            (
                "volumes.yaml",
                "groups:\n  - id: browsing",
                "own_messages:\n  - {id: ▶search, title: x, standing: agreed, source: x}\ngroups:\n  - id: browsing",
            )
        ],
    ),
    (
        "srv-in-two-groups",
        [("volumes.yaml", "- {srv: place-order,", "- {srv: ▶search, weight: 1}\n      - {srv: place-order,")],
    ),
    (
        "unknown-cohort",
        [("forecasts.csv", LAUNCH, f"launch,▶guests,2026-06-01,2026-12-31,1,customers,1,agreed,x\n{LAUNCH}")],
    ),
    # forecasts
    (
        "forecast-missing",
        [
            ("forecasts.csv", f'{PILOT},agreed,"Business plan 2026, table 3"\n', ""),
            ("forecasts.csv", "phase,c", "▶phase,c"),
        ],
    ),
    ("forecast-missing", [("forecasts.csv", "", f"▶{FORECASTS}{PILOT},agreed,x\n")]),
    ("forecast-overlap", [("forecasts.csv", LAUNCH, f"{LAUNCH},agreed,x\n{LAUNCH.replace('2026-06', '▶2026-06')}")]),
    ("forecast-overlap", [("forecasts.csv", LATER, LATER.replace("2026-09-01", "▶2026-08-31"))]),
    ("forecast-gap", [("forecasts.csv", LATER, LATER.replace("2026-09-01", "▶2026-09-02"))]),
    ("forecast-gap", [*GUESTS, ("forecasts.csv", "launch,guests,2026-06-01", "launch,guests,▶2026-06-02")]),
    ("forecast-gap", [*GUESTS, ("forecasts.csv", "06-01,2026-12-31,1", "06-01,▶2026-12-30,1")]),
    ("dates-reversed", [("forecasts.csv", PILOT, PILOT.replace("2026-05-31", "▶2026-02-28"))]),
    ("dates-reversed", [("forecasts.csv", PILOT, PILOT.replace("2026-05-31", "▶2126-05-31"))]),
    ("dates-reversed", [*MIGRATING, moves("pilot,customers,2026-03-02,▶2026-03-01,5,1,agreed,x")]),
    (
        "dates-reversed",
        [*OBSERVED, ("seen.csv", "", f"{SEEN}\n2026-03-02,▶2026-03-01,alerts,,5,agreed,x\n")],
    ),
    ("no-such-date", [("forecasts.csv", PILOT, PILOT.replace("2026-05-31", "▶2026-05-32"))]),
    ("no-such-date", [("forecasts.csv", PILOT, PILOT.replace("2026-03-01", "▶0000-03-01"))]),
    ("no-such-date", [*MIGRATING, moves("pilot,customers,▶2026-02-29,2026-03-01,5,1,agreed,x")]),
    ("no-such-date", [*OBSERVED, ("seen.csv", "2026-03-31", "▶2026-03-32")]),
    ("two-units", [("forecasts.csv", LATER, LATER.replace("00,customers", "00,▶thousand customers"))]),
    (
        "share-above-one",
        [
            ("forecasts.csv", "customers,unit", "customers,prepayment_meters,unit"),
            ("forecasts.csv", "00,customers,1", "00,,customers,1"),
            ("forecasts.csv", "50000,,", "50000,▶50001,"),
        ],
    ),
    ("two-versions", [("forecasts.csv", LATER, f"{LATER.removesuffix('1')}▶2")]),
    (
        "two-versions",
        [
            *MIGRATING,
            moves(
                "pilot,customers,2026-03-01,2026-03-31,5,1,agreed,x",
                "pilot,customers,2026-04-01,2026-04-30,5,▶2,agreed,x",
            ),
        ],
    ),
    ("unknown-generation", [*OBSERVED, ("seen.csv", "web", "▶wep")]),
    # migration
    ("migration-half", [("volumes.yaml", "\ncohorts:", "\nmigration_plans: ▶moves.csv\ncohorts:"), moves()]),
    (
        "migration-half",
        [
            *MIGRATING,
            ("volumes.yaml", "migration_plans: moves.csv\n", ""),
            ("volumes.yaml", "  traffic: moves", "  ▶traffic: moves"),
        ],
    ),
    ("unknown-phase", [*MIGRATING, moves("▶pilto,customers,2026-03-01,2026-03-31,5,1,agreed,x")]),
    ("unknown-cohort", [*MIGRATING, moves("pilot,▶customer,2026-03-01,2026-03-31,5,1,agreed,x")]),
    ("not-migrated", [*MIGRATING, *GUESTS, moves("pilot,▶guests,2026-03-01,2026-03-31,5,1,agreed,x")]),
    ("outside-phase", [*MIGRATING, moves("pilot,customers,▶2026-02-28,2026-03-31,5,1,agreed,x")]),
    ("outside-phase", [*MIGRATING, moves("pilot,customers,▶2026-05-31,2026-06-01,5,1,agreed,x")]),
    (
        "forecast-overlap",
        [
            *MIGRATING,
            moves(
                "pilot,customers,2026-03-01,2026-03-31,5,1,agreed,x",
                "pilot,customers,▶2026-03-31,2026-04-30,5,1,agreed,x",
            ),
        ],
    ),
    ("above-cap", [*MIGRATING, moves("pilot,customers,2026-03-01,2026-03-31,▶501,1,agreed,x")]),
    (
        "above-cap",
        [
            *MIGRATING,
            *GUESTS,
            ("volumes.yaml", "generation: app", "generation: web"),
            moves(
                "pilot,guests,2026-03-10,2026-03-31,▶1,1,agreed,x",
                "pilot,customers,2026-03-01,2026-03-31,500,1,agreed,x",
            ),
        ],
    ),
    ("not-whole", [*MIGRATING, ("assumptions.yaml", "value: 4,", "value: ▶1.5,")]),
    ("not-whole", [*MIGRATING, ("assumptions.yaml", "value: 4,", "value: ▶101,")]),
    ("not-whole", [*MIGRATING, ("assumptions.yaml", "value: 4,", "value: ▶4, low: 3, high: 5,")]),
    (
        "share-above-one",
        [*MIGRATING, assumed("failing", "▶2"), ("volumes.yaml", "fails: orders-kept", "fails: failing")],
    ),
    ("unknown-generation", [*MIGRATING, ("volumes.yaml", "moves\n  generation: web", "moves\n  generation: ▶wep")]),
    ("unknown-assumption", [*MIGRATING, ("volumes.yaml", "cap: cap", "cap: ▶cup")]),
    ("unknown-assumption", [*MIGRATING, ("volumes.yaml", "retries: retries", "retries: ▶retrys")]),
    (
        "unknown-assumption",
        [*MIGRATING, ("volumes.yaml", "  in_window: evening-share\n  s", "  in_window: ▶even\n  s")],
    ),
    ("unknown-assumption", [*MIGRATING, ("volumes.yaml", "per_attempt: requests-", "per_attempt: ▶request-")]),
    ("unknown-assumption", [*MIGRATING, ("volumes.yaml", "fails: orders-kept", "fails: ▶orders-lost")]),
    ("unknown-message-path", [*MIGRATING, ("volumes.yaml", "path: browse, per", "path: ▶brows, per")]),
    ("unknown-message", [*MIGRATING, ("volumes.yaml", "message: change-basket", "message: ▶change-bascket")]),
    ("unknown-profile", [*MIGRATING, ("volumes.yaml", "share\n  steps", "share\n  profile: ▶shopers\n  steps")]),
    # shares and ranges
    ("range-open", [("assumptions.yaml", "    low: 0.40\n", ""), ("assumptions.yaml", "id: evening", "▶id: evening")]),
    ("range-open", [("assumptions.yaml", "    high: 0.65\n", ""), ("assumptions.yaml", "id: evening", "▶id: evening")]),
    ("outside-range", [("assumptions.yaml", "value: 12\n", "value: ▶7.99\n")]),
    ("outside-range", [("assumptions.yaml", "value: 12\n", "value: ▶18.01\n")]),
    ("outside-range", [("assumptions.yaml", "low: 0.40", "low: 0.66"), ("assumptions.yaml", "e: 0.50", "e: ▶0.50")]),
    ("share-above-one", [("assumptions.yaml", "high: 0.65", "high: ▶1.01")]),
    (
        "share-above-one",
        [assumed("kept", "▶2"), ("volumes.yaml", CATCH_UP, CATCH_UP.replace("orders-kept", "kept"))],
    ),
    (
        "share-above-one",
        [*MODED, assumed("often", "▶2"), ("volumes.yaml", "scheduled: orders-kept", "scheduled: often")],
    ),
    (
        "share-above-one",
        [
            *ALERTED,
            assumed("left", "▶2"),
            ("volumes.yaml", "{per_device", "{suppression: {in_force: false, leaves: left}, per_device"),
        ],
    ),
    # how a message is asked for
    (
        "mode-of-the-rest",
        [*MODED, ("volumes.yaml", "{scheduled: orders-kept", "{scheduled: orders-kept, on-demand: ▶basket-share")],
    ),
    ("mode-impossible", [*MODED, ("messages.csv", ",yes\n", ",no\n"), ("volumes.yaml", "duled: o", "duled: ▶o")]),
    (
        "mode-impossible",
        [
            *MODED,
            ("volumes.yaml", "share: ordering-share", "share: ordering-share\n    modes: {future-dated: ▶orders-kept}"),
            ("messages.csv", "DSP", "No"),
        ],
    ),
    (
        "shares-above-one",
        [
            *MODED,
            ("volumes.yaml", "{scheduled: orders-kept}", "▶{scheduled: orders-kept, future-dated: evening-share}"),
        ],
    ),
    ("unknown-assumption", [*MODED, ("volumes.yaml", "scheduled: orders-kept", "scheduled: ▶orders-kep")]),
    (
        "schedule-nowhere",
        [
            *MODED,
            ("system.yaml", "    scheduled_by: storefront\n", ""),
            ("volumes.yaml", "path: browse\n", "path: ▶browse\n"),
        ],
    ),
    # alerts, and what messages bring along
    ("nuisance-half", [*ALERTED, ("volumes.yaml", "{per_device", "▶{nuisance_share: orders-kept, per_device")]),
    ("nuisance-half", [*ALERTED, ("volumes.yaml", "{per_device", "▶{per_nuisance_device: orders-kept, per_device")]),
    (
        "devices-unknown",
        [
            *ALERTED,
            ("volumes.yaml", "devices_per_meter: devices\n", ""),
            ("volumes.yaml", "{per_device", "▶{per_device"),
        ],
    ),
    ("path-offers", [*ALERTED, ("system.yaml", "alert", "request"), ("volumes.yaml", "th: browse\n", "th: ▶browse\n")]),
    ("unknown-assumption", [*ALERTED, ("volumes.yaml", "meter: devices", "meter: ▶device")]),
    ("unknown-assumption", [*ALERTED, ("volumes.yaml", "{per_device: req", "{per_device: ▶rek")]),
    ("message-in-no-group", [OWN, brings("▶hello")]),
    ("message-in-no-group", [OWN, *MIGRATING, ("volumes.yaml", "message: change-basket", "message: ▶hello")]),
    ("unknown-message", [brings("▶hello")]),
    ("unknown-message-path", [brings("search", path="▶purchas")]),
    ("first-of-alerts", [*ALERTED, brings("search", per_request="orders-kept, first: ▶true")]),
    ("unknown-assumption", [brings("search", per_request="▶order-kept")]),
    (
        "absurd-volume",
        [
            assumed("many", "50000"),
            ("volumes.yaml", "day]\n    groups: [o", "day, many]\n    groups: [o"),
            (
                "volumes.yaml",
                "factors: [requests-per-customer-per-day, m",
                "factors: ▶[requests-per-customer-per-day, m",
            ),
        ],
    ),
    (
        "absurd-volume",
        [
            ("forecasts.csv", "00,customers,1", "00,thousand customers,1"),
            ("forecasts.csv", "200000,", "200000000,"),
            ("assumptions.yaml", "value: 12\n    low: 8", "value: 0.01\n    low: 0.01"),
            ("volumes.yaml", "[requests-per-customer-per-day]\n    groups: [ordering]", "▶[]\n    groups: [ordering]"),
        ],
    ),
    (
        "path-through-excluded",
        [
            ("scope.yaml", "# phases: [launch] ", "phases: [pilot] # "),
            ("system.yaml", '"role:orders", payments', '"role:orders", ▶payments'),
        ],
    ),
    ("reserved-id", [("volumes.yaml", "- id: purchase\n    title: Orders", "- id: ▶migration\n    title: Orders")]),
    (
        "absurd-volume",
        [
            assumed("many", "50000"),
            brings("place-order", per_request="many"),
            (
                "volumes.yaml",
                "factors: [requests-per-customer-per-day]\n    brings",
                "factors: ▶[requests-per-customer-per-day]\n    brings",
            ),
        ],
    ),
    # the day
    ("period-empty", [("volumes.yaml", LAST_PERIOD, 'begins: "22:00", ends: ▶"06:00"')]),
    ("period-gap", [("volumes.yaml", LAST_PERIOD, 'begins: ▶"22:01", ends: "24:00"')]),
    (
        "period-gap",
        [("volumes.yaml", LAST_PERIOD, 'begins: "22:00", ends: "23:59"'), ("volumes.yaml", "- {id: d", "▶- {id: d")],
    ),
    ("period-overlap", [("volumes.yaml", LAST_PERIOD, 'begins: ▶"21:59", ends: "24:00"')]),
    ("window-empty", [("volumes.yaml", '{begins: "18:00", ends: "22:00"}', '{begins: "18:00", ends: ▶"18:00"}')]),
    ("window-empty", [("volumes.yaml", '{begins: "18:00", ends: "22:00"}', '{begins: "22:00", ends: ▶"18:00"}')]),
    ("window-cuts-period", [("volumes.yaml", '{begins: "18:00"', '{begins: ▶"18:30"')]),
    ("window-cuts-period", [("volumes.yaml", 'ends: "22:00"}\nper', 'ends: ▶"23:00"}\nper')]),
    ("profile-order", [("volumes.yaml", 'begins: "21:00"', 'begins: ▶"20:00"')]),
    ("profile-order", [("volumes.yaml", 'begins: "21:00"', 'begins: ▶"24:00"')]),
    ("profile-empty", profiled('      ▶- {begins: "00:00", rate: 0}\n      - {begins: "12:00", rate: 0.0}\n')),
    ("unknown-profile", [("volumes.yaml", f"{ORDERS}\n    profile: shoppers", f"{ORDERS}\n    profile: ▶shopers")]),
    (
        "window-rest",
        [
            *profiled(EVENINGS_ONLY),
            ("volumes.yaml", ORDERS, ORDERS.replace("evening-share", "▶evening-share")),
        ],
    ),
    (
        "window-unreached",
        [
            *profiled('      - {begins: "18:00", rate: 0}\n      - {begins: "22:00", rate: 1}\n'),
            ("volumes.yaml", ORDERS, ORDERS.replace("evening-share", "▶evening-share")),
        ],
    ),
    (
        "window-rest",
        [
            *MIGRATING,
            assumed("all", "1"),
            *WHOLE_DAY,
            ("volumes.yaml", "    in_window: evening-share", "    in_window: all"),
            ("volumes.yaml", "  in_window: evening-share", "  in_window: ▶evening-share"),
        ],
    ),
    # the calendar, and demand after an outage
    (
        "effect-never",
        [("volumes.yaml", "weekdays: [saturday, sunday], ", ""), ("volumes.yaml", "- {id: weekend", "- ▶{id: weekend")],
    ),
    ("no-such-date", [("volumes.yaml", "weekdays: [saturday, sunday]", 'dates: ["02-29", ▶"02-30"]')]),
    ("duplicate-entry", [("volumes.yaml", "weekdays: [saturday, sunday]", 'dates: ["04-01", ▶"04-01"]')]),
    ("unknown-assumption", [("volumes.yaml", "factor: weekend-factor", "factor: ▶weekends")]),
    ("unknown-traffic", [("volumes.yaml", "r: weekend-factor", "r: weekend-factor, traffic: [browse, ▶brows]")]),
    ("unknown-traffic", [("volumes.yaml", "r: weekend-factor", "r: weekend-factor, traffic: [▶migration]")]),
    ("unknown-group", [("volumes.yaml", "r: weekend-factor", "r: weekend-factor, groups: [▶browse]")]),
    ("range", [("volumes.yaml", CATCH_UP, CATCH_UP.replace("1 h", "▶90 s"))]),
    ("range", [("volumes.yaml", CATCH_UP, CATCH_UP.replace("2 h", "▶1441 min"))]),
    ("unknown-assumption", [("volumes.yaml", CATCH_UP, CATCH_UP.replace("orders-kept", "▶order-kept"))]),
    # requirements
    ("unit-mismatch", [("requirements.yaml", "limit: 512 MiB", "limit: ▶512 ms")]),
    ("zero-limit", [("requirements.yaml", "limit: 8 KiB", "limit: ▶0 KiB")]),
    ("share-above-one", [("requirements.yaml", "limit: 98 %", "limit: ▶980 %")]),
    (
        "within-missing",
        [("requirements.yaml", "    within: 2 s\n", ""), ("requirements.yaml", "id: answered-", "▶id: answered-")],
    ),
    ("within-misplaced", [("requirements.yaml", "limit: 512 MiB", "limit: 512 MiB\n    within: ▶2 s")]),
    ("metric-type", [("requirements.yaml", "types: [stress]", "types: [stress, ▶load]")]),
    (
        "metric-type",
        [
            (
                "requirements.yaml",
                "[storefront], types: [load, soak], groups: [",
                "[storefront], types: [load, ▶stress], groups: [",
            )
        ],
    ),
    (
        "catch-up-differs",
        [
            conducted("id: more\n    type: catch-up\n    outage: one-hour"),
            (
                "requirements.yaml",
                "    metric: headroom\n    limit: 1.5 times",
                "    metric: drain-time\n    limit: ▶3 h",
            ),
            ("requirements.yaml", "types: [stress]", "types: [catch-up]"),
        ],
    ),
    (
        "group-unmeasured",
        [
            (
                "requirements.yaml",
                "[storefront], types: [load, soak], groups: [",
                "[storefront, orders], types: [load, soak], groups: [▶",
            )
        ],
    ),
    (
        "role-without-requirement",
        [
            ("requirements.yaml", "[storefront, orders]", "[storefront]"),
            ("system.yaml", "role: orders\n", "role: ▶orders\n"),
        ],
    ),
    # tests
    ("profile-incomplete", [("tests.yaml", RAMP, ""), ("tests.yaml", "id: stress", "▶id: stress")]),
    ("profile-incomplete", [conducted("id: more\n    type: negative-path\n    invalid: {}", mark="▶")]),
    ("profile-misplaced", [("tests.yaml", "duration: 4 h", "duration: 4 h\n    outage: ▶an-hour")]),
    ("ramp-flat", [("tests.yaml", "most: 3", "most: ▶1")]),
    ("ramp-flat", [("tests.yaml", "growth: 2", "growth: ▶1")]),
    ("unknown-catch_up", [conducted("id: more\n    type: catch-up\n    outage: ▶an-age")]),
    ("unknown-traffic", [conducted("id: more\n    type: regression\n    comparison: {traffic: [BAU, ▶sales]}")]),
    ("scaling-idle", [scaling("begins_with: 1, added: {at: 1 h, capacity: ▶1}, removed: {at: 2 h, capacity: 0.5}")]),
    ("scaling-idle", [scaling("begins_with: 0.5, added: {at: 1 h, capacity: 1}, removed: {at: 2 h, capacity: ▶1}")]),
    ("scaling-order", [scaling("begins_with: 0.5, added: {at: 2 h, capacity: 1}, removed: {at: ▶1 h, capacity: 0.5}")]),
    ("scaling-order", [scaling("begins_with: 0.5, added: {at: 2 h, capacity: 1}, removed: {at: ▶9 h, capacity: 0.5}")]),
    ("step-impossible", [scaling("begins_with: ▶0, added: {at: 1 h, capacity: 1}, removed: {at: 2 h, capacity: 0.5}")]),
    ("share-impossible", [conducted("id: more\n    type: negative-path\n    invalid: {unknown-srv: ▶0 %}")]),
    (
        "bursts-incomplete",
        [("tests.yaml", "duration: 4 h", "duration: 4 h\n    arrivals: ▶{process: bursty, dispersion: 4.5}")],
    ),
    (
        "bursts-misplaced",
        [("tests.yaml", "duration: 4 h", "duration: 4 h\n    arrivals: {process: even, dispersion: ▶4.5}")],
    ),
    (
        "burst-long",
        [("tests.yaml", "duration: 4 h", "duration: 4 h\n    arrivals: {process: bursty, dispersion: 2, burst: ▶5 h}")],
    ),
    (
        "timeout-short",
        [("tests.yaml", "of one step\n    blocks: 40\n    timeout: 10 s", "of one step\n    timeout: ▶149 ms")],
    ),
    ("duration-long", [("tests.yaml", "duration: 4 h", "duration: ▶80000 d")]),
    ("timeout-long", [("tests.yaml", "of one step\n    blocks: 40\n    timeout: 10 s", "\n    timeout: ▶32 d")]),
    ("step-impossible", [("tests.yaml", "most: 3", "most: ▶100000000")]),
    ("step-impossible", [("tests.yaml", "growth: 2", "first: ▶0.0000001, growth: 2")]),
    ("share-impossible", [("tests.yaml", "answered: 99 %", "answered: ▶100.5 %")]),
    ("share-impossible", [("tests.yaml", "answered: 99 %", "answered: ▶99 ms")]),
    ("share-impossible", [("system.yaml", "within: 2 s, share: 95 %", "within: 2 s, share: ▶0 %")]),
    ("share-impossible", [("tests.yaml", "width: 50 %", "width: ▶0.01 %")]),
    (
        "baseline-missing",
        [
            conducted("id: more\n    type: regression\n    comparison: {traffic: [BAU]}"),
            (
                "tests.yaml",
                "tests: [load, stress, soak]\n    success_criteria: Every requirement for the s",
                "tests: [load, stress, soak, more]\n    success_criteria: Every requirement for the s",
            ),
            ("environments.yaml", "soak: ", "regression: 1 s, soak: "),
            ("environments.yaml", "  - id: rehearsal\n", "  - ▶id: rehearsal\n"),
        ],
    ),
    (
        "unknown-component",
        [("environments.yaml", "    seed: ", "    baselines: {▶odrers: {workers: 1, service: 1 ms}}\n    seed: ")],
    ),
    (
        "entry-impossible",
        [("environments.yaml", "    seed: ", "    baseline_entries: {orders: ▶'http://:0/'}\n    seed: ")],
    ),
    ("unknown-profile", [plan("orders", "order-house", tests="[▶laod]")]),
    (
        "unknown-phase",
        [
            (
                "tests.yaml",
                "component: orders\n    phases: [pilot, launch]\n    volumes_of: launch",
                "component: orders\n    phases: [pilot, launch]\n    volumes_of: ▶lunch",
            )
        ],
    ),
    ("plan-provider", [("tests.yaml", "provider: order-house", "provider: ▶shop-team")]),
    ("plan-not-tested", [plan("▶payments", "payment-firm")]),
    (
        "no-traffic",
        [("volumes.yaml", "path: purchase", "path: browse"), ("tests.yaml", "component: o", "component: ▶o")],
    ),
    (
        "plan-outside-phase",
        [
            ("programme.yaml", f"{PHASE}]", f"{PHASE.removesuffix(', orders')}]"),
            ("tests.yaml", "component: orders\n    phases: [", "component: orders\n    phases: [▶"),
        ],
    ),
    (
        "duplicate-test",
        [
            ("tests.yaml", "id: orders-plan", "id: orders-plan"),
            plan("orders", "order-house"),
            (
                "tests.yaml",
                "component: orders\n    phases: [pilot, launch]\n    volumes_of: launch\n    tests: [",
                "component: orders\n    phases: [pilot, launch]\n    volumes_of: launch\n    tests: [▶",
            ),
        ],
    ),
    (
        "no-plan",
        [
            ("tests.yaml", "component: orders\n    phases: [pilot, launch]", "component: orders\n    phases: [launch]"),
            ("programme.yaml", f"{PHASE}]", f"{PHASE.removesuffix('orders')}▶orders]"),
        ],
    ),
    # environments
    ("environment-cycle", [("environments.yaml", "extends: rehearsal", "extends: ▶rehearsal-slow-orders")]),
    ("injector-mismatch", offered_by("proxy: ▶{url: 'http://proxy:3128'}")),
    ("injector-mismatch", offered_by("http: ▶h2")),
    ("injector-mismatch", offered_by("tls: {pkcs12: ▶site.p12}")),
    ("injector-mismatch", [*scripted(at="▶"), ("environments.yaml", "injector: locust", "injector: libcurl")]),
    ("injector-mismatch", offered_by("injector_options: ▶{threads: 4}")),
    ("entry-credentials", offered_by("injector: acme\n    injector_options: {token: ▶abc}")),
    ("entry-credentials", offered_by("injector: acme\n    injector_options: {proxy: ▶'socks5://me:secret@proxy:1'}")),
    (
        "entry-credentials",
        offered_by("metrics: {orders: [{source: a, options: {url: ▶'http://h/?token=x'}, metrics: [cpu_permille]}]}"),
    ),
    ("unknown-component", offered_by("scaled_by: {▶nobody: 'http://h/capacity'}")),
    ("entry-impossible", offered_by("scaled_by: {orders: ▶'http://:0/'}")),
    ("entry-credentials", offered_by("scaled_by: {orders: ▶'http://a:b@h/'}")),
    (
        "unknown-component",
        offered_by("metrics: {▶nobody: [{source: nginx, metrics: [handles_count]}]}"),
    ),
    (
        "prometheus-twice",
        offered_by(
            "metrics: {orders: [{source: a, metrics: [handles_count]}, {source: b, metrics: [▶handles_count]}]}"
        ),
    ),
    (
        "prometheus-twice",
        [
            sources("{url: 'http://h/m', part: one, metrics: {handles_count: {series: fds}}}"),
            *offered_by(
                "metrics: {orders: [{source: a, part: one, host: h, metrics: [cpu_permille, ▶handles_count]}]}"
            ),
        ],
    ),
    (
        "prometheus-uneven",
        [
            sources("{url: 'http://h/m', metrics: {handles_count: {series: fds}}}"),
            *offered_by("metrics: {orders: [{source: a, every: 5 s, metrics: [▶handles_count]}]}"),
        ],
    ),
    ("proxy-credentials", offered_by("injector: libcurl\n    proxy: {url: ▶'http://me:secret@proxy:3128'}")),
    ("proxy-impossible", offered_by("injector: libcurl\n    proxy: {url: ▶'http://proxy'}")),
    ("proxy-impossible", offered_by("injector: libcurl\n    proxy: {url: ▶'http://proxy:99999'}")),
    ("password-alone", offered_by("injector: libcurl\n    proxy: {url: 'http://proxy:1', password: ▶SECRET}")),
    ("password-alone", offered_by("injector: libcurl\n    tls: {password: ▶SECRET}")),
    ("two-identities", offered_by("injector: libcurl\n    tls: {certificate: a.pem, pkcs12: ▶b.p12}")),
    ("script-missing", offered_by("injector: ▶locust")),
    ("closed-loop", scripted(at="▶")),
    ("closed-loop", scripted(more=", types: [load, stress]", at="▶")),
    ("closed-loop", scripted(more=", types: [regression]", at="▶")),
    (
        "script-acknowledged",
        [
            path('[shopper, storefront, "role:orders"]', more="    acknowledged_by: [orders]\n"),
            ("environments.yaml", ORDER_HOUSE, f"{ORDER_HOUSE}, answers: acknowledge"),
            *scripted(more=", types: [load]", at="▶"),
        ],
    ),
    (
        "script-acknowledged",
        [
            path('[shopper, storefront, "role:orders"]', more="    acknowledged_by: [orders]\n"),
            ("environments.yaml", "    seed: ", "    entries: {orders: 'https://orders.example'}\n    seed: "),
            *scripted(more=", types: [load]", at="▶"),
        ],
    ),
    ("message-astray", scripted("browse|place-order|request", mark="▶", more=", types: [load]")),
    ("unknown-message-path", scripted("by|place-order|request", mark="▶", more=", types: [load]")),
    ("unknown-message", scripted("purchase|place|request", mark="▶", more=", types: [load]")),
    ("duration-longer", [("environments.yaml", "{load: 6 s", "{load: ▶5 h")]),
    ("zero-rate", [("environments.yaml", "orders: 25", "orders: ▶0")]),
    ("rate-impossible", [("environments.yaml", "orders: 25", "orders: ▶100000000")]),
    ("rate-impossible", [("environments.yaml", "orders: 25", "orders: ▶0.000000000000000000001")]),
    ("duration-short", [("environments.yaml", "{load: 6 s", "{load: ▶1 us")]),
    ("duration-short", [("environments.yaml", "stress: 1200 ms", "stress: ▶999 ms")]),
    ("entry-impossible", [entry("http://127.0.0.1:99999999/x")]),
    ("entry-impossible", [entry("http://127.0.0.1:abc/x")]),
    ("entry-impossible", [entry("http://[::1/x")]),
    ("entry-impossible", [entry("http://:80/x")]),
    ("entry-impossible", [entry("http://host:0/x")]),
    ("entry-credentials", [entry("http://user:pw@host/x")]),
    ("entry-credentials", [entry("https://token@host")]),
    ("entry-credentials", [entry("https://host/x?size=1&access_token=abc")]),
    ("entry-credentials", [entry("https://host/x?X-Amz-Signature=abc")]),
    ("entry-credentials", [entry("https://host/x?KEY=abc")]),
    ("entry-credentials", [sources("{url: ▶'http://h/m?apikey=x', metrics: {handles_count: {series: fds}}}")]),
    ("entry-impossible", [sources("{url: ▶'http://:1/m', metrics: {handles_count: {series: fds}}}")]),
    ("entry-credentials", [sources("{server: ▶'https://a:b@host', metrics: {handles_count: {query: fds}}}")]),
    ("unknown-component", [sources("{url: 'http://h/m', metrics: {handles_count: {series: fds}}}", "▶nobody")]),
    ("prometheus-kind", [sources("▶{metrics: {handles_count: {series: fds}}}")]),
    ("prometheus-kind", [sources("▶{url: 'http://h/m', server: 'http://h', metrics: {handles_count: {query: x}}}")]),
    ("prometheus-series", [sources("{url: 'http://h/m', metrics: {handles_count: ▶{query: fds}}}")]),
    ("prometheus-series", [sources("{url: 'http://h/m', metrics: {handles_count: ▶{series: fds, query: fds}}}")]),
    ("prometheus-series", [sources("{server: 'http://h', metrics: {handles_count: ▶{query: x, labels: {a: b}}}}")]),
    ("prometheus-series", [sources("{server: 'http://h', metrics: {handles_count: ▶{counter: true}}}")]),
    ("prometheus-factor", [sources("{url: 'http://h/m', metrics: {handles_count: ▶{series: fds, factor: 0}}}")]),
    ("prometheus-pattern", [sources("{url: 'http://h/m', metrics: {handles_count: ▶{series: f, labels: {a: '('}}}}")]),
    ("prometheus-pattern", [sources("{url: 'http://h/m', metrics: {handles_count: ▶{series: f, without: {a: '['}}}}")]),
    (
        "prometheus-twice",
        [
            sources(
                "{url: 'http://h/m', metrics: {handles_count: {series: fds}}}, "
                "{server: 'https://h', metrics: {handles_count: ▶{query: fds}}}"
            )
        ],
    ),
    (
        "prometheus-uneven",
        [
            sources(
                "{url: 'http://h/m', metrics: {handles_count: {series: fds}}}, "
                "{url: 'http://i/m', every: 5 s, metrics: {handles_count: ▶{series: fds}}}"
            )
        ],
    ),
    ("connections-limit", [("environments.yaml", "connections: 16", "connections: ▶300")]),
    (
        "duration-missing",
        [("environments.yaml", ", soak: 6 s", ""), ("environments.yaml", "- id: rehearsal\n", "- ▶id: rehearsal\n")],
    ),
    (
        "emulation-missing",
        [
            ("environments.yaml", "      storefront: {workers: 6, service: 32 ms}\n", ""),
            ("environments.yaml", "- id: rehearsal\n", "- ▶id: rehearsal\n"),
        ],
    ),
    (
        "rate-missing",
        [("environments.yaml", "default: 1, ", ""), ("environments.yaml", "- id: rehearsal\n", "- ▶id: rehearsal\n")],
    ),
    (
        "key-alone",
        [
            ("environments.yaml", *REAL),
            ("environments.yaml", "a.example'}\n", "a.example', orders: 'https://b.example'}\n    tls: {key: ▶K}\n"),
        ],
    ),
    ("entry-missing", [("environments.yaml", *REAL), ("environments.yaml", "- id: site", "- ▶id: site")]),
    (
        "receive-unused",
        [("environments.yaml", "    seed: ", "    receive: ▶{listen: '127.0.0.1:9000'}\n    seed: ")],
    ),
    (
        "receive-identity",
        [
            ("environments.yaml", *REAL),
            (
                "environments.yaml",
                "a.example'}\n",
                "a.example', orders: 'https://b.example'}\n    receive: ▶{listen: 'site:9000', ca: CA}\n",
            ),
        ],
    ),
    # emulated components
    (
        "acknowledges-nothing",
        [("environments.yaml", ORDER_HOUSE, f"{ORDER_HOUSE}, answers: ▶acknowledge")],
    ),
    ("alerts-nowhere", [emulated("alert_permille: ▶5")]),
    ("spread-missing", [emulated("distribution: ▶lognormal")]),
    ("spread-unused", [emulated("distribution: exponential, spread: ▶10 ms")]),
    ("spread-wide", [emulated("distribution: uniform, spread: ▶33 ms")]),
    ("limit-unused", [emulated("queue_limit: ▶10")]),
    ("limit-missing", [emulated("overload: ▶reject")]),
    ("pause-endless", [emulated("pause: {every: 1 s, length: ▶1 s}")]),
    (
        "outage-overlap",
        [emulated("outages: [{begins: 1 s, length: 2 s, answers: 503}, {begins: ▶2 s, length: 1 s}]")],
    ),
    ("scaling-order", [emulated("scaling: [{at: 2 s, workers: 9}, {at: ▶2 s, workers: 3}]")]),
    (
        "pause-endless",
        [("environments.yaml", ORDER_HOUSE, f"{ORDER_HOUSE}, pause: {{every: 1 s, length: ▶2 s}}")],
    ),  # said once
    (
        "limit-unused",
        [
            ("environments.yaml", ORDER_HOUSE, f"{ORDER_HOUSE}, overload: reject, queue_limit: 9"),
            (
                "environments.yaml",
                "orders: {workers: 1, service: 32 ms",
                "▶orders: {workers: 1, service: 32 ms, overload: queue",
            ),
        ],
    ),
    # who decides, what is assured and audited
    ("unknown-decision-on-a-plan", [("governance.yaml", "decisions: [reviewed", "decisions: [▶reviwed")]),
    ("unknown-service-provider", [("governance.yaml", "provider: order-house", "provider: ▶order-hose")]),
    ("unknown-phase", [("governance.yaml", "thresholds: []", threshold(1, "phases: [▶lunch], "))]),
    ("threshold-twice", [("governance.yaml", "thresholds: []", threshold(1) + "\n  - ▶" + threshold(1)[16:])]),
    ("unknown-component", [("governance.yaml", "components: [payments]", "components: [▶paymints]")]),
    ("unknown-phase", [("governance.yaml", "# audits: ", f"audits: [{audit('▶lunch')}]\n#")]),
    ("audit-twice", [("governance.yaml", "# audits: ", f"audits: [{audit('launch')}, {audit('▶launch')}]\n#")]),
    ("bearing-named", [clause("{shown: reliance, name: ▶load}")]),
    ("bearing-unnamed", [clause("▶{shown: tests}")]),
    ("unknown-test-type", [clause("{shown: tests, name: ▶sock}")]),
    ("unknown-entry-of-the-scope", [clause("{shown: scope, name: ▶sock}")]),
    ("unknown-assurance", [clause("{shown: assurance, name: ▶sock}")]),
    ("criterion-open", [("programme.yaml", "kind: board-decided", "kind: ▶audit-reported")]),
    (
        "criterion-open",
        [
            ("programme.yaml", "kind: board-decided", "kind: ▶assurances-given"),
            ("governance.yaml", "components: [payments]", "phases: [launch]"),
        ],
    ),
]


@pytest.mark.parametrize(("code", "edits"), CASES, ids=[f"{index}-{code}" for index, (code, _) in enumerate(CASES)])
def test_disagreement_is_found_where_it_stands(code: str, edits: list[Edit], tmp_path: Path) -> None:
    place = edited(tmp_path / "shop", *edits)
    faults = faults_of(tmp_path / "shop")
    assert [(fault.code, fault.file, fault.line, fault.column) for fault in faults] == [(code, *place)]
    assert faults[0].source[faults[0].column - 1 :].strip() or faults[0].line == 1


def test_the_last_of_all_days_may_be_forecast(tmp_path: Path) -> None:
    edited(tmp_path / "shop", ("forecasts.csv", "2026-09-01,2026-12-31", "2026-09-01,2036-12-31"))
    assert faults_of(tmp_path / "shop") == []
    rows = "pilot,customers,9990-01-01,9998-12-31,5,customers,1,agreed,x\n"
    rows += "launch,customers,9999-01-01,9999-12-31,5,customers,1,agreed,x\n"
    edited(tmp_path / "late", ("forecasts.csv", "", FORECASTS + rows))
    assert faults_of(tmp_path / "late") == []


STARTS = {"moded": MODED, "alerted": ALERTED, "migrating": MIGRATING, "observed": OBSERVED, "guests": GUESTS}


@pytest.mark.parametrize("start", STARTS)
def test_what_examples_start_from_is_in_order(start: str, tmp_path: Path) -> None:
    edited(tmp_path / "shop", *STARTS[start])
    assert faults_of(tmp_path / "shop") == []


def test_every_check_has_an_example() -> None:
    rooms = Path(catalog.agreement.__file__).parent.glob("*.py")
    texts = {
        node.value for room in rooms for node in ast.walk(ast.parse(room.read_text())) if isinstance(node, ast.Constant)
    }
    codes = {text for text in texts if isinstance(text, str) and re.fullmatch(r"[a-z]+(-[a-z]+)+", text)}
    assert len(codes) > 30
    assert codes <= {code for code, _ in CASES}


def test_parts_and_hosts_of_a_component_may_tell_the_same(tmp_path: Path) -> None:
    here = "metrics: {handles_count: {series: fds}}"
    listed = [f"{{url: 'http://h/m', {here}}}", f"{{url: 'http://h/n', part: two, {here}}}"]
    listed += [f"{{url: 'http://h/m', host: i, {here}}}", f"{{url: 'http://h/m', describes: host, every: 9 s, {here}}}"]
    edited(tmp_path / "shop", sources(", ".join(listed)))
    assert faults_of(tmp_path / "shop") == []


def test_an_unknown_name_comes_with_the_nearest_known_one(tmp_path: Path) -> None:
    edited(tmp_path / "shop", ("volumes.yaml", "srv: search", "srv: serach"), ("tests.yaml", "[load, ", "[lightning, "))
    hints = {fault.code: fault.hint for fault in faults_of(tmp_path / "shop")}
    assert hints == {"unknown-message": "did you mean 'search'?", "unknown-profile": "known: load, soak, stress"}


def test_disagreements_of_all_files_are_reported_at_once_in_order(tmp_path: Path) -> None:
    edited(
        tmp_path / "shop",
        ("system.yaml", "provider: payment-firm", "provider: nobody"),
        ("requirements.yaml", "limit: 8 KiB", "limit: 0 KiB"),
        ("requirements.yaml", "limit: 512 MiB", "limit: 512 ms"),
        ("forecasts.csv", LAUNCH, f"launch,guests,2026-06-01,2026-12-31,1,customers,1,agreed,x\n{LAUNCH}"),
    )
    faults = faults_of(tmp_path / "shop")
    assert [fault.code for fault in faults] == [
        "unknown-cohort",
        "unit-mismatch",
        "zero-limit",
        "unknown-service-provider",
    ]


def test_what_a_variant_inherits_is_held_against_its_base_only(tmp_path: Path) -> None:
    edited(
        tmp_path / "shop",
        ("environments.yaml", "{load: 6 s, stress: 1200 ms, soak: 6 s}", "{}"),
        ("environments.yaml", "      orders: {workers: 1", "      storefront: {workers: 1"),
        ("environments.yaml", "      orders: {workers: 6, service: 32 ms}\n", ""),
    )
    faults = faults_of(tmp_path / "shop")
    assert {fault.line for fault in faults} == {faults[0].line}
    assert [fault.code for fault in faults] == ["duration-missing"] * 3 + ["emulation-missing"]
