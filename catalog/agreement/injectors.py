"""Injectors: what an environment declares for one is for the one that it has chosen, and can be done by it."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from catalog.agreement.material import Declarations, Disagreement, unknown
from catalog.agreement.prometheus import option_faults
from catalog.declarations import Answers, Environment, HttpVersion, InjectorKind, LocustScript, TestType
from catalog.extensions import SHIPPED, Point
from catalog.places import Address
from catalog.variants import filled_in

CLOSED_LOOP_TYPES = frozenset({TestType.LOAD, TestType.SOAK})
"""What a script can conduct: a load for a time. In any other type it matters when messages are due, or which: in a
regression, both sides must be sent the same.
"""


def injector_disagreements(declared: Declarations) -> Iterator[Disagreement]:
    """Everything about injectors that is wrong with environments.yaml."""
    full = filled_in(declared.environments.environments)
    for position, environment in enumerate(declared.environments.environments):
        whole = full.get(environment.id, environment)
        yield from _misplaced(position, environment, whole)
        yield from _proxy(position, environment)
        yield from _identity(position, environment, whole)
        yield from _script(declared, position, environment, whole)


def _at(below: Address, code: str, message: str, hint: str = "") -> Disagreement:
    address = ("environments", *below)
    return Disagreement(file="environments.yaml", address=address, code=code, message=message, hint=hint)


def _misplaced(position: int, environment: Environment, whole: Environment) -> Iterator[Disagreement]:
    """What only libcurl or Locust understands, where another injector is chosen."""
    theirs = {
        "proxy": (environment.proxy is not None, InjectorKind.LIBCURL),
        "http": (environment.http is not HttpVersion.HTTP_1_1, InjectorKind.LIBCURL),
        "locust": (environment.locust is not None, InjectorKind.LOCUST),
    }
    if environment.injector_options and whole.injector in SHIPPED[Point.INJECTORS]:
        message = f"'injector_options' are for an injector that is installed, and '{whole.injector}' is shipped"
        yield _at((position, "injector_options"), "injector-mismatch", message, "remove it, or name the other injector")
    for option, code, message, hint in option_faults(environment.injector_options):
        yield _at((position, "injector_options", option), code, message, hint)
    for name, (given, whose) in theirs.items():
        if given and whole.injector != whose:
            message = f"'{name}' is for the {whose} injector, and the {whole.injector} injector is chosen"
            yield _at((position, name), "injector-mismatch", message, f"declare 'injector: {whose}', or remove it")


def _proxy(position: int, environment: Environment) -> Iterator[Disagreement]:
    """Proxies that no connection can be opened to, or that hold a secret."""
    proxy = environment.proxy
    if proxy is None:
        return
    try:
        parts = urlsplit(proxy.url)
        host, port, secret = parts.hostname, parts.port, "@" in parts.netloc
    except ValueError:
        host, port, secret = None, None, False
    if secret:
        message = "the URL holds credentials, and declarations are recorded for everybody who reads the evidence"
        hint = "name environment variables under 'user' and 'password', and change the password"
        yield _at((position, "proxy", "url"), "proxy-credentials", message, hint)
    elif not host or not port:
        message = f"expected a URL with a host and a port from 1 to 65535; found '{proxy.url[:60]}'"
        yield _at((position, "proxy", "url"), "proxy-impossible", message, "such as http://proxy:3128")
    if proxy.password and not proxy.user:
        yield _at((position, "proxy", "password"), "password-alone", "a password without the user whose it is")


def _identity(position: int, environment: Environment, whole: Environment) -> Iterator[Disagreement]:
    """PKCS#12 is one identity, has a password of its own, and is for libcurl."""
    stated, tls = environment.tls, whole.tls
    if stated is None or tls is None:
        return
    if stated.pkcs12 and whole.injector != InjectorKind.LIBCURL:
        message = f"only the libcurl injector reads PKCS#12, and the {whole.injector} injector is chosen"
        hint = "declare 'injector: libcurl', or give certificate and key as PEM"
        yield _at((position, "tls", "pkcs12"), "injector-mismatch", message, hint)
    if stated.pkcs12 and tls.certificate:
        message = "two identities: a certificate and a PKCS#12 file"
        yield _at((position, "tls", "pkcs12"), "two-identities", message, "give one of them")
    if stated.password and not tls.pkcs12:
        yield _at((position, "tls", "password"), "password-alone", "a password without the PKCS#12 file that it opens")


