"""A programme with all seven types of test, whose system under test is reached through a hostile proxy."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from catalog.reading import read_programme
from tasks.emulate.system import start_system
from tasks.stand_up import specs_for_test
from tests.faults.hostile import HostileProxy, Mood
from tests.faults.lab import Lab

SEVEN = ("run", "pilot", "--environment", "hostile", "--json", "--tests", "pilot.orders.*")
CONNECTIONS = 16
TYPES = ("load", "stress", "soak", "catch-up", "scaling", "negative-path", "regression")

_COMMON = "duration: 4 h, blocks: 30, timeout: 2 s, lateness: 100 ms, standing: proposed, source: a test"
_PROFILES = f"""
  - {{id: catch-up, type: catch-up, title: Catching up, outage: one-hour, {_COMMON}}}
  - {{id: scaling, type: scaling, title: More and less, {_COMMON},
     scaling: {{load: 1.5, begins_with: 0.5, added: {{at: 80 min, capacity: 1}},
       removed: {{at: 160 min, capacity: 0.75}}}}}}
  - {{id: negative-path, type: negative-path, title: Invalid, invalid: {{unknown-srv: 20 %, unauthorised-device: 20 %}},
     {_COMMON}}}
  - {{id: regression, type: regression, title: As ever, comparison: {{runs: 5, traffic: [BAU]}},
     {_COMMON.replace("duration: 4 h, blocks: 30", "duration: 5 min")}}}
"""
_REQUIREMENTS = "".join(
    f"""
  - {{id: {metric}-of-{type_}, title: {metric} of {type_}, metric: {metric}, limit: {limit}, standing: proposed,
     scope: {{roles: [orders], types: [{type_}]}}, source: a test, owner: The shop}}
"""
    for type_, metric, limit in (
        ("catch-up", "drain-time", "2 h"),
        ("scaling", "reduced-share", "90 %"),
        ("negative-path", "refused-share", "90 %"),
        ("regression", "answered-share-ratio", "0.9 times"),
        ("regression", "latency-p50-ratio", "2 times"),
    )
)
_ENVIRONMENT = """
  - id: hostile
    title: The order service, through a proxy
    kind: rehearsal
    size: One process
    extends: rehearsal
    connections: {connections}
    max_connections: {connections}
    durations: {{load: 2 s, stress: 1 s, soak: 2 s, catch-up: 2 s, scaling: 3 s, negative-path: 2 s, regression: 1 s}}
    entries: {{orders: "http://127.0.0.1:{port}", storefront: "http://127.0.0.1:{port}"}}
    baseline_entries: {{orders: "http://127.0.0.1:{baseline}"}}
"""

ANSWERED = {
    "answered", "answered-in-time", "latency", "median-latency", "headroom", "drain-time-of-catch-up",
    "reduced-share-of-scaling", "refused-share-of-negative-path", "answered-share-ratio-of-regression",
    "latency-p50-ratio-of-regression",
}  # fmt: skip
"""Requirements that a system which answers nothing right cannot meet."""

WRONG = set(Mood) - {Mood.FORWARD, Mood.SLOW, Mood.EMPTY, Mood.FOREIGN}
"""Moods in which nothing is answered right. By the plain protocol, status 200 is right whatever the body."""


@contextmanager
def hostile_programme(lab: Lab) -> Iterator[HostileProxy]:
    """Declares all types of test in the laboratory's programme, stands its system up, and yields the proxy to it."""
    edit(lab)
    programme = read_programme(lab.bench.catalog)
    specs = specs_for_test(programme, programme.environment("rehearsal"), programme.component("orders"), ["purchase"])
    with start_system(specs) as system:
        url = urlsplit(system["orders"].url)
        with HostileProxy((str(url.hostname), int(url.port or 0)), seed=lab.chance.getrandbits(30)) as proxy:
            environments = lab.bench.catalog / "environments.yaml"
            declared = _ENVIRONMENT.format(port=proxy.port, baseline=url.port, connections=CONNECTIONS)
            environments.write_text(environments.read_text() + declared)
            yield proxy


def edit(lab: Lab) -> None:
    """Adds the types of test to the order service's plan, and a requirement for each."""
    tests = lab.bench.catalog / "tests.yaml"
    text = tests.read_text()
    head, plans = text.split("\nplans:")
    first, second = plans.split("  - id: orders-plan")
    second = second.replace("tests: [load, stress, soak]", f"tests: [{', '.join(TYPES)}]")
    second = second.replace("source: Capacity testing approach, section 3", "source: a test")
    tests.write_text(f"{head}{_PROFILES}\nplans:{first}  - id: orders-plan{second}")
    requirements = lab.bench.catalog / "requirements.yaml"
    requirements.write_text(requirements.read_text() + _REQUIREMENTS)
    environments = lab.bench.catalog / "environments.yaml"
    text = environments.read_text()
    more = "catch-up: 2 s, scaling: 3 s, negative-path: 2 s, regression: 1 s}"
    text = text.replace("soak: 6 s}", f"soak: 6 s, {more}").replace("soak: 2 s}", f"soak: 2 s, {more}")
    text = text.replace(
        "    connections: 16\n", "    baselines: {orders: {workers: 6, service: 32 ms}}\n    connections: 16\n"
    )
    environments.write_text(text)
    lab.never = set()


def unanswered(lab: Lab, mood: Mood) -> None:
    """Notes what was proved of a system of which nothing was right; not of the first test, in which it turned bad."""
    if mood not in WRONG:
        return
    for test, requirement in sorted(lab.proved()):
        if test != "orders.load" and requirement in ANSWERED:
            lab.fail(f"{requirement} of {test} became proved of a system that {mood}")
