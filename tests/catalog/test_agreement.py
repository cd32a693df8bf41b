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


PHASE = "title: Pilot with invited customers\n    components: [storefront, orders"
SOURCED = "standing: agreed, source: x, owner: x, date: x"
ROLE_STEP = ("system.yaml", 'storefront, "role:orders"', 'storefront, ▶"role:orders"')
LAST_STEP = ("system.yaml", '"role:orders", payments', '"role:orders", ▶payments')
LAST_PERIOD = "from_hour: 22, to_hour: 24"
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
    ("unknown-role", [path('[shopper, ▶"role:order"]')]),
    ("unknown-role", [("requirements.yaml", "[storefront], types", "[storefront, ▶order], types")]),
    ("unknown-phase", [("programme.yaml", "  phase: launch", "  phase: ▶lunch")]),
    ("unknown-phase", [("programme.yaml", "phases: [launch]", "phases: [▶lunch]")]),
    ("unknown-phase", [("scope.yaml", "# phases: [pilot] ", "phases: [▶pilto] # ")]),
    ("unknown-phase", [("forecasts.csv", "launch,c", "▶lunch,customers,1,0,agreed,x\nlaunch,c")]),
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
    ("share-above-one", [("assumptions.yaml", "value: 0.50", "value: ▶1.5")]),
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
            ("volumes.yaml", "  - {id: day, title: Night and day, from_hour: 0, to_hour: 18}\n", ""),
            ("volumes.yaml", "  - {id: late, title: Late evening, from_hour: 22, to_hour: 24}\n", ""),
            ("volumes.yaml", "from_hour: 18, to_hour: 22", "from_hour: 0, to_hour: 24"),
            (
                "assumptions.yaml",
                "- id: evening",
                f"- {{id: all, title: All, value: 1, unit: share, {SOURCED}}}\n  - id: evening",
            ),
            ("volumes.yaml", "[ordering]\n    in_window: evening-share", "[ordering]\n    in_window: all"),
            ("volumes.yaml", "in_window: evening-share", "in_window: ▶evening-share"),
        ],
    ),
    ("period-empty", [("volumes.yaml", LAST_PERIOD, "from_hour: 22, to_hour: ▶6")]),
    ("period-gap", [("volumes.yaml", LAST_PERIOD, "from_hour: ▶23, to_hour: 24")]),
    (
        "period-gap",
        [("volumes.yaml", LAST_PERIOD, "from_hour: 22, to_hour: 23"), ("volumes.yaml", "- {id: d", "▶- {id: d")],
    ),
    ("period-overlap", [("volumes.yaml", LAST_PERIOD, "from_hour: ▶21, to_hour: 24")]),
    ("unknown-period", [("volumes.yaml", "peak_window: evening", "peak_window: ▶evenings")]),
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
    ("unknown-cohort", [("forecasts.csv", "launch,c", "launch,▶guests,1,0,agreed,x\nlaunch,c")]),
    ("duplicate-forecast", [("forecasts.csv", "launch,c", "launch,customers,1,0,agreed,x\n▶launch,c")]),
    (
        "forecast-missing",
        [
            ("forecasts.csv", 'pilot,customers,50000,0,agreed,"Business plan 2026, table 3"\n', ""),
            ("forecasts.csv", "phase,c", "▶phase,c"),
        ],
    ),
    # requirements
    ("unit-mismatch", [("requirements.yaml", "limit: 512 MiB", "limit: ▶512 ms")]),
    ("zero-limit", [("requirements.yaml", "limit: 8 KiB", "limit: ▶0 KiB")]),
    ("share-above-one", [("requirements.yaml", "limit: 98 %", "limit: ▶980 %")]),
    (
        "within-missing",
        [("requirements.yaml", "    within: 2 s\n", ""), ("requirements.yaml", "id: answered-", "▶id: answered-")],
    ),
    ("within-misplaced", [("requirements.yaml", "limit: 512 MiB", "limit: 512 MiB\n    within: ▶2 s")]),
    ("headroom-type", [("requirements.yaml", "types: [stress]", "types: [stress, ▶load]")]),
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
    (
        "stress-incomplete",
        [("tests.yaml", "    step_answered: 99 %", "   "), ("tests.yaml", "id: stress", "▶id: stress")],
    ),
    ("stress-misplaced", [("tests.yaml", "duration: 4 h", "duration: 4 h\n    step_latency: ▶1 s")]),
    ("steps-not-rising", [("tests.yaml", "1.5, 2, ", "1.5, ▶1.5, ")]),
    ("steps-not-rising", [("tests.yaml", "[1, 1.5", "[▶0, 1.5")]),
    (
        "timeout-short",
        [("tests.yaml", "of one step\n    blocks: 40\n    timeout: 10 s", "of one step\n    timeout: ▶149 ms")],
    ),
    ("duration-long", [("tests.yaml", "duration: 4 h", "duration: ▶80000 d")]),
    ("timeout-long", [("tests.yaml", "of one step\n    blocks: 40\n    timeout: 10 s", "\n    timeout: ▶32 d")]),
    ("step-impossible", [("tests.yaml", "2.5, 3]", "2.5, ▶100000000]")]),
    ("step-impossible", [("tests.yaml", "[1, 1.5", "[▶0.0000001, 1.5")]),
    ("share-impossible", [("tests.yaml", "step_answered: 99 %", "step_answered: ▶100.5 %")]),
    ("share-impossible", [("tests.yaml", "step_answered: 99 %", "step_answered: ▶99 ms")]),
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
    ("duration-longer", [("environments.yaml", "{load: 6 s", "{load: ▶5 h")]),
    ("zero-rate", [("environments.yaml", "orders: 25", "orders: ▶0")]),
    ("rate-impossible", [("environments.yaml", "orders: 25", "orders: ▶100000000")]),
    ("rate-impossible", [("environments.yaml", "orders: 25", "orders: ▶0.000000000000000000001")]),
    ("duration-short", [("environments.yaml", "{load: 6 s", "{load: ▶1 us")]),
    ("duration-short", [("environments.yaml", "stress: 2 s", "stress: ▶999 ms")]),
    ("entry-impossible", [entry("http://127.0.0.1:99999999/x")]),
    ("entry-impossible", [entry("http://127.0.0.1:abc/x")]),
    ("entry-impossible", [entry("http://[::1/x")]),
    ("entry-impossible", [entry("http://:80/x")]),
    ("entry-impossible", [entry("http://host:0/x")]),
    ("entry-credentials", [entry("http://user:pw@host/x")]),
    ("entry-credentials", [entry("https://token@host")]),
    ("connections-limit", [("environments.yaml", "connections: 16", "connections: ▶300")]),
    (
        "duration-missing",
        [("environments.yaml", ", soak: 8 s", ""), ("environments.yaml", "- id: rehearsal\n", "- ▶id: rehearsal\n")],
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
    ("entry-missing", [("environments.yaml", *REAL), ("environments.yaml", "- id: site", "- ▶id: site")]),
]