def _script(
    declared: Declarations, position: int, environment: Environment, whole: Environment
) -> Iterator[Disagreement]:
    """There is a script where one is to be run, for tests that a closed loop can conduct."""
    chosen = environment.injector == InjectorKind.LOCUST
    if whole.injector != InjectorKind.LOCUST or not (chosen or environment.locust):
        return  # what it extends is told of there
    if whole.locust is None:
        hint = "declare 'locust' with 'script', 'users', 'spawn_rate' and 'requests'"
        yield _at((position, "injector"), "script-missing", "the locust injector runs a script: none is declared", hint)
        return
    conducts = frozenset(whole.locust.types) or _planned_types(declared)
    for kind in sorted(conducts - CLOSED_LOOP_TYPES):
        message = f"a script cannot conduct {kind} tests: it does not send the messages that are due, when they are"
        hint = "list under 'types' of 'locust' what it conducts; the own injector then conducts the rest"
        yield _at((position, "locust" if environment.locust else "injector"), "closed-loop", message, hint)
    if late := sorted(_answering_later(declared, whole)):
        message = f"a script has no receive service, and takes the acknowledgement for the answer: {', '.join(late)}"
        hint = "the own and the libcurl injector have one; or let the component answer at once"
        yield _at((position, "locust" if environment.locust else "injector"), "script-acknowledged", message, hint)
    if environment.locust:
        yield from _requests(declared, (position, "locust", "requests"), environment.locust)


def _answering_later(declared: Declarations, whole: Environment) -> set[str]:
    """The components that acknowledge first: emulated so, or real and named by a message path."""
    names = {name for path in declared.system.message_paths for name in path.acknowledged_by}
    emulated = {name for name, each in whole.components.items() if each.answers is Answers.ACKNOWLEDGE}
    return names & (whole.entries.keys() | emulated)


def _requests(declared: Declarations, address: Address, locust: LocustScript) -> Iterator[Disagreement]:
    """Every request counts as a message that exists on its path."""
    paths = {path.id for path in declared.system.message_paths}
    srvs = {row.srv for row in declared.srv_register}
    known = _streams(declared)
    for name, label in locust.requests.items():
        path, _, rest = label.partition("|")
        srv = rest.rpartition("|")[0]
        place = ("environments", *address, name)
        yield from unknown("environments.yaml", place, path, paths, "message path")
        yield from unknown("environments.yaml", place, srv, srvs, "message")
        if path in paths and srv in srvs and (path, srv) not in known:
            message = f"no traffic of volumes.yaml sends '{srv}' on the path '{path}'"
            yield _at((*address, name), "message-astray", message)


def _streams(declared: Declarations) -> set[tuple[str, str]]:
    """Every path and message that the volume model knows."""
    volumes = declared.volumes
    groups = {group.id: [weighted.srv for weighted in group.srvs] for group in volumes.groups}
    found = {
        (traffic.path, srv) for traffic in volumes.traffic for group in traffic.groups for srv in groups.get(group, ())
    }
    found |= {(brought.path, brought.message) for traffic in volumes.traffic for brought in traffic.brings}
    return found | {(step.path, step.message) for step in (volumes.migration.steps if volumes.migration else ())}


def _planned_types(declared: Declarations) -> frozenset[TestType]:
    planned = {profile for plan in declared.tests.plans for profile in plan.tests}
    return frozenset(profile.type for profile in declared.tests.profiles if profile.id in planned)