@pytest.mark.parametrize(("code", "edits"), CASES, ids=[f"{index}-{code}" for index, (code, _) in enumerate(CASES)])
def test_disagreement_is_found_where_it_stands(code: str, edits: list[Edit], tmp_path: Path) -> None:
    place = edited(tmp_path / "shop", *edits)
    faults = faults_of(tmp_path / "shop")
    assert [(fault.code, fault.file, fault.line, fault.column) for fault in faults] == [(code, *place)]
    assert faults[0].source[faults[0].column - 1 :].strip() or faults[0].line == 1


def test_every_check_has_an_example() -> None:
    rooms = Path(catalog.agreement.__file__).parent.glob("*.py")
    texts = {
        node.value for room in rooms for node in ast.walk(ast.parse(room.read_text())) if isinstance(node, ast.Constant)
    }
    codes = {text for text in texts if isinstance(text, str) and re.fullmatch(r"[a-z]+(-[a-z]+)+", text)}
    assert len(codes) > 30
    assert codes <= {code for code, _ in CASES}


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
        ("forecasts.csv", "launch,c", "launch,guests,1,0,agreed,x\nlaunch,c"),
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
        ("environments.yaml", "{load: 6 s, stress: 2 s, soak: 8 s}", "{}"),
        ("environments.yaml", "      orders: {workers: 1", "      storefront: {workers: 1"),
        ("environments.yaml", "      orders: {workers: 6, service: 32 ms}\n", ""),
    )
    faults = faults_of(tmp_path / "shop")
    assert {fault.line for fault in faults} == {faults[0].line}
    assert [fault.code for fault in faults] == ["duration-missing"] * 3 + ["emulation-missing"]
